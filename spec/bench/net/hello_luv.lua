-- The same on plain luv: callbacks, headers found in what has been read.
--    lua5.4 spec/bench/net/hello_luv.lua
local uv = require "luv"

local answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!"

local server = uv.new_tcp()
server:bind("127.0.0.1", 0)
server:listen(1024, function()
  local client, unread = uv.new_tcp(), ""
  server:accept(client)
  client:read_start(function(_, data)
    if not data then return client:close() end
    unread = unread .. data
    while true do
      local _, last = unread:find("\r\n\r\n", 1, true)
      if not last then break end
      local first, at = true, 1
      while at < last - 2 do
        local line_end = unread:find("\r\n", at, true)
        local line = unread:sub(at, line_end - 1)
        if first then assert(line:match("^(%u+) (%S+) HTTP/1%.(%d)$")) end
        first, at = false, line_end + 2
      end
      unread = unread:sub(last + 1)
      client:write(answer)
    end
  end)
end)
print(server:getsockname().port)
io.stdout:flush()
uv.run()

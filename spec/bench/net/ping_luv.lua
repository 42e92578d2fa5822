-- The same on plain luv.
--    lua5.4 spec/bench/net/ping_luv.lua [n = 100000]
local uv = require "luv"
local n = math.tointeger(tonumber(arg[1] or 100000))
local message = ("x"):rep(64)

-- fn for each 64 bytes that have arrived.
local function each(socket, fn)
  local unread = ""
  socket:read_start(function(_, data)
    if not data then return socket:close() end
    unread = unread .. data
    while #unread >= 64 do
      local piece = unread:sub(1, 64)
      unread = unread:sub(65)
      fn(piece)
    end
  end)
end

local server, client = uv.new_tcp(), uv.new_tcp()
server:bind("127.0.0.1", 0)
server:listen(8, function()
  local socket, done, before = uv.new_tcp(), 0, nil
  server:accept(socket)
  each(socket, function()
    done = done + 1
    if done == 1000 then before = os.clock() end
    if done == n + 1000 then
      print((os.clock() - before) / n * 1e6)
      os.exit(0)
    end
    socket:write(message)
  end)
  socket:write(message)
end)
client:connect("127.0.0.1", server:getsockname().port, function()
  each(client, function(data) client:write(data) end)
end)
uv.run()

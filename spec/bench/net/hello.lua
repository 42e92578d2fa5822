-- Minimal HTTP: keep-alive, headers read line by line, a process for each connection, on all schedulers.
--    moonbeam --schedulers 1 spec/bench/net/hello.lua
local mb = require "moonbeam"
mb.import()

local answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, world!"

local function serve(socket)
  while true do
    local request = socket:recv("line")
    if not request then return socket:close() end
    assert(request:match("^(%u+) (%S+) HTTP/1%.(%d)$"))
    repeat
      local header = socket:recv("line")
    until header == "" or not header
    if not socket:send(answer) then return socket:close() end
  end
end

local listener = assert(net.listen{port = 0, acceptors = #mb.schedulers()})
for i = 1, #mb.schedulers() do
  Process.spawn(function()
    while true do
      local socket = listener:accept()
      local pid = Process.spawn(function()
        receive{ {{"socket", any, any}, serve} }
      end, {scheduler = "here"})
      socket:give_away(pid)
    end
  end, {link = true, scheduler = i})
end
print(listener:sockname().port)
io.stdout:flush()
receive()

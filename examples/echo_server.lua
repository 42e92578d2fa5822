-- A server that sends each line back: a process for each connection, acceptors on every scheduler.
--
--    moonbeam examples/echo_server.lua [port = 7007 [connections]]
--
-- Try it with `nc 127.0.0.1 7007`. Given a number of connections it ends when so many have been served; port 0 is any
-- that is free.
local mb = require "moonbeam"
mb.import()

local port, most = tonumber(arg and arg[1] or 7007), tonumber(arg and arg[2] or math.huge)
if not math.tointeger(port) or not most then error("usage: echo_server.lua [port [connections]]", 0) end

local function serve(socket, done)
  while true do
    local line, _, code = socket:recv("line")
    if not line then
      if code ~= "EOF" then print("a connection has ended: " .. code) end
      break
    end
    if not socket:send(line .. "\n") then break end
  end
  socket:close()
  send(done, "served")
end

-- Accept for ever: who has accepted a connection serves it, and another one takes the place.
local function accept(listener, done)
  local socket = listener:accept()
  if not socket then return end
  spawn(accept, listener, done)
  serve(socket, done)
end

local listener, problem = net.listen{host = "127.0.0.1", port = math.tointeger(port)}
if not listener then error("cannot listen: " .. problem, 0) end
print("listening on " .. tostring(listener:sockname()))
io.stdout:flush()

for i = 1, 2 * #mb.schedulers() do
  Process.spawn(accept, {link = true, scheduler = (i - 1) % #mb.schedulers() + 1}, listener, self())
end

local served = 0
while served < most do
  receive{ {"served"} }
  served = served + 1
end
print("served " .. served)

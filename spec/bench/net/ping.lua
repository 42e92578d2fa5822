-- Round trips of 64 bytes over a TCP connection, both ends in this program; prints us of processor time for each.
--    moonbeam --schedulers 1 spec/bench/net/ping.lua [n = 100000]
require("moonbeam").import()
local n = math.tointeger(tonumber(arg[1] or 100000))
local message = ("x"):rep(64)

local listener = assert(net.listen{port = 0})
local port = listener:sockname().port
spawn(function()
  local socket = net.connect("127.0.0.1", port)
  while true do
    local data = socket:recv(64)
    if not data then return end
    socket:send(data)
  end
end)
local socket = listener:accept()
local function rounds(count)
  for _ = 1, count do
    socket:send(message)
    assert(#socket:recv(64) == 64)
  end
end
rounds(1000)
local before = os.clock()
rounds(n)
print((os.clock() - before) / n * 1e6)

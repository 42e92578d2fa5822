-- Bulk through a relay: a source, a relay and a sink, each end of two TCP connections; prints us of processor time for a MB.
--    moonbeam --schedulers 1 spec/bench/net/relay.lua [MB = 1000]
require("moonbeam").import()
local total = math.tointeger(tonumber(arg[1] or 1000)) * 1000000
local piece = ("x"):rep(50000)

local relay, sink = assert(net.listen{port = 0}), assert(net.listen{port = 0})
local relay_port, sink_port = relay:sockname().port, sink:sockname().port
spawn(function()
  local socket = net.connect("127.0.0.1", relay_port)
  for _ = 1, total // #piece do assert(socket:send(piece)) end
end)
spawn(function()
  local from, to = relay:accept(), net.connect("127.0.0.1", sink_port)
  while true do
    local data = from:recv()
    if not data then return end
    assert(to:send(data))
  end
end)
local socket, got = sink:accept(), 0
local before = os.clock()
while true do
  local data = socket:recv()
  if not data then break end
  got = got + #data
end
assert(got == total)
print((os.clock() - before) / (total / 1e6) * 1e6)

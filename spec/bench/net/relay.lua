-- A relay: what comes in goes out on a connection to the port that the first line names. See relay_load.lua.
--    moonbeam --schedulers 1 spec/bench/net/relay.lua
require("moonbeam").import()

local listener = assert(net.listen{port = 0})
print(listener:sockname().port)
io.stdout:flush()
while true do
  local from = assert(listener:accept())
  local to = assert(net.connect("127.0.0.1", math.tointeger(tonumber((from:recv("line"))))))
  while true do
    local data = from:recv()
    if not data then break end
    assert(to:send(data))
  end
  from:close()
  to:close()
end

-- What the collector does to others: a question and its answer among n idle processes, while a neighbour allocates. The
-- wall clock's ms, each answer checked.
--
--    moonbeam --schedulers 1 spec/bench/crowd.lua [n = 100000]
local mb = require "moonbeam"
mb.import()

local n, rounds = math.tointeger(tonumber(arg[1] or 100000)), 3000
local me = self()

for _ = 1, n do spawn(function() send(me, "ready") receive() end) end
for _ = 1, n do assert(receive() == "ready") end

local function answer()
  while true do
    local m = receive()
    send(m[1], m[2])
  end
end

local function allocate()
  while true do
    local t = {}
    for i = 1, 200 do t[i] = {i, tostring(i)} end
    sleep(1)
  end
end

spawn(function()
  local echo, times = spawn_link(answer), {}
  spawn_link(allocate)
  for i = 1, rounds do
    local began = monotonic_time()
    send(echo, {self(), i})
    assert(receive() == i)
    times[i] = monotonic_time() - began
    sleep(1)
  end
  table.sort(times)
  send(me, {times[rounds // 2], times[rounds * 99 // 100], times[rounds * 999 // 1000], times[rounds]})
end)
print(("a round trip among %d: median %.3f ms, p99 %.3f, p99.9 %.3f, longest %.3f")
  :format(n, table.unpack(receive())))

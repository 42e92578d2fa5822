-- Fairness on one scheduler: how late a process that sleeps 1 ms wakes beside ten busy loops, and how evenly eleven
-- busy loops share the processor.
--
--   moonbeam --schedulers 1 spec/bench/fairness.lua
--
-- Wanted: a median under 15 ms and a worst under 60 ms; equal work within 20 %.

local ROUNDS, SECONDS = 200, 3

local function median(values)
  table.sort(values)
  return values[#values // 2 + 1]
end

local me = self()

local busy = {}
for i = 1, 10 do busy[i] = spawn(function() while true do end end) end
spawn_link(function()
  local late = {}
  for i = 1, ROUNDS do
    local asked = monotonic_time()
    sleep(1)
    late[i] = monotonic_time() - asked - 1
  end
  send(me, late)
end)
local late = receive()
local middle = median(late)
print(("sleep(1) beside 10 busy loops: median %.1f ms late, worst %.1f ms (wanted < 15, < 60)")
  :format(middle, late[#late]))
for _, pid in ipairs(busy) do Process.exit(pid, "kill") end

for i = 1, 11 do
  busy[i] = spawn(function()
    local started, count = monotonic_time(), 0
    while monotonic_time() - started < SECONDS * 1000 do count = count + 1 end
    send(me, count)
  end)
end
local counts, sum = {}, 0
for i = 1, 11 do
  counts[i] = receive()
  sum = sum + counts[i]
end
table.sort(counts)
local mean = sum / 11
print(("11 equal loops: least %.1f %%, most %.1f %% of the mean (wanted 80 to 120)"):format(counts[1] / mean * 100,
  counts[11] / mean * 100))

-- A generator of a million items between preemptions: none is lost.
local hogs = {}
for i = 1, 3 do hogs[i] = spawn(function() while true do end end) end
local _, ref = spawn_monitor(function()
  local expected = 0
  for i in coroutine.wrap(function() for i = 1, 1000000 do coroutine.yield(i) end end) do
    expected = expected + 1
    assert(i == expected)
  end
  assert(expected == 1000000)
end)
local reason = receive{ {{"DOWN", ref, "process", any, any}, function(_, why) return why end} }
print(("a generator of 1,000,000 items beside 3 busy loops: %s")
  :format(reason == "normal" and "none lost" or inspect(reason)))
for _, pid in ipairs(hogs) do Process.exit(pid, "kill") end

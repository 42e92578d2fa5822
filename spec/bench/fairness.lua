-- Fairness on one scheduler: what a question and its answer take beside a busy loop, how late a process that sleeps 1 ms
-- wakes beside ten of them, how evenly eleven share the processor, and what it costs two that they are two.
--
--   moonbeam --schedulers 1 spec/bench/fairness.lua
--
-- Wanted: a round trip under 0.25 ms (median); a median under 15 ms and a worst under 60 ms; equal work within 20 %; on
-- a machine of its own, 1 % of the work. In a virtual machine the signal alone may cost more.

local ROUNDS, SECONDS = 200, 3
local PAIRS, STEPS = 9, 10000000

local function median(values)
  table.sort(values)
  return values[#values // 2 + 1]
end

local me = self()

local function compute(steps)
  local sum = 0
  for i = 1, steps do sum = sum + i % 3 end
  return sum
end

local hog = spawn(function() while true do end end)
local echo = spawn(function() while true do receive{ {{any, any}, function(from, n) send(from, n) end} } end end)
spawn_link(function()
  local took = {}
  for i = 1, ROUNDS do
    local asked = monotonic_time()
    send(echo, {self(), i})
    assert(receive() == i)
    took[i] = monotonic_time() - asked
  end
  send(me, took)
end)
local took = receive()
local trip = median(took)
print(("a round trip beside a busy loop: median %.3f ms, worst %.1f ms (wanted < 0.25)"):format(trip, took[#took]))
Process.exit(hog, "kill")
Process.exit(echo, "kill")

-- By turns, the same work of one process and of two: time of the processor, the ticker's included.
local function cost(processes)
  local began = os.clock()
  for _ = 1, processes do
    spawn(function()
      compute(STEPS // processes)
      send(me, "done")
    end)
  end
  for _ = 1, processes do receive() end
  return os.clock() - began
end
local more = {}
for i = 1, PAIRS do
  local alone = cost(1)
  more[i] = (cost(2) / alone - 1) * 100
end
print(("two that compute take %.1f %% more than one that does the work of both (wanted < 1)"):format(median(more)))

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

-- Lookups in a registry of 100,000 keys, each answer checked: nanoseconds of processor time each, the median of five
-- runs, and how many that makes in a second.
--
--   moonbeam --schedulers 1 spec/bench/registry.lua
--
-- Wanted: 1,000,000 lookups a second, so 1,000 ns.

local KEYS, RUNS = 100000, 5
local me = self()

local function median(values)
  table.sort(values)
  return values[#values // 2 + 1]
end

local function report(name, fn)
  local times = {}
  for i = 1, RUNS do
    collectgarbage()
    local start = os.clock()
    fn()
    times[i] = (os.clock() - start) * 1e9 / KEYS
  end
  local ns = median(times)
  print(("%-32s %6.0f ns %10.0f a second"):format(name, ns, 1e9 / ns))
end

-- Texts, spread over the table: neighbours in time are no neighbours in memory.
local texts, rooms = {}, {}
for i = 1, KEYS do texts[i] = "user:" .. (i * 7919 % KEYS + 1) end
for i = 1, KEYS do rooms[i] = {"room", i * 7919 % KEYS + 1} end

local function sum_of(reg, keys)
  local lookup, sum = Registry.lookup, 0
  return function()
    sum = 0
    for i = 1, KEYS do sum = sum + lookup(reg, keys[i])[1][2] end
    assert(sum == KEYS * (KEYS + 1) // 2, "some were not found, or others")
  end
end

for name, keys in pairs{texts = texts, rooms = rooms} do
  Registry.start_link{keys = "unique", name = name}
  for i = 1, KEYS do assert(Registry.register(name, keys[i], i)) end
  assert(Registry.count(name) == KEYS)
end

report("lookup, keys are strings", sum_of("texts", texts))
report('lookup, keys are {"room", n}', sum_of("rooms", rooms))
report("whereis_name", function()
  local whereis, term = Registry.whereis_name, {"texts"}
  for i = 1, KEYS do
    term[2] = texts[i]
    assert(whereis(term) == me)
  end
end)
report("lookup of what is not there", function()
  local lookup = Registry.lookup
  for i = 1, KEYS do assert(not lookup("texts", i)[1]) end
end)

Registry.start_link{keys = "unique", name = "changes"}
report("register and unregister", function()
  for i = 1, KEYS do assert(Registry.register("changes", texts[i], i)) end
  assert(Registry.count("changes") == KEYS)
  for i = 1, KEYS do Registry.unregister("changes", texts[i]) end
  assert(Registry.count("changes") == 0)
end)

local echo = {}
function echo.init() return "ok", 0 end
function echo.handle_call(request, _, n) return "reply", request, n + 1 end
local by_name = Registry.via("changes", {"echo", 1})
local pid = GenServer.start(echo, nil, {name = by_name})
report("call by pid", function() for i = 1, KEYS do assert(GenServer.call(pid, i) == i) end end)
report("call by via", function() for i = 1, KEYS do assert(GenServer.call(by_name, i) == i) end end)

-- What starting costs beside lua5.4: moonbeam spec/bench/startup.lua [pairs = 30]. Wanted: 3 times at most.
local mb = require "moonbeam"

local RUNS = 20 -- in one shell, so that it counts for little
local here = arg[-1]

local function time(interpreter)
  local start = mb.monotonic_time()
  local command = ([[i=0; while [ $i -lt %d ]; do %s -e ''; i=$((i+1)); done]]):format(RUNS, interpreter)
  assert(os.execute(command))
  return (mb.monotonic_time() - start) / RUNS
end

local function median(list)
  table.sort(list)
  return list[#list // 2 + 1]
end

local theirs, ours, ratios = {}, {}, {}
for i = 1, tonumber(arg[1]) or 30 do
  theirs[i], ours[i] = time("lua5.4"), time(here)
  ratios[i] = ours[i] / theirs[i]
end
print(("lua5.4 %.2f ms, moonbeam %.2f ms, median of the ratios %.2f (wanted: 3)"):format(median(theirs), median(ours),
  median(ratios)))

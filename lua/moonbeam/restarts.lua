--- How many restarts a supervisor has seen of late: a sliding window of time.
--
-- Restarts are counted by the millisecond, so the window's size is bounded by its length, however fast they come.
-- @module moonbeam.restarts

local core = require "moonbeam.core"

local restarts = {}

--- A window that allows `max` restarts within `seconds`.
function restarts.new(max, seconds)
  -- times[first..last] are the milliseconds that saw restarts, counts how many each; total is their sum.
  return {max = max, seconds = seconds, times = {}, counts = {}, first = 1, last = 0, total = 0}
end

--- Count a restart now: whether it is still allowed.
function restarts.add(window)
  local times, counts, first, last = window.times, window.counts, window.first, window.last
  local now = core.monotonic_time() // 1
  local oldest = now - window.seconds * 1000
  while first <= last and times[first] < oldest do
    window.total = window.total - counts[first]
    times[first], counts[first] = nil, nil
    first = first + 1
  end
  if first > last then first, last = 1, 0 end
  if times[last] == now then
    counts[last] = counts[last] + 1
  else
    last = last + 1
    times[last], counts[last] = now, 1
  end
  window.first, window.last, window.total = first, last, window.total + 1
  return window.total <= window.max
end

return restarts

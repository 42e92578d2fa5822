--- How many restarts a supervisor has seen of late: a sliding window of time.
--
-- Restarts are counted by the millisecond, so the window's size is bounded by its length, however fast they come.
-- @module moonbeam.supervisor.restarts

local is_natural = require "moonbeam.internal.check".is_natural

local restarts = {}

--- A window for a supervisor's options: max_restarts (3) within max_seconds (5).
-- @return window | nil, reason
function restarts.new(options)
  local max, seconds = options.max_restarts, options.max_seconds
  if max == nil then max = 3 end
  if seconds == nil then seconds = 5 end
  if not is_natural(max) then return nil, {"invalid_intensity", max} end
  if not is_natural(seconds) or seconds == 0 then return nil, {"invalid_period", seconds} end
  -- times[first..last] are the milliseconds that saw restarts, counts how many each; total is their sum.
  return {max = max, seconds = seconds, times = {}, counts = {}, first = 1, last = 0, total = 0}
end

--- Count a restart at a time in ms, none before the last one's: whether it is still allowed.
function restarts.add(window, now)
  local times, counts, first, last = window.times, window.counts, window.first, window.last
  now = now // 1
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

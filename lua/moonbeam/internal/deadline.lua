--- Deadlines: until when something is waited for, a time of core.monotonic_time(); nil when that is for ever.
-- @module moonbeam.internal.deadline

local core = require "moonbeam.core"

local deadline = {}

--- The end of a timeout that begins now.
-- @param ms a number or "infinity"
function deadline.after(ms)
  if ms ~= "infinity" then return core.monotonic_time() + ms end
end

--- The timeout that is left: ms, 0 from the deadline on, or "infinity".
-- @param time from `after`, or another time
function deadline.left(time)
  if not time then return "infinity" end
  return math.max(0, math.ceil(time - core.monotonic_time()))
end

return deadline

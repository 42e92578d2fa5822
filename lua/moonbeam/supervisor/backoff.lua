--- How long a child that ends again and again waits for its next restart.
-- @module moonbeam.supervisor.backoff

local check = require "moonbeam.internal.check"

local type = type

local backoff = {}

--- Whether a value is {min, max}, the first wait and the longest one in ms.
function backoff.is(v)
  if type(v) ~= "table" or #v ~= 2 then return false end
  local min, max = v[1], v[2]
  return check.is_natural(min) and check.is_natural(max) and 1 <= min and min <= max and max < math.huge
end

--- The next wait.
-- @param bounds {min, max}
-- @param last the wait before this one; nil when there was none
-- @param ran how many ms the child has run since
-- @return ms
function backoff.next(bounds, last, ran)
  local min, max = bounds[1], bounds[2]
  if last == nil or ran > max then return min end
  return math.min(2 * last, max)
end

return backoff

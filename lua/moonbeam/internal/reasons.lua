--- Exit reasons.
-- @module moonbeam.internal.reasons

local core = require "moonbeam.core"

local next, type = next, type

local reasons = {}

--- Whether two reasons say the same, tables by their contents.
function reasons.same(a, b, depth)
  if a == b then return true end
  depth = depth or 1
  if type(a) ~= "table" or type(b) ~= "table" or depth > 100 then return false end
  for k, v in next, a do
    if not reasons.same(v, b[k], depth + 1) then return false end
  end
  for k in next, b do
    if a[k] == nil then return false end
  end
  return true
end

--- Whether a reason is an ordinary end, of which no report is made: normal, shutdown, {"shutdown", x}.
function reasons.is_ordinary(why)
  return why == "normal" or why == "shutdown" or (type(why) == "table" and why[1] == "shutdown" and #why == 2)
end

--- An xpcall handler that turns what was raised into {reason}: the reason a process would end with. See `caught`.
function reasons.of_raised(e)
  if core.type(e) == "exit" then return {e.reason == nil and "normal" or e.reason} end
  if e == nil then e = "nil" end
  return {{"error", e, debug.traceback(nil, 2)}}
end

--- The reason, of what an xpcall with that handler has failed with. Lua calls no handler when memory is out, and gives
-- up one that fails itself: then this is the text of the error.
-- @param failure {reason} or a text
-- @return reason
function reasons.caught(failure)
  if type(failure) == "table" then return failure[1] end
  return {"error", failure, debug.traceback(nil, 2)}
end

return reasons

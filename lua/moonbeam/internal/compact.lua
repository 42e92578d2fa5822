--- Collect the garbage of the calling process's heap, when it is about to wait for long: two cycles when the first, which
-- may have been going on, finds little. What was left the last time does not make it start again.
-- @module moonbeam.internal.compact

local core = require "moonbeam.core"

-- Let the collector of this heap finish its cycle, in steps between which others may run; false when a message came.
local function finish_cycle()
  if core.collectgarbage("incremental") == "generational" then -- as in stock Lua, which has no steps for it then
    core.collectgarbage("generational") -- collects everything on the way
    return true
  end
  repeat
    if core.has_message() then return false end
  until core.collectgarbage("step", 200)
  return true
end

local left_over = 0 -- KB

return function()
  local before = core.collectgarbage("count")
  if before < left_over * 1.1 + 256 then return end
  for _ = 1, 2 do
    if not finish_cycle() then return end
    left_over = core.collectgarbage("count")
    if left_over < before * 0.9 then return end
  end
end

--- What is done before the program ends, in a process of its own.
-- @module moonbeam.internal.ending

local core = require "moonbeam.core"
local log = require "moonbeam.logger.log"

local ending = {}

-- A clock for one part of it: how many ms are left, at every call.
local function bound()
  local deadline = core.monotonic_time() + core.shutdown_timeout()
  return function() return math.max(0, math.ceil(deadline - core.monotonic_time())) end
end

local function report(what)
  log.emit("warning", ("The program ends, and %s is cut off after %d ms"):format(what, core.shutdown_timeout()))
end

-- They are told to stop normally, so that this says nothing to those who are linked to them: the script, for one.
local function stop_supervisors()
  local roots, left = core.root_supervisors(), bound()
  for i = #roots, 1, -1 do
    local _, why = core.system(roots[i], {"terminate", "normal"}, left())
    if why == "timeout" then report("supervisor " .. tostring(roots[i])) end
  end
end

local function call_functions(status)
  local left = bound()
  while true do
    local ok, fn = core.take_exit_function()
    if ok == nil then return end
    if ok and left() == 0 then
      log.emit("warning", "The program ends, and a function of at_exit is not called: no time is left")
    elseif ok then
      local pid, ref = core.spawn_monitor(fn, status)
      if core.await(ref, left()) == nil then
        report(("a function of at_exit, at %s,"):format(core.process_info(pid, "current_location")))
        core.process_exit(pid, "kill")
        core.await(ref)
      end
    else
      log.emit("error", "A function of at_exit cannot be called: " .. tostring(fn))
    end
  end
end

--- @param status the program's exit status, nil when nobody knows it
-- @param supervisors whether they stop
function ending.run(status, supervisors)
  if supervisors then stop_supervisors() end
  call_functions(status)
end

return ending

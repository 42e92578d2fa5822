--- What is done before the program ends, in a process of its own.
-- @module moonbeam.internal.ending

local core = require "moonbeam.core"
local deadline = require "moonbeam.internal.deadline"
local log = require "moonbeam.logger.log"

local ending = {}

local function report(what)
  log.emit("warning", ("The program ends, and %s is cut off after %d ms"):format(what, core.shutdown_timeout()))
end

-- They are told to stop normally, so that this says nothing to those who are linked to them: the script, for one.
local function stop_supervisors()
  local roots, last = core.root_supervisors(), deadline.after(core.shutdown_timeout())
  for i = #roots, 1, -1 do
    local _, why = core.system(roots[i], {"terminate", "normal"}, deadline.left(last))
    if why == "timeout" then report("supervisor " .. tostring(roots[i])) end
  end
end

local function call_functions(status)
  local last = deadline.after(core.shutdown_timeout())
  while true do
    local ok, fn = core.take_exit_function()
    if ok == nil then return end
    if ok and deadline.left(last) == 0 then
      log.emit("warning", "The program ends, and a function of at_exit is not called: no time is left")
    elseif ok then
      local pid, ref = core.spawn_monitor(fn, status)
      if core.await(ref, deadline.left(last)) == nil then
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

--- What is done before the program ends, in a process of its own.
-- @module moonbeam.internal.ending

local core = require "moonbeam.core"
local deadline = require "moonbeam.internal.deadline"
local log = require "moonbeam.logger.log"

local ending = {}

local function report(what)
  log.emit("warning", ("The program ends, and %s is cut off after %d ms"):format(what, core.shutdown_timeout()))
end

-- The masters of applications, in the order of their starts, and by the pids of their root supervisors.
local function masters()
  local _, started = core.setting("applications")
  local list, by_root = {}, {}
  for i, app in ipairs(started or {}) do list[i], by_root[app.root] = app.master, app.master end
  return list, by_root
end

local function stop(pid, reason, last, what)
  local _, why = core.system(pid, {"terminate", reason}, deadline.left(last))
  if why == "timeout" then report(what .. " " .. tostring(pid)) end
end

-- They are told to stop normally, so that this says nothing to those who are linked to them: the script, for one. The
-- root supervisor of an application is left to that.
local function stop_supervisors()
  local roots, last = core.root_supervisors(), deadline.after(core.shutdown_timeout())
  local applications, by_root = masters()
  for i = #roots, 1, -1 do
    local application = by_root[roots[i]]
    if application then
      stop(application, "shutdown", last, "application")
    else
      stop(roots[i], "normal", last, "supervisor")
    end
  end
  for i = #applications, 1, -1 do stop(applications[i], "shutdown", last, "application") end
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

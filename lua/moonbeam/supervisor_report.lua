--- What supervisors report of their children. See Erlang's supervisor reports.
-- @module moonbeam.supervisor_report

local core = require "moonbeam.core"
local inspect = require "moonbeam.inspect"

local report = {}

local texts = {
  child_terminated = "terminated",
  start_error = "failed to start",
  shutdown_error = "shut down abnormally",
  shutdown = "caused shutdown",
}

local function reason_text(reason)
  if type(reason) == "table" and reason[1] == "error" and #reason == 3 then
    local value, traceback = reason[2], reason[3]
    return ("(error) %s\n%s"):format(type(value) == "string" and value or inspect(value), tostring(traceback))
  end
  return "(exit) " .. inspect(reason)
end

local function name_of_self()
  local name = core.process_info(core.self(), "registered_name")
  return tostring(core.self()) .. (name and " (" .. name .. ")" or "")
end

--- Log that something happened to a child.
-- @param state the supervisor's: its window of restarts is `restarts`
-- @param context "child_terminated" | "start_error" | "shutdown_error" | "shutdown" (the limit of restarts is reached)
-- @param child record; its pid is the one concerned
-- @param reason
function report.child(state, context, child, reason)
  if core.log_level() == "none" then return end
  local window = state.restarts
  core.log("error", ("Child %s of Supervisor %s %s\n** %s\nPid: %s\nStart: %s\nRestart: %s, %d of at most %d within %d s")
    :format(child.id == nil and "undefined" or inspect(child.id), name_of_self(), texts[context], reason_text(reason), inspect(child.pid),
      inspect(child.start, {depth = 2, limit = 20}), child.restart, window.total, window.max, window.seconds))
end

--- Log a message that means nothing to a supervisor.
function report.unexpected(message)
  core.log("error", ("Supervisor %s received an unexpected message: %s"):format(name_of_self(), inspect(message)))
end

return report

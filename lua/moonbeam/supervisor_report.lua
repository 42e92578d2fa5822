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

local function supervisor_text(name) return tostring(core.self()) .. (name and " (" .. name .. ")" or "") end

local function own_name() return core.process_info(core.self(), "registered_name") end

local function event_text(event)
  return ("Child %s of Supervisor %s %s\n** %s\nPid: %s\nStart: %s\nRestart: %s, %s of at most %s within %s s"):format(
    event.id == nil and "undefined" or inspect(event.id), supervisor_text(event.name), texts[event.context],
    reason_text(event.reason), inspect(event.pid), inspect(event.start, {depth = 2, limit = 20}), event.restart,
    event.restarts, event.max_restarts, event.max_seconds)
end

local function log(event) core.log("error", event_text(event)) end

--- Report that something happened to a child.
-- @param state the supervisor's: its window of restarts is `restarts`
-- @param context "child_terminated" | "start_error" | "shutdown_error" | "shutdown" (the limit of restarts is reached)
-- @param child record; its pid is the one concerned
-- @param reason
function report.child(state, context, child, reason)
  if core.log_level() == "none" then return end
  local window = state.restarts
  log{
    context = context, name = own_name(), reason = reason, id = child.id, pid = child.pid, start = child.start,
    restart = child.restart, restarts = window.total, max_restarts = window.max, max_seconds = window.seconds,
  }
end

--- Report a message that means nothing to a supervisor.
function report.unexpected(message)
  core.log("error", ("Supervisor %s received an unexpected message: %s"):format(supervisor_text(own_name()),
    inspect(message)))
end

return report

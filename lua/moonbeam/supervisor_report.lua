--- What supervisors report of their children. See Erlang's supervisor reports.
-- @module moonbeam.supervisor_report

local core = require "moonbeam.core"
local inspect = require "moonbeam.inspect"

local report = {}

local function own_name() return core.process_info(core.self(), "registered_name") end

--- Report that something happened to a child.
-- @param state the supervisor's: its window of restarts is `restarts`
-- @param context "child_terminated" | "start_error" | "shutdown_error" | "shutdown" (the limit of restarts is reached)
-- @param child record; its pid is the one concerned
-- @param reason
function report.child(state, context, child, reason)
  if core.log_level() == "none" then return end
  local window = state.restarts
  core.log("error", {
    kind = "supervisor", context = context, supervisor = core.self(), name = own_name(), reason = reason, id = child.id,
    pid = child.pid, start = inspect(child.start, {depth = 2, limit = 20}), restart = child.restart,
    restarts = window.total, max_restarts = window.max, max_seconds = window.seconds,
  })
end

--- Report a message that means nothing to a supervisor.
function report.unexpected(message)
  local name = own_name()
  core.log("error", ("Supervisor %s%s received an unexpected message: %s"):format(tostring(core.self()),
    name and " (" .. name .. ")" or "", inspect(message)))
end

return report

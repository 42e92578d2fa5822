--- What supervisors report of their children. See Erlang's supervisor reports.
-- @module moonbeam.supervisor.report

local core = require "moonbeam.core"
local inspect = require "moonbeam.internal.inspect"

local report = {}

local function own_name() return core.process_info(core.self(), "registered_name") end

local function is_error(reason) return type(reason) == "table" and reason[1] == "error" end

-- How a child is started: what is left of its specification, for a temporary one the function.
local function start_text(state, start)
  local extra = state.extra_arguments
  if type(start) ~= "table" then return "{" .. inspect(start) .. ", ...}" end
  if extra and #extra > 0 then
    start = table.move(start, 2, #start, #extra + 2, table.move(extra, 1, #extra, 2, {start[1]}))
  end
  return inspect(start, {depth = 2, limit = 20})
end

local function log(state, context, child, reason)
  if core.log_level() == "none" then return end
  local window = state.restarts
  core.log("error", {
    kind = "supervisor", context = context, supervisor = core.self(), name = own_name(), reason = reason, id = child.id,
    pid = child.pid, start = start_text(state, child.start), restart = child.restart,
    restarts = window.total, max_restarts = window.max, max_seconds = window.seconds,
  })
end

--- Report that a child has ended, unless that has been: an error always is, and servers and tasks report their other
-- ends. A temporary child that is killed has ended as somebody wanted.
-- @param state the supervisor's: its window of restarts is `restarts`
-- @param context "child_terminated" | "shutdown_error"
-- @param child record; its pid is the one concerned
-- @param reason
-- @param reported what core.is_reported says of it
function report.ended(state, context, child, reason, reported)
  if reported or is_error(reason) or reason == "killed" and child.restart == "temporary" then return end
  log(state, context, child, reason)
end

--- Report that a child could not be started, unless the error that its own process has died of has been.
-- @param state as for ended
-- @param child record
-- @param reason
-- @param[opt] raised whether the start function itself has raised that
function report.not_started(state, child, reason, raised)
  if raised or not is_error(reason) then log(state, "start_error", child, reason) end
end

--- Warn of a child that is not linked to its supervisor, the calling process.
function report.not_linked(child, pid)
  local name = own_name()
  core.log("warning", string.format("Child %s of Supervisor %s%s is not linked to it: when it ends, the supervisor " ..
    "does not hear of it and does not restart it. Its start function is to link it, as start_link does, not start",
    inspect(child.id == nil and pid or child.id), tostring(core.self()), name and " (" .. name .. ")" or ""))
end

--- Report that the limit of restarts is reached, and the supervisor therefore ends.
-- @param state as for ended
-- @param child record of the one that has ended
function report.gives_up(state, child)
  log(state, "shutdown", child, "reached_max_restart_intensity")
  core.end_reported()
end

--- Report a message that means nothing to a supervisor.
function report.unexpected(message)
  local name = own_name()
  core.log("error", string.format("Supervisor %s%s received an unexpected message: %s", tostring(core.self()),
    name and " (" .. name .. ")" or "", inspect(message)))
end

return report

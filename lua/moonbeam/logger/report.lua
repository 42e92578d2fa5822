--- Reports: tables that tell of a death, for the log. Handlers get them as they are, people as text.
--
-- A report has a `kind`, and only what the runtime has made is one: a user's table is logged as a table, whatever it
-- has.
--
-- * "crash": a process ends for a reason that is not ordinary. behaviour ("Process" when left out, "GenServer",
-- "Task"),
-- pid, name, reason (as its DOWN says), explanation (a text in the reason's place, when there is more to say of it),
-- error when it is an error's, traceback (a task's exit has one, too), spawned_at
-- ("file:line"), parent, callers and ancestors (sequences of pids and names); of servers also module, last_message, and
--   state (text, cut short)
-- * "supervisor": something happened to a child that nobody else has told of. context ("child_terminated",
-- "start_error",
-- "shutdown_error", or "shutdown": the limit of restarts is reached), supervisor (pid), name (the supervisor's), id,
-- pid
--   (the child's), reason, start (text), restart, restarts (how many in the time), max_restarts, max_seconds
-- * "trace": what a traced server does, see GenServer.trace. pid, name, event, text
--
-- The text of a crash is made in c_src/bind/log/crash_text.c; any other table is shown by inspect.
-- @module moonbeam.logger.report

local core = require "moonbeam.core"
local inspect = require "moonbeam.internal.inspect"

local report = {}

-- What is shown of values whose size nobody knows.
local SHOWN = {limit = 50, depth = 6, budget = 500, printable_limit = 1000}
local SHOWN_BYTES = 2000

--- A value as text that is not longer than a log can bear.
function report.short(value)
  local text = inspect(value, SHOWN)
  if #text > SHOWN_BYTES then text = string.sub(text, 1, SHOWN_BYTES) .. "..." end
  return text
end

--- An exit reason as text, likewise. What makes it is loaded when it is needed: most programs log none.
function report.reason(reason)
  return require "moonbeam.internal.exit_text".reason(reason, report.short)
end

local function reason_text(reason)
  if type(reason) ~= "table" or reason[1] ~= "error" then return "** (exit) " .. report.reason(reason) end
  return require "moonbeam.internal.exit_text".error(reason[2], reason[3], report.short)
end

local texts = {}

local contexts = {
  child_terminated = "terminated",
  start_error = "failed to start",
  shutdown_error = "shut down abnormally",
  shutdown = "caused shutdown",
}

function texts.supervisor(r)
  local supervisor = tostring(r.supervisor) .. (r.name and " (" .. r.name .. ")" or "")
  local text = string.format(
    "Child %s of Supervisor %s %s\n%s\nPid: %s\nStart: %s\nRestart: %s, %s of at most %s within %s s",
    inspect(r.id == nil and r.pid or r.id), supervisor, contexts[r.context], reason_text(r.reason), inspect(r.pid),
    r.start, r.restart, r.restarts, r.max_restarts, r.max_seconds)
  return text, "Child of Supervisor " .. supervisor
end

function texts.trace(r) return r.text end

--- The text of a report of the runtime's, but for those of crashes.
-- @param r the report
-- @param kind its own
-- @return text; when it tells of a death, the place that it has in common with others like it
function report.text(r, kind)
  local ok, text, place = pcall(texts[kind], r)
  if ok then return text, place end
  return report.short(r)
end

--- A copy of what can travel anywhere: the rest as text.
function report.plain(value, depth)
  depth = depth or 4
  local kind = core.type(value)
  if kind == "table" and depth > 0 then
    local copy = {}
    for k, v in next, value do copy[report.plain(k, 0)] = report.plain(v, depth - 1) end
    return copy
  elseif kind == "table" or kind == "function" or kind == "userdata" or kind == "thread" or kind == "exit" then
    return report.short(value)
  end
  return value
end

return report

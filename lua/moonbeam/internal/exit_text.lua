--- Exit reasons as text, as Elixir's `Exception.format_exit` has them: what the program ends with, the log, the prompt,
-- and tostring of a reason say.
-- @module moonbeam.internal.exit_text

local inspect = require "moonbeam.internal.inspect"

local next, type, rawget, rawlen = next, type, rawget, rawlen

local known = {
  normal = "normal", shutdown = "shutdown", killed = "killed", timeout = "time out",
  noproc = "no process: the process is not alive or there's no process currently associated with the given name",
  noconnection = "no connection", calling_self = "process attempted to call itself",
}

local MOST_DEPTH = 8 -- of calls within calls
local HEAD = "stack traceback:"

local function indent(text) return "    " .. string.gsub(text, "\n", "\n    ") end

local exit_text

local function caused(why, show, depth) return "\n" .. indent("** (EXIT) " .. exit_text(why, show, depth - 1)) end

-- Whether that names a call: {module, function, arguments}.
local function is_call(v)
  return type(v) == "table" and rawlen(v) == 3 and type(rawget(v, 1)) == "string" and type(rawget(v, 2)) == "string" and
    type(rawget(v, 3)) == "table"
end

local function is_task(v) return type(v) == "table" and rawget(v, "pid") and rawget(v, "ref") and rawget(v, "owner") end

local function argument_text(v, show)
  if is_task(v) then return "task " .. show(rawget(v, "pid")) end
  return show(v)
end

-- "exited in: Module.fn(arguments)", and why that call has ended.
local function call_text(why, mfa, show, depth)
  local arguments = {}
  local list = rawget(mfa, 3)
  for i = 1, math.min(rawlen(list), 10) do arguments[i] = argument_text(rawget(list, i), show) end
  local task = rawget(list, 1)
  local cause = caused(why, show, depth)
  if why == "timeout" and is_task(task) and rawget(task, "taken") then
    cause = cause .. ": what the task has replied was taken before"
  end
  return string.format("exited in: %s.%s(%s)%s", rawget(mfa, 1), rawget(mfa, 2), table.concat(arguments, ", "), cause)
end

local function error_text(value, trace, show)
  local hint = type(value) == "string" and string.find(value, "a nil value (", 1, true) and
    require "moonbeam.internal.hints".of(value)
  local text = "** (error) " .. (type(value) == "string" and value or exit_text(value, show, MOST_DEPTH)) .. (hint and "\n" .. hint or "")
  if type(trace) ~= "string" or trace == "" or trace == HEAD then return text end
  return text .. "\n" .. trace
end

-- Of {tag, value}.
local tagged = {}

function tagged.shutdown(why, show, depth)
  if type(why) == "table" and rawlen(why) == 3 and rawget(why, 1) == "failed_to_start_child" then
    return "shutdown: failed to start child: " .. show(rawget(why, 2)) .. caused(rawget(why, 3), show, depth)
  end
  return "shutdown: " .. show(why)
end

function tagged.EXIT(why, show, depth) return exit_text(why, show, depth - 1) end

local titles = {
  bad_return_value = "bad return value: ", already_started = "already started: ", bad_call = "bad call: ",
  bad_cast = "bad cast: ", nodedown = "no connection to ", already_registered = "already registered: ",
  not_started = "an application that has not been started: ",
}
for tag, title in next, titles do tagged[tag] = function(value, show) return title .. show(value) end end

-- What children and options are to be, by what is wrong with them.
local child_expected = {
  missing_id = "an id, any value", missing_start = "start = {function, arguments...}",
  invalid_child_spec = "a module, {module, argument} or {id =, start = {function, arguments...}}",
  invalid_mfa = "start = {function, arguments...}", duplicate_child_name = "another id for each",
  invalid_restart_type = 'restart = "permanent", "transient" or "temporary"',
  invalid_shutdown = 'shutdown = ms, "infinity" or "brutal_kill"', invalid_child_type = 'type = "worker" or "supervisor"',
  invalid_modules = 'modules = a sequence of modules or "dynamic"', invalid_significant = "significant = true or false",
  invalid_backoff = "backoff = {min, max}, ms, with 1 <= min <= max",
}
local supervisor_expected = {
  invalid_strategy = 'strategy = "one_for_one", "one_for_all" or "rest_for_one"; a DynamicSupervisor has the first only',
  invalid_intensity = "max_restarts = an integer >= 0", invalid_period = "max_seconds = an integer >= 1",
  invalid_auto_shutdown = 'auto_shutdown = "never", "any_significant" or "all_significant"',
  invalid_max_children = 'max_children = an integer >= 0 or "infinity"',
  invalid_extra_arguments = "extra_arguments = a sequence",
}

-- The text of what is wrong: {"invalid_mfa", value} and the like, or "missing_id".
local function ill_formed(title, expected)
  return function(why, show)
    local tag, value = why, nil
    if type(why) == "table" and rawlen(why) == 2 then tag, value = rawget(why, 1), rawget(why, 2) end
    if type(tag) ~= "string" then return title .. "got: " .. show(why) end
    local text = title .. string.gsub(tag, "_", " ")
    if tag ~= why then text = text .. ": " .. show(value) end
    return expected[tag] and text .. "; expected is " .. expected[tag] or text
  end
end
tagged.start_spec = ill_formed("bad child specification, ", child_expected)
tagged.supervisor_data = ill_formed("bad supervisor configuration, ", supervisor_expected)

-- Where a specification has been given by itself, so that its fault stands alone.
for tag in next, child_expected do
  tagged[tag] = function(value, show) return tagged.start_spec({tag, value}, show) end
end

function exit_text(reason, show, depth)
  if type(reason) ~= "table" or depth == 0 then return known[reason] or show(reason) end
  local n, first, second, trace = rawlen(reason), rawget(reason, 1), rawget(reason, 2), rawget(reason, 3)
  if n == 3 and first == "error" and type(trace) == "string" then
    return "an exception was raised:\n" .. indent(error_text(second, trace, show))
  elseif n == 2 and tagged[first] then
    return tagged[first](second, show, depth)
  elseif n == 2 and is_call(second) then
    return call_text(first, second, show, depth)
  end
  if n == 1 and first == "bad_return_value" and next(reason, 1) == nil then
    return "bad return value: nothing at all"
  end
  return show(reason)
end

local texts = {}

--- The text of a reason.
-- @param reason any value
-- @param[opt] show function from a value to its text; inspect when left out
-- @return string
function texts.reason(reason, show) return exit_text(reason, show or inspect, MOST_DEPTH) end

--- The same on one line, and without tracebacks.
function texts.line(reason)
  local text = string.gsub(texts.reason(reason), "\n%s*stack traceback:.*$", "")
  return (string.gsub(text, "\n%s*", " "))
end

--- The text of an error: what was raised and, below, the traceback if it has any lines.
-- @param value
-- @param trace nil, or text
-- @param[opt] show
-- @return string
function texts.error(value, trace, show) return error_text(value, trace, show or inspect) end

return texts

--- Exit reasons as text, as Elixir's `Exception.format_exit` has them.
-- @module moonbeam.internal.exit_text

local inspect = require "moonbeam.internal.inspect"

local type, rawget, rawlen = type, rawget, rawlen

local known = {
  normal = "normal", shutdown = "shutdown", killed = "killed", timeout = "time out",
  noproc = "no process: the process is not alive or there's no process currently associated with the given name",
  noconnection = "no connection", calling_self = "process attempted to call itself",
}

local MOST_DEPTH = 8 -- of calls within calls

local function indent(text) return "    " .. string.gsub(text, "\n", "\n    ") end

local exit_text

-- Whether that names a call: {module, function, arguments}.
local function is_call(v)
  return type(v) == "table" and rawlen(v) == 3 and type(rawget(v, 1)) == "string" and type(rawget(v, 2)) == "string" and
    type(rawget(v, 3)) == "table"
end

-- "exited in: Module.fn(arguments)", and why that call has ended.
local function call_text(mfa, why, show, depth)
  local arguments = {}
  local list = rawget(mfa, 3)
  for i = 1, math.min(rawlen(list), 10) do arguments[i] = show(rawget(list, i)) end
  return string.format("exited in: %s.%s(%s)\n%s", rawget(mfa, 1), rawget(mfa, 2), table.concat(arguments, ", "),
    indent("** (EXIT) " .. exit_text(why, show, depth)))
end

function exit_text(reason, show, depth)
  if type(reason) ~= "table" or depth == 0 then return known[reason] or show(reason) end
  local n, first, second, trace = rawlen(reason), rawget(reason, 1), rawget(reason, 2), rawget(reason, 3)
  if n == 3 and first == "error" and type(trace) == "string" then
    return "an exception was raised:\n" ..
      indent("** (error) " .. (type(second) == "string" and second or show(second)) .. "\n" .. trace)
  elseif n == 2 and first == "shutdown" then
    return "shutdown: " .. show(second)
  elseif n == 2 and first == "bad_return_value" then
    return "bad return value: " .. show(second)
  elseif n == 2 and first == "EXIT" then
    return exit_text(second, show, depth - 1)
  elseif n == 2 and is_call(second) then
    return call_text(second, first, show, depth - 1)
  end
  return show(reason)
end

--- The text of a reason.
-- @param reason any value
-- @param[opt] show function from a value to its text; inspect when left out
-- @return string
return function(reason, show) return exit_text(reason, show or inspect, MOST_DEPTH) end

--- Checks of arguments, which raise at the user's line and name function and argument. Names of servers are checked in
-- names.lua, tables of options in options.lua.
-- @module moonbeam.internal.check

local core = require "moonbeam.core"

local type, rawget, getmetatable = type, rawget, debug.getmetatable

local check = {}

local MOST_CALLS = 100 -- in a chain of __call: more would be too deep for C

--- Whether a value can be called.
function check.is_callable(fn)
  for _ = 1, MOST_CALLS do
    if type(fn) == "function" then return true end
    local mt = getmetatable(fn)
    if mt == nil then return false end
    fn = rawget(mt, "__call")
  end
  return false
end

--- Whether a value is an integer from 0 on, of whatever subtype.
function check.is_natural(n) return type(n) == "number" and n >= 0 and n % 1 == 0 end

--- A function argument.
function check.func(fn, fname, index)
  if type(fn) == "function" or check.is_callable(fn) then return fn end
  return core.argument_error(fname, index, "function expected, got " .. core.type(fn))
end

--- A timeout argument, with a default for nil: ms or "infinity".
function check.timeout(ms, default, fname, index)
  if ms == nil then return default end
  if ms == "infinity" or ms == math.huge then return "infinity" end
  if check.is_natural(ms) then return ms end
  local instead = ""
  if type(ms) == "number" and ms == ms then
    instead = (ms < 0 and ": math.max(0, ms)" or ": math.ceil(ms)") .. ", or time_left(deadline)"
  end
  return core.argument_error(fname, index,
    'timeout_value: a timeout is an integer >= 0 in ms or "infinity", got ' .. core.short(tostring(ms)) .. instead)
end

--- The results of a protected call. What it raised is raised with other names: where an argument is packed into
-- another.
-- @param names sequence of patterns and what stands for each, as string.gsub takes it
-- @param ok whether the call has succeeded
-- @param ... its results, or what it raised
function check.renaming(names, ok, ...)
  if ok then return ... end
  local e = ...
  if type(e) == "string" then
    for i = 1, #names, 2 do
      local count
      e, count = string.gsub(e, names[i], names[i + 1], 1)
      if count > 0 then break end
    end
  end
  return error(e, 0)
end

return check

--- Callbacks that are made of clauses: see GenServer.clauses.
-- @module moonbeam.gen_server.clauses

local core = require "moonbeam.core"
local check = require "moonbeam.internal.check"
local inspect = require "moonbeam.internal.inspect"

local choose, unpack, type = core.choose, table.unpack, type

local function unmatched(callback, value, place)
  place = place and place .. ": " or ""
  return error(string.format("%sno clause of %s matches %s", place, callback, inspect(value)), 0)
end

local function unexpected(message, state, place)
  local me = core.self()
  local name = core.process_info(me, "registered_name") or me
  core.log("error", string.format("GenServer %s received an unexpected message, which no clause of handle_info%s " ..
    "matches: %s", inspect(name), place and " (" .. place .. ")" or "", inspect(message)))
  return "noreply", state
end

local function otherwise(callback, value, state, place)
  if callback == "handle_info" then return unexpected(value, state, place) end
  return unmatched(callback, value, place)
end

-- Bodies are called in tail position: what fails there has its own place first in the traceback. blame.lua finds the
-- place of these functions in the upvalue `place`.

local function for_calls(choices, place)
  return function(request, from, state)
    local a, b, c, body, count = choose(choices, state, request, true)
    if count == 1 then return body(a, from, state) end
    if count == 0 then return body(from, state) end
    if count == 2 then return body(a, b, from, state) end
    if count == 3 then return body(a, b, c, from, state) end
    if not count then return unmatched("handle_call", request, place) end
    a[count + 1], a[count + 2] = from, state
    return body(unpack(a, 1, count + 2))
  end
end

local function for_others(choices, place, callback)
  return function(value, state)
    local a, b, c, body, count = choose(choices, state, value, true)
    if count == 1 then return body(a, state) end
    if count == 0 then return body(state) end
    if count == 2 then return body(a, b, state) end
    if count == 3 then return body(a, b, c, state) end
    if not count then return otherwise(callback, value, state, place) end
    a[count + 1] = state
    return body(unpack(a, 1, count + 1))
  end
end

local made = {
  handle_call = for_calls, handle_cast = for_others, handle_info = for_others, handle_continue = for_others,
}
local KNOWN = "handle_call, handle_cast, handle_info, handle_continue"

-- Whether a callback is given as clauses: a matcher of them is, too.
local function are_clauses(v)
  if type(v) ~= "table" then return false end
  local mt = getmetatable(v)
  return not check.is_callable(v) or type(mt) == "table" and rawget(mt, "__name") == "matcher"
end

-- The first clause's body, as "file:line".
local function place_of(choices)
  for i = 1, #choices do
    if type(choices[i][2]) == "function" then
      local info = debug.getinfo(choices[i][2], "S")
      return info.short_src .. ":" .. info.linedefined
    end
  end
end

local function refuse(...) return core.argument_error("GenServer.clauses", 1, string.format(...)) end

--- See GenServer.clauses.
return function(callbacks)
  if type(callbacks) ~= "table" then refuse("table of callbacks expected, got %s", core.type(callbacks)) end
  local functions = {}
  for name, choices in next, callbacks do
    if made[name] and are_clauses(choices) then
      local matcher = core.callback_matcher(choices, name)
      functions[name] = made[name](matcher, place_of(matcher), name)
    elseif type(choices) == "table" and not made[name] and string.match(tostring(name), "^handle_") then
      refuse("there is no callback %s; those of clauses are %s", core.short(name), KNOWN)
    elseif (name == "init" or name == "terminate") and not check.is_callable(choices) then
      refuse("%s is a function, got %s; callbacks of clauses are %s", name, core.type(choices), KNOWN)
    end
  end
  for name, fn in next, functions do callbacks[name] = fn end
  return callbacks
end

--- Words for what is wrong with a server's callbacks: which of them, where it stands, and what would be right.
--
-- An exit reason has none of this, for it has a shape that is promised. What is to be said of one is kept beside it
-- until it is logged.
-- @module moonbeam.gen_server.blame

local core = require "moonbeam.core"
local inspect = require "moonbeam.internal.inspect"
local report = require "moonbeam.logger.report"

local getinfo, getlocal, getupvalue = debug.getinfo, debug.getlocal, debug.getupvalue
local select, type, rawget = select, type, rawget

local MOST_UPVALUES = 10 -- of a callback that is made of clauses

local blame = {}

local HANDLED = '"noreply", state [, extra] | "stop", reason, state'

-- What each callback is given, and what it returns.
local given = {
  init = {"arg"}, handle_call = {"request", "from", "state"}, handle_cast = {"request", "state"},
  handle_info = {"message", "state"}, handle_continue = {"x", "state"}, terminate = {"reason", "state"},
  code_change = {"old", "state", "extra"},
}
local allowed = {
  init = '"ok", state [, extra] | "ignore" | "stop", reason | "error", reason',
  handle_call = '"reply", value, state [, extra] | "noreply", state [, extra] | "stop", reason, value, state | ' ..
    '"stop", reason, state',
  handle_cast = HANDLED, handle_info = HANDLED, handle_continue = HANDLED,
  code_change = '"ok", state | "error", reason',
}

-- The runtime's own files have this at the beginning of their names.
local OWN = string.match(getinfo(1, "S").source, "^(.*)gen_server/blame%.lua$")

-- Where the clauses stand of which a callback is made, see clauses.lua.
local function place_of_clauses(fn)
  for i = 1, MOST_UPVALUES do
    local name, value = getupvalue(fn, i)
    if name == "place" and type(value) == "string" then return value end
  end
end

--- Where a function of the user's stands, "file:line"; nil for others.
function blame.place(fn)
  if type(fn) ~= "function" then return nil end
  local info = getinfo(fn, "S")
  if info.linedefined < 0 then return nil end
  if OWN and string.sub(info.source, 1, #OWN) == OWN then return place_of_clauses(fn) end
  return info.short_src .. ":" .. info.linedefined
end

local function with_place(text, fn)
  local place = blame.place(fn)
  return place and string.format("%s (%s)", text, place) or text
end

-- What a module is called, and a dot; "" for one without a name.
local function prefix(module)
  local name = core.process_get("$module")
  if name == nil or string.find(name, "^moonbeam%.") then name = rawget(module, "name") end
  return type(name) == "string" and name .. "." or ""
end

--- A function of a module: "Counter.init (counter.lua:3)".
function blame.function_text(module, name, fn)
  if type(name) ~= "string" then name = "[" .. inspect(name) .. "]" end
  return with_place(prefix(module) .. name, fn)
end

local function callback_text(module, callback) return blame.function_text(module, callback, module[callback]) end

-- Modules of the library's whose callbacks call a function of the user's -> a function of the request that gives that
-- function, and what it is.
blame.culprits = setmetatable({}, {__mode = "k"})

--- Which function has answered a request: "Counter.handle_call (counter.lua:3)".
function blame.answering(module, request)
  local culprit = blame.culprits[module]
  if not culprit then return callback_text(module, "handle_call") end
  local fn, what = culprit(request)
  return with_place(what, fn)
end

-- Reason -> what there is to say of it.
local explanations = setmetatable({}, {__mode = "k"})

--- What a report of a death by this reason says in the reason's place; nil when there is nothing to add.
function blame.explanation(reason) return type(reason) == "table" and explanations[reason] or nil end

-- The values that were returned, as text.
local function shown(...)
  local texts = {}
  if select("#", ...) == 0 then return "nothing" end
  for i = 1, select("#", ...) do texts[i] = report.short((select(i, ...))) end
  return table.concat(texts, ", ")
end

--- The exit reason for results that are none.
-- @param what the reason's first item
-- @param culprit text: the function, with its place
-- @param returns text: what it returns when it is right
-- @param hint text to put behind the culprit, "" for none
-- @param ... what it has returned
function blame.results(what, culprit, returns, hint, ...)
  local n, value = select("#", ...), (...)
  if n > 1 then value = {...} end
  if n == 0 then hint = ": is a return missing?" end
  local reason = {what, value}
  explanations[reason] = string.format("bad return value: %s, from %s%s\n  It returns %s", shown(...), culprit, hint,
    returns)
  return reason
end

--- The same with the reason of servers.
function blame.bad_results(...) return blame.results("bad_return_value", ...) end

--- Returned by a module's init in the place of wrong results, with the reason: see server.lua.
blame.BAD = "$bad"

-- Whether a function has a first parameter called self.
local function has_self(fn) return type(fn) == "function" and getlocal(fn, 1) == "self" end

-- How many results there are with the state as the last one.
local with_state = {ok = 2, reply = 3, noreply = 2}

--- The exit reason for what a callback has returned.
function blame.bad_return(module, callback, ...)
  local returns, hint, tag = allowed[callback], "", ...
  local missing = with_state[tag] and string.find(returns, tag, 1, true) and with_state[tag] - select("#", ...)
  if missing == 1 then
    hint = ": is the state missing?"
  elseif missing == -1 and callback ~= "code_change" then
    returns = returns .. '\n  extra is ms >= 0, "infinity", "hibernate" or {"continue", x}'
  end
  local fn = module[callback]
  if has_self(fn) then
    returns = string.format("%s\n  It has a parameter self, as one written with a colon has, and is given %s", returns,
      table.concat(given[callback], ", "))
  end
  return blame.bad_results(callback_text(module, callback), returns, hint, ...)
end

local MOST_NAMED = 10

-- The functions that a module has, with their places: "init (x.lua:2), handle_cats (x.lua:5)".
local function functions_of(module)
  local names = {}
  for name, fn in next, module do
    if type(name) == "string" and type(fn) == "function" then names[#names + 1] = name end
  end
  table.sort(names)
  for i, name in ipairs(names) do names[i] = i <= MOST_NAMED and with_place(name, module[name]) or "..." end
  return names[1] and table.concat(names, ", ", 1, math.min(#names, MOST_NAMED + 1)) or "no functions"
end

--- Raise that a server lacks a function.
-- @param behaviour "GenServer", or what else it is
-- @param who the server's name, or its pid
-- @param module its own
-- @param what "callback", or what the function is
-- @param name the function's
function blame.missing(behaviour, who, module, what, name)
  local mt = getmetatable(module)
  local fields = next(module) == nil and type(mt) == "table" and rawget(mt, "__index")
  local title = string.gsub(prefix(module), "%.$", "")
  return error(string.format("%s %s has no %s %s: its module%s has %s", behaviour, inspect(who),
    type(name) == "string" and name or inspect(name), what, title ~= "" and " " .. title or "",
    functions_of(type(fields) == "table" and fields or module)), 0)
end

-- Modules whose callbacks are known to take no self.
local checked = setmetatable({}, {__mode = "k"})

--- What is wrong with a function that is written with a colon: it has a parameter more than it is given, and the first
-- one is called self. nil for others.
-- @param name the function's
-- @param fn the function
-- @param parameters sequence of what it is given
function blame.colon(name, fn, parameters)
  if not has_self(fn) or getinfo(fn, "u").nparams <= #parameters then return nil end
  return string.format("%s is written with a colon, and callbacks get no self: write function Module.%s(%s)",
    with_place(name, fn), name, table.concat(parameters, ", "))
end

--- A module that is to be started: refuse callbacks written with a colon.
-- @param module table of callbacks
-- @param fname the user's function, for errors
-- @param[opt] parameters name of each callback -> sequence of what it is given; a server's when left out
function blame.check(module, fname, parameters)
  if checked[module] then return end
  for name, names in next, parameters or given do
    local fn = rawget(module, name)
    local wrong = blame.colon(name, fn, names)
    if type(fn) == "table" and getmetatable(fn) == nil then
      wrong = name .. " is a table: GenServer.clauses makes callbacks of clauses"
    end
    if wrong then core.argument_error(fname, 1, wrong) end
  end
  checked[module] = true
end

return blame

--- Options of the library's functions: one check, which every function that takes some calls first.
--
-- Modules that every program loads at its start require this only when there are options to check.
--
-- Each name is known and each value fits, or the call raises at the user's line, with the names there are. The
-- functions of C have the same in mb_check_options.
-- @module moonbeam.internal.options

local core = require "moonbeam.core"
local check = require "moonbeam.internal.check"
local names = require "moonbeam.internal.names"

local type = type

local options = {}

-- Rules: functions of a value, with the function's name and the argument's number for those that raise by themselves.
-- They return what is expected when the value does not fit, and what was got where that is not its text.

local function any() end

function options.boolean(v)
  if type(v) ~= "boolean" then return "true or false" end
end

local function shown(v)
  if type(v) == "string" then return '"' .. core.short(v) .. '"' end
  return (type(v) == "number" or type(v) == "boolean") and tostring(v) or core.type(v)
end

--- An integer from `least` on.
function options.integer(least)
  return function(v)
    if type(v) ~= "number" or not math.tointeger(v) or v < least then
      return string.format("an integer >= %d", least), shown(v)
    end
  end
end

function options.number(v)
  if type(v) ~= "number" or v ~= v then return "a number", core.type(v) end
end

function options.table(v)
  if type(v) ~= "table" then return "a table", core.type(v) end
end

--- A sequence and nothing beside it; `what` says of what it is one.
function options.sequence(what)
  return function(v)
    if type(v) ~= "table" then return what, core.type(v) end
    local count = 0
    for _ in next, v do count = count + 1 end
    if count ~= #v then return what, "a table with other fields" end
  end
end

--- One of some strings.
function options.one_of(...)
  local known, quoted = {}, {}
  for i, name in ipairs{...} do known[name], quoted[i] = true, string.format('"%s"', name) end
  local last = table.remove(quoted)
  local expected = quoted[1] and table.concat(quoted, ", ") .. " or " .. last or last
  return function(v)
    if not known[v] then return expected end
  end
end

function options.timeout(v, fname, index) check.timeout(v, nil, fname, index) end

options.name = names.check

function options.callable(fn, fname, index) check.func(fn, fname, index) end

function options.plain_text(v)
  if type(v) ~= "string" then return "a string", core.type(v) end
end

--- A name that is a string, not a via table.
function options.plain_name(v, fname, index)
  if type(v) ~= "string" then return "a string", core.type(v) end
  names.check(v, fname, index)
end

--- The options of a function.
-- @param known sequence of {name, rule, required = boolean}, or a name, of an option that may have any value; with
-- needed = true where there must be a table
-- @param[opt=""] label what stands before an option's name in an error about its value
-- @return what `check` takes
function options.of(known, label)
  local listed, rules = {}, {}
  for i, option in ipairs(known) do
    if type(option) == "string" then option = {option, any} end
    known[i], listed[i], rules[option[1]] = option, option[1], option[2]
    known.required = known.required or option.required
  end
  known.label, known.rules = label or "", rules
  known.names = listed[1] and "options: " .. table.concat(listed, ", ") or "there are none"
  return known
end

local function plain(v) return type(v) == "string" and core.short(v) or shown(v) end

local empty = {}

--- The options, an empty table for nil; raises naming function and argument.
-- @param opts what the user gave
-- @param known from `of`
-- @param fname the function's name
-- @param index number of the argument
-- @return table
function options.check(opts, known, fname, index)
  if opts == nil and not known.needed then
    if not known.required then return empty end
    opts = empty
  end
  if type(opts) ~= "table" then
    return core.argument_error(fname, index, "table of options expected, got " .. core.type(opts))
  end
  for name, v in next, opts do
    if not known.rules[name] then
      core.argument_error(fname, index, string.format("unknown option %s = %s; %s", plain(name), shown(v), known.names))
    end
  end
  for i = 1, #known do
    local option = known[i]
    local v = opts[option[1]]
    if v ~= nil or option.required then
      local expected, got = option[2](v, fname, index)
      if expected then
        core.argument_error(fname, index,
          string.format("%s%s is %s, got %s", known.label, option[1], expected, got or plain(v)))
      end
    end
  end
  return opts
end

options.start = options.of{
  {"name", options.name}, {"timeout", options.timeout}, {"hibernate_after", options.timeout},
}
options.only_name = options.of{{"name", options.name}}
options.none = options.of{}
options.timer = options.of{{"abs", options.boolean}}
options.schedulers = options.of{{"schedulers", options.integer(1)}}
options.inspect = options.of{
  {"width", options.number}, {"depth", options.number}, {"limit", options.number}, {"budget", options.number},
  {"printable_limit", options.number},
}

return options

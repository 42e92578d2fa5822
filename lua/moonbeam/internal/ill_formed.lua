--- What is wrong with a clause of `receive`, `matcher`, `case` or `GenServer.clauses`, and how it is written.
-- Loaded when one is ill-formed.
-- @module moonbeam.internal.ill_formed

local core = require "moonbeam.core"
local check = require "moonbeam.internal.check"
local inspect = require "moonbeam.internal.inspect"

local type, string, rawget = type, string, rawget

local SHAPE = "a clause is {pattern, [when = guard,] [body]}"
local LONGEST = 60 -- of a value that a message shows

local patterns = {}
for _, name in ipairs{"any", "ignore", "rest", "maybe"} do patterns[core[name]] = true end
for _, pattern in next, core.is do patterns[pattern] = true end

local function is_pattern(v)
  local mt = getmetatable(v)
  return patterns[v] or mt ~= nil and (mt == core.predicate_mt or mt == core.one_of_mt)
end

local function is_body(v) return check.is_callable(v) and not is_pattern(v) end

-- A value in a message: `function` for what can be called.
local function shown(v)
  if is_body(v) then return "function" end
  local text = string.gsub(inspect(v, {width = math.huge, depth = 4, limit = 10}), "function%b<>", "function")
  if #text <= LONGEST then return text end
  return type(v) == "table" and "{...}" or core.short(text)
end

-- The clause as the pattern that it may be meant to be, without its last item if that is the body.
local function as_pattern(clause, items)
  local pattern = {}
  for k, v in next, clause do
    if k ~= "when" and not (math.type(k) == "integer" and k > items) then pattern[k] = v end
  end
  return shown(pattern)
end

local function own_braces(pattern, body)
  return string.format("a pattern that is a table needs braces of its own: { %s%s }", pattern,
    body and ", function" or "")
end

local function lone_function(before, i)
  local example = "{pattern, function}"
  if before ~= nil and not is_body(before) then example = "{ " .. shown(before) .. ", function }" end
  return string.format("clause %d is a function: a body stands inside of its clause's braces, behind the pattern: %s",
    i, example)
end

local function no_table(clauses, clause, i)
  if clause == nil then return string.format("clause %d is nil: %s", i, SHAPE) end
  if is_body(clause) then return lone_function(clauses[i - 1], i) end
  return string.format("clause %d is %s, without braces of its own: %s, here {%s%s}", i, shown(clause), SHAPE,
    shown(clause), is_body(clauses[i + 1]) and ", function" or "")
end

-- More than a pattern and a body.
local function too_many(clause, items)
  local last_is_body, tables, bodies = is_body(clause[items]), 0, 0
  for j = 1, items do
    local v = clause[j]
    if is_body(v) then bodies = bodies + 1 elseif type(v) == "table" and not is_pattern(v) then tables = tables + 1 end
  end
  if bodies > 1 then
    return "it has two functions: the guard has a name, {pattern, when = guard, body}"
  elseif last_is_body and tables == items - 1 then
    return string.format("it has %d patterns, and a clause has one: each in a clause of its own, {%s, function}, " ..
      "or, as the items of one message, { %s, function }", items - 1, shown(clause[1]), as_pattern(clause, items - 1))
  elseif bodies == 0 or last_is_body then
    return own_braces(as_pattern(clause, last_is_body and items - 1 or items), last_is_body)
  end
  return string.format("it has %d items: %s", items, SHAPE)
end

local function bad_body(clause)
  local pattern, body = clause[1], clause[2]
  if is_pattern(body) then
    return string.format("the body is a pattern (%s), not a function; %s", shown(body),
      own_braces(as_pattern(clause, 2)))
  end
  local text = "the body is a function of what is captured, got " .. core.type(body)
  if type(pattern) == "table" and not is_pattern(pattern) and type(body) ~= "table" then return text end
  return text .. "; " .. own_braces(as_pattern(clause, 2))
end

-- Names that a clause has, in order.
local function other_names(clause, items)
  local names = {}
  for k in next, clause do
    if k ~= "when" and not (math.type(k) == "integer" and k >= 1 and k <= items) then names[#names + 1] = k end
  end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  return names
end

local function bad_name(clause, name)
  local text = string.format("unknown field %s", type(name) == "string" and "'" .. core.short(name) .. "'"
    or "[" .. shown(name) .. "]")
  if clause[1] == nil then return text .. "; " .. own_braces(as_pattern(clause, 0)) end
  if is_body(clause[name]) then return text .. "; the guard's name is when: {pattern, when = guard, body}" end
  return text .. "; " .. SHAPE
end

local function bad_table(clause)
  local items = rawlen(clause)
  if items > 2 then return too_many(clause, items) end
  local names = other_names(clause, items)
  if names[1] ~= nil then return bad_name(clause, names[1]) end
  if items == 2 and not check.is_callable(clause[2]) then return bad_body(clause) end
  local guard = rawget(clause, "when")
  if guard ~= nil and not check.is_callable(guard) then
    return "when is a function of what is captured, got " .. core.type(guard)
  end
  if next(clause) == nil then return "it is empty: " .. SHAPE end
  return "its pattern is nil, a misspelt name perhaps: " .. SHAPE .. ", and one_of(nil) matches nil"
end

--- What is wrong with clause i.
return function(clauses, i)
  local clause = clauses[i]
  if type(clause) ~= "table" or is_pattern(clause) then return no_table(clauses, clause, i) end
  local body = rawget(clause, 2)
  if is_body(clauses[i + 1]) and not is_body(body) then return lone_function(clause, i + 1) end
  return string.format("clause %d: %s", i, bad_table(clause))
end

-- Random patterns against random values, compared with what a plain matcher in Lua says.
local mb = require "moonbeam"
local helper = require "spec.helper"

local random = math.random
local names = {"x", "y"}
local kinds = {"string", "number", "boolean", "table"}

local long = ("long"):rep(20)

local function scalar()
  return ({1, 2, "a", "b", true, false, 1.5, 1.0, long, ("long"):rep(20)})[random(10)]
end

-- A table of the items in one of the places where Lua keeps such: with room for just them, for more, or among the fields.
local function table_of(items)
  local place, t = random(3), {}
  if place == 1 then return {table.unpack(items)} end
  for i = place == 2 and 1 or #items, place == 2 and #items or 1, place == 2 and 1 or -1 do t[i] = items[i] end
  return t
end

local function value(depth)
  if depth == 0 or random(3) == 1 then return scalar() end
  local items = {}
  for i = 1, random(0, 3) do items[i] = value(depth - 1) end
  local t = table_of(items)
  for _, name in ipairs(names) do
    if random(4) == 1 then t[name] = value(depth - 1) end
  end
  if random(4) == 1 then t.n = #t + random(-1, 2) end
  return t
end

-- What a pattern means is a table of its own; `build` makes the pattern of it.

local function capturing()
  return random(3) == 1 and {"is", kinds[random(#kinds)]} or {"any"}
end

local meaning

local function alternatives(like)
  local list, leaf = {"one_of"}, capturing
  if random(2) == 1 then
    leaf = function() return {"literal", random(2) == 1 and type(like) ~= "table" and like or scalar()} end
  end
  for i = 1, random(3) do list[i + 1] = leaf() end
  return list
end

-- One that often matches the value.
function meaning(like, depth)
  local choice = random(10)
  if choice <= 2 then return capturing() end
  if choice == 3 then return {"ignore"} end
  if choice == 4 then return {"maybe"} end
  if choice == 5 then return alternatives(like) end
  if type(like) ~= "table" or depth == 0 then
    return {"literal", random(4) > 1 and type(like) ~= "table" and like or scalar()}
  end
  local m = {"table", items = {}, fields = {}, rest = random(4) == 1}
  local items = math.max(0, #like + (random(3) == 1 and random(-2, 2) or 0))
  for i = 1, items do m.items[i] = meaning(like[i], depth - 1) end
  for _, name in ipairs(names) do
    if like[name] ~= nil and random(2) == 1 or random(8) == 1 then m.fields[name] = meaning(like[name], depth - 1) end
  end
  return m
end

local function build(m)
  local kind = m[1]
  if kind == "literal" then return m[2] end
  if kind == "is" then return mb.is[m[2]] end
  if kind == "one_of" then
    local list = {}
    for i = 2, #m do list[i - 1] = build(m[i]) end
    return mb.one_of(table.unpack(list))
  end
  if kind ~= "table" then return mb[kind] end
  local items = {}
  for i, item in ipairs(m.items) do items[i] = build(item) end
  if m.rest then items[#items + 1] = mb.rest end
  local t = table_of(items)
  for name, field in pairs(m.fields) do t[name] = build(field) end
  return t
end

local matches

local function matches_table(m, v, captures)
  local least, count = #m.items, #v
  while least > 0 and m.items[least][1] == "maybe" do least = least - 1 end
  local exact = #m.items + (m.rest and 1 or 0) == #v
  if math.type(v.n) == "integer" and v.n > count then count = v.n end
  if not exact and (count < least or count > #m.items and not m.rest) then return false end
  for i, item in ipairs(m.items) do
    if not matches(item, v[i], captures) then return false end
  end
  if m.rest then
    local left = {}
    for i = #m.items + 1, #v do left[#left + 1] = v[i] end
    if count > #v then left.n = math.max(0, count - #m.items) end
    captures.n = captures.n + 1
    captures[captures.n] = left
  end
  for _, name in ipairs(names) do
    local field = m.fields[name]
    if field and (v[name] == nil and field[1] ~= "maybe" or not matches(field, v[name], captures)) then return false end
  end
  return true
end

function matches(m, v, captures)
  local kind = m[1]
  if kind == "ignore" then return true end
  if kind == "literal" then return rawequal(m[2], v) or m[2] == v end
  if kind == "table" then return type(v) == "table" and matches_table(m, v, captures) end
  if kind == "one_of" then
    for i = 2, #m do
      if matches(m[i], v, captures) then return true end
    end
    return false
  end
  if kind == "is" and type(v) ~= m[2] then return false end
  captures.n = captures.n + 1
  captures[captures.n] = v
  return true
end

local function check(seed)
  math.randomseed(seed)
  local v = value(3)
  local m = meaning(v, 3)
  local pattern, captures = build(m), {n = 0}
  local wanted = matches(m, v, captures)
  local function same(expected, ...)
    local got = table.pack(...)
    local ok = pcall(assert.same, expected, got)
    return ok or error(("seed %d: %s against %s gave %s, expected %s"):format(seed, mb.inspect(pattern), mb.inspect(v),
      mb.inspect(got), mb.inspect(expected)), 0)
  end
  if not wanted then
    same({n = 1, false}, mb.match(pattern, v))
    mb.send(mb.self(), v)
    same({n = 2, nil, "timeout"}, mb.receive{ {pattern}, after = 0 })
    same({n = 1, v}, mb.receive(0))
    return 0
  end
  same({n = captures.n + 1, true, table.unpack(captures, 1, captures.n)}, mb.match(pattern, v))
  if captures.n == 0 then captures = {n = 1, v} end
  same(captures, mb.case(v, { {pattern} }))
  local given = mb.case(v, { {pattern, table.pack} })
  same(captures, table.unpack(given, 1, given.n))
  mb.send(mb.self(), v)
  same(captures, mb.receive(mb.matcher{ {pattern}, after = 0 }))
  return 1
end

describe("random patterns", function()
  helper.setup()

  it("match as a plain matcher does, here and in messages", function()
    local first, matched, runs = os.time(), 0, 2000 // helper.scale
    for seed = first, first + runs - 1 do matched = matched + check(seed) end
    assert.is_true(matched > runs / 5, matched .. " have matched")
  end)
end)

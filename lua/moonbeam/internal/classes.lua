--- Classes that programs have declared: see `moonbeam.class`.
--
-- Each heap has a class once, under its name, and the codec sends that name: this module's fields are found by it, as
-- those of any module. A name that is not known here yet is an empty table, which its definition fills: so definitions
-- may name each other, and come in any order. A definition is published as a function for each heap to run, with all
-- fields of the class, in the place of the one before.
-- @module moonbeam.internal.classes

local core = require "moonbeam.core"

local next, type, rawget, rawset = next, type, rawget, rawset
local getmetatable, setmetatable = debug.getmetatable, debug.setmetatable

local MODULE, MOST_NAME, INDEX = "moonbeam.internal.classes", 100, ".__index"

local classes = {}

local name_of = setmetatable({}, {__mode = "k"}) -- table -> its name

local function add(name, class)
  core.declare(class, MODULE, name)
  name_of[class] = name
  rawset(classes, name, class)
  return class
end

local function remove(name)
  local class = rawget(classes, name)
  core.declare(class, MODULE, nil)
  name_of[class] = nil
  rawset(classes, name, nil)
end

local own = {} -- what is in this table is no class

-- The class of that name, an empty one when it is not known yet.
function own.get(name) return rawget(classes, name) or add(name, {}) end

--- Let classes be what is said of them: fields and a metatable by name. Run in each heap that has not declared them.
function own.define(definitions)
  for _, definition in next, definitions do
    local class = own.get(definition.name)
    for k in next, class do
      if definition.fields[k] == nil then rawset(class, k, nil) end
    end
    for k, v in next, definition.fields do rawset(class, k, v) end
    setmetatable(class, definition.metatable)
  end
end

local function definition_of(name, class)
  local fields = {}
  for k, v in next, class do fields[k] = v end
  return {name = name, fields = fields, metatable = getmetatable(class)}
end

local function publish(definitions)
  local define = own.define
  core.publish_start(core.encode_start(function() define(definitions) end), MODULE .. " " .. definitions[1].name)
end

local function check(name, class)
  if type(name) ~= "string" then
    core.argument_error("class", 1, "string expected, got " .. core.type(name))
  elseif name == "" or #name > MOST_NAME then
    core.argument_error("class", 1, string.format("a name of 1 to %d bytes expected", MOST_NAME))
  elseif type(class) ~= "table" then
    core.argument_error("class", 2, "table expected, got " .. core.type(class))
  elseif name_of[class] and name_of[class] ~= name then
    core.argument_error("class", 2, string.format("it is declared already, as '%s'", core.short(name_of[class])))
  elseif rawget(classes, name) and rawget(classes, name) ~= class then
    core.argument_error("class", 1, string.format("there is a class '%s' already, which is another table: " ..
      "declare that one again, or take another name", core.short(name)))
  end
end

-- What cannot be copied, of what the encoder says of the upvalue of `publish`.
local function told(why)
  if type(why) ~= "string" then return core.type(why) end
  local number, part = string.match(why, 'upvalue "definitions", field "%[(%d)%]%.(.*)$')
  if not number then return why end
  return string.format('field "%s%s', number == "2" and "__index." or "", (string.gsub(part, "^fields%.", "")))
end

--- See `moonbeam.class`.
function own.class(name, class)
  check(name, class)
  local added = {}
  local function named(of, as)
    if name_of[of] then return end
    add(as, of)
    added[#added + 1] = as
  end
  named(class, name)
  local definitions, index = {definition_of(name, class)}, rawget(class, "__index")
  if type(index) == "table" and (not name_of[index] or name_of[index] == name .. INDEX) then
    named(index, name .. INDEX)
    definitions[2] = definition_of(name .. INDEX, index)
  end
  local ok, why = pcall(publish, definitions)
  if ok then return class end
  for _, as in next, added do remove(as) end
  return core.raise_at_caller(string.format("the class '%s' cannot be declared: %s", core.short(name), told(why)))
end

setmetatable(classes, {__index = function(_, name) return own[name] or own.get(name) end})

return classes

--- Files of configuration: Lua that assigns names or returns a table, and reaches nothing but the environment.
-- @module moonbeam.config.file

local core = require "moonbeam.core"
local environment = require "moonbeam.config.environment"
local fs = require "moonbeam.fs"
local inspect = require "moonbeam.internal.inspect"

local next, type = next, type

local file = {}

local function fields_of(library)
  local copy = {}
  for k, v in next, library do copy[k] = v end
  return copy
end

-- What the code finds: a table of its own, so that nothing it does to it is seen elsewhere.
local function globals()
  return {
    assert = assert, error = error, ipairs = ipairs, next = next, pairs = pairs, pcall = pcall, select = select,
    tonumber = tonumber, tostring = tostring, type = type, math = fields_of(math), string = fields_of(string),
    table = fields_of(table), utf8 = fields_of(utf8),
    env = function(name, opts) return environment.get(name, opts, "env") end,
  }
end

local MOST_DEPTH = 100

-- What is wrong with a value: where, what; nil when it is data.
local function fault(value, where, depth)
  local kind = core.type(value)
  if kind == "string" or kind == "number" or kind == "boolean" then return nil end
  if kind ~= "table" then return where, "a " .. kind end
  if depth > MOST_DEPTH then return where, "a table that contains itself" end
  if getmetatable(value) ~= nil then return where, "a table with a metatable" end
  for k, v in next, value do
    if type(k) == "table" or type(k) == "function" then return where, "a table with a " .. type(k) .. " as key" end
    local at, what = fault(v, where .. "." .. tostring(k), depth + 1)
    if at then return at, what end
  end
end

-- What was assigned, and over it what was returned.
local function gathered(assigned, returned)
  local all = fields_of(assigned)
  for k, v in next, returned or {} do all[k] = v end
  return all
end

--- Run a file.
-- @param path
-- @return table of what it sets, by name | nil, text [, code]
function file.read(path)
  local text, problem, code = fs.read(path)
  if text == nil then return nil, problem, code end
  text = string.gsub(text, "^#[^\n]*", "", 1)
  local own = globals()
  local env = setmetatable({}, {__index = own})
  local chunk, syntax = load(text, "@" .. path, "t", env)
  if chunk == nil then return nil, syntax end
  local ok, returned = pcall(chunk)
  if not ok then return nil, type(returned) == "string" and returned or path .. ": " .. inspect(returned) end
  if returned ~= nil and type(returned) ~= "table" then
    return nil, string.format("%s: it returns a %s; a table is expected, or nothing", path, core.type(returned))
  end
  local all = gathered(setmetatable(env, nil), returned)
  for name, value in next, all do
    if type(name) ~= "string" then return nil, string.format("%s: %s is no name", path, inspect(name)) end
    local where, what = fault(value, name, 1)
    if where then
      return nil, string.format("%s: %s is %s; expected are texts, numbers, booleans and tables of them", path, where,
        what)
    end
  end
  return all
end

return file

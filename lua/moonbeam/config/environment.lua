--- Variables of the environment, with a type.
-- @module moonbeam.config.environment

local core = require "moonbeam.core"
local options = require "moonbeam.internal.options"
local system = require "moonbeam.system"

local environment = {}

-- By type: what is expected, and a function of the text that gives the value, or nil.
local types = {
  string = {"a text", function(text) return text end},
  integer = {"an integer", function(text) return math.tointeger(tonumber(text)) end},
  number = {"a number", function(text)
    local n = tonumber(text)
    return n == n and n or nil
  end},
  boolean = {'"true" or "false"', function(text)
    text = string.lower(text)
    if text == "true" or text == "1" or text == "yes" or text == "on" then return true end
    if text == "false" or text == "0" or text == "no" or text == "off" then return false end
  end},
  list = {"texts with commas between them", function(text)
    local list = {}
    for item in string.gmatch(text, "[^,]+") do
      item = string.match(item, "^%s*(.-)%s*$")
      if item ~= "" then list[#list + 1] = item end
    end
    return list
  end},
}

local known = options.of{
  {"type", options.one_of("string", "integer", "number", "boolean", "list")}, {"default", function() end},
  {"required", options.boolean}, {"min", options.number}, {"max", options.number},
  {"one_of", options.sequence "a sequence of values"},
}

local function expected(opts)
  if opts.one_of then
    local shown = {}
    for i, value in ipairs(opts.one_of) do
      shown[i] = type(value) == "string" and '"' .. value .. '"' or tostring(value)
    end
    return "one of " .. table.concat(shown, ", ")
  end
  local text = types[opts.type or "string"][1]
  if opts.min and opts.max then return string.format("%s from %s to %s", text, opts.min, opts.max) end
  if opts.min then return string.format("%s, %s at least", text, opts.min) end
  if opts.max then return string.format("%s, %s at most", text, opts.max) end
  return text
end

local function is_allowed(value, opts)
  if opts.min and value < opts.min or opts.max and value > opts.max then return false end
  if not opts.one_of then return true end
  for _, one in ipairs(opts.one_of) do
    if one == value then return true end
  end
  return false
end

--- See Config.get_env.
function environment.get(name, opts, fname)
  if type(name) ~= "string" or name == "" or string.find(name, "[=%z]") then
    core.argument_error(fname, 1, "name of a variable expected, got " ..
      (type(name) == "string" and '"' .. core.short(name) .. '"' or core.type(name)))
  end
  opts = options.check(opts, known, fname, 2)
  local kind = opts.type or "string"
  if (opts.min or opts.max) and kind ~= "integer" and kind ~= "number" then
    core.argument_error(fname, 2, "min and max are of numbers: type is to be \"integer\" or \"number\"")
  end
  local text = system.get_env(name)
  if text == nil or text == "" and kind ~= "string" then
    if not opts.required then return opts.default end
    return core.raise_at_caller(string.format("environment variable %s is not set; expected is %s", name,
      expected(opts)))
  end
  local value = types[kind][2](text)
  if value == nil or not is_allowed(value, opts) then
    return core.raise_at_caller(string.format('environment variable %s is "%s"; expected is %s', name,
      core.short(text), expected(opts)))
  end
  return value
end

return environment

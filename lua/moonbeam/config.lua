--- Configuration: values by name, from a Lua file, from the environment, or set by the program. See Elixir's `Config`
-- and `Config.Provider`.
--
-- All processes see the same values, on all schedulers, and reading asks none of them. A file is Lua that assigns names
-- or returns a table; it finds Lua's pure functions and `env`, which is `Config.get_env`, and nothing else:
--
--    port = env("PORT", {type = "integer", min = 1, max = 65535, default = 4000})
--    db = {host = "localhost", pool = 10}
--
-- What stands under the name of an application is its environment: `Config.get("db.host")` is
-- `Application.get_env("db", "host")`.
-- @module moonbeam.config

local core = require "moonbeam.core"
local environment = require "moonbeam.config.environment"
local inspect = require "moonbeam.internal.inspect"
local store = require "moonbeam.config.store"

local type = type

local Config = {}

local function bad_key(key, fname)
  return core.argument_error(fname, 1, 'a key is a text as "db.host", or a sequence of keys, got ' .. inspect(key))
end

-- The paths of texts that have been asked for, as many as are kept.
local MOST_KNOWN = 1000
local known, known_count = {}, 0

local function parse(key, fname)
  local path = {}
  for part in string.gmatch(key .. ".", "([^.]*)%.") do
    if part == "" then return bad_key(key, fname) end
    path[#path + 1] = part
  end
  if known_count == MOST_KNOWN then known, known_count = {}, 0 end
  known[key], known_count = path, known_count + 1
  return path
end

-- The path that a key stands for.
local function path_of(key, fname)
  local path = known[key]
  if path then return path end
  if type(key) == "string" and key ~= "" then return parse(key, fname) end
  if type(key) == "table" and type(key[1]) == "string" then return key end
  return bad_key(key, fname)
end

local function text_of(path) return table.concat(path, ".") end

--- Read a file of configuration. What it sets comes over what is there: tables of names are merged, so that a second
-- file may change single fields; all else is replaced. When something is wrong with the file, nothing is set.
-- The calling process alone waits for the file. See Elixir's `Config.Reader.read!/2`.
-- @param path string
-- @return true | nil, text: what is wrong, with file and line, and the code of a file that cannot be read
-- @usage
-- fs.write("/tmp/config.lua", [[
--   port = 4000
--   db = {host = "localhost", pool = 10}
-- ]])
-- assert(Config.load("/tmp/config.lua"))
-- assert(Config.get("port") == 4000 and Config.get("db.host") == "localhost")
-- fs.write("/tmp/broken.lua", "db = {host = 'remote'}\nport = 4000 +")
-- local ok, problem = Config.load("/tmp/broken.lua")
-- assert(not ok and problem:find("broken.lua:2: unexpected symbol near <eof>", 1, true))
function Config.load(path)
  if type(path) ~= "string" then
    core.argument_error("Config.load", 1, "path of a file expected, got " .. core.type(path))
  end
  local all, problem, code = require "moonbeam.config.file".read(path)
  if all == nil then
    if code == nil then return nil, problem end
    return nil, problem, code
  end
  for name, value in next, all do
    store.update(name, function(old) return store.merged(old, value) end, "Config.load", 1)
  end
  return true
end

--- The value of a key. See Elixir's `Application.get_env/3`.
-- @param key text, whose dots lead into tables ("db.pool", "servers.1.host"); or a sequence of keys
-- @param[opt] default what is given where there is no value
-- @return a copy of the value | default
-- @usage
-- Config.put("db.pool", 10)
-- assert(Config.get("db.pool") == 10 and Config.get("db").pool == 10)
-- assert(Config.get("db.timeout", 5000) == 5000 and Config.get("nothing") == nil)
function Config.get(key, default)
  local value = store.get(path_of(key, "Config.get"))
  if value == nil then return default end
  return value
end

-- What stands beside a key that is not there.
local function beside(path)
  local names = {}
  if path[2] == nil then
    names = store.names()
  else
    local above = store.get(table.move(path, 1, #path - 1, 1, {}))
    if type(above) ~= "table" then return text_of(path) .. " is in no table" end
    for k in next, above do names[#names + 1] = tostring(k) end
    table.sort(names)
  end
  return names[1] and "there are " .. core.short(table.concat(names, ", ")) or "nothing is set"
end

--- The value of a key that must be there: raises when it is not, and names those that are. See Elixir's
-- `Application.fetch_env!/2`.
-- @param key as for `get`
-- @return a copy of the value
-- @usage
-- Config.put("db.pool", 10)
-- assert(Config.require("db.pool") == 10)
-- local ok, problem = pcall(Config.require, "db.pol")
-- assert(not ok and problem:find("there are pool", 1, true))
function Config.require(key)
  local path = path_of(key, "Config.require")
  local value = store.get(path)
  if value == nil then
    return core.raise_at_caller(string.format("the configuration has no %s: %s", text_of(path), beside(path)))
  end
  return value
end

--- Set a value, for all processes. See Elixir's `Application.put_env/4`.
-- Raises when the key leads through a value that is no table. Of several that set different fields of a table at the
-- same time, none is lost.
-- @param key as for `get`
-- @param value any value, copied; nil takes it away
-- @return true
-- @usage
-- Config.put("db.host", "localhost")
-- Config.put("db.pool", 10)
-- assert(Config.get("db").host == "localhost")
function Config.put(key, value)
  local path = path_of(key, "Config.put")
  local last = #path
  local function changed(old, i)
    if i > last then return value end
    if old == nil then old = {} end
    if type(old) ~= "table" then
      core.argument_error("Config.put", 1,
        string.format("%s is %s, which has no fields", text_of(table.move(path, 1, i - 1, 1, {})), inspect(old)))
    end
    local at = store.key_in(old, path[i])
    old[at] = changed(old[at], i + 1)
    return old
  end
  store.update(path[1], function(old) return changed(old, 2) end, "Config.put", 2)
  return true
end

--- Take a value away. See Elixir's `Application.delete_env/3`.
-- @param key as for `get`
-- @return true, also when there is none
-- @usage
-- Config.put("db.pool", 10)
-- Config.delete("db.pool")
-- assert(Config.get("db.pool") == nil)
function Config.delete(key)
  local path = path_of(key, "Config.delete")
  if store.get(path) ~= nil then Config.put(path, nil) end
  return true
end

--- All values. See Elixir's `Application.get_all_env/1`.
-- @return table by name, a copy
-- @usage
-- Config.put("port", 4000)
-- assert(Config.all().port == 4000)
function Config.all()
  local all = {}
  for _, name in ipairs(store.names()) do all[name] = store.get{name} end
  return all
end

--- The value of a variable of the environment. See Elixir's `System.get_env/2`.
-- Raises when the variable is set to what does not fit, and names it, its value and what is expected: in a file of
-- configuration that is what `Config.load` says. An empty one is as one that is not set, unless texts are expected.
-- @param name string
-- @param[opt] opts table: type ("string", "integer", "number", "boolean": true, false, yes, no, on, off, 1 or 0,
-- "list": texts with commas between them), default (any value), required (true: raises when it is not set), min and max
-- (of numbers), one_of (sequence of the values there may be)
-- @return the value | default
-- @usage
-- system.put_env("PORT", "4000")
-- assert(Config.get_env("PORT", {type = "integer", min = 1, max = 65535}) == 4000)
-- assert(Config.get_env("HOSTS", {type = "list", default = {"localhost"}})[1] == "localhost")
-- system.put_env("PORT", "http")
-- local ok, problem = pcall(Config.get_env, "PORT", {type = "integer"})
-- assert(not ok and problem:find('environment variable PORT is "http"; expected is an integer', 1, true))
function Config.get_env(name, opts) return environment.get(name, opts, "Config.get_env") end

return Config

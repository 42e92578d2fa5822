--- Where configuration is kept: a setting of the program's for each name at the top, which all schedulers see.
--
-- Each heap keeps what it has read last, with the setting's reference: reading again decodes nothing while that is the
-- same. What it keeps is never given away, but copied.
-- @module moonbeam.config.store

local core = require "moonbeam.core"

local setting = core.setting
local getmetatable, next, setmetatable, type = getmetatable, next, setmetatable, type

local store = {}

local PREFIX = "config "

local cache = {} -- name -> {reference, value, key of the setting}

-- The value under a name, which is the cache's; nil: there is none.
local function kept(name)
  local known = cache[name]
  if known then
    local ref, value = setting(known[3], known[1])
    if ref == known[1] then return known[2] end
    if ref ~= nil then
      known[1], known[2] = ref, value
      return value
    end
    cache[name] = nil
    return nil
  end
  local key = PREFIX .. name
  local ref, value = setting(key)
  if ref ~= nil then cache[name] = {ref, value, key} end
  return value
end

local function copy(value, copies)
  if type(value) ~= "table" then return value end
  local done = copies[value]
  if done then return done end
  done = {}
  copies[value] = done
  for k, v in next, value do done[k] = copy(v, copies) end
  return setmetatable(done, getmetatable(value))
end

--- The key that a text stands for in a table: itself, or the number it is where only that is there.
function store.key_in(t, key)
  local number = t[key] == nil and math.tointeger(tonumber(key))
  if number and t[number] ~= nil then return number end
  return key
end

--- The value at a path.
-- @param path sequence of keys, the first one a name
-- @return a copy; nil: there is none
function store.get(path)
  local value = kept(path[1])
  for i = 2, #path do
    if type(value) ~= "table" then return nil end
    value = value[store.key_in(value, path[i])]
  end
  if type(value) == "table" then return copy(value, {}) end
  return value
end

--- Replace the value under a name. It may be called several times, when others write at the same time.
-- @param name
-- @param change function of the old value, a copy or nil: the new one, nil to take it away
-- @param fname the user's function, for errors about the value
-- @param index number of that argument
function store.update(name, change, fname, index)
  local key = PREFIX .. name
  repeat
    local ref, value = setting(key)
  until core.put_setting(key, change(value), ref or false, fname, index)
end

--- The names that there are, in order.
function store.names()
  local names = {}
  for _, key in ipairs(core.settings()) do
    if string.sub(key, 1, #PREFIX) == PREFIX then names[#names + 1] = string.sub(key, #PREFIX + 1) end
  end
  table.sort(names)
  return names
end

-- Whether a value is a table of names, whose fields are merged, not one that is replaced: a sequence, say.
local function has_names(t)
  if type(t) ~= "table" or next(t) == nil then return false end
  for k in next, t do
    if type(k) ~= "string" then return false end
  end
  return true
end

--- A value over another: tables of names are merged, all else is replaced. The first one is changed.
function store.merged(old, new)
  if not (has_names(old) and has_names(new)) then return new end
  for k, v in next, new do old[k] = store.merged(old[k], v) end
  return old
end

return store

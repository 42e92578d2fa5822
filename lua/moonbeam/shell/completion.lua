--- Completion of what is typed at the prompt: names, fields and methods, and the modules that require finds.
--
-- What stands before the cursor is read from there to the left, once, and no further than it matters. Values are looked
-- at without running any code: their metatables are followed from table to table only, and nothing is loaded.
-- @module moonbeam.shell.completion

local core = require "moonbeam.core"

local completion = {}

local MOST_FIELDS = 100000 -- of a table are scanned
local MOST_SHOWN = 500

local keywords = {}
for word in string.gmatch([[and break do else elseif end false for function goto if in local nil not or repeat return
  then true until while]], "%a+") do keywords[word] = true end

-- The tables in which a field of a value is found: itself, then what its __index says, table by table.
local function each_table(value)
  local depth = 0
  return function()
    while depth < 100 do
      depth = depth + 1
      if depth > 1 then
        local meta = debug.getmetatable(value)
        value = type(meta) == "table" and rawget(meta, "__index") or nil
        if type(value) ~= "table" then return nil end
      end
      if type(value) == "table" then return value end
    end
  end
end

local function field_of(value, key)
  for t in each_table(value) do
    local field = rawget(t, key)
    if field ~= nil then return field end
  end
end

-- What there is to go on with: some names, how many there are, and the first and the last of all.
local function new_candidates(prefix) return {prefix = prefix, names = {}, seen = {}, count = 0} end

local function add(found, name)
  if found.seen[name] or string.sub(name, 1, #found.prefix) ~= found.prefix then return end
  found.seen[name] = true
  found.count = found.count + 1
  if found.count <= MOST_SHOWN then found.names[found.count] = name end
  if not found.first or name < found.first then found.first = name end
  if not found.last or name > found.last then found.last = name end
end

-- Names of value's fields; after a colon functions only.
local function add_fields(found, value, methods)
  local looked_at = 0
  for t in each_table(value) do
    for name, field in next, t do
      looked_at = looked_at + 1
      if looked_at > MOST_FIELDS then return end
      if type(name) == "string" and string.find(name, "^[%a_][%w_]*$") and not keywords[name]
        and (not methods or type(field) == "function") then
        add(found, name)
      end
    end
  end
end

-- A text is read backwards: what a pattern matches at a place in its reverse, and the place behind that.
local function take(reversed, at, pattern)
  local found = string.match(reversed, "^" .. pattern, at)
  if not found then return at, nil end
  return at + #found, string.reverse(found)
end

local INDICES = {"%]%s*%d+%s*%[", "%]%s*\"[^\"\\]*\"%s*%[", "%]%s*'[^'\\]*'%s*%["}

-- A constant in brackets, as a key.
local function take_index(reversed, at)
  for _, pattern in ipairs(INDICES) do
    local after, index = take(reversed, at, pattern)
    if index then
      return after, string.match(index, "^%[%s*[\"'](.*)[\"']%s*%]$") or math.tointeger(string.match(index, "%d+"))
    end
  end
  return at, nil
end

-- The value of what stands at a place of a reversed text: a name, with fields and constant keys behind it, all of them
-- there already; nil for anything else.
local function value_of(reversed, at, globals)
  local keys, key = {}, nil
  while true do
    at = take(reversed, at, "%s*")
    at, key = take_index(reversed, at)
    if key == nil then
      at, key = take(reversed, at, "[%w_]+")
      if not key or not string.find(key, "^[%a_]") then return nil end
      at = take(reversed, at, "%s*")
      if string.find(reversed, "^:", at) then return nil end -- it is a method, not a field
      if not string.find(reversed, "^%.", at) or string.find(reversed, "^%.%.", at) then break end
      at = at + 1
    end
    keys[#keys + 1] = key
  end
  local value = field_of(globals, key)
  for i = #keys, 1, -1 do
    if value == nil then return nil end
    value = field_of(value, keys[i])
  end
  return value
end

local function names(reversed, globals)
  local at, prefix = take(reversed, 1, "[%w_]*")
  local found = new_candidates(prefix)
  if string.find(prefix, "^%d") then return found end
  local after, separator = take(reversed, at, "%s*[.:]")
  if separator and not string.find(reversed, "^[.:]", after) then
    add_fields(found, value_of(reversed, after, globals), string.sub(separator, 1, 1) == ":")
    return found
  end
  add_fields(found, globals)
  for word in next, keywords do
    if prefix ~= "" then add(found, word) end
  end
  return found
end

-- Modules that can be required, by the part of the name that is typed.
local function modules(prefix)
  local found = new_candidates(prefix)
  for name in next, package.loaded do add(found, name) end
  for name in next, core.library_modules() do add(found, name) end
  for name in next, package.preload do add(found, name) end
  local parent = string.match(prefix, "^(.*)%.[^.]*$")
  for template in string.gmatch(package.path .. ";" .. package.cpath, "[^;]+") do
    local directory, before, after = string.match(template, "^(.-)([^/?]*)%?(.*)$")
    directory = directory and directory .. (parent and string.gsub(parent, "%.", "/") .. "/" or "")
    for _, entry in ipairs(before == "" and core.entries(directory == "" and "." or directory) or {}) do
      local name = entry
      if string.sub(after, 1, 1) ~= "/" then
        name = #entry > #after and string.sub(entry, -#after) == after and string.sub(entry, 1, -#after - 1) or "."
      end
      if not string.find(name, ".", 1, true) then add(found, (parent and parent .. "." or "") .. name) end
    end
  end
  return found
end

-- The name that is called with a string that is open at the end of a reversed text, and what the string has so far.
local function open_string(reversed)
  local at, part = take(reversed, 1, "[%w_.:-]*")
  if not string.find(reversed, "^[\"']", at) then return nil end
  at = take(reversed, at + 1, "%s*")
  at = take(reversed, at, "%(")
  at = take(reversed, at, "%s*")
  local _, called = take(reversed, at, "[%w_]+")
  return called, part
end

-- Functions of the prompt that take the name of a value.
local by_name = {h = true, b = true, exports = true}

local function candidates(text, globals)
  local reversed = string.reverse(text)
  local called, part = open_string(reversed)
  if called == "require" or called == "c" then return modules(part) end
  return names(by_name[called] and string.reverse(part) or reversed, globals)
end

local function common_prefix(first, last)
  local size = math.min(#first, #last)
  while string.sub(first, 1, size) ~= string.sub(last, 1, size) do size = size - 1 end
  return string.sub(first, 1, size)
end

-- In columns, one below the other.
local function layout(found, columns)
  local list, width = found.names, 0
  table.sort(list)
  for _, name in ipairs(list) do width = math.max(width, #name + 2) end
  local across = math.max(1, columns // width)
  local down = (#list + across - 1) // across
  local lines = {}
  for row = 1, down do
    local line = {}
    for i = row, #list, down do line[#line + 1] = string.format("%-" .. width .. "s", list[i]) end
    lines[row] = string.gsub(table.concat(line), "%s+$", "") .. "\n"
  end
  if found.count > #list then lines[#lines + 1] = string.format("... %d in all\n", found.count) end
  return table.concat(lines)
end

--- Complete what stands before the cursor.
-- @param text
-- @param globals table
-- @param columns width of the terminal
-- @return what to insert, and what to show when there are several ways to go on
function completion.complete(text, globals, columns)
  local found = candidates(text, globals)
  if found.count == 0 then return "", "" end
  local insertion = string.sub(common_prefix(found.first, found.last), #found.prefix + 1)
  if insertion ~= "" or found.count == 1 then return insertion, "" end
  return "", layout(found, columns)
end

return completion

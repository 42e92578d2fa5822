--- Completion of what is typed at the prompt: names, fields and methods, and the modules that require finds.
-- @module moonbeam.shell.completion

local host = require "moonbeam.host"

local completion = {}

local keywords = {}
for word in ([[and break do else elseif end false for function goto if in local nil not or repeat return then true
  until while]]):gmatch("%a+") do keywords[word] = true end

-- The table behind a value's fields, without calling anything: itself, then what its __index says, table by table.
local function each_field(value, see)
  for _ = 1, 100 do
    if type(value) == "table" then
      for name, field in next, value do
        if type(name) == "string" then see(name, field) end
      end
    end
    local meta = debug.getmetatable(value)
    value = type(meta) == "table" and rawget(meta, "__index") or nil
    if type(value) ~= "table" then return end
  end
end

local function field_of(value, name)
  local found
  each_field(value, function(key, field)
    if key == name and found == nil then found = field end
  end)
  return found
end

-- Names of value's fields that begin so; after a colon functions only.
local function fields(value, prefix, methods)
  local names, seen = {}, {}
  each_field(value, function(name, field)
    if not seen[name] and name:sub(1, #prefix) == prefix and name:find("^[%a_][%w_]*$") and not keywords[name]
      and (not methods or type(field) == "function") then
      seen[name] = true
      names[#names + 1] = name
    end
  end)
  return names
end

local function names(text, globals)
  local chain, separator, prefix = text:match("([%a_][%w_.]*)([.:])([%w_]*)$")
  if not chain then
    prefix = text:match("[%a_][%w_]*$") or ""
    local found = fields(globals, prefix)
    for word in next, keywords do
      if prefix ~= "" and word:sub(1, #prefix) == prefix then found[#found + 1] = word end
    end
    return found, prefix
  end
  local value = globals
  for name in chain:gmatch("[^.]+") do value = field_of(value, name) end
  return fields(value, prefix, separator == ":"), prefix
end

-- Modules that can be required, by the part of the name that is typed.
local function modules(prefix)
  local found, seen = {}, {}
  local function add(name)
    if not seen[name] and name:sub(1, #prefix) == prefix then
      seen[name] = true
      found[#found + 1] = name
    end
  end
  for name in next, package.loaded do add(name) end
  for name in next, package.preload do add(name) end
  local parent = prefix:match("^(.*)%.[^.]*$")
  for template in (package.path .. ";" .. package.cpath):gmatch("[^;]+") do
    local directory, before, after = template:match("^(.-)([^/?]*)%?(.*)$")
    directory = directory and directory .. (parent and parent:gsub("%.", "/") .. "/" or "")
    for _, entry in ipairs(before == "" and host.entries(directory == "" and "." or directory) or {}) do
      local name = entry
      if after:sub(1, 1) ~= "/" then
        name = #entry > #after and entry:sub(-#after) == after and entry:sub(1, -#after - 1) or "."
      end
      if not name:find(".", 1, true) then add((parent and parent .. "." or "") .. name) end
    end
  end
  return found, prefix
end

local function candidates(text, globals)
  local module = text:match("require%s*%(?%s*[\"']([%w_.-]*)$") or text:match("%f[%w_]c%s*%(?%s*[\"']([%w_.-]*)$")
  if module then return modules(module) end
  local quoted = text:match("%f[%w_]h%s*%(?%s*[\"']([%w_.:]*)$")
  return names(quoted or text, globals)
end

local function common_prefix(list)
  local first = list[1]
  local size = #first
  for _, name in ipairs(list) do
    while name:sub(1, size) ~= first:sub(1, size) do size = size - 1 end
  end
  return first:sub(1, size)
end

-- In columns, one below the other.
local function layout(list, columns)
  local width = 0
  for _, name in ipairs(list) do width = math.max(width, #name + 2) end
  local across = math.max(1, columns // width)
  local down = (#list + across - 1) // across
  local lines = {}
  for row = 1, down do
    local line = {}
    for i = row, #list, down do line[#line + 1] = ("%-" .. width .. "s"):format(list[i]) end
    lines[row] = table.concat(line):gsub("%s+$", "") .. "\n"
  end
  return table.concat(lines)
end

--- Complete what stands before the cursor.
-- @param text
-- @param globals table
-- @param columns width of the terminal
-- @return what to insert, and what to show when there are several ways to go on
function completion.complete(text, globals, columns)
  local list, prefix = candidates(text, globals)
  if #list == 0 then return "", "" end
  table.sort(list)
  local insertion = common_prefix(list):sub(#prefix + 1)
  if insertion ~= "" or #list == 1 then return insertion, "" end
  return "", layout(list, columns)
end

return completion

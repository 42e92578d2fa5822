--- The way out of errors whose texts are Lua's own: a name of Moonbeam's that is not there.
--
-- Asked when an error is shown, and only of texts that tell of a nil that was called or indexed.
-- @module moonbeam.internal.hints

local core = require "moonbeam.core"

local type = type

local hints = {}

local MOST_BYTES = 1000000 -- of a file that is looked into
local IMPORT = "mb.import(), of local mb = require \"moonbeam\", makes %s and Moonbeam's other names global; call it " ..
  "before the functions that use them are spawned"

-- The line of a file, as an error names it.
local function source_line(path, number)
  local file = io.open(path, "r")
  if not file then return nil end
  local text = file:read(MOST_BYTES) or ""
  file:close()
  for line in string.gmatch(text, "([^\n]*)\n?") do
    number = number - 1
    if number == 0 then return line end
  end
end

-- How many letters have to change, to be added or left out, to make one name of the other.
local function distance(a, b)
  local row = {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local diagonal = row[0]
    row[0] = i
    for j = 1, #b do
      local change = diagonal + (string.byte(a, i) == string.byte(b, j) and 0 or 1)
      diagonal = row[j]
      row[j] = math.min(change, row[j] + 1, row[j - 1] + 1)
    end
  end
  return row[#b]
end

-- The name in a module that is nearest to one that it has not.
local function nearest(module, name)
  local best, least = nil, math.max(1, #name // 3) + 1
  for field, value in next, module do
    if type(field) == "string" and type(value) == "function" then
      local d = distance(name, field)
      if #field > #name and string.sub(field, 1, #name) == name then d = 1 end
      if d < least or (d == least and best and field < best) then best, least = field, d end
    end
  end
  return best
end

local function of_field(text, name, mb)
  local path, number = string.match(text, "^([^\n]-):(%d+): ")
  local line = path and source_line(path, math.tointeger(number))
  for before in string.gmatch(line or "", "([%a_][%w_]*)%s*[.:]%s*" .. name .. "%f[^%w_]") do
    local module = before == "mb" and mb or mb[before]
    if type(module) == "table" and module[name] == nil then
      local near = nearest(module, name)
      return string.format("%s has no function %s%s", before, name,
        near and string.format("; there is %s.%s", before, near) or "")
    end
  end
end

local function hint_of(text)
  local kind, name = string.match(text, "attempt to %a+ a nil value %((%a+) '([%a_][%w_]*)'%)")
  if not kind then return nil end
  local mb = core.library_modules().moonbeam
  if kind == "global" then return mb.import({})[name] ~= nil and string.format(IMPORT, name) or nil end
  if kind == "field" or kind == "method" then return of_field(text, name, mb) end
end

--- What helps against an error.
-- @param text of the error
-- @return text of a line, or nil
function hints.of(text)
  local ok, hint = pcall(hint_of, text)
  return ok and hint and "hint: " .. hint or nil
end

return hints

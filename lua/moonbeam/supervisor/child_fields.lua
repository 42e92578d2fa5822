--- The fields of child specifications: which there are, and errors at the user's line about those that cannot be meant.
--
-- A field that nobody knows does not matter, so that a specification may carry what others need of it; one that looks
-- like a field of ours is taken for a slip.
-- @module moonbeam.supervisor.child_fields

local core = require "moonbeam.core"
local inspect = require "moonbeam.internal.inspect"

local type = type

local child_fields = {}

local names = {"id", "start", "restart", "shutdown", "type", "modules", "significant", "backoff"}

local known = {}
for _, name in ipairs(names) do known[name] = true end

local THOSE = "the fields of a child are " .. table.concat(names, ", ")

-- How many letters of two words differ, with one of them left out, put in or exchanged, or two neighbours swapped.
local function distance(a, b)
  local before, row = nil, {}
  for j = 0, #b do row[j] = j end
  for i = 1, #a do
    local following = {[0] = i}
    for j = 1, #b do
      local same = a:byte(i) == b:byte(j)
      following[j] = math.min(row[j] + 1, following[j - 1] + 1, row[j - 1] + (same and 0 or 1))
      if before and a:byte(i) == b:byte(j - 1) and a:byte(i - 1) == b:byte(j) then
        following[j] = math.min(following[j], before[j - 2] + 1)
      end
    end
    before, row = row, following
  end
  return row[#b]
end

-- The field that a name was meant to be; nil when it looks like none.
local function meant(name)
  if type(name) ~= "string" or #name > 20 then return nil end
  local plain = name:lower():gsub("[_%-]", "")
  for _, field in ipairs(names) do
    local far = #field < 4 and 0 or #field < 7 and 1 or 2
    if plain == field or plain == field .. "s" or distance(plain, field) <= far then return field end
  end
end

local function refuse(fname, index, spec, text)
  local id = spec.id
  return core.argument_error(fname, index, (id == nil and "child" or "child " .. inspect(id)) .. ": " .. text)
end

local function shown(value) return type(value) == "table" and "a table" or core.short(inspect(value)) end

--- Whether a name is that of a field.
function child_fields.is_known(name) return known[name] == true end

--- What to say of a name that is none.
function child_fields.unknown(name, value)
  local field = meant(name)
  return string.format("unknown field %s = %s%s; %s", tostring(name), shown(value),
    field and ", perhaps " .. field or "", THOSE)
end

--- Raise when a specification has a field that is misspelt, or what a start function gives in place of that function.
-- @param spec from child_spec.expand: whatever the user gave
-- @param fname the user's function
-- @param index number of the argument
function child_fields.check(spec, fname, index)
  if type(spec) ~= "table" then return end
  for name, value in next, spec do
    if not known[name] and meant(name) then refuse(fname, index, spec, child_fields.unknown(name, value)) end
  end
  if core.type(spec.start) == "pid" then
    refuse(fname, index, spec,
      "field start: a table {function, arguments...} expected, got a pid: name the function, do not call it")
  end
end

--- The same of a sequence of them, which is no specification itself.
function child_fields.check_all(children, specs, fname)
  if children.strategy ~= nil then
    core.argument_error(fname, 1, "the options stand beside the children: ({...}, {strategy = ...})")
  elseif children.start ~= nil then
    refuse(fname, 1, children, "a sequence of children expected, got one child: put it into braces")
  end
  for i = 1, #specs do child_fields.check(specs[i], fname, 1) end
end

return child_fields

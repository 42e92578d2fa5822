--- Choosing among all that is registered, by clauses over {key, pid, value}.
-- @module moonbeam.registry.select

local core = require "moonbeam.core"
local check = require "moonbeam.internal.check"

local choose, type, unpack = core.choose, type, table.unpack

local select = {}

local function matcher_of(clauses, fname)
  if type(clauses) == "table" and clauses.after ~= nil then
    core.argument_error(fname, 2, "clauses for values have no after: nothing is waited for")
  end
  return check.renaming({"#1 to 'matcher'", "#2 to '" .. fname .. "'"}, pcall(core.matcher, clauses))
end

-- The entries are read, then matched: the table is locked by nobody meanwhile.
local function each(reg, clauses, fname)
  local matcher = matcher_of(clauses, fname)
  local entries, i = core.registry_entries(reg, fname), 0
  local function next_match(entry, a, b, c, body, count)
    if count then return entry, a, b, c, body, count end
    i = i + 1
    entry = entries[i]
    if entry == nil then return nil end
    return next_match(entry, choose(matcher, nil, entry))
  end
  return next_match
end

-- What one match gives.
local function result(a, b, c, body, count)
  local values = count < 4 and {a, b, c} or a
  if body then return (core.call_user(body, unpack(values, 1, count))) end
  if count == 1 then return a end
  return values
end

--- See Registry.select.
function select.all(reg, clauses)
  local next_match = each(reg, clauses, "Registry.select")
  local results, n, holes = {}, 0, false
  local entry, a, b, c, body, count = next_match()
  while entry do
    n = n + 1
    results[n] = result(a, b, c, body, count)
    holes = holes or results[n] == nil
    entry, a, b, c, body, count = next_match()
  end
  if holes then results.n = n end
  return results
end

--- See Registry.count_select.
function select.count(reg, clauses)
  local next_match, n = each(reg, clauses, "Registry.count_select"), 0
  while next_match() do n = n + 1 end
  return n
end

return select

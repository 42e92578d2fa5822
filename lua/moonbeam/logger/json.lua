--- Events as JSON: one object in one line, whatever is in the event.
--
-- Text that is no UTF-8 has U+FFFD for each byte that fits nowhere; what JSON has no word for is text: pids, functions,
-- infinite numbers. What is large or deep is cut off.
-- @module moonbeam.logger.json

local inspect = require "moonbeam.internal.inspect"
local report = require "moonbeam.logger.report"

local type, tostring = type, tostring

local DEPTH, VALUES = 8, 1000 -- of metadata that are shown

local escapes = {['"'] = '\\"', ["\\"] = "\\\\", ["\b"] = "\\b", ["\f"] = "\\f", ["\n"] = "\\n", ["\r"] = "\\r",
  ["\t"] = "\\t"}

local function escape(c) return escapes[c] or string.format("\\u%04x", string.byte(c)) end

-- With U+FFFD for each byte that is not part of a character.
local function valid(s)
  local _, bad = utf8.len(s)
  if not bad then return s end
  local pieces, from = {}, 1
  while bad do
    pieces[#pieces + 1] = string.sub(s, from, bad - 1)
    from = bad + 1
    _, bad = utf8.len(s, from)
  end
  pieces[#pieces + 1] = string.sub(s, from)
  return table.concat(pieces, "\u{FFFD}")
end

local function quoted(s) return '"' .. string.gsub(valid(s), '[%c"\\]', escape) .. '"' end

local function number(n)
  if math.type(n) == "integer" then return string.format("%d", n) end
  if n ~= n or n == math.huge or n == -math.huge then return quoted(tostring(n)) end
  return (string.gsub(string.format("%.17g", n), ",", "."))
end

local function is_sequence(t)
  local n = #t
  if n == 0 then return false end
  local count = 0
  for _ in next, t do count = count + 1 end
  return count == n
end

local value

local function sequence(t, depth, state)
  local items = {}
  for i, item in ipairs(t) do items[i] = value(item, depth - 1, state) end
  return "[" .. table.concat(items, ",") .. "]"
end

-- In the order of the keys' texts; of two keys with one text the string counts.
local function object(t, depth, state)
  local names, values, items = {}, {}, {}
  for k, v in next, t do
    local name = type(k) == "string" and k or inspect(k)
    if values[name] == nil then names[#names + 1] = name end
    if values[name] == nil or type(k) == "string" then values[name] = v end
  end
  table.sort(names)
  for i, name in ipairs(names) do items[i] = quoted(name) .. ":" .. value(values[name], depth - 1, state) end
  return "{" .. table.concat(items, ",") .. "}"
end

function value(v, depth, state)
  local kind = type(v)
  state.left = state.left - 1
  if kind == "string" then return quoted(v) end
  if kind == "number" then return number(v) end
  if kind == "boolean" then return tostring(v) end
  if kind ~= "table" or depth == 0 or state.left < 0 or debug.getmetatable(v) then return quoted(report.short(v)) end
  return (is_sequence(v) and sequence or object)(v, depth, state)
end

local function time(ms) return os.date("!%Y-%m-%dT%H:%M:%S", ms // 1000) .. string.format(".%03dZ", ms % 1000) end

-- The metadata that is asked for: all of it when nobody has asked.
local function selected(metadata, keys)
  if keys == nil or keys == "all" then return metadata end
  local some = {}
  for _, key in ipairs(keys) do some[key] = metadata[key] end
  return some
end

--- An event as JSON.
-- @param event
-- @param[opt] keys of metadata: a sequence or "all"
-- @return string
return function(event, keys)
  local fields = {'"time":"' .. time(event.time) .. '"', '"level":' .. quoted(event.level),
    '"message":' .. quoted(event.message)}
  if event.pid then fields[#fields + 1] = '"pid":' .. quoted(tostring(event.pid)) end
  if event.kind then fields[#fields + 1] = '"kind":' .. quoted(event.kind) end
  fields[#fields + 1] = '"metadata":' .. object(selected(event.metadata, keys), DEPTH, {left = VALUES})
  return "{" .. table.concat(fields, ",") .. "}"
end

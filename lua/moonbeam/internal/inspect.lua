--- Values as text.
-- @module moonbeam.internal.inspect

local core = require "moonbeam.core"

local keywords = {}
for word in string.gmatch([[and break do else elseif end false for function goto if in local nil not or repeat return
  then true until while]], "%a+") do keywords[word] = true end

local escapes = {["\n"] = "\\n", ["\r"] = "\\r", ["\t"] = "\\t", ["\\"] = "\\\\", ['"'] = '\\"'}

local function quote(s)
  s = string.gsub(s, '[%c\127\\"]', function(c) return escapes[c] or string.format("\\%03d", string.byte(c)) end)
  return '"' .. s .. '"'
end

-- Numbers, then strings, then the rest by type and text.
local function before(a, b)
  local ta, tb = type(a), type(b)
  if ta == tb and (ta == "number" or ta == "string") then return a < b end
  if ta == "number" or tb == "number" then return ta == "number" end
  if ta == "string" or tb == "string" then return ta == "string" end
  if ta ~= tb then return ta < tb end
  return tostring(a) < tostring(b)
end

local function function_text(f)
  local info = debug.getinfo(f, "S")
  if info.what == "C" then return "function<C>" end
  return string.format("function<%s:%d>", info.short_src, info.linedefined)
end

-- The text of a value with a __tostring of its own; nil when there is none or it fails. A reason is shown as what it
-- is.
local function own_text(v)
  local mt = getmetatable(v)
  if type(mt) ~= "table" or mt == core.reason_mt or rawget(mt, "__tostring") == nil then return nil end
  local ok, text = pcall(tostring, v)
  return ok and type(text) == "string" and text or nil
end

local render

local function render_key(k, state, depth)
  if type(k) == "string" then
    if string.match(k, "^[%a_][%w_]*$") and not keywords[k] then return k end
    return "[" .. quote(k) .. "]"
  end
  return "[" .. render(k, state, depth, "") .. "]"
end

-- Items on one line while that fits the width that is left, else one a line.
local function layout(items, state, indent)
  local length = 2
  local multiline = false
  for _, item in ipairs(items) do
    length = length + #item + 2
    if string.find(item, "\n", 1, true) then multiline = true end
  end
  if not multiline and #indent + length <= state.width then
    return "{" .. table.concat(items, ", ") .. "}"
  end
  local inner = indent .. "  "
  return "{\n" .. inner .. table.concat(items, ",\n" .. inner) .. "\n" .. indent .. "}"
end

-- What is(fn) or one_of(...) has made.
local function render_pattern(t, mt, state, depth)
  if mt == core.predicate_mt then return "is(" .. render(rawget(t, 1), state, depth + 1, "") .. ")" end
  local items = {}
  for i = 1, rawget(t, "n") do items[i] = render(rawget(t, i), state, depth + 1, "") end
  return "one_of(" .. table.concat(items, ", ") .. ")"
end

-- How a table is read, and a shared one.
local function shared_length(t) return #t end
local function shared_get(t, k) return t[k] end

local function render_table(t, state, depth, indent)
  local length, get, following = rawlen, rawget, next
  if core.is_shared(t) then length, get, following = shared_length, shared_get, core.next_shared end
  if state.open[t] then return "<cycle>" end
  if depth > state.depth or state.budget <= 0 then return "{...}" end
  local mt = getmetatable(t)
  if type(mt) == "table" and rawget(mt, "__module") then pairs(t) end -- loads a module of ours that has not been
  if mt ~= nil and (mt == core.predicate_mt or mt == core.one_of_mt) then return render_pattern(t, mt, state, depth) end
  state.open[t] = true
  local items, n = {}, length(t)
  local inner = indent .. "  "
  for i = 1, n do
    if #items >= state.limit or state.budget <= 0 then break end
    state.budget = state.budget - 1
    items[#items + 1] = render(get(t, i), state, depth + 1, inner)
  end
  local keys = {}
  for k in following, t do
    if not (math.type(k) == "integer" and k >= 1 and k <= n) then keys[#keys + 1] = k end
    if #keys > state.limit then break end
  end
  table.sort(keys, before)
  for _, k in ipairs(keys) do
    state.budget = state.budget - 1
    if #items >= state.limit or state.budget <= 0 then
      items[#items + 1] = "..."
      break
    end
    items[#items + 1] = render_key(k, state, depth + 1) .. " = " ..
      render(get(t, k), state, depth + 1, inner)
  end
  if n > state.limit then items[#items + 1] = "..." end
  state.open[t] = nil
  if #items == 0 then return "{}" end
  return layout(items, state, indent)
end

-- The tables in it need not be told apart from others.
local function render_shared(v, state, depth, indent)
  if state.shared then return render_table(v, state, depth, indent) end
  state.shared = true
  local text = "shared" .. render_table(v, state, depth, indent)
  state.shared = false
  return text
end

function render(v, state, depth, indent)
  local kind = type(v)
  if kind == "string" then
    if #v > state.printable_limit then return quote(string.sub(v, 1, state.printable_limit)) .. "..." end
    return quote(v)
  end
  if kind == "table" then return own_text(v) or render_table(v, state, depth, indent) end
  if kind == "function" then return function_text(v) end
  if kind == "userdata" then
    return own_text(v) or core.is_shared(v) and render_shared(v, state, depth, indent) or tostring(v)
  end
  return tostring(v)
end

-- The options, checked, if a table has one of them at least; else none.
local function options_of(opts)
  if type(opts) ~= "table" then return {} end
  local options = require "moonbeam.internal.options"
  for name in next, opts do
    if options.inspect.rules[name] then return options.check(opts, options.inspect, "inspect", 2) end
  end
  return {}
end

--- See moonbeam.inspect.
local function inspect(value, opts)
  opts = options_of(opts)
  local state = {
    width = opts.width or 80, depth = opts.depth or 30, limit = opts.limit or 1000,
    printable_limit = opts.printable_limit or math.huge, budget = opts.budget or 100000,
    open = {},
  }
  local ok, text = pcall(render, value, state, 1, "")
  return ok and text or "<" .. type(value) .. ">"
end

return inspect

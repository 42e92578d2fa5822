--- What the modules of servers and tasks share: finding a server, checking arguments, failing as Elixir does.
-- @module moonbeam.internal.call

local core = require "moonbeam.core"

local call = {}

--- The module and the term of a via table {"via", Module, term}; raises naming function and argument. A module of
-- such names has whereis_name(term) -> pid | nil, and register_name(term, pid) -> true | nil, pid for what is to be
-- started under one; with send_after(term, message, ms) a timer finds out whom it is for when the time has come.
function call.via(name, fname, index)
  local module = name[2]
  if name[1] == "via" and type(module) == "table" and module.whereis_name then return module, name[3] end
  return core.argument_error(fname, index, 'pid, name or via table {"via", module, term} expected, got another table')
end

--- The pid or name to talk to, for a pid, a name or a via table.
-- @return pid | name | nil when a via name has no holder
function call.resolve(server, fname)
  if type(server) ~= "table" then return server end
  local module, term = call.via(server, fname, 1)
  return module.whereis_name(term)
end

--- A name for what is to be started: nil, a string or a via table; raises naming function and argument.
function call.check_name(name, fname, index)
  if name == nil then return end
  if type(name) == "table" then
    if not call.via(name, fname, index).register_name then
      core.argument_error(fname, index, "the module of the via table has no register_name")
    end
  elseif type(name) ~= "string" then
    core.argument_error(fname, index, "the name is a string or a via table, got " .. core.type(name))
  elseif name == "" or name == "nil" or name == "true" or name == "false" or name == "undefined" then
    core.argument_error(fname, index, string.format("'%s' cannot be a name", name))
  end
end

local owned_mt = {__close = function(owned) core.demonitor(owned.ref, "flush") end}

--- What forgets a reference, with the reply and the DOWN for it, when the scope is left by whatever way:
-- `local _ <close> = call.owned(ref)`.
function call.owned(ref) return setmetatable({ref = ref}, owned_mt) end

--- A timeout argument, with a default for nil; raises naming function and argument.
function call.timeout(ms, default, fname, index)
  if ms == nil then return default end
  if ms == "infinity" or ms == math.huge then return "infinity" end
  if type(ms) == "number" and ms >= 0 and ms % 1 == 0 then return ms end
  return core.argument_error(fname, index,
    'timeout_value: a timeout is an integer >= 0 in ms or "infinity", got ' .. tostring(ms))
end

--- The options of a function that has none so far: refuses all there are.
function call.no_options(opts, fname, index)
  local options = require "moonbeam.internal.options"
  options.check(opts, options.none, fname, index)
end

local MOST_CALLS = 100 -- in a chain of __call: more would be too deep for C

--- Whether a value can be called.
function call.is_callable(fn)
  for _ = 1, MOST_CALLS do
    if type(fn) == "function" then return true end
    local mt = debug.getmetatable(fn)
    if mt == nil then return false end
    fn = rawget(mt, "__call")
  end
  return false
end

--- A function argument; raises naming function and argument.
function call.check_function(fn, fname, index)
  if type(fn) == "function" or call.is_callable(fn) then return fn end
  return core.argument_error(fname, index, "function expected, got " .. core.type(fn))
end

--- The results of a protected call. What it raised is raised with other names: where an argument is packed into another.
-- @param names sequence of patterns and what stands for each
-- @param ok whether the call has succeeded
-- @param ... its results, or what it raised
function call.renaming(names, ok, ...)
  if ok then return ... end
  local e = ...
  if type(e) == "string" then
    for i = 1, #names, 2 do
      local count
      e, count = string.gsub(e, names[i], names[i + 1], 1)
      if count > 0 then break end
    end
  end
  return error(e, 0)
end

--- Whether two reasons say the same, tables by their contents.
function call.same(a, b, depth)
  if a == b then return true end
  depth = depth or 1
  if type(a) ~= "table" or type(b) ~= "table" or depth > 100 then return false end
  for k, v in next, a do
    if not call.same(v, b[k], depth + 1) then return false end
  end
  for k in next, b do
    if a[k] == nil then return false end
  end
  return true
end

--- Whether a reason is an ordinary end: normal, shutdown, {"shutdown", x}.
function call.is_ordinary(reason)
  return reason == "normal" or reason == "shutdown" or
    (type(reason) == "table" and reason[1] == "shutdown" and #reason == 2)
end

--- An xpcall handler that turns what was raised into {reason}: the reason a process would end with.
function call.reason_of(e)
  if core.type(e) == "exit" then return {e.reason == nil and "normal" or e.reason} end
  if e == nil then e = "nil" end
  return {{"error", e, debug.traceback(nil, 2)}}
end

return call

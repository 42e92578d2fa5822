--- Child specifications: what a supervisor may be given, and the child records it keeps of them.
--
-- A record has the fields start, restart and shutdown of its specification; id, where ids matter; and type, modules,
-- significant and backoff only where they differ from "worker", {}, false and none: there may be very many of them. For a module's child
-- it has two more: place, where the module is written; and open, what is decided by the started child, which is a
-- supervisor or not: "type", or "both" type and shutdown.
-- @module moonbeam.supervisor.child_spec

local core = require "moonbeam.core"
local check = require "moonbeam.internal.check"
local backoff = require "moonbeam.supervisor.backoff"
local child_fields = require "moonbeam.supervisor.child_fields"

local getmetatable, setmetatable, type = getmetatable, setmetatable, type

local child_spec = {}

local restarts = {permanent = true, transient = true, temporary = true}

local is_callable, is_natural = check.is_callable, check.is_natural

--- Whether a table is a module of callbacks.
function child_spec.is_module(x) return type(x) == "table" and is_callable(x.init) end

-- The metatable of specifications that are made for a module: whether the child is a supervisor will be seen when it
-- has started.
local made_mt = {__made = true}

local function is_made(spec)
  local mt = getmetatable(spec)
  return type(mt) == "table" and rawget(mt, "__made") == true
end

-- The id of modules without a name.
local NAMELESS = "GenServer"

local function name_of(module)
  local name = module.name
  if type(name) == "string" then return name end
  return core.module_name(module)
end

-- The specification of a module with an argument, and the module when it has no name; nil when the table is no module.
local function of_module(module, arg)
  if type(module) ~= "table" then return nil end
  if is_callable(module.child_spec) then return module.child_spec(arg) end
  local start
  if is_callable(module.start_link) then
    start = {module.start_link, arg}
  elseif child_spec.is_module(module) and type(module.start) ~= "table" then
    start = {require("moonbeam.gen_server.client").start_link, module, arg}
  else
    return nil
  end
  local name = name_of(module)
  return setmetatable({id = name or NAMELESS, start = start}, made_mt), not name and module or nil
end

--- The specification for a specification, a Module or {Module, arg}; what is none of these comes back as it is.
-- @return specification, and the module when its id is that of all modules without a name
function child_spec.expand(x)
  if type(x) ~= "table" then return x end
  local spec, nameless = of_module(x)
  if spec ~= nil then return spec, nameless end
  if x.id == nil and x.start == nil then spec, nameless = of_module(x[1], x[2]) end
  if spec ~= nil then return spec, nameless end
  return x
end

local function nameless_id(n) return n == 1 and NAMELESS or string.format("%s %d", NAMELESS, n) end

--- The specifications for a sequence of such; modules without a name are told apart by a number.
function child_spec.expand_all(children)
  local specs, numbers, count = {}, {}, 0
  for i = 1, #children do
    local spec, nameless = child_spec.expand(children[i])
    if nameless and not numbers[nameless] then
      count = count + 1
      numbers[nameless] = count
    end
    if nameless then spec.id = nameless_id(numbers[nameless]) end
    specs[i] = spec
  end
  return specs
end

--- The id under which a record is to be added: another module without a name may have its own.
-- @param record
-- @param find function from an id to the record that has it, or nil
function child_spec.free_id(record, find)
  local id, n = record.id, 1
  if id ~= NAMELESS or not record.place then return id end
  local other = find(id)
  while other and other.place ~= record.place do
    n = n + 1
    id = nameless_id(n)
    other = find(id)
  end
  return id
end

--- A copy of a specification with some fields changed. An unknown field raises.
function child_spec.override(spec, overrides, fname, index)
  local copy = {}
  for k, v in next, spec do copy[k] = v end
  setmetatable(copy, getmetatable(spec))
  for k, v in next, overrides do
    if not child_fields.is_known(k) then core.argument_error(fname, index, child_fields.unknown(k, v)) end
    copy[k] = v
  end
  return copy
end

-- What is wrong with the fields that every child has; nil when nothing is.
local function fault(spec)
  local start, restart, shutdown, kind, modules = spec.start, spec.restart, spec.shutdown, spec.type, spec.modules
  if type(start) ~= "table" or not is_callable(start[1]) then return {"invalid_mfa", start} end
  if restart ~= nil and not restarts[restart] then return {"invalid_restart_type", restart} end
  if kind ~= nil and kind ~= "worker" and kind ~= "supervisor" then return {"invalid_child_type", kind} end
  if shutdown ~= nil and shutdown ~= "infinity" and shutdown ~= math.huge and shutdown ~= "brutal_kill" and
    not is_natural(shutdown) then
    return {"invalid_shutdown", shutdown}
  end
  if modules ~= nil and type(modules) ~= "table" and modules ~= "dynamic" then return {"invalid_modules", modules} end
  if spec.backoff ~= nil and not backoff.is(spec.backoff) then return {"invalid_backoff", spec.backoff} end
end

-- Where a module is written whose child this is.
local function place_of(start)
  local fn = start[1]
  if fn == require("moonbeam.gen_server.client").start_link then fn = start[2].init end
  if type(fn) ~= "function" then return nil end
  local info = debug.getinfo(fn, "S")
  return string.format("%s:%d", info.source, info.linedefined)
end

local function record(spec, id)
  local shutdown, kind, open, place = spec.shutdown, spec.type, nil, nil
  if is_made(spec) then
    if kind == nil then open = shutdown == nil and "both" or "type" end
    place = id and place_of(spec.start)
  end
  if kind == "worker" then kind = nil end
  if shutdown == nil then shutdown = kind and "infinity" or 5000 end
  if shutdown == math.huge then shutdown = "infinity" end
  return {
    id = id, start = spec.start, restart = spec.restart or "permanent", shutdown = shutdown, type = kind,
    modules = spec.modules, significant = spec.significant or nil, backoff = spec.backoff, open = open, place = place,
  }
end

--- The child of a record with an open field has started: what it is decides.
function child_spec.decide(child, pid)
  local dictionary = core.process_info(pid, "dictionary") -- answered by its scheduler, whatever the process does
  if dictionary and dictionary["$supervisor"] then
    child.type = "supervisor"
    if child.open == "both" then child.shutdown = "infinity" end
  end
  child.open = nil
end

local function significance_fault(spec, auto_shutdown)
  local significant, restart = spec.significant, spec.restart
  if significant == nil or significant == false then return nil end
  if significant ~= true then return {"invalid_significant", significant} end
  if auto_shutdown == "never" then
    return {"bad_combination", {auto_shutdown = "never", significant = true}}
  elseif restart == nil or restart == "permanent" then
    return {"bad_combination", {restart = "permanent", significant = true}}
  end
end

--- The record for a specification.
-- @param spec from `expand`
-- @param auto_shutdown the supervisor's
-- @return record | nil, reason
function child_spec.check(spec, auto_shutdown)
  if type(spec) ~= "table" then return nil, {"invalid_child_spec", spec} end
  if spec.id == nil then return nil, "missing_id" end
  if spec.start == nil then return nil, "missing_start" end
  local reason = fault(spec) or significance_fault(spec, auto_shutdown)
  if reason then return nil, reason end
  return record(spec, spec.id)
end

-- Whether a table is a record already.
local function is_record(x) return x.restart ~= nil and x.shutdown ~= nil and x.id == nil and fault(x) == nil end

--- The record for a specification whose id does not matter.
-- @param spec from `expand`, or a record
-- @return record | nil, reason
function child_spec.check_dynamic(spec)
  if type(spec) == "table" and is_record(spec) then return spec end
  if type(spec) ~= "table" or spec.id == nil or type(spec.start) ~= "table" then
    return nil, {"invalid_child_spec", spec}
  end
  local reason = fault(spec)
  if reason then return nil, reason end
  return record(spec)
end

--- The child, a temporary one, has been started: the arguments are never used again. The function stays, for reports.
function child_spec.let_go(child) child.start = child.start[1] end

return child_spec

--- Child specifications: what a supervisor may be given, and the child records it keeps of them.
--
-- A record has the fields start, restart and shutdown of its specification; id, where ids matter; and type, modules and
-- significant only where they differ from "worker", {} and false: there may be very many of them.
-- @module moonbeam.child_spec

local core = require "moonbeam.core"

local type = type

local child_spec = {}

local restarts = {permanent = true, transient = true, temporary = true}
local keys = {id = true, start = true, restart = true, shutdown = true, type = true, modules = true, significant = true}

local function is_callable(f)
  if type(f) == "function" then return true end
  local mt = getmetatable(f)
  return type(mt) == "table" and mt.__call ~= nil
end

local function is_natural(n) return type(n) == "number" and n >= 0 and n % 1 == 0 and n < math.huge end

--- Whether a table is a module of callbacks.
function child_spec.is_module(x) return type(x) == "table" and is_callable(x.init) end

-- The specification of a module with an argument; nil when the table is no module.
local function of_module(module, arg)
  if type(module) ~= "table" then return nil end
  if is_callable(module.child_spec) then return module.child_spec(arg) end
  if not child_spec.is_module(module) or type(module.start) == "table" then return nil end
  local start_link = require("moonbeam.gen_server").start_link
  return {id = module.name or "GenServer", start = {start_link, module, arg}}
end

--- The specification for a specification, a Module or {Module, arg}; what is none of these comes back as it is.
function child_spec.expand(x)
  if type(x) ~= "table" then return x end
  local spec = of_module(x)
  if spec ~= nil then return spec end
  if x.id == nil and x.start == nil then spec = of_module(x[1], x[2]) end
  if spec ~= nil then return spec end
  return x
end

--- A copy of a specification with some fields changed. An unknown field raises.
function child_spec.override(spec, overrides, fname, index)
  local copy = {}
  for k, v in next, spec do copy[k] = v end
  for k, v in next, overrides do
    if not keys[k] then
      core.argument_error(fname, index,
        ("unknown key '%s' in the overrides of a child specification"):format(tostring(k)))
    end
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
end

local function record(spec, id)
  local shutdown, kind = spec.shutdown, spec.type
  if kind == "worker" then kind = nil end
  if shutdown == nil then shutdown = kind and "infinity" or 5000 end
  if shutdown == math.huge then shutdown = "infinity" end
  return {
    id = id, start = spec.start, restart = spec.restart or "permanent", shutdown = shutdown, type = kind,
    modules = spec.modules, significant = spec.significant or nil,
  }
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

--- The record for a specification whose id does not matter.
-- @param spec from `expand`
-- @return record | nil, reason
function child_spec.check_dynamic(spec)
  if type(spec) ~= "table" or spec.id == nil or type(spec.start) ~= "table" then
    return nil, {"invalid_child_spec", spec}
  end
  local reason = fault(spec)
  if reason then return nil, reason end
  return record(spec)
end

return child_spec

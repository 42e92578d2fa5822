--- What DynamicSupervisor asks its server, for the modules that are built on it, too. These give the name of their own
-- function as the last argument, `user`: whom an error about the arguments names.
-- @module moonbeam.dynamic_supervisor.client

local core = require "moonbeam.core"
local child_fields = require "moonbeam.supervisor.child_fields"
local child_spec = require "moonbeam.supervisor.child_spec"
local gen_client = require "moonbeam.gen_server.client"

local client = {}

--- A request, and its answer.
function client.request(supervisor, name, argument, user)
  return gen_client.call(supervisor, {name, argument}, "infinity", user or "DynamicSupervisor." .. name)
end

--- See DynamicSupervisor.start_child.
function client.start_child(supervisor, spec, user)
  spec = child_spec.expand(spec)
  if not user then child_fields.check(spec, "DynamicSupervisor.start_child", 2) end -- the library's own are right
  local child, reason = child_spec.check_dynamic(spec)
  if child == nil then return nil, core.reason(reason) end
  return client.request(supervisor, "start_child", child, user)
end

--- See DynamicSupervisor.terminate_child.
function client.terminate_child(supervisor, pid, user)
  if core.type(pid) ~= "pid" then
    core.argument_error(user or "DynamicSupervisor.terminate_child", 2, "pid expected, got " .. core.type(pid))
  end
  return client.request(supervisor, "terminate_child", pid, user)
end

return client

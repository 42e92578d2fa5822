--- The supervisor behind moonbeam.partition_supervisor, and how its children are started.
-- @module moonbeam.partition_supervisor.server

local core = require "moonbeam.core"
local Supervisor = require "moonbeam.supervisor"

local server = {}

--- The name under which a partition is registered, which is how it is found from everywhere.
function server.name_of(name, partition) return string.format("%s (partition %d)", name, partition) end

--- Start a partition and name it; a field so that it travels by name.
function server.start_partition(name, fn, ...)
  local pid, second = fn(...)
  if core.type(pid) ~= "pid" then return pid, second end
  if not pcall(core.process_register, pid, name) then
    local own = core.process_info(pid, "registered_name")
    if own ~= nil then -- else it has ended already, which the supervisor will hear of
      local ref = core.monitor(pid)
      core.unlink(pid)
      core.process_exit(pid, "kill")
      core.await(ref)
      return nil, {"already_registered", own}
    end
  end
  return pid, second
end

--- The callback of the supervisor. Its dictionary says how many partitions there are.
function server.init(arg)
  core.process_put("$partitions", #arg.children)
  return Supervisor.init(arg.children, arg.options)
end

return server

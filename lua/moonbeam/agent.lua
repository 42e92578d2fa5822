--- A process that keeps a value. See Elixir's `Agent`.
--
--    local counter = Agent.start_link(function() return 0 end)
--    Agent.update(counter, function(n) return n + 1 end)
--    print(Agent.get(counter))
--
-- The functions given here run in the agent's process, one at a time; they and their results are copied. What takes
-- long is better done by the caller, for the others wait meanwhile. A call that fails exits as GenServer's do, and a
-- function that fails ends the agent. `{Agent, fn}` is a child, a name is the option `name`.
-- @module moonbeam.agent

local check = require "moonbeam.internal.check"
local client = require "moonbeam.gen_server.client"
local callbacks = require "moonbeam.agent.server"
local options = require "moonbeam.internal.options"

local Agent = {}

--- Start an agent whose first state is fn's result. See Elixir's `Agent.start/2`.
-- @param fn function; runs in the agent
-- @param[opt] opts table: name, timeout (ms), hibernate_after (ms), as for GenServer.start
-- @return pid | nil, reason
-- @usage
-- local counter = Agent.start(function() return 0 end)
-- Agent.update(counter, function(n) return n + 1 end)
-- assert(Agent.get(counter) == 1)
function Agent.start(fn, opts)
  check.func(fn, "Agent.start", 1)
  options.check(opts, options.start, "Agent.start", 2)
  return client.start(callbacks, fn, opts, "Agent.start")
end

--- As `start`, linked to the caller. See Elixir's `Agent.start_link/2`.
-- @param fn function
-- @param[opt] opts as for start
-- @return pid | nil, reason
-- @usage
-- local agent = Agent.start_link(function() return {} end, {name = "settings"})
-- assert(Process.whereis("settings") == agent)
function Agent.start_link(fn, opts)
  check.func(fn, "Agent.start_link", 1)
  options.check(opts, options.start, "Agent.start_link", 2)
  return client.start_link(callbacks, fn, opts, "Agent.start_link")
end

--- What fn returns for the state, all results; the state itself without fn. See Elixir's `Agent.get/3`.
-- @param agent pid, name or via table
-- @param[opt] fn function of the state
-- @param[opt=5000] ms
-- @return fn's results
-- @usage
-- local agent = Agent.start(function() return {a = 1} end)
-- assert(Agent.get(agent, function(t) return t.a end) == 1)
function Agent.get(agent, fn, ms)
  if fn ~= nil then check.func(fn, "Agent.get", 2) end
  return client.call(agent, {"get", fn}, ms, "Agent.get")
end

--- Make fn's result the new state; when fn returns nothing at all, the state stays, with what fn changed
-- in it; a warning says so, once, if that is a number, a string or a boolean. See Elixir's `Agent.update/3`.
-- @param agent pid, name or via table
-- @param fn function of the state
-- @param[opt=5000] ms
-- @return true
-- @usage
-- local agent = Agent.start(function() return {} end)
-- Agent.update(agent, function(t) t.a = 1 end)
-- assert(Agent.get(agent).a == 1)
function Agent.update(agent, fn, ms)
  check.func(fn, "Agent.update", 2)
  return client.call(agent, {"update", fn}, ms, "Agent.update")
end

--- fn returns a reply and a new state, both. See Elixir's `Agent.get_and_update/3`.
-- @param agent pid, name or via table
-- @param fn function of the state
-- @param[opt=5000] ms
-- @return the reply
-- @usage
-- local agent = Agent.start(function() return 1 end)
-- assert(Agent.get_and_update(agent, function(n) return n, n + 1 end) == 1)
-- assert(Agent.get(agent) == 2)
function Agent.get_and_update(agent, fn, ms)
  check.func(fn, "Agent.get_and_update", 2)
  return client.call(agent, {"get_and_update", fn}, ms, "Agent.get_and_update")
end

--- As `update`, without waiting. See Elixir's `Agent.cast/2`.
-- @param agent pid, name or via table
-- @param fn function of the state
-- @return true, always
-- @usage
-- local agent = Agent.start(function() return 1 end)
-- Agent.cast(agent, function(n) return n + 1 end)
-- assert(Agent.get(agent) == 2)
function Agent.cast(agent, fn)
  check.func(fn, "Agent.cast", 2)
  return client.cast(agent, fn, "Agent.cast")
end

--- Stop an agent and wait until it is gone. See Elixir's `Agent.stop/3`.
-- @param agent pid, name or via table
-- @param[opt="normal"] reason
-- @param[opt="infinity"] ms
-- @return true
-- @usage assert(Agent.stop(Agent.start(function() return 1 end)))
function Agent.stop(agent, reason, ms) return client.stop(agent, reason, ms, "Agent.stop") end

--- How a supervisor starts an agent. See Elixir's `Agent.child_spec/1`.
-- @param fn function of the first state
-- @return child specification
-- @usage assert(Agent.child_spec(function() return 1 end).id == "Agent")
function Agent.child_spec(fn) return {id = "Agent", start = {Agent.start_link, fn}} end

return Agent

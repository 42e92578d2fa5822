--- A supervisor of children that are started as they are needed. See Elixir's `DynamicSupervisor`.
--
-- It starts empty, restarts one child at a time (one_for_one), and any number of children may have the same
-- specification: they are known by their pids. When it stops, it tells all of them at once.
--
-- A supervisor of one's own is a module with `init(arg)`, which ends with `return DynamicSupervisor.init(options)`, or
-- returns "ignore"; `DynamicSupervisor.start_link(module, arg, {name = ...})` starts it, and so does `{Module,
-- argument}` as a child.
-- @module moonbeam.dynamic_supervisor

local check = require "moonbeam.internal.check"
local child_spec = require "moonbeam.supervisor.child_spec"
local client = require "moonbeam.dynamic_supervisor.client"
local gen_client = require "moonbeam.gen_server.client"
local callbacks = require "moonbeam.dynamic_supervisor.server"
local options = require "moonbeam.internal.options"
local server = require "moonbeam.gen_server.server"

local DynamicSupervisor = {}

-- Their values are checked by the supervisor itself, which stops with what is wrong.
local init_options = options.of{"max_children", "max_restarts", "max_seconds", "extra_arguments", "strategy"}
local start_options = options.of{
  {"name", options.name}, "max_children", "max_restarts", "max_seconds", "extra_arguments", "strategy",
}

-- What a refusal says of the server's argument, and what it is.
local argument_names = {
  '#1( of .-: field ")options%.', "#1%1", '#1( of .-: field ")module%.', "#1%1",
  '#1( of .-:) field "arg",', "#2%1", '#1( of .-:) field "arg"', "#2%1 it", '#1( of .-: field ")arg%.?', "#2%1",
}

--- Start a dynamic supervisor, linked to the caller. See Elixir's `DynamicSupervisor.start_link/1`.
-- `start_link(module, arg, {name = ...})` starts one of your own, whose options are what module.init(arg) returns.
-- @param[opt] opts table: name, max_children ("infinity"), max_restarts (3) within max_seconds (5): one restart more
-- and it stops with "shutdown", extra_arguments (a sequence, put before those of every child's start function),
-- strategy ("one_for_one", the only one); or the module
-- @param[opt] arg for the module's init
-- @param[opt] of_module table, for a module: name
-- @return pid | nil, reason
-- @usage
-- local sup = DynamicSupervisor.start_link{max_children = 1}
-- assert(DynamicSupervisor.start_child(sup, {Agent, function() return 1 end}))
-- assert(select(2, DynamicSupervisor.start_child(sup, {Agent, function() return 2 end})) == "max_children")
function DynamicSupervisor.start_link(opts, arg, of_module)
  local argument
  if child_spec.is_module(opts) then
    argument = {module = opts, arg = arg}
    opts = options.check(of_module, options.only_name, "DynamicSupervisor.start_link", 3)
  else
    opts = options.check(opts, start_options, "DynamicSupervisor.start_link", 1)
    argument = {options = opts}
  end
  return check.renaming(argument_names, pcall(gen_client.start_link, callbacks, argument, {name = opts.name},
    "DynamicSupervisor.start_link"))
end

--- The results for the init of a module that is a dynamic supervisor. See Elixir's `DynamicSupervisor.init/1`.
-- @param[opt] opts as for start_link, but for the name
-- @return "ok", options
-- @usage
-- local Rooms = {}
-- function Rooms.init(most) return DynamicSupervisor.init{max_children = most} end
-- local sup = DynamicSupervisor.start_link(Rooms, 10, {name = "rooms"})
-- assert(DynamicSupervisor.count_children("rooms").specs == 0)
function DynamicSupervisor.init(opts)
  opts = options.check(opts, init_options, "DynamicSupervisor.init", 1)
  return "ok", server.become(opts, "moonbeam.dynamic_supervisor.server")
end

--- Start a child. See Elixir's `DynamicSupervisor.start_child/2`.
-- The start function runs in the supervisor, after its extra_arguments those of the specification; it and the arguments
-- are copied.
-- @function start_child
-- @param supervisor pid, name or via table
-- @param spec child specification, Module or {Module, arg}; its id is not used
-- @return pid [, info] as the start function | "ignore" | nil, reason: "max_children", what the start function gave,
-- {"invalid_child_spec", spec} and the like
-- @usage
-- local sup = DynamicSupervisor.start_link()
-- local agent = DynamicSupervisor.start_child(sup, {Agent, function() return 42 end})
-- assert(Agent.get(agent) == 42)
DynamicSupervisor.start_child = client.start_child

--- Stop a child, by its shutdown option, and forget it. See Elixir's `DynamicSupervisor.terminate_child/2`.
-- @function terminate_child
-- @param supervisor pid, name or via table
-- @param pid the child's
-- @return true when it is gone | nil, "not_found"
-- @usage
-- local sup = DynamicSupervisor.start_link()
-- local agent = DynamicSupervisor.start_child(sup, {Agent, function() return 42 end})
-- assert(DynamicSupervisor.terminate_child(sup, agent) and not Process.alive(agent))
DynamicSupervisor.terminate_child = client.terminate_child

--- The children, newest first. See Elixir's `DynamicSupervisor.which_children/1`.
-- @param supervisor pid, name or via table
-- @return sequence of {"undefined", pid | "restarting", type, modules}
-- @usage assert(#DynamicSupervisor.which_children(DynamicSupervisor.start_link()) == 0)
function DynamicSupervisor.which_children(supervisor) return client.request(supervisor, "which_children") end

--- How many children there are. See Elixir's `DynamicSupervisor.count_children/1`.
-- @param supervisor pid, name or via table
-- @return table: specs (all), active (not waiting for a restart), supervisors, workers
-- @usage assert(DynamicSupervisor.count_children(DynamicSupervisor.start_link()).active == 0)
function DynamicSupervisor.count_children(supervisor) return client.request(supervisor, "count_children") end

--- Stop a supervisor and its children; they are told "shutdown", whatever the reason. See Elixir's
-- `DynamicSupervisor.stop/3`.
-- @param supervisor pid, name or via table
-- @param[opt="normal"] reason
-- @param[opt="infinity"] ms
-- @return true when it is gone
-- @usage assert(DynamicSupervisor.stop(DynamicSupervisor.start_link()))
function DynamicSupervisor.stop(supervisor, reason, ms)
  return gen_client.stop(supervisor, reason, ms, "DynamicSupervisor.stop")
end

--- How a supervisor starts a dynamic supervisor. See Elixir's `DynamicSupervisor.child_spec/1`.
-- @param[opt] opts as for start_link
-- @return child specification
-- @usage assert(DynamicSupervisor.child_spec{name = "rooms"}.id == "rooms")
function DynamicSupervisor.child_spec(opts)
  local name = options.check(opts, start_options, "DynamicSupervisor.child_spec", 1).name
  return {id = name or "DynamicSupervisor", start = {DynamicSupervisor.start_link, opts}, type = "supervisor"}
end

return DynamicSupervisor

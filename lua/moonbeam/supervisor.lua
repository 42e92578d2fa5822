--- A process that starts others, its children, restarts them when they end, and stops them in order. See Elixir's
-- `Supervisor`.
--
-- A child is
--
--    {id =, start = {fn, arguments...},      start returns a linked process's pid, as the start_link functions do
--     restart = "permanent"                  restarted whatever it ended with; "transient": unless that was normal,
--                                            shutdown or {"shutdown", x}; "temporary": never, and forgotten
--     shutdown = 5000                        told "shutdown", killed when it is not gone after so many ms;
--                                            "infinity": waited for (a supervisor's default); "brutal_kill": killed
--     type = "worker" | "supervisor", significant = false,
--     backoff = {100, 30000}}                how long to wait before a restart: the first number of ms, twice as long
--                                            each time, the second at most, and again the first when it has run for
--                                            longer than that; without, it is restarted at once
--
-- or Module, or {Module, argument}, where Module.child_spec(argument) gives one; or else the child is what
-- Module.start_link(argument) starts, or, in a module without, GenServer.start_link(Module, argument): its id is the
-- module's field `name`, or the name by which `require` knows it, or "GenServer" ("GenServer 2" where there is one
-- already). A supervisor of one's own is a module with `init(arg)` that ends with
-- `return Supervisor.init(children, options)`, or returns "ignore"; `Supervisor.start_link(module, arg, {name = ...})`
-- starts it, and so does `{Module, argument}` as a child, which is of the type "supervisor" then.
--
-- The start functions run in the supervisor, one after the other; they and their arguments are copied once.
-- @module moonbeam.supervisor

local core = require "moonbeam.core"
local check = require "moonbeam.internal.check"
local child_fields = require "moonbeam.supervisor.child_fields"
local child_spec = require "moonbeam.supervisor.child_spec"
local client = require "moonbeam.gen_server.client"
local callbacks = require "moonbeam.supervisor.server"
local options = require "moonbeam.internal.options"
local server = require "moonbeam.gen_server.server"

local Supervisor = {}

-- Their values are checked by the supervisor itself, which stops with what is wrong.
local init_options = options.of{"strategy", "max_restarts", "max_seconds", "auto_shutdown", needed = true}
local start_options = options.of{
  "strategy", "max_restarts", "max_seconds", "auto_shutdown", {"name", options.name}, needed = true,
}

-- Check arguments 1 and 2 of a function: the children's specifications.
local function expand(children, opts, known, fname)
  if type(children) ~= "table" then
    core.argument_error(fname, 1, "sequence of children expected, got " .. core.type(children))
  end
  local specs = child_spec.expand_all(children)
  child_fields.check_all(children, specs, fname)
  if opts ~= nil then options.check(opts, known, fname, 2) end
  if opts == nil or opts.strategy == nil then
    core.argument_error(fname, 2,
      'the option strategy is missing: {strategy = "one_for_one"}, or "one_for_all" or "rest_for_one"')
  end
  return specs
end

-- What a refusal says of the server's argument, and what it is.
local argument_names = {
  '#1( of .-: field ")children%[', "#1%1[", '#1( of .-: field ")options%.', "#2%1", '#1( of .-: field ")module%.', "#1%1",
  '#1( of .-:) field "arg",', "#2%1", '#1( of .-:) field "arg"', "#2%1 it", '#1( of .-: field ")arg%.?', "#2%1",
}

--- Start a supervisor, linked to the caller, and its children in order. See Elixir's `Supervisor.start_link/2`.
-- `start_link(module, arg, {name = ...})` starts one of your own, whose children and options are what module.init(arg)
-- returns. When a child cannot start, those before it are stopped, and the supervisor stops with
-- {"shutdown", {"failed_to_start_child", id, reason}}, which ends a caller that does not trap exits.
-- @param children sequence; or the module
-- @param opts table: strategy ("one_for_one": the child that ended is restarted; "one_for_all": all are;
-- "rest_for_one": it and those started after it), max_restarts (3) within max_seconds (5): one restart more and it
-- stops with "shutdown", auto_shutdown ("never" | "any_significant" | "all_significant": stop when significant children
-- have ended by themselves), name; or the argument of the module's init
-- @param[opt] of_module table, for a module: name
-- @return pid | nil, reason | "ignore"
-- @usage
-- local sup = Supervisor.start_link({
--   {id = "counter", start = {Agent.start_link, function() return 0 end, {name = "counter"}}},
-- }, {strategy = "one_for_one"})
-- local first = Process.whereis("counter")
-- Process.exit(first, "kill")
-- while Process.whereis("counter") == nil or Process.whereis("counter") == first do sleep(1) end
-- assert(Agent.get("counter") == 0)
-- Supervisor.stop(sup)
function Supervisor.start_link(children, opts, of_module)
  local argument
  if child_spec.is_module(children) then
    argument = {module = children, arg = opts}
    opts = options.check(of_module, options.only_name, "Supervisor.start_link", 3)
  else
    argument = {children = expand(children, opts, start_options, "Supervisor.start_link"), options = opts}
  end
  return check.renaming(argument_names, pcall(client.start_link, callbacks, argument, {name = opts.name},
    "Supervisor.start_link"))
end

--- The results for the init of a module that is a supervisor. See Elixir's `Supervisor.init/2`.
-- @param children sequence
-- @param opts as for start_link, but for the name
-- @return "ok", options, children
-- @usage
-- local Pair = {}
-- function Pair.init(n)
--   return Supervisor.init({{Agent, function() return n end}}, {strategy = "one_for_one"})
-- end
-- local sup = Supervisor.start_link(Pair, 5, {name = "pair"})
-- assert(Agent.get(Supervisor.which_children("pair")[1][2]) == 5)
function Supervisor.init(children, opts)
  local specs = expand(children, opts, init_options, "Supervisor.init")
  return "ok", server.become(opts, "moonbeam.supervisor.server"), specs
end

local function request(supervisor, name, ...)
  return client.call(supervisor, {name, ...}, "infinity", "Supervisor." .. name)
end

-- A start's results: a reason has its text.
local function answered(pid, ...)
  if pid == nil then return nil, core.reason((...)) end
  return pid, ...
end

--- Add a child at the end and start it. See Elixir's `Supervisor.start_child/2`.
-- @param supervisor pid, name or via table
-- @param spec child
-- @return pid [, info] as the start function | "undefined" when that says "ignore" | nil, reason: {"already_started",
-- pid}, "already_present", {reason, spec} when the start function failed, or what is wrong with spec
-- @usage
-- local sup = Supervisor.start_link({}, {strategy = "one_for_one"})
-- local agent = Supervisor.start_child(sup, {Agent, function() return 42 end})
-- assert(Agent.get(agent) == 42)
function Supervisor.start_child(supervisor, spec)
  spec = child_spec.expand(spec)
  child_fields.check(spec, "Supervisor.start_child", 2)
  return answered(request(supervisor, "start_child", spec))
end

--- Stop a child. Its specification stays, unless it is temporary. See Elixir's `Supervisor.terminate_child/2`.
-- @param supervisor pid, name or via table
-- @param id the child's
-- @return true when it is gone | nil, "not_found"
-- @usage
-- local sup = Supervisor.start_link({{Agent, function() return 42 end}}, {strategy = "one_for_one"})
-- assert(Supervisor.terminate_child(sup, "Agent"))
-- assert(Supervisor.which_children(sup)[1][2] == "undefined")
function Supervisor.terminate_child(supervisor, id) return request(supervisor, "terminate_child", id) end

--- Start a child again that was stopped or has ended. See Elixir's `Supervisor.restart_child/2`.
-- @param supervisor pid, name or via table
-- @param id the child's
-- @return pid [, info] | "undefined" when the start function says "ignore" | nil, reason: "running", "restarting",
-- "not_found", or why it failed
-- @usage
-- local sup = Supervisor.start_link({{Agent, function() return 42 end}}, {strategy = "one_for_one"})
-- Supervisor.terminate_child(sup, "Agent")
-- assert(Agent.get(Supervisor.restart_child(sup, "Agent")) == 42)
function Supervisor.restart_child(supervisor, id) return request(supervisor, "restart_child", id) end

--- Forget a child that was stopped or has ended. See Elixir's `Supervisor.delete_child/2`.
-- @param supervisor pid, name or via table
-- @param id the child's
-- @return true | nil, reason: "running", "restarting", "not_found"
-- @usage
-- local sup = Supervisor.start_link({{Agent, function() return 42 end}}, {strategy = "one_for_one"})
-- assert(select(2, Supervisor.delete_child(sup, "Agent")) == "running")
-- Supervisor.terminate_child(sup, "Agent")
-- assert(Supervisor.delete_child(sup, "Agent"))
function Supervisor.delete_child(supervisor, id) return request(supervisor, "delete_child", id) end

--- The children, newest first. See Elixir's `Supervisor.which_children/1`.
-- @param supervisor pid, name or via table
-- @return sequence of {id, pid | "undefined" | "restarting", type, modules}
-- @usage
-- local sup = Supervisor.start_link({{Agent, function() return 42 end}}, {strategy = "one_for_one"})
-- local child = Supervisor.which_children(sup)[1]
-- assert(child[1] == "Agent" and Agent.get(child[2]) == 42 and child[3] == "worker")
function Supervisor.which_children(supervisor) return request(supervisor, "which_children") end

--- How many children there are. See Elixir's `Supervisor.count_children/1`.
-- @param supervisor pid, name or via table
-- @return table: specs (all), active (alive), supervisors, workers
-- @usage
-- local sup = Supervisor.start_link({{Agent, function() return 42 end}}, {strategy = "one_for_one"})
-- assert(Supervisor.count_children(sup).active == 1)
function Supervisor.count_children(supervisor) return request(supervisor, "count_children") end

--- Stop a supervisor and its children, the newest first, each gone before the next is told "shutdown". See Elixir's
-- `Supervisor.stop/3`.
-- @param supervisor pid, name or via table
-- @param[opt="normal"] reason the supervisor's own
-- @param[opt="infinity"] ms
-- @return true when it is gone
-- @usage assert(Supervisor.stop(Supervisor.start_link({}, {strategy = "one_for_one"})))
function Supervisor.stop(supervisor, reason, ms)
  return client.stop(supervisor, reason, ms, "Supervisor.stop")
end

-- {children, options}, the arguments of start_link, as the argument of the module Supervisor.
local function is_arguments(x)
  return type(x) == "table" and type(x[1]) == "table" and type(x[2]) == "table" and x[2].strategy ~= nil
end

--- The specification of a child: of a module or {module, argument}, of a supervisor's {children, options}, or a copy of
-- a specification; with some fields changed. See Elixir's `Supervisor.child_spec/2`.
-- @param x child, or {children, options}
-- @param[opt] overrides table of fields
-- @return child specification
-- @usage
-- local spec = Supervisor.child_spec({Agent, function() return 1 end}, {id = "one", restart = "transient"})
-- assert(spec.id == "one" and spec.restart == "transient")
-- local nested = {Supervisor, {{spec}, {strategy = "one_for_all", name = "inner"}}}
-- Supervisor.start_link({nested}, {strategy = "one_for_one"})
-- assert(Supervisor.count_children("inner").active == 1)
function Supervisor.child_spec(x, overrides)
  local spec
  if is_arguments(x) then
    spec = {id = x[2].name or "Supervisor", start = {Supervisor.start_link, x[1], x[2]}, type = "supervisor"}
  else
    spec = child_spec.expand(x)
  end
  if type(spec) ~= "table" then
    core.argument_error("Supervisor.child_spec", 1,
      "child specification, module or {module, argument} expected, got " .. core.type(x))
  end
  if overrides ~= nil and type(overrides) ~= "table" then
    core.argument_error("Supervisor.child_spec", 2, "table of fields expected, got " .. core.type(overrides))
  end
  return child_spec.override(spec, overrides or {}, "Supervisor.child_spec", 2)
end

return Supervisor

--- State machines: servers whose state decides how an event is handled. See Erlang's `gen_statem`.
--
-- A machine is a table of callbacks, with a function for each state:
--
--    init(arg)                              -> "ok", state, data [, actions] | "ignore" | "stop", reason | "error", reason
--    STATE(event_type, event, data)         -> results, see below; STATE is the state's name
--    terminate(reason, state, data)
--    code_change(old, state, data, extra)   -> "ok", state, data | "error", reason; see GenServer.reload
--    format_status(status)                  -> status: a table with state, data, message and reason, as reports show them
--    callback_mode                          a word, a sequence of words, or a function that gives them: "state_functions";
--                                           "handle_event_function": one function
--                                           handle_event(event_type, event, state, data) for all states, which may be any
--                                           values then; "state_enter": a state's function is also called with the type
--                                           "enter" and the state before when the machine comes into the state, at the start
--                                           too. Left out: "state_functions", or the other where there is a handle_event
--
-- event_type is {"call", from}, "cast", "info" (any other message), "internal", "timeout", "state_timeout",
-- {"timeout", name} or "enter". A state's function returns
--
--    "next_state", state, data [, actions]
--    "keep_state", data [, actions] | "keep_state_and_data" [, actions]
--    "repeat_state", data [, actions] | "repeat_state_and_data" [, actions]   as keep_state, and the state is entered anew
--    "stop" [, reason [, data]] | "stop_and_reply", reason, replies [, data]
--
-- and actions are one of these, or a sequence of them:
--
--    {"reply", from, value}
--    "postpone"                        the event comes again when the state has changed, before those that wait
--    {"next_event", type, event}       comes next, before those that wait; several come in their order
--    {"state_timeout", ms, event}      comes after ms, unless the state changes before
--    {"timeout", ms, event}, or ms     comes after ms, unless any event comes before
--    {{"timeout", name}, ms, event}    comes after ms; a machine may have many
--    "hibernate"                       as for servers
--
-- A timeout that is begun again begins anew; the time "infinity", or {type, "cancel"}, takes it away, and
-- {type, "update", event} gives it another event. One of 0 ms comes before any message, but behind inserted and
-- postponed events. When a state is entered, the function may do all of that but change the state, postpone and insert
-- events. Other results stop the machine with {"bad_return_from_state_function", v}, and so on.
--
-- A machine is a server: GenServer's functions about servers take one, and {StateMachine, {module, arg, opts}} is a child.
-- @module moonbeam.state_machine

local core = require "moonbeam.core"
local actions = require "moonbeam.state_machine.actions"
local blame = require "moonbeam.gen_server.blame"
local callbacks = require "moonbeam.state_machine.server"
local check = require "moonbeam.internal.check"
local client = require "moonbeam.gen_server.client"
local options = require "moonbeam.internal.options"

local StateMachine = {}

-- What a refusal says of the server's argument, and what it is.
local argument_names = {
  '#1( of .-:) field "%[2%]",', "#2%1", '#1( of .-:) field "%[2%]"', "#2%1 it", '#1( of .-: field ")%[2%]%.?', "#2%1",
  '#1( of .-: field ")%[1%]%.?', "#1%1",
}

-- What the callbacks are given, but for the functions of states.
local parameters = {
  init = {"arg"}, handle_event = {"event_type", "event", "state", "data"}, terminate = {"reason", "state", "data"},
  code_change = {"old", "state", "data", "extra"},
}

local function start(how, fname, module, arg, opts)
  if type(module) ~= "table" then
    core.argument_error(fname, 1, "table of callbacks expected, got " .. core.type(module))
  end
  blame.check(module, fname, parameters)
  opts = options.check(opts, options.start, fname, 3)
  return check.renaming(argument_names, pcall(how, callbacks, {module, arg, opts.name}, opts, fname))
end

--- Start a machine; returns when its init has. See Erlang's `gen_statem:start/3,4`.
-- The module and the argument are copied.
-- @param module table of callbacks
-- @param arg for init
-- @param[opt] opts as for GenServer.start: name, timeout, hibernate_after
-- @return pid | nil, reason | "ignore"
-- @usage
-- local Switch = {}
-- function Switch.init() return "ok", "off", 0 end
-- function Switch.off(_, event, count)
--   if event == "push" then return "next_state", "on", count + 1 end
--   return "keep_state_and_data"
-- end
-- function Switch.on(kind, event, count)
--   if event == "push" then return "next_state", "off", count end
--   return "keep_state_and_data", {"reply", kind[2], count}
-- end
-- local switch = StateMachine.start(Switch)
-- StateMachine.cast(switch, "push")
-- assert(StateMachine.call(switch, "count") == 1)
function StateMachine.start(module, arg, opts)
  return start(client.start, "StateMachine.start", module, arg, opts)
end

--- As `start`, linked to the caller, who is the machine's parent. See Erlang's `gen_statem:start_link/3,4`.
-- @param module table of callbacks
-- @param arg for init
-- @param[opt] opts as for start
-- @return as start
-- @usage
-- local Door = {callback_mode = {"state_functions", "state_enter"}}
-- function Door.init() return "ok", "closed", nil end
-- function Door.closed(kind, event)
--   if kind == "cast" and event == "open" then return "next_state", "open", nil end
--   return "keep_state_and_data"
-- end
-- function Door.open(kind)
--   if kind == "enter" then return "keep_state_and_data", {"state_timeout", 10, "close"} end
--   if kind == "state_timeout" then return "next_state", "closed", nil end
--   return "keep_state_and_data", "postpone"
-- end
-- StateMachine.start_link(Door, nil, {name = "door"})
-- StateMachine.cast("door", "open")
-- while GenServer.get_state("door")[1] ~= "closed" do sleep(1) end -- it closes by itself
function StateMachine.start_link(module, arg, opts)
  return start(client.start_link, "StateMachine.start_link", module, arg, opts)
end

--- Send an event and wait for a reply. See Erlang's `gen_statem:call/2,3`; it waits for ever unless told otherwise.
-- Exits as GenServer.call does.
-- @param machine pid, name or via table
-- @param event any value; copied
-- @param[opt="infinity"] ms integer >= 0 or "infinity"
-- @return the reply
-- @usage
-- local M = {}
-- function M.init() return "ok", "only", 5 end
-- function M.only(kind, event, data) return "keep_state_and_data", {"reply", kind[2], data * event} end
-- assert(StateMachine.call(StateMachine.start(M), 3) == 15)
function StateMachine.call(machine, event, ms)
  return client.call(machine, event, ms == nil and "infinity" or ms, "StateMachine.call")
end

--- Send an event without waiting. See Erlang's `gen_statem:cast/2`.
-- @param machine pid, name or via table
-- @param event any value; copied
-- @return true, also when there is no such machine
-- @usage assert(StateMachine.cast("nobody", "hello"))
function StateMachine.cast(machine, event) return client.cast(machine, event, "StateMachine.cast") end

--- Answer a call, from any process, or several. See Erlang's `gen_statem:reply/1,2`.
-- @param from what stands in a call's type, {"call", from}; or a sequence of {"reply", from, value}
-- @param value the reply; copied
-- @return true
-- @usage
-- local M = {}
-- function M.init() return "ok", "only", nil end
-- function M.only(kind, event)
--   StateMachine.reply(kind[2], event)
--   return "keep_state_and_data"
-- end
-- assert(StateMachine.call(StateMachine.start(M), "hello") == "hello")
function StateMachine.reply(from, value)
  local first = type(from) == "table" and from[1]
  if type(first) == "table" or first == "reply" then
    actions.reply(from)
    return true
  end
  if core.type(first) ~= "pid" or core.type(from[2]) ~= "reference" then
    core.argument_error("StateMachine.reply", 1, "the from of a call expected, got " .. core.type(from))
  end
  return core.reply(from[1], from[2], value)
end

--- Ask a machine to stop, and wait until it is gone. See Erlang's `gen_statem:stop/1,3`.
-- Its terminate runs. Exits as GenServer.stop does.
-- @param machine pid, name or via table
-- @param[opt="normal"] reason
-- @param[opt="infinity"] ms
-- @return true
-- @usage
-- local M = {}
-- function M.init() return "ok", "only", nil end
-- local machine = StateMachine.start(M)
-- assert(StateMachine.stop(machine) and not Process.alive(machine))
function StateMachine.stop(machine, reason, ms) return client.stop(machine, reason, ms, "StateMachine.stop") end

--- How a supervisor starts a machine. The id is the module's field `name`, or "StateMachine".
-- @param arguments sequence: module, arg, opts
-- @return child specification
-- @usage
-- local M = {name = "machine"}
-- function M.init() return "ok", "only", nil end
-- local sup = Supervisor.start_link({{StateMachine, {M, 5}}}, {strategy = "one_for_one"})
-- assert(Supervisor.which_children(sup)[1][1] == "machine")
function StateMachine.child_spec(arguments)
  local module = type(arguments) == "table" and arguments[1]
  if type(module) ~= "table" then
    core.argument_error("StateMachine.child_spec", 1, "{module, arg, opts} expected, got " .. core.type(arguments))
  end
  local name = rawget(module, "name")
  return {
    id = type(name) == "string" and name or "StateMachine",
    start = {StateMachine.start_link, module, arguments[2], arguments[3]},
  }
end

return StateMachine

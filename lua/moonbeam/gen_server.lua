--- Servers: processes that keep a state and answer requests. See Elixir's `GenServer`.
--
-- A server is a table of callbacks:
--
--    init(arg)                          -> "ok", state [, extra] | "ignore" | "stop", reason | "error", reason
--    handle_call(request, from, state)  -> "reply", value, state [, extra] | "noreply", state [, extra]
--                                        | "stop", reason, value, state | "stop", reason, state
--    handle_cast(request, state), handle_info(message, state), handle_continue(x, state)
--                                       -> "noreply", state [, extra] | "stop", reason, state
--    terminate(reason, state)
--    code_change(old, state, extra)     -> "ok", state | "error", reason; see `reload`
--    format_status(status)              -> status: a table with state, message and reason, as reports show them
--
-- extra is ms (then handle_info("timeout", state) unless a message comes first), "hibernate" (no message is expected
-- soon: the last one is forgotten, and garbage is collected until the next comes) or {"continue", x}. Other results
-- stop the server with {"bad_return_value", v}; the report says which callback of which place that was. The handle_
-- callbacks may be clauses: see `clauses`.
-- @module moonbeam.gen_server

local core = require "moonbeam.core"
local check = require "moonbeam.internal.check"
local clauses = require "moonbeam.gen_server.clauses"
local client = require "moonbeam.gen_server.client"
local multi_call = require "moonbeam.gen_server.multi_call"
local names = require "moonbeam.internal.names"
local reload = require "moonbeam.gen_server.reload"
local requests = require "moonbeam.gen_server.requests"

local type = type

local GenServer = {}

--- Start a server; returns when its init has. See Elixir's `GenServer.start/3`.
-- The module and the argument are copied.
-- @function start
-- @param module table of callbacks
-- @param arg for init
-- @param[opt] opts table: name (string or via), timeout (ms for init; then nil, "timeout"), hibernate_after (ms: a server
-- that has waited so long for a message, and has no timeout of its own, hibernates)
-- @return pid | nil, reason | "ignore"; the reason {"already_started", pid} when the name is taken
-- @usage
-- local Counter = {}
-- function Counter.init(n) return "ok", n end
-- function Counter.handle_call(by, from, n) return "reply", n + by, n + by end
-- local pid = GenServer.start(Counter, 1)
-- assert(GenServer.call(pid, 2) == 3)
GenServer.start = client.start

--- As `start`, linked to the caller, who is the server's parent: a server that traps exits terminates
-- when its parent exits. See Elixir's `GenServer.start_link/3`.
-- @function start_link
-- @param module table of callbacks
-- @param arg for init
-- @param[opt] opts as for start
-- @return as start; a failed start leaves no EXIT message behind
-- @usage
-- local Echo = {}
-- function Echo.init() return "ok", 0 end
-- local pid = GenServer.start_link(Echo, nil, {name = "echo"})
-- assert(GenServer.whereis("echo") == pid)
GenServer.start_link = client.start_link

--- Make callbacks of clauses, as in Elixir the clauses of `handle_call`, `handle_cast`, `handle_info` and
-- `handle_continue` are.
--
-- Those of the four that are tables of clauses, `{pattern, [when = guard,] body}` as for `receive`, become functions;
-- everything else in the table stays. The first clause that matches the request or message is taken. Its body gets what
-- the pattern captures, in order, then from (of handle_call only) and the state; its guard gets the captures and the
-- state. What no clause matches ends the server with an error, or, in handle_info, is logged. Ill-formed clauses raise
-- here.
-- @function clauses
-- @param callbacks table, changed in place
-- @return callbacks
-- @usage
-- local Counter = GenServer.clauses{
--   init = function(n) return "ok", n end,
--   handle_call = {
--     {"get", function(from, n) return "reply", n, n end},
--     {{"add", is.number}, when = function(x, n) return x + n >= 0 end, function(x, from, n)
--       return "reply", n + x, n + x
--     end},
--     {{"add", ignore}, function(from, n) return "reply", "too low", n end},
--   },
--   handle_cast = { {"reset", function() return "noreply", 0 end} },
-- }
-- local pid = GenServer.start(Counter, 1)
-- assert(GenServer.call(pid, {"add", 2}) == 3 and GenServer.call(pid, {"add", -4}) == "too low")
-- GenServer.cast(pid, "reset")
-- assert(GenServer.call(pid, "get") == 0)
GenServer.clauses = clauses

--- Send a request and wait for the reply. See Elixir's `GenServer.call/3`.
-- Exits {reason, {"GenServer", "call", {server, ms}}} when no reply comes: "timeout", "noproc",
-- "calling_self", what the server died of, or a text: the request cannot be made where the server is, since a module
-- that it names cannot be loaded there, say. A late reply never reaches the mailbox.
-- @function call
-- @param server pid, name or via table
-- @param request any value; copied
-- @param[opt=5000] ms integer >= 0 or "infinity"
-- @return the reply
-- @usage
-- local Echo = {}
-- function Echo.init() return "ok", 0 end
-- function Echo.handle_call(request, from, n) return "reply", request, n + 1 end
-- assert(GenServer.call(GenServer.start(Echo), "hello") == "hello")
GenServer.call = client.call

--- Send a request without waiting. See Elixir's `GenServer.cast/2`.
-- @function cast
-- @param server pid, name or via table
-- @param request any value; copied
-- @return true, also when there is no such server
-- @usage
-- local Echo = {}
-- function Echo.init() return "ok", 0 end
-- function Echo.handle_cast(message, n) print(message) return "noreply", n + 1 end
-- local pid = GenServer.start(Echo)
-- GenServer.cast(pid, "hello")
-- GenServer.stop(pid)
GenServer.cast = client.cast

--- Answer a call, from handle_call or later, from any process. See Elixir's `GenServer.reply/2`.
-- @param from what handle_call got
-- @param value the reply; copied
-- @return true, also when nobody waits any more
-- @usage
-- local Echo = {}
-- function Echo.init() return "ok", 0 end
-- function Echo.handle_call(request, from, n)
--   GenServer.reply(from, request)
--   return "noreply", n + 1
-- end
-- assert(GenServer.call(GenServer.start(Echo), "hello") == "hello")
function GenServer.reply(from, value)
  if type(from) ~= "table" then
    core.argument_error("GenServer.reply", 1, "the from of a call expected, got " .. core.type(from))
  end
  return core.reply_to(from[1], from[2], value)
end

--- Ask a server to stop, and wait until it is gone. See Elixir's `GenServer.stop/3`.
-- Its terminate runs. Exits {reason, {"GenServer", "stop", {server, reason, ms}}} when the server was not
-- there, ended for another reason, or is not gone in time (then it is left alone).
-- @function stop
-- @param server pid, name or via table
-- @param[opt="normal"] reason
-- @param[opt="infinity"] ms
-- @return true
-- @usage
-- local Echo = {}
-- function Echo.init() return "ok", 0 end
-- local pid = GenServer.start(Echo)
-- assert(GenServer.stop(pid) and not Process.alive(pid))
GenServer.stop = client.stop

--- The pid behind a pid, a name or a via table; nil when there is none. See Elixir's `GenServer.whereis/1`.
-- @param server
-- @return pid | nil
-- @usage assert(GenServer.whereis("nobody") == nil)
function GenServer.whereis(server)
  local to = names.resolve(server, "GenServer.whereis")
  if type(to) == "string" then return core.process_whereis(to) end
  if server == nil or (to ~= nil and core.type(to) ~= "pid") then
    core.argument_error("GenServer.whereis", 1, "pid, name or via table expected, got " .. core.type(to))
  end
  return to
end

--- Call the servers that have this name on the nodes, and wait for all of them. See Elixir's `GenServer.multi_call/4`.
-- A late reply never reaches the mailbox.
-- @function multi_call
-- @param[opt] nodes sequence of nodes' names; all there are
-- @param name string
-- @param request any value; copied
-- @param[opt="infinity"] ms integer >= 0 or "infinity"
-- @return sequence of {node, reply}; sequence of the nodes without an answer: nobody has the name, it died, or is late
-- @usage
-- local Echo = {}
-- function Echo.init() return "ok", 0 end
-- function Echo.handle_call(request, from, n) return "reply", request, n + 1 end
-- GenServer.start(Echo, nil, {name = "echo"})
-- local replies, bad_nodes = GenServer.multi_call("echo", "hello")
-- assert(replies[1][2] == "hello" and #bad_nodes == 0)
GenServer.multi_call = multi_call.multi_call

--- Send a request to the servers that have this name on the nodes, without waiting. See Elixir's `GenServer.abcast/3`.
-- @function abcast
-- @param[opt] nodes sequence of nodes' names; all there are
-- @param name string
-- @param request any value; copied
-- @return true, also where there is no such server
-- @usage assert(GenServer.abcast("nobody", "hello"))
GenServer.abcast = multi_call.abcast

-- Requests whose responses are waited for later

--- Send a request and go on: the response is taken later, by `wait_response`, `receive_response` or `check_response`, in
-- the same process. See Erlang's `gen_server:send_request/2,4`.
-- A server that is not there, or dies, is a response, too. Whoever takes none finds the messages {ref, reply} and, if the
-- server ends, a DOWN in its mailbox.
-- @function send_request
-- @param server pid, name or via table
-- @param request any value; copied
-- @param[opt] label any value that tells this request from others of the collection
-- @param[opt] reqids a collection, to which the request is added
-- @return request id; with a collection, that
-- @usage
-- local Echo = {}
-- function Echo.init() return "ok", 0 end
-- function Echo.handle_call(request, from, n) return "reply", request, n + 1 end
-- local id = GenServer.send_request(GenServer.start(Echo), "hello")
-- local ok, reply = GenServer.wait_response(id, 1000)
-- assert(ok and reply == "hello")
GenServer.send_request = requests.send

--- Wait for the response to a request, or for the first one of a collection. See Erlang's
-- `gen_server:wait_response/2,3`.
-- A request whose time is up may be waited for again. Raises in another process than that of `send_request`.
-- @function wait_response
-- @param what request id or collection
-- @param[opt="infinity"] ms integer >= 0 or "infinity"
-- @param[opt] delete of a collection only: true takes the request out of it, false leaves it there, though its response has
-- been taken
-- @return true, reply | false, {reason, server} | nil, "timeout" | nil, "no_request" when the collection is empty; from a
-- collection a third one, the label
-- @usage
-- local agents = GenServer.reqids_new()
-- for i = 1, 3 do
--   GenServer.send_request(Agent.start(function() return i * i end), {"get"}, i, agents)
-- end
-- local sum = 0
-- while GenServer.reqids_size(agents) > 0 do
--   local ok, square, i = GenServer.wait_response(agents, 1000, true)
--   assert(ok and square == i * i)
--   sum = sum + square
-- end
-- assert(sum == 14)
GenServer.wait_response = requests.wait

--- As `wait_response`, but what has not come in time is given up, all of a collection: it is dropped when it comes. See
-- Erlang's `gen_server:receive_response/2,3`.
-- @function receive_response
-- @param what request id or collection
-- @param[opt="infinity"] ms integer >= 0 or "infinity"
-- @param[opt] delete as for wait_response
-- @return as wait_response
-- @usage
-- local id = GenServer.send_request("nobody", "hello")
-- local ok, reason = GenServer.receive_response(id)
-- assert(ok == false and reason[1] == "noproc" and reason[2] == "nobody")
GenServer.receive_response = requests.receive

--- Whether a message is the response to a request, or to one of a collection: for who takes messages itself, as
-- handle_info does. See Erlang's `gen_server:check_response/2,3`.
-- @function check_response
-- @param message any value
-- @param what request id or collection
-- @param[opt] delete as for wait_response
-- @return as wait_response | nil, "no_reply" when it is another message
-- @usage
-- local id = GenServer.send_request(Agent.start(function() return 5 end), {"get"})
-- local ok, value = GenServer.check_response(receive(), id)
-- assert(ok and value == 5)
GenServer.check_response = requests.check

--- An empty collection of requests. See Erlang's `gen_server:reqids_new/0`.
-- @function reqids_new
-- @return collection
-- @usage assert(GenServer.reqids_size(GenServer.reqids_new()) == 0)
GenServer.reqids_new = requests.new

--- Add a request to a collection, which is changed. See Erlang's `gen_server:reqids_add/3`.
-- @function reqids_add
-- @param id request id; raises when it is there already
-- @param label any value
-- @param reqids collection
-- @return the collection
-- @usage
-- local id = GenServer.send_request("nobody", 1)
-- local ids = GenServer.reqids_add(id, "first", GenServer.reqids_new())
-- assert(select(3, GenServer.wait_response(ids, 1000, true)) == "first")
GenServer.reqids_add = requests.add

--- How many requests a collection has. See Erlang's `gen_server:reqids_size/1`.
-- @function reqids_size
-- @param reqids collection
-- @return integer
-- @usage assert(GenServer.reqids_size(GenServer.reqids_new()) == 0)
GenServer.reqids_size = requests.size

--- The requests of a collection, in no order. See Erlang's `gen_server:reqids_to_list/1`.
-- @function reqids_to_list
-- @param reqids collection
-- @return sequence of {request id, label}
-- @usage assert(#GenServer.reqids_to_list(GenServer.reqids_new()) == 0)
GenServer.reqids_to_list = requests.to_list

-- Looking into servers

--- A copy of a server's state. See Erlang's `sys:get_state/2`.
-- For debugging: a server's own functions are the way to its state. Raises when the state cannot be copied; exits as
-- `GenServer.call` does.
-- @param server pid, name or via table
-- @param[opt=5000] ms integer >= 0 or "infinity"
-- @return the state
-- @usage
-- local agent = Agent.start(function() return {a = 1} end)
-- assert(GenServer.get_state(agent).a == 1)
function GenServer.get_state(server, ms) return client.system("get_state", server, ms, 2) end

--- Let a server go on with another state. See Erlang's `sys:replace_state/3`.
-- fn runs in the server; when it returns nothing the state stays, with what fn changed in it. When it raises, the state
-- stays and the caller gets the error.
-- @param server pid, name or via table
-- @param fn function from the state to the new one; copied
-- @param[opt=5000] ms
-- @return the new state
-- @usage
-- local agent = Agent.start(function() return 1 end)
-- assert(GenServer.replace_state(agent, function(n) return n + 1 end) == 2)
function GenServer.replace_state(server, fn, ms)
  check.func(fn, "GenServer.replace_state", 2)
  return client.system("replace_state", server, ms, 3, fn)
end

--- What a server is doing: a table with status ("running" | "suspended"), module, name, pid, parent, traced, and state
-- and last_message as the server's format_status shows them. See Erlang's `sys:get_status/2`.
-- @param server pid, name or via table
-- @param[opt=5000] ms
-- @return table
-- @usage assert(GenServer.get_status(Agent.start(function() return 1 end)).status == "running")
function GenServer.get_status(server, ms) return client.system("get_status", server, ms, 2) end

--- Hold a server: it handles nothing but system requests and its parent's exit until `resume`; what comes meanwhile
-- waits. See Erlang's `sys:suspend/2`.
-- @param server pid, name or via table
-- @param[opt=5000] ms
-- @return true
-- @usage
-- local agent = Agent.start(function() return 1 end)
-- GenServer.suspend(agent)
-- local ok = pcall(Agent.get, agent, nil, 10)
-- assert(not ok)
-- GenServer.resume(agent)
-- assert(Agent.get(agent) == 1)
function GenServer.suspend(server, ms) return client.system("suspend", server, ms, 2) end

--- Let a server go on that was suspended. See Erlang's `sys:resume/2`.
-- @param server pid, name or via table
-- @param[opt=5000] ms
-- @return true
-- @usage GenServer.resume(Agent.start(function() return 1 end))
function GenServer.resume(server, ms) return client.system("resume", server, ms, 2) end

--- Log what a server gets and answers, and its new states, whatever the log's level; or stop that. Handlers get each as
-- `metadata.report` with kind = "trace" and event = "call", "cast", "info", "continue", "reply", "state" or "other".
-- See Erlang's `sys:trace/3`.
-- @param server pid, name or via table
-- @param on boolean
-- @param[opt=5000] ms
-- @return true
-- @usage
-- local agent = Agent.start(function() return 1 end, {name = "traced"})
-- GenServer.trace("traced", true)
-- Agent.update(agent, function(n) return n + 1 end) -- [debug] *DBG* "traced" got call ...
-- GenServer.trace("traced", false)
function GenServer.trace(server, on, ms)
  if type(on) ~= "boolean" then
    core.argument_error("GenServer.trace", 2, "boolean expected, got " .. core.type(on))
  end
  return client.system("trace", server, ms, 3, on)
end

--- Load a module anew, on all schedulers, and let its running servers go on with the new code. See Elixir's
-- `c:GenServer.code_change/3` and Erlang's `release_handler`.
--
-- The module's table stays the same and gets the new functions, so whoever holds it calls those. Each server goes on
-- with the old code until, between two messages, it changes over: its state becomes what the new code's
-- code_change(old, state, extra) makes of it; old is the `vsn` field of the old code. A server whose code_change
-- returns "error", reason stops with {"code_change", reason}, and one whose code_change raises with the error: a
-- supervisor starts it with the new code. A module that cannot be loaded changes nothing.
-- @param module the name that require knows, or the module's table
-- @param[opt] extra for code_change
-- @param[opt=5000] ms integer >= 0 or "infinity": how long servers are waited for; those that are late change over
-- later
-- @return how many servers have changed over, and a sequence of {pid, reason} for those that have not | nil, message
-- @usage
-- package.loaded.counter = nil
-- local ok, message = GenServer.reload("counter")
-- assert(ok == nil and message == "module 'counter' is not loaded")
function GenServer.reload(module, extra, ms)
  local name = module
  if type(module) == "table" then name = core.module_name(module) end
  if type(name) ~= "string" then
    core.argument_error("GenServer.reload", 1, "a loaded module's name or table expected, got " .. core.type(module))
  end
  return reload.reload(name, extra, check.timeout(ms, 5000, "GenServer.reload", 3))
end

return GenServer

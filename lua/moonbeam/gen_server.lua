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
-- soon: the last one is forgotten, and garbage is collected until the next comes) or {"continue", x}. Other results stop the
-- server with {"bad_return_value", v}.
-- @module moonbeam.gen_server

local core = require "moonbeam.core"
local call = require "moonbeam.internal.call"
local multi_call = require "moonbeam.gen_server.multi_call"
local options = require "moonbeam.internal.options"
local reload = require "moonbeam.gen_server.reload"
local server = require "moonbeam.gen_server.server"
local sys = require "moonbeam.gen_server.sys"

local core_call, core_cast, core_reply, exit = core.call, core.cast, core.reply, core.exit
local type = type

local GenServer = {}

-- Who has the name of a via table already; a plain name is taken or not when the server itself tries.
local function holder_of(name)
  if type(name) == "table" then return name[2].whereis_name(name[3]) end
end

-- Wait until the half-started server is gone, unless its end is `known`, and leave nothing of it in the
-- caller's mailbox.
local function give_up(pid, ref, linked, known, ...)
  if not known then
    local _, kind = core.await(ref)
    while kind ~= "down" do _, kind = core.await(ref) end
  end
  if linked then
    core.unlink(pid)
    core.flush_exit(pid)
  end
  return ...
end

local function settled(pid, ref, linked, answer, kind, a, b)
  if answer == nil then
    core.unlink(pid)
    core.process_exit(pid, "kill")
    return give_up(pid, ref, linked, false, nil, "timeout")
  elseif kind == "down" then
    return give_up(pid, ref, linked, true, nil, a)
  elseif a == "ok" then
    core.demonitor(ref, "flush")
    return pid
  elseif a == "ignore" then
    return give_up(pid, ref, linked, false, "ignore")
  elseif a == "taken" then
    return give_up(pid, ref, linked, false, nil, {"already_started", b})
  end
  return give_up(pid, ref, linked, false, nil, b)
end

-- Modules that are built on the functions below give their own function's name as the last argument: `user` is whom an
-- error about the arguments names.

-- A server that is being started: closed before it is `settled`, by an error or an interrupt, it is given up.
local starting = {}

function starting.__close(s)
  if s.settled then return end
  core.unlink(s.pid)
  core.process_exit(s.pid, "kill")
  core.demonitor(s.ref, "flush")
  core.flush_exit(s.pid)
end

local function finished(s, ...)
  s.settled = true
  return ...
end

local function start(linked, fname, module, arg, opts, user)
  if type(module) ~= "table" then
    core.argument_error(fname, 1, "table of callbacks expected, got " .. core.type(module))
  end
  opts = options.check(opts, options.start, fname, 3)
  local name = opts.name
  local holder = holder_of(name)
  if holder then return nil, {"already_started", holder} end
  local pid, ref = core.spawn_async(user or fname, linked, server.run, module, arg, name, linked, core.ancestors())
  local s <close> = setmetatable({pid = pid, ref = ref, settled = false}, starting)
  return finished(s, settled(pid, ref, linked, core.await(ref, opts.timeout or "infinity")))
end

--- Start a server; returns when its init has. See Elixir's `GenServer.start/3`.
-- The module and the argument are copied.
-- @param module table of callbacks
-- @param arg for init
-- @param[opt] opts table: name (string or via), timeout (ms for init; then nil, "timeout")
-- @return pid | nil, reason | "ignore"; the reason {"already_started", pid} when the name is taken
-- @usage
-- local Counter = {}
-- function Counter.init(n) return "ok", n end
-- function Counter.handle_call(by, from, n) return "reply", n + by, n + by end
-- local pid = GenServer.start(Counter, 1)
-- assert(GenServer.call(pid, 2) == 3)
function GenServer.start(module, arg, opts, user) return start(false, "GenServer.start", module, arg, opts, user) end

--- As `start`, linked to the caller, who is the server's parent: a server that traps exits terminates
-- when its parent exits. See Elixir's `GenServer.start_link/3`.
-- @param module table of callbacks
-- @param arg for init
-- @param[opt] opts as for start
-- @return as start; a failed start leaves no EXIT message behind
-- @usage
-- local Echo = {}
-- function Echo.init() return "ok", 0 end
-- local pid = GenServer.start_link(Echo, nil, {name = "echo"})
-- assert(GenServer.whereis("echo") == pid)
function GenServer.start_link(module, arg, opts, user)
  return start(true, "GenServer.start_link", module, arg, opts, user)
end

local function fail(function_name, server_, arguments, reason)
  return exit({reason, {"GenServer", function_name, {server_, arguments}}})
end

local function answered(server_, ms, ok, ...)
  if ok then return ... end
  return fail("call", server_, ms, ...)
end

--- Send a request and wait for the reply. See Elixir's `GenServer.call/3`.
-- Exits {reason, {"GenServer", "call", {server, ms}}} when no reply comes: "timeout", "noproc",
-- "calling_self", or what the server died of. A late reply never reaches the mailbox.
-- @param server pid, name or via table
-- @param request any value; copied
-- @param[opt=5000] ms integer >= 0 or "infinity"
-- @return the reply
-- @usage
-- local Echo = {}
-- function Echo.init() return "ok", 0 end
-- function Echo.handle_call(request, from, n) return "reply", request, n + 1 end
-- assert(GenServer.call(GenServer.start(Echo), "hello") == "hello")
function GenServer.call(server_, request, ms, user)
  if ms == nil then ms = 5000 end
  local to = server_
  if type(to) == "table" then
    to = call.resolve(to, user or "GenServer.call")
    if to == nil then return fail("call", server_, ms, "noproc") end
  end
  return answered(server_, ms, core_call(to, request, ms, user))
end

--- Send a request without waiting. See Elixir's `GenServer.cast/2`.
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
function GenServer.cast(server_, request, user)
  if type(server_) == "table" then
    server_ = call.resolve(server_, user or "GenServer.cast")
    if server_ == nil then return true end
  end
  return core_cast(server_, request, user)
end

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
  return core_reply(from[1], from[2], value)
end

--- Ask a server to stop, and wait until it is gone. See Elixir's `GenServer.stop/3`.
-- Its terminate runs. Exits {reason, {"GenServer", "stop", {server, reason, ms}}} when the server was not
-- there, ended for another reason, or is not gone in time (then it is left alone).
-- @param server pid, name or via table
-- @param[opt="normal"] reason
-- @param[opt="infinity"] ms
-- @return true
-- @usage
-- local Echo = {}
-- function Echo.init() return "ok", 0 end
-- local pid = GenServer.start(Echo)
-- assert(GenServer.stop(pid) and not Process.alive(pid))
function GenServer.stop(server_, reason, ms, user)
  user = user or "GenServer.stop"
  if reason == nil then reason = "normal" end
  ms = call.timeout(ms, "infinity", user, 3)
  local to = server_
  if type(to) == "table" then to = call.resolve(to, user) end
  local ended, why = nil, "noproc"
  if to ~= nil or server_ == nil then ended, why = core.system(to, {"terminate", reason}, ms, user) end
  if ended == false and why ~= "timeout" and call.same(why, reason) then return true end
  return exit({why, {"GenServer", "stop", {server_, reason, ms}}})
end

--- The pid behind a pid, a name or a via table; nil when there is none. See Elixir's `GenServer.whereis/1`.
-- @param server
-- @return pid | nil
-- @usage assert(GenServer.whereis("nobody") == nil)
function GenServer.whereis(server_)
  local to = call.resolve(server_, "GenServer.whereis")
  if type(to) == "string" then return core.process_whereis(to) end
  if server_ == nil or (to ~= nil and core.type(to) ~= "pid") then
    core.argument_error("GenServer.whereis", 1, "pid, name or via table expected, got " .. core.type(to))
  end
  return to
end

GenServer.multi_call, GenServer.abcast = multi_call.multi_call, multi_call.abcast
GenServer.get_state, GenServer.replace_state, GenServer.get_status = sys.get_state, sys.replace_state, sys.get_status
GenServer.suspend, GenServer.resume, GenServer.trace = sys.suspend, sys.resume, sys.trace

--- Load a module anew, on all schedulers, and let its running servers go on with the new code. See Elixir's
-- `c:GenServer.code_change/3` and Erlang's `release_handler`.
--
-- The module's table stays the same and gets the new functions, so whoever holds it calls those. Each server goes on with
-- the old code until, between two messages, it changes over: its state becomes what the new code's
-- code_change(old, state, extra) makes of it; old is the `vsn` field of the old code. A server whose code_change returns
-- "error", reason stops with {"code_change", reason}, and one whose code_change raises with the error: a supervisor
-- starts it with the new code. A module that cannot be loaded changes nothing.
-- @param module the name that require knows, or the module's table
-- @param[opt] extra for code_change
-- @param[opt=5000] ms integer >= 0 or "infinity": how long servers are waited for; those that are late change over later
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
  return reload.reload(name, extra, call.timeout(ms, 5000, "GenServer.reload", 3))
end

return GenServer

--- The side of GenServer that asks: starting, calling and stopping servers.
--
-- GenServer's own functions, and those of the modules that are built on it. These give the name of their own function
-- as the last argument, `user`: whom an error about the arguments names.
-- @module moonbeam.gen_server.client

local core = require "moonbeam.core"
local blame = require "moonbeam.gen_server.blame"
local check = require "moonbeam.internal.check"
local names = require "moonbeam.internal.names"
local options = require "moonbeam.internal.options"
local reasons = require "moonbeam.internal.reasons"
local run = require "moonbeam.gen_server.server".run

local core_call, core_cast, exit = core.call, core.cast, core.exit
local type = type

local client = {}

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

-- What a start function gives when it fails: nil and the reason, which is remembered.
local function failed(fname, reason)
  core.start_failed(fname, reason)
  return nil, core.reason(reason)
end

local function settled(fname, pid, ref, linked, answer, kind, a, b)
  if answer == nil then
    core.unlink(pid)
    core.process_exit(pid, "kill")
    return give_up(pid, ref, linked, false, failed(fname, "timeout"))
  elseif kind == "down" then
    return give_up(pid, ref, linked, true, failed(fname, a))
  elseif a == "ok" then
    core.demonitor(ref, "flush")
    return pid
  elseif a == "ignore" then
    return give_up(pid, ref, linked, false, "ignore")
  elseif a == "taken" then
    return give_up(pid, ref, linked, false, failed(fname, {"already_started", b}))
  end
  return give_up(pid, ref, linked, false, failed(fname, b))
end

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
  blame.check(module, user or fname)
  opts = options.check(opts, options.start, fname, 3)
  local name = opts.name
  local holder = holder_of(name)
  if holder then return failed(user or fname, {"already_started", holder}) end
  local pid, ref = core.spawn_async(user or fname, linked, run, user and 2 or 1, module, arg, name, linked,
    core.ancestors(), opts.hibernate_after)
  local s <close> = setmetatable({pid = pid, ref = ref, settled = false}, starting)
  return finished(s, settled(user or fname, pid, ref, linked, core.await(ref, opts.timeout or "infinity")))
end

--- See GenServer.start.
function client.start(module, arg, opts, user) return start(false, "GenServer.start", module, arg, opts, user) end

--- See GenServer.start_link.
function client.start_link(module, arg, opts, user)
  return start(true, "GenServer.start_link", module, arg, opts, user)
end

local function fail(function_name, server, arguments, reason)
  return exit(core.reason{reason, {"GenServer", function_name, {server, arguments}}})
end

local function answered(server, ms, ok, ...)
  if ok then return ... end
  return fail("call", server, ms, ...)
end

--- See GenServer.call.
function client.call(server, request, ms, user)
  if ms == nil then ms = 5000 end
  local to = server
  if type(to) == "table" then
    to = names.resolve(to, user or "GenServer.call")
    if to == nil then return fail("call", server, ms, "noproc") end
  end
  return answered(server, ms, core_call(to, request, ms, user))
end

--- See GenServer.cast.
function client.cast(server, request, user)
  if type(server) == "table" then
    server = names.resolve(server, user or "GenServer.cast")
    if server == nil then return true end
  end
  return core_cast(server, request, user)
end

--- See GenServer.stop.
function client.stop(server, reason, ms, user)
  user = user or "GenServer.stop"
  if reason == nil then reason = "normal" end
  ms = check.timeout(ms, "infinity", user, 3)
  local to = server
  if type(to) == "table" then to = names.resolve(to, user) end
  local ended, why = nil, "noproc"
  if to ~= nil or server == nil then ended, why = core.system(to, {"terminate", reason}, ms, user) end
  if ended == false and why ~= "timeout" and reasons.same(why, reason) then return true end
  return exit(core.reason{why, {"GenServer", "stop", {server, reason, ms}}})
end

local function system_answered(fname, server, ms, arrived, ok, value)
  if not arrived then return fail(fname, server, ms, ok) end
  if ok then return value end
  return core.raise_at_caller(string.format("GenServer.%s: %s", fname, value))
end

--- Ask a server for what its system requests are (sys.lua): its answer.
-- @param fname the function of GenServer, which is also the request
-- @param server pid, name or via table
-- @param ms timeout, 5000 for nil
-- @param index number of that argument
-- @param[opt] argument of the request
function client.system(fname, server, ms, index, argument)
  local full = "GenServer." .. fname
  ms = check.timeout(ms, 5000, full, index)
  local to = server
  if type(to) == "table" then
    to = names.resolve(to, full)
    if to == nil then return fail(fname, server, ms, "noproc") end
  end
  return system_answered(fname, server, ms, core.system(to, {fname, argument}, ms, full))
end

return client

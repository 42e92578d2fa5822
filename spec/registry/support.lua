-- What the specs of Registry share: a registry around a function, and processes that are registered.
local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, spawn = mb.self, mb.send, mb.receive, mb.spawn
local Process, GenServer, Registry = mb.Process, mb.GenServer, mb.Registry

local support = {}

--- Run fn with a registry named "reg" and its pid; the registry is gone afterwards, whatever fn did.
function support.with(keys, fn, options)
  local all = {keys = keys, name = "reg"}
  for k, v in pairs(options or {}) do all[k] = v end
  local ok, e = pcall(fn, assert(Registry.start_link(all)))
  Process.flag("trap_exit", true) -- the test itself may be registered
  if Process.whereis("reg") then GenServer.stop("reg") end
  if not ok then error(e, 0) end
end

--- A process that has registered under each {key, value} and waits; whatever it is told to do, fn(...), it does.
function support.member(...)
  local me = self()
  local pid = spawn(function(...)
    for _, entry in ipairs{...} do assert(Registry.register("reg", entry[1], entry[2])) end
    send(me, {"registered", self()})
    while true do
      local order = receive()
      send(me, {"done", self(), table.pack(order[1](table.unpack(order, 2, order.n)))})
    end
  end, ...)
  helper.await{"registered", pid}
  return pid
end

--- Let a member call fn(...): its results.
function support.ask(pid, fn, ...)
  local order = table.pack(fn, ...)
  send(pid, order)
  local results = helper.await{"done", pid, mb.any}
  return table.unpack(results, 1, results.n)
end

--- End a process and wait until it has ended.
function support.stop(pid, reason)
  local ref = mb.monitor(pid)
  Process.exit(pid, reason or "kill")
  return helper.await{"DOWN", ref, "process", pid, mb.any}
end

return support

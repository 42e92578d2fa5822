-- The workers of the specs about supervisors: servers that say when they start and terminate, and start functions that
-- fail as they are told.
local mb = require "moonbeam"
local helper = require "spec.helper"
local GenServer, Process, send = mb.GenServer, mb.Process, mb.send

local worker = {}

-- A worker's argument: {to =, id =, trap =, hold =, init =}; with hold, terminate waits until it is told "go".
function worker.init(arg)
  if arg.trap then Process.flag("trap_exit", true) end
  if arg.init then return arg.init() end
  send(arg.to, {"start", arg.id, mb.self()})
  return "ok", arg
end

function worker.handle_cast(request, arg)
  if request[1] == "stop" then return "stop", request[2], arg end
  error(request[2], 0)
end

function worker.handle_call(_, _, arg) return "reply", mb.self(), arg end

function worker.terminate(reason, arg)
  send(arg.to, {"term", arg.id, reason, mb.self()})
  if arg.hold then mb.receive{ {"go"} } end
end

--- The specification of a worker that reports to the caller. options: those of the worker's argument, name, and the
-- fields of a child specification.
function worker.spec(id, options)
  local spec, arg = {id = id}, {to = mb.self(), id = id}
  for k, v in pairs(options or {}) do
    if k == "restart" or k == "shutdown" or k == "type" or k == "significant" or k == "start" then
      spec[k] = v
    elseif k ~= "name" then
      arg[k] = v
    end
  end
  spec.start = spec.start or {GenServer.start_link, worker, arg, options and options.name and {name = options.name}}
  return spec
end

--- A start function that says {"try", n} and, at the attempts for which works(n) holds, starts an idle process; else
-- its results are those of otherwise(n). The attempts are counted in the supervisor's dictionary.
function worker.flaky(works, otherwise)
  local me = mb.self()
  return {function()
    local n = Process.get("attempts", 0) + 1
    Process.put("attempts", n)
    send(me, {"try", n})
    if works(n) then return mb.spawn_link(function() mb.receive() end) end
    if otherwise then return otherwise(n) end
    return nil, "no"
  end}
end

--- The next messages as they come: "start a", "term b shutdown", "EXIT reason", "try 3".
function worker.events(count)
  local events = {}
  for i = 1, count do
    local message = mb.receive(helper.patience)
    if message == nil then error("waited in vain after " .. mb.inspect(events), 2) end
    local kind, id, reason = message[1], message[2], message[3]
    local text = kind .. " " .. tostring(kind == "EXIT" and reason or id)
    if kind == "term" then text = text .. " " .. (type(reason) == "string" and reason or mb.inspect(reason)) end
    events[i] = text
  end
  return events
end

--- The pid of a supervisor's child.
function worker.pid(sup, id)
  for _, entry in ipairs(mb.Supervisor.which_children(sup)) do
    if entry[1] == id then return entry[2] end
  end
end

--- Ids and what there is of them, oldest first: "a pid", "b undefined", "c restarting".
function worker.ids(sup)
  local ids = {}
  for _, entry in ipairs(mb.Supervisor.which_children(sup)) do
    table.insert(ids, 1, entry[1] .. " " .. (mb.type(entry[2]) == "pid" and "pid" or entry[2]))
  end
  return ids
end

--- End a worker and wait for its end.
function worker.stop(pid, reason)
  local ref = mb.monitor(pid)
  GenServer.cast(pid, {"stop", reason})
  mb.receive{ {{"DOWN", ref, "process", pid, mb.any}} }
end

--- Send an exit and wait for the end.
function worker.kill(pid, reason)
  local ref = mb.monitor(pid)
  Process.exit(pid, reason)
  mb.receive{ {{"DOWN", ref, "process", pid, mb.any}} }
end

return worker

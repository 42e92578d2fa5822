-- A tour from spawn to servers on the network, each step printed. Run it with `moonbeam examples/tour.lua`.
require("moonbeam").import()

local function title(text) print("\n-- " .. text) end

title("A process computes something and dies")
local pid = spawn(function() return 1 + 2 end)
print("spawned", pid ~= self() and "another process" or "nothing")
local ref = monitor(pid)
receive{ {{"DOWN", ref, "process", pid, any}} }
print("alive?", Process.alive(pid))

title("This script is a process, too")
print("self is alive?", Process.alive(self()))

title("Messages: send and receive")
send(self(), {"hello", "world"})
print(receive{
  {{"hello", any}, function(msg) return msg end},
  {{"world", any}, function() return "won't match" end},
})

title("Waiting no longer than a second")
print(receive{
  {{"hello", any}, function(msg) return msg end},
  after = {1000, function() return "nothing after 1 second" end},
})

title("A child says hello to its parent")
local parent = self()
spawn(function() send(parent, {"hello", self()}) end)
receive{ {{"hello", is.pid}, function(from)
  print("got hello from another process:", from ~= parent)
end} }

title("flush prints what is in the mailbox")
send(self(), "hello")
flush()

title("A crash is logged, and the script lives on")
_, ref = spawn_monitor(function() error("oops") end)
local reason = receive{ {{"DOWN", ref, "process", any, any}, function(_, why) return why end} }
print("it died of", reason[1], reason[2])

title("The same crash, linked and trapped")
Process.flag("trap_exit", true)
local linked = spawn_link(function() error("oops") end)
print("EXIT from the linked process:", receive{ {{"EXIT", linked, any}, function(why) return why[2] end} })
Process.flag("trap_exit", false)

title("Tasks")
local task_pid = Task.start(function() print("a task that nobody waits for") end)
ref = monitor(task_pid)
receive{ {{"DOWN", ref, "process", task_pid, any}} }
task_pid = Task.start_link(function() print("a linked task") end)
ref = monitor(task_pid)
receive{ {{"DOWN", ref, "process", task_pid, any}} }
local task = Task.async(function(n) return n * n end, 12)
print("await gives", Task.await(task))

title("State: a loop that keeps a map")
function loop(map)
  return receive{
    {{"get", any, is.pid}, function(key, caller)
      send(caller, {"value", map[key]})
      return loop(map)
    end},
    {{"put", any, any}, function(key, value)
      map[key] = value
      return loop(map)
    end},
  }
end

local function show(kv)
  send(kv, {"get", "hello", self()})
  local m = receive{ {is.table} }
  print("hello is", inspect(m[2]))
end

local kv = spawn_link(loop, {})
show(kv)
send(kv, {"put", "hello", "world"})
show(kv)

title("The same process by a name")
Process.register(kv, "kv")
show("kv")

title("The same state in an Agent")
local agent = Agent.start_link(function() return {} end)
Agent.update(agent, function(map) map.hello = "world" end)
print("hello is", inspect(Agent.get(agent, function(map) return map.hello end)))
Agent.stop(agent)

title("A server of lines over TCP: an acceptor and a task for each connection, under a supervisor")
local function serve(socket)
  local line = socket:recv("line")
  if not line then return end
  socket:send(line .. "\n")
  return serve(socket)
end

local function accept(listener)
  local socket = listener:accept()
  local child = Task.Supervisor.start_child("connections", function()
    serve((receive{ {{"socket", any, any}} }))
  end)
  socket:give_away(child)
  return accept(listener)
end

local listener = net.listen{"127.0.0.1", 0} -- any port that is free
local supervisor = Supervisor.start_link({
  {Task.Supervisor, {name = "connections"}},
  Supervisor.child_spec({Task, {accept, listener}}, {id = "acceptor", restart = "permanent"}),
}, {strategy = "one_for_one"})

local clients = {}
local function connect() table.insert(clients, (net.connect("127.0.0.1", listener:sockname().port))) end

local function ask(i, text)
  clients[i]:send(text .. "\n")
  print("client " .. i .. " reads", (clients[i]:recv("line")))
end

for _ = 1, 3 do connect() end
for i = 3, 1, -1 do ask(i, "hello from " .. i) end

title("A connection that ends leaves the others alone")
clients[2]:close()
ask(1, "still here")

title("The acceptor is killed: another one takes its place, and connections go on")
Process.exit(Supervisor.which_children(supervisor)[1][2], "kill")
connect()
ask(4, "hello from a new one")
ask(3, "still here")

title("The supervisor stops, and all connections with it")
Supervisor.stop(supervisor)
print("client 1 reads", select(3, clients[1]:recv("line")))

-- Benchmarks, in nanoseconds (bytes for memory), one `name value` a line; each row checks its own answer.
-- bench.exs has the same rows for Elixir, compare.lua runs both.
local mb = require "moonbeam"
local Task, Agent, Process, send, receive, matcher = mb.Task, mb.Agent, mb.Process, mb.send, mb.receive, mb.matcher
local make_ref, any, link, exit = mb.make_ref, mb.any, mb.link, mb.exit
local self, spawn, spawn_monitor, monotonic_time, is = mb.self, mb.spawn, mb.spawn_monitor, mb.monotonic_time, mb.is

local function time(name, n, fn)
  collectgarbage()
  local start = monotonic_time()
  fn(n)
  print(name, (monotonic_time() - start) * 1e6 / n)
end

local function resident()
  local file = assert(io.open("/proc/self/statm"))
  local pages = file:read("a"):match("^%d+ (%d+)")
  file:close()
  return tonumber(pages) * 4096
end

local function echo()
  while true do
    local m = receive()
    if m == "stop" then return end
    send(m[2], "pong")
  end
end

local function ping(pid)
  local me = self()
  return function(n)
    for _ = 1, n do
      send(pid, {"ping", me})
      if receive() ~= "pong" then error("another answer") end
    end
  end
end

local function ping_clause(pid)
  local me = self()
  local pong = matcher{ {"pong"} }
  return function(n)
    for _ = 1, n do
      send(pid, {"ping", me})
      receive(pong)
    end
  end
end

local function clause_echo()
  local loop
  local clauses = matcher{
    {{"ping", is.pid}, function(from)
      send(from, "pong")
      return loop()
    end},
    {"stop", function() end},
  }
  function loop() return receive(clauses) end
  return loop()
end

local function bare_echo()
  while true do
    local m = receive()
    if m == "stop" then return end
    send(m, "pong")
  end
end

local function ping_bare(pid)
  local me = self()
  return function(n)
    for _ = 1, n do
      send(pid, me)
      if receive() ~= "pong" then error("another answer") end
    end
  end
end

local function spawn_die(n)
  local me = self()
  for _ = 1, n // 100 do
    for _ = 1, 99 do spawn(function() return true end) end
    spawn(function() send(me, "done") end)
    assert(receive() == "done")
  end
end

local function spawn_monitored(n)
  for _ = 1, n do
    local _, ref = spawn_monitor(function() return true end)
    local m = receive()
    assert(m[2] == ref and m[5] == "normal")
  end
end

local function fan_in_from(senders)
  return function(n)
    local me = self()
    for _ = 1, senders do
      spawn(function() for i = 1, n // senders do send(me, {"m", i}) end end)
    end
    for _ = 1, n do assert(receive()[1] == "m") end
  end
end

local function tasks(n)
  local list = {}
  for i = 1, n do list[i] = Task.async(function() return i end) end
  return list
end

local function await_many(size)
  return function(n)
    for _ = 1, n // size do
      local results = Task.await_many(tasks(size), "infinity")
      for i = 1, size do assert(results[i] == i) end
    end
  end
end

local function await_in_order(n)
  for i, task in ipairs(tasks(n)) do assert(Task.await(task, "infinity") == i) end
end

local function await_backwards(n)
  local list = tasks(n)
  for i = n, 1, -1 do assert(Task.await(list[i], "infinity") == i) end
end

local function fresh_echo()
  while true do
    local m = receive()
    if m == "stop" then return end
    send(m[1], {m[2], "fresh"})
  end
end

local function receive_fresh(pid)
  local me = self()
  return function(n)
    for _ = 1, n do
      local ref = make_ref()
      send(pid, {me, ref})
      assert(receive{ {{ref, any}} } == "fresh")
    end
  end
end

-- A process that is linked to another one, and fails when it is told anything.
local function link_of(other)
  if other then link(other) end
  receive()
  exit("broken")
end

local function chain_dies(first, ref, last)
  return function()
    send(last, "die")
    local m = receive()
    assert(m[2] == ref and m[3] == "process" and m[4] == first and m[5] == "broken")
  end
end

local function bulk_echo()
  while true do
    local m = receive()
    if m == "stop" then return end
    send(m[1], m[2])
  end
end

-- A list goes there and back: for each item and direction.
local function echo_list(pid, list)
  local request = {self(), list}
  return function(n)
    local back
    for _ = 1, n // (2 * #list) do
      send(pid, request)
      back = receive()
      if #back ~= #list then error("another answer") end
    end
    for i, item in ipairs(list) do
      if type(item) == "table" then
        assert(back[i] ~= item and back[i][1] == item[1] and back[i][2] == item[2])
      else
        assert(back[i] == item)
      end
    end
  end
end

local function main()
  local pid = spawn(echo)
  time("ping_pong", 300000, ping(pid))
  time("ping_pong_clause", 300000, ping_clause(pid))
  local matching = spawn(clause_echo)
  time("ping_pong_clauses", 300000, ping_clause(matching))
  send(matching, "stop")
  local bare = spawn(bare_echo)
  time("ping_pong_bare", 300000, ping_bare(bare))
  send(bare, "stop")
  time("spawn_die", 300000, spawn_die)
  time("spawn_monitor_down", 200000, spawn_monitored)
  local agent = Agent.start(function() return 0 end)
  time("agent_update", 200000, function(n)
    for _ = 1, n do Agent.update(agent, function(s) return s + 1 end) end
  end)
  time("agent_get", 200000, function(n)
    for _ = 1, n do assert(Agent.get(agent, function(s) return s end)) end
  end)
  assert(Agent.get(agent) == 200000)
  time("task", 100000, function(n)
    for i = 1, n do assert(Task.await(Task.async(function() return i end)) == i) end
  end)
  time("fan_in", 500000, fan_in_from(10))
  time("fan_in_one", 500000, fan_in_from(1))
  time("fan_in_100", 1000000, fan_in_from(100))
  time("await_many_100", 100000, await_many(100))
  time("await_many_10000", 100000, await_many(10000))
  time("await_many_100000", 100000, await_many(100000))
  time("await_in_order", 10000, await_in_order)
  time("await_backwards", 10000, await_backwards)
  local fresh = spawn(fresh_echo)
  for i = 1, 10000 do send(self(), {"old", i}) end
  time("receive_fresh", 100000, receive_fresh(fresh))
  send(fresh, "stop")
  for i = 1, 10000 do assert(receive()[2] == i) end
  local first, ref = spawn_monitor(link_of)
  local last = first
  for _ = 2, 50000 do last = spawn(link_of, last) end
  while Process.info(last, "status") ~= "waiting" do mb.sleep(1) end
  time("chain_dies", 50000, chain_dies(first, ref, last))
  local texts, rows = {}, {}
  for i = 1, 1000 do
    texts[i] = "text " .. i
    rows[i] = {i, texts[i]}
  end
  local bulk = spawn(bulk_echo)
  time("echo_pair", 2000000, echo_list(bulk, rows))
  time("echo_text", 2000000, echo_list(bulk, texts))
  send(bulk, "stop")
  collectgarbage()
  local before = resident()
  local pids = {}
  local me = self()
  for i = 1, 200000 do pids[i] = spawn(function() send(me, "ready") receive() end) end
  for _ = 1, 200000 do assert(receive() == "ready") end
  collectgarbage()
  print("idle_bytes", (resident() - before) / 200000)
  time("ping_pong_crowded", 300000, ping(pid))
  for i = 1, #pids do send(pids[i], "stop") end
  send(pid, "stop")
end

local _, ref = spawn_monitor(main)
local m = receive()
assert(m[2] == ref and m[5] == "normal", mb.inspect(m))

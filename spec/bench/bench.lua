-- Benchmarks, in nanoseconds (bytes for memory), one `name value` a line; each row checks its own answer.
-- bench.exs has the same rows for Elixir, rows.lua says what they are, compare.lua runs them all.
--
--    moonbeam spec/bench/bench.lua [part = 1]     with one part in so many of each row's size
local part = math.tointeger(tonumber(arg[1] or 1))
local mb = require "moonbeam"
local Task, Agent, GenServer, Process, send, receive, matcher =
  mb.Task, mb.Agent, mb.GenServer, mb.Process, mb.send, mb.receive, mb.matcher
local make_ref, any, link, exit = mb.make_ref, mb.any, mb.link, mb.exit
local self, spawn, spawn_monitor, monotonic_time, is = mb.self, mb.spawn, mb.spawn_monitor, mb.monotonic_time, mb.is

local function size(n) return n // part end

local function time(name, n, fn)
  n = size(n)
  collectgarbage()
  local start = monotonic_time()
  fn(n)
  print(name, (monotonic_time() - start) * 1e6 / n)
end

-- What each of n calls takes, with so many ms between them: those below which so many parts of them are, by row.
local function spread(n, pause, fn, rows)
  local took = {}
  for i = 1, n do
    local start = monotonic_time()
    fn(i)
    took[i] = (monotonic_time() - start) * 1e6
    mb.sleep(pause)
  end
  table.sort(took)
  for _, row in ipairs(rows) do print(row[1], took[math.max(1, math.floor(n * row[2]))]) end
end

local resident = dofile "spec/bench/resident.lua"

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

-- A message is passed on n times, round 1,000 processes.
local function ring()
  local me, members = self(), {}
  local function pass_on(following)
    for left in receive do
      if left == "stop" then return end
      send(left == 0 and me or following, left == 0 and "round" or left - 1)
    end
  end
  members[1] = spawn(function() pass_on(receive()) end)
  for i = 2, 1000 do members[i] = spawn(pass_on, members[i - 1]) end
  send(members[1], members[#members])
  time("ring", 300000, function(n)
    send(members[1], n)
    assert(receive() == "round")
  end)
  for _, pid in ipairs(members) do send(pid, "stop") end
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
local function link_of(parent, other)
  if other then link(other) end
  send(parent, "linked")
  receive()
  exit("broken")
end

-- So many, the last one, the first one and its monitor.
local function chain(n)
  local first, ref = spawn_monitor(link_of, self())
  local last = first
  for _ = 2, n do last = spawn(link_of, self(), last) end
  for _ = 1, n do assert(receive() == "linked") end
  return first, ref, last
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

-- A question and its answer beside one that computes.
local function beside_busy(pid)
  local hog = spawn(function() while true do end end)
  local me = self()
  spread(200, 0, function(i)
    send(pid, {me, i})
    assert(receive() == i)
  end, {{"beside_busy", 0.5}})
  Process.exit(hog, "kill")
end

-- The same, once in a millisecond, beside one that allocates: with many others in the collector's way.
local function beside_allocating(pid)
  local me = self()
  local hog = spawn(function()
    while true do
      local t = {}
      for i = 1, 200 do t[i] = {i, tostring(i)} end
      mb.sleep(1)
    end
  end)
  spread(3000 // part, 1, function(i)
    send(pid, {me, i})
    assert(receive() == i)
  end, {{"crowd_p99", 0.99}, {"crowd_p999", 0.999}})
  Process.exit(hog, "kill")
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
  ring()
  time("spawn_die", 300000, spawn_die)
  time("spawn_monitor_down", 200000, spawn_monitored)
  local agent = Agent.start(function() return 0 end)
  time("agent_update", 200000, function(n)
    for _ = 1, n do Agent.update(agent, function(s) return s + 1 end) end
  end)
  time("agent_get", 200000, function(n)
    for _ = 1, n do assert(Agent.get(agent, function(s) return s end)) end
  end)
  assert(Agent.get(agent) == size(200000))
  local server = GenServer.start{
    init = function() return "ok", 0 end,
    handle_call = function(request, _, count) return "reply", request, count + 1 end,
  }
  time("gen_server_call", 200000, function(n)
    for i = 1, n do assert(GenServer.call(server, i) == i) end
  end)
  time("task", 100000, function(n)
    for i = 1, n do assert(Task.await(Task.async(function() return i end)) == i) end
  end)
  time("fan_in", 500000, fan_in_from(10))
  time("fan_in_one", 500000, fan_in_from(1))
  time("fan_in_100", 1000000, fan_in_from(100))
  for _, many in ipairs{100, 10000, 100000} do
    if many <= size(100000) then time("await_many_" .. many, 100000, await_many(many)) end
  end
  time("await_in_order", 10000, await_in_order)
  time("await_backwards", 10000, await_backwards)
  local fresh = spawn(fresh_echo)
  for i = 1, size(10000) do send(self(), {"old", i}) end
  time("receive_fresh", 100000, receive_fresh(fresh))
  send(fresh, "stop")
  for i = 1, size(10000) do assert(receive()[2] == i) end
  time("chain_dies", 50000, chain_dies(chain(size(50000))))
  local texts, rows = {}, {}
  for i = 1, 1000 do
    texts[i] = "text " .. i
    rows[i] = {i, texts[i]}
  end
  local bulk = spawn(bulk_echo)
  time("echo_pair", 2000000, echo_list(bulk, rows))
  time("echo_text", 2000000, echo_list(bulk, texts))
  local long = ("x"):rep(65536)
  time("echo_64k", 20000, function(n)
    local me = self()
    for _ = 1, n do
      send(bulk, {me, long})
      assert(receive() == long)
    end
  end)
  beside_busy(bulk)
  collectgarbage()
  local before, me, pids = resident(), self(), {}
  time("spawn_stay", 200000, function(n)
    for i = 1, n do pids[i] = spawn(function() send(me, "ready") receive() end) end
    for _ = 1, n do assert(receive() == "ready") end
  end)
  collectgarbage()
  print("idle_bytes", (resident() - before) / #pids)
  time("ping_pong_crowded", 300000, ping(pid))
  beside_allocating(bulk)
  send(bulk, "stop")
  send(pid, "stop")
  mb.monitor(pids[#pids])
  time("stop_all", 200000, function(n)
    for i = 1, n do send(pids[i], "stop") end
    assert(receive()[1] == "DOWN")
  end)
end

local _, ref = spawn_monitor(main)
local m = receive()
assert(m[2] == ref and m[5] == "normal", mb.inspect(m))

-- Rows of bench.lua that skynet's services can do, printed alike; run by compare.lua from the project's directory:
--
--    SKYNET=checkout SKYNET_THREADS=1 checkout/skynet spec/bench/skynet/config
--
-- A service is a Lua state of its own: 2,000 are started where there are 200,000 processes, or more, and those that a
-- row only needs are started before it. ping_pong, the ring and the fans send, and handle each message as it comes; the
-- others are calls.
local skynet = require "skynet"

local function fail(reason)
  io.stderr:write("spec/bench/skynet: ", tostring(reason), "\n")
  os.exit(false) -- an error alone would be logged, and skynet go on
end

local function time(name, n, fn)
  collectgarbage()
  local start = skynet.hpc()
  fn(n)
  print(name, (skynet.hpc() - start) / n)
end

local resident = dofile "spec/bench/resident.lua"

local function peer(role) return assert(skynet.newservice("peer", role)) end

local function peers(role, n)
  local list = {}
  for i = 1, n do list[i] = peer(role) end
  return list
end

-- Stops them, and waits for the last one, which does not answer: the call fails when it ends.
local function stop(list)
  for i = 1, #list - 1 do skynet.send(list[i], "lua", "stop") end
  assert(not pcall(skynet.call, list[#list], "lua", "stop"))
end

local on_message
local finished = {}

-- Each message that is sent here goes to a function, until that says true.
local function handle(fn)
  on_message = fn
  skynet.wait(finished)
end

skynet.dispatch("lua", function(_, _, ...)
  if on_message(...) then skynet.wakeup(finished) end
end)

local function ping(pid)
  return function(n)
    local left = n
    skynet.send(pid, "lua", "ping")
    handle(function(message)
      if message ~= "pong" then fail("another answer") end
      left = left - 1
      if left == 0 then return true end
      skynet.send(pid, "lua", "ping")
    end)
  end
end

local function calls(pid)
  return function(n)
    for i = 1, n do assert(skynet.call(pid, "lua", i) == i) end
  end
end

local function ring(members)
  for i, pid in ipairs(members) do skynet.send(pid, "lua", members[i > 1 and i - 1 or #members]) end
  return function(n)
    skynet.send(members[1], "lua", n)
    handle(function(message)
      if message ~= "round" then fail("another answer") end
      return true
    end)
  end
end

local function spawn_die(n)
  for _ = 1, n do assert(skynet.newservice("peer", "gone") == nil) end
end

local function fan_in(senders)
  return function(n)
    local left = n
    for _, pid in ipairs(senders) do skynet.send(pid, "lua", n // #senders) end
    handle(function(message)
      if message ~= "m" then fail("another message") end
      left = left - 1
      return left == 0
    end)
  end
end

-- A list goes there and back: for each item and direction.
local function echo_list(pid, list)
  return function(n)
    local back
    for _ = 1, n // (2 * #list) do
      back = skynet.call(pid, "lua", list)
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

-- The median of 200 calls beside a service that computes: with one thread there would be no answer.
local function beside_busy(pid)
  skynet.send(peer "busy", "lua", "go")
  local took = {}
  for i = 1, 200 do
    local start = skynet.hpc()
    assert(skynet.call(pid, "lua", i) == i)
    took[i] = skynet.hpc() - start
    skynet.yield()
  end
  table.sort(took)
  print("beside_busy", took[100])
end

local function main()
  local echo = peer "echo"
  time("ping_pong", 300000, ping(peer "pong"))
  time("gen_server_call", 200000, calls(echo))
  collectgarbage()
  local before, idle = resident(), nil
  time("spawn_stay", 2000, function(n) idle = peers("idle", n) end)
  collectgarbage()
  print("idle_bytes", (resident() - before) / #idle)
  time("stop_all", #idle, function() stop(idle) end)
  local members = peers("ring", 1000)
  time("ring", 300000, ring(members))
  stop(members)
  time("spawn_die", 2000, spawn_die)
  for _, row in ipairs{{"fan_in", 10, 500000}, {"fan_in_one", 1, 500000}, {"fan_in_100", 100, 1000000}} do
    local senders = peers("sender", row[2])
    time(row[1], row[3], fan_in(senders))
    stop(senders)
  end
  local texts, rows = {}, {}
  for i = 1, 1000 do
    texts[i] = "text " .. i
    rows[i] = {i, texts[i]}
  end
  time("echo_pair", 2000000, echo_list(echo, rows))
  time("echo_text", 2000000, echo_list(echo, texts))
  local long = ("x"):rep(65536)
  time("echo_64k", 20000, function(n)
    for _ = 1, n do assert(skynet.call(echo, "lua", long) == long) end
  end)
  if tonumber(skynet.getenv "thread") > 1 then beside_busy(echo) end
  os.exit(true)
end

skynet.start(function()
  skynet.timeout(60000, function() fail("no end in ten minutes") end)
  skynet.fork(function() fail(select(2, xpcall(main, debug.traceback))) end)
end)

-- Rows of bench.lua that coroutines of stock Lua can do: what a program pays that runs them by a queue of its own, without
-- copies, errors, priorities or clocks.
--
--    lua5.4 spec/bench/coroutines.lua [part = 1]
local part = math.tointeger(tonumber(arg[1] or 1))

local function size(n) return n // part end

local function now()
  return os.clock() * 1e9 -- processor time: there is nobody else
end

local function time(name, n, fn)
  n = size(n)
  collectgarbage()
  local start = now()
  fn(n)
  print(name, (now() - start) / n)
end

local resident = dofile "spec/bench/resident.lua"

-- Those that can go on, in a queue; each has a mailbox.
local ready, first, last = {}, 1, 0
local running

local function push(p)
  last = last + 1
  ready[last] = p
end

local function spawn(fn)
  local p = {read = 1, written = 0, co = coroutine.create(fn)}
  push(p)
  return p
end

local function send(p, message)
  p.written = p.written + 1
  p[p.written] = message
  if p.waits then
    p.waits = false
    push(p)
  end
end

local function receive()
  local p = running
  if p.read > p.written then
    p.waits = true
    coroutine.yield()
  end
  local message = p[p.read]
  p[p.read] = nil
  p.read = p.read + 1
  return message
end

local function run()
  while first <= last do
    running = ready[first]
    ready[first] = nil
    first = first + 1
    assert(coroutine.resume(running.co))
  end
end

local function echo()
  for m in receive do
    if m == "stop" then return end
    send(m[2], "pong")
  end
end

local function ping(p)
  return function(n)
    for _ = 1, n do
      send(p, {"ping", running})
      if receive() ~= "pong" then error("another answer") end
    end
  end
end

local function ring()
  local me, members = running, {}
  local function pass_on(following)
    for left in receive do
      if left == "stop" then return end
      send(left == 0 and me or following, left == 0 and "round" or left - 1)
    end
  end
  members[1] = spawn(function() pass_on(receive()) end)
  for i = 2, 1000 do members[i] = spawn(function() pass_on(members[i - 1]) end) end
  send(members[1], members[#members])
  time("ring", 300000, function(n)
    send(members[1], n)
    assert(receive() == "round")
  end)
  for _, p in ipairs(members) do send(p, "stop") end
end

local function spawn_die(n)
  local me = running
  for _ = 1, n // 100 do
    for _ = 1, 99 do spawn(function() return true end) end
    spawn(function() send(me, "done") end)
    assert(receive() == "done")
  end
end

local function fan_in_from(senders)
  return function(n)
    local me = running
    for _ = 1, senders do
      spawn(function() for i = 1, n // senders do send(me, {"m", i}) end end)
    end
    for _ = 1, n do assert(receive()[1] == "m") end
  end
end

spawn(function()
  local p, me = spawn(echo), running
  time("ping_pong", 300000, ping(p))
  ring()
  time("spawn_die", 300000, spawn_die)
  time("fan_in", 500000, fan_in_from(10))
  time("fan_in_one", 500000, fan_in_from(1))
  time("fan_in_100", 1000000, fan_in_from(100))
  collectgarbage()
  local before, idle = resident(), {}
  time("spawn_stay", 200000, function(n)
    for i = 1, n do idle[i] = spawn(function() send(me, "ready") receive() end) end
    for _ = 1, n do assert(receive() == "ready") end
  end)
  collectgarbage()
  print("idle_bytes", (resident() - before) / #idle)
  time("ping_pong_crowded", 300000, ping(p))
  time("stop_all", 200000, function(n)
    for i = 1, n do send(idle[i], "stop") end
    send(p, "stop")
    spawn(function() send(me, "all") end)
    assert(receive() == "all")
  end)
end)
run()

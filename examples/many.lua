-- Very many processes at once: each is alive until it has answered a message.
--
--    moonbeam examples/many.lua [n = 200000]
local mb = require "moonbeam"
mb.import()

local n = math.tointeger(tonumber(arg and arg[1] or 200000))
if not n or n < 1 then error("usage: many.lua [number of processes]", 0) end

-- Resident memory in bytes, where the system tells.
local function resident()
  local file = io.open("/proc/self/statm")
  if not file then return nil end
  local pages = file:read("a"):match("^%d+ (%d+)")
  file:close()
  return tonumber(pages) * 4096
end

local function answer(parent)
  send(parent, "ready")
  local m = receive()
  send(m[1], m[2] + 1)
end

local BATCH = 1000 -- steps of the progress that is shown

local function await_ready(count, progress)
  for i = 1, count do
    receive{ {"ready"} }
    if i % BATCH == 0 then progress:step(BATCH) end
  end
end

-- One process so that the measure does not include what the first of them sets up.
local me = self()
send(spawn(answer, me), {me, 0})
await_ready(1)
receive()
collectgarbage()

local progress = mb.progress(2 * n, "spawning")

local pids = {}
for i = 1, n do pids[i] = false end
local before = resident()
local start = monotonic_time()
for i = 1, n do
  pids[i] = spawn(answer, me)
  if i % BATCH == 0 then progress:step(BATCH) end
end
local spawned = monotonic_time()
await_ready(n, progress) -- all of them have run up to their receive
local waiting = monotonic_time()
collectgarbage()
local after = resident()

progress:done()
print(("%d processes alive"):format(#Process.list() - 1))
print(("spawn: %.0f a second, %.0f with their first run")
  :format(n / (spawned - start) * 1000, n / (waiting - start) * 1000))
if before then print(("memory: %.0f bytes a process"):format((after - before) / n)) end

start = monotonic_time()
local sum = 0
for i = 1, n do send(pids[i], {me, i}) end
for _ = 1, n do sum = sum + receive() end
local took = monotonic_time() - start
assert(sum == n * (n + 1) // 2 + n, "some answers are wrong")
print(("messages: %.0f a second"):format(2 * n / took * 1000))

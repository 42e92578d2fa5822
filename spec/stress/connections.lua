-- Cycles of connecting, sending and closing, half of them closed by the server first: what was sent arrives, and
-- afterwards handles, processes and memory are what they were.
--    moonbeam --schedulers n spec/stress/connections.lua [cycles = 1000000 [clients = 20]]
-- Prints a line; the status is 1 when something does not add up.
local mb = require "moonbeam"
mb.import()
local tools = require "spec.stress.tools"
local cycles, clients = math.tointeger(tonumber(arg[1] or 1000000)), math.tointeger(tonumber(arg[2] or 20))
local check, patience = tools.check, tools.patience

-- Descriptors that are open, but for the one that lists them.
local function descriptors()
  local list = assert(io.popen("ls /proc/$PPID/fd | wc -l"))
  local n = tonumber((list:read("a")))
  list:close()
  return n
end

-- One connection: a line comes, and goes back; who closes first is said by it.
local function serve()
  receive{
    {{"socket", any, any}, function(socket)
      local line = socket:recv("line", patience)
      assert(line, "no line")
      assert(socket:send(line .. "\n"))
      if line:find("^server") then return socket:close() end
      assert(not socket:recv(nil, patience))
    end},
    after = patience,
  }
end

local function accept(listener)
  while true do
    local socket = listener:accept()
    if not socket then return end
    socket:give_away(Process.spawn(serve, {scheduler = "here"}))
  end
end

-- `count` connections, one after another, from an address of its own, so that there are ports enough.
local function connect(to, port, number, count)
  local from = ("127.0.%d.%d"):format(1 + number // 250, 1 + number % 250)
  for i = 1, count do
    local socket, text = net.connect("127.0.0.1", port, {local_host = from, timeout = patience})
    assert(socket, text)
    local line = (i % 2 == 0 and "server " or "client ") .. i
    assert(socket:send(line .. "\n"))
    assert(socket:recv("line", patience) == line)
    if i % 2 == 0 then assert(select(3, socket:recv(nil, patience)) == "EOF") end
    socket:close()
  end
  send(to, {"done", count})
end

local function round(count)
  local listener = assert(net.listen{port = 0, acceptors = #mb.schedulers()})
  local port, done = listener:sockname().port, 0
  for i = 1, #mb.schedulers() do Process.spawn(accept, {link = true, scheduler = i}, listener) end
  for i = 1, clients do
    Process.spawn(connect, {link = true}, self(), port, i, count // clients + (i <= count % clients and 1 or 0))
  end
  for _ = 1, clients do
    done = done + receive{ {{"done", any}} }
  end
  listener:close()
  check(done == count, "%d connections of %d", done, count)
  tools.quiet()
end

-- Handles close a moment after their processes have ended.
local function settled(what, most, get)
  local deadline, now = monotonic_time() + patience, nil
  repeat
    collectgarbage()
    now = get()
    if now <= most then return now end
    sleep(20)
  until monotonic_time() > deadline
  check(false, "%s: %d are left, %d before", what, now, most)
end

local function main()
  round(math.min(cycles, 5000)) -- what is allocated once
  collectgarbage()
  local open, before = descriptors(), tools.resident()
  local began = monotonic_time()
  round(cycles)
  local took = monotonic_time() - began
  for _, kind in ipairs{"tcp", "listener", "pipe"} do
    check(mb.census()[kind] == 0, "%d of %s are left", mb.census()[kind], kind)
  end
  settled("descriptors", open, descriptors)
  local after = tools.resident()
  if cycles >= 10000 then -- fewer tell nothing of it, and sanitizers keep what is freed
    check(after < before * 1.25 + 4, "memory grew from %.1f to %.1f MiB", before, after)
  end
  print(("connections add up: %d cycles, %.1f us each; %.1f MiB before, %.1f after")
    :format(cycles, took * 1000 / cycles, before, after))
end

local ok, text = pcall(main)
if not ok then
  print(text)
  os.exit(1)
end

-- Sockets against plain luv in lua5.4 and Elixir's gen_tcp, in turn: medians, and the medians of the ratios of each
-- round.
--
-- hello: requests a second by wrk -c100, one scheduler each, and two schedulers; and the processor time that a request
-- takes the server, which says something on a busy machine, too. ping: both ends in one program, by processor time.
-- relay: 500 MB from a program and back to it, by the relay's processor time.
-- accept: two schedulers, a connection for each request, accepted in three ways, and how they were spread.
--
--    lua5.4 spec/bench/net.lua [what = all [seconds = 5 [rounds = 3 [interpreter = build/release/bin/moonbeam]]]]
local what, seconds, rounds = arg[1] or "all", arg[2] or "5", tonumber(arg[3] or 3)
local interpreter = arg[4] or "build/release/bin/moonbeam"

local function median(values)
  local sorted = table.move(values, 1, #values, 1, {})
  table.sort(sorted)
  return sorted[(#sorted + 1) // 2]
end

-- The median of a[i] / b[i].
local function ratio(a, b)
  local all = {}
  for i = 1, #a do all[i] = a[i] / b[i] end
  return median(all)
end

-- Processor time (us) that a program has taken.
local function cpu(pid)
  local file = assert(io.open("/proc/" .. pid .. "/stat"))
  local user, system = file:read("a"):match("%) %S" .. (" %S+"):rep(10) .. " (%d+) (%d+)")
  file:close()
  return (tonumber(user) + tonumber(system)) * 10000
end

-- -> the number of requests, wrk's text. wrk's own processor time of a request is added to side.load.
local function load(side, port, options)
  local wrk = assert(io.popen(([[
    bash -c 'TIMEFORMAT="taken %%U %%S"; time wrk -t1 -c100 -d%ss %s http://127.0.0.1:%s/' 2>&1
  ]]):format(seconds, options or "", port)))
  local text = wrk:read("a")
  wrk:close()
  table.insert(side.values, tonumber((assert(text:match("Requests/sec:%s+([%d.]+)"), text))))
  local requests = tonumber((text:match("(%d+) requests in")))
  local user, system = text:match("taken ([%d.]+) ([%d.]+)")
  table.insert(side.load, (user + system) * 1000000 / requests)
  return requests, text
end

local function processors()
  local nproc = assert(io.popen("nproc"))
  local n = tonumber((nproc:read("l")))
  nproc:close()
  return n
end

local function serve(side)
  local server = assert(io.popen("echo $$; exec " .. side.command))
  local pid, port = server:read("l"), server:read("l")
  local requests, text = load(side, port)
  assert(not text:find("Socket errors", 1, true), text)
  table.insert(side.cpu, cpu(pid) / requests)
  os.execute("kill " .. pid)
  server:close()
end

local function hello()
  local program = " spec/bench/net/hello.lua"
  local own = {name = "moonbeam", command = interpreter .. " --schedulers 1" .. program}
  local two = {name = "two schedulers", command = interpreter .. " --schedulers 2" .. program}
  local others = {
    {name = "luv", command = "lua5.4 spec/bench/net/hello_luv.lua", wanted = 0.85},
    {name = "elixir", command = 'elixir --erl "+S 1:1" spec/bench/net/hello.exs', wanted = 1.3},
  }
  local sides = {own, others[1], others[2], two}
  for _, side in ipairs(sides) do side.values, side.cpu, side.load = {}, {}, {} end
  for _ = 1, rounds do
    for _, side in ipairs(sides) do serve(side) end
  end
  print(("hello   %-15s %9.0f requests/s  %6.1f us of processor time each"):format(own.name, median(own.values),
    median(own.cpu)))
  for _, side in ipairs(others) do
    print(("hello   %-15s %9.0f requests/s  %6.1f us; moonbeam %.2f, by processor time %.2f, wanted %.2f"):format(
      side.name, median(side.values), median(side.cpu), ratio(own.values, side.values), ratio(side.cpu, own.cpu),
      side.wanted))
  end
  -- With every processor at work all the time for server and load, as one request costs them now.
  local allowed = processors() * 1000000 / (median(two.cpu) + median(two.load)) / median(own.values)
  print(("hello   %-15s %9.0f requests/s  %6.1f us, and wrk's %.1f; %.2f of one, wanted 1.50; %d processors allow %.2f")
    :format(two.name, median(two.values), median(two.cpu), median(two.load), ratio(two.values, own.values),
      processors(), allowed))
end

local function run(command)
  local pipe = assert(io.popen(command))
  local value = assert(tonumber((pipe:read("a"))), command)
  pipe:close()
  return value
end

local function compare(name, unit, value)
  local own, luv = {}, {}
  for i = 1, rounds do
    own[i] = value(("%s --schedulers 1 spec/bench/net/%s.lua"):format(interpreter, name))
    luv[i] = value(("lua5.4 spec/bench/net/%s_luv.lua"):format(name))
  end
  print(("%-7s moonbeam %8.1f us for a %s, luv %8.1f: %.2f, wanted 0.80"):format(name, median(own), unit, median(luv),
    ratio(luv, own)))
end

-- us for a MB of a relay.
local function relay(command)
  local megabytes = 500
  local server = assert(io.popen("echo $$; exec " .. command))
  local pid, port = server:read("l"), server:read("l")
  local before = cpu(pid)
  run(("lua5.4 spec/bench/net/relay_load.lua %s %d"):format(port, megabytes))
  local taken = cpu(pid) - before
  os.execute("kill " .. pid)
  server:close()
  return taken / megabytes
end

-- Which share of the connections went to the scheduler that had fewer.
local function share(counts)
  local a, b = counts:match("^(%d+) (%d+)$")
  return math.min(a, b) / (a + b)
end

local function accept()
  local sides = {{name = "one"}, {name = "each"}, {name = "hand"}}
  for _, side in ipairs(sides) do side.values, side.cpu, side.load, side.shares = {}, {}, {}, {} end
  for _ = 1, rounds do
    for _, side in ipairs(sides) do
      local server = assert(io.popen(("echo $$; exec %s --schedulers 2 spec/bench/net/accept.lua %s"):format(
        interpreter, side.name)))
      local pid, port = server:read("l"), server:read("l")
      local requests = load(side, port, '-H "Connection: close"')
      table.insert(side.cpu, cpu(pid) / requests)
      table.insert(side.shares, share(server:read("l")))
      server:close()
    end
  end
  for _, side in ipairs(sides) do
    print(("accept  %-5s %9.0f connections/s  %6.1f us of processor time each, %.2f of one; the lesser share %.2f")
      :format(side.name, median(side.values), median(side.cpu), ratio(side.cpu, sides[1].cpu), median(side.shares)))
  end
end

local programs = {
  hello = hello,
  ping = function() compare("ping", "round trip", run) end,
  relay = function() compare("relay", "MB", relay) end,
  accept = accept,
}
if what == "all" then
  hello()
  programs.ping()
  programs.relay()
  accept()
else
  assert(programs[what], "hello, ping, relay, accept or all")()
end

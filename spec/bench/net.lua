-- Sockets against plain luv in lua5.4 and Elixir's gen_tcp, one scheduler each, in turn: requests a second by wrk -c100, and
-- the ratios; and the processor time that a request takes the server, which says something on a busy machine, too.
--
--    lua5.4 spec/bench/net.lua [seconds = 5 [rounds = 3 [interpreter = build/release/bin/moonbeam]]]
local seconds, rounds = arg[1] or "5", tonumber(arg[2] or 3)
local interpreter = arg[3] or "build/release/bin/moonbeam"

local sides = {
  {name = "moonbeam", command = interpreter .. " --schedulers 1 spec/bench/net/hello.lua"},
  {name = "luv", command = "lua5.4 spec/bench/net/hello_luv.lua", wanted = 0.85},
  {name = "elixir", command = 'elixir --erl "+S 1:1" spec/bench/net/hello.exs', wanted = 1.3},
}

local function median(values)
  table.sort(values)
  return values[(#values + 1) // 2]
end

-- Processor time (us) that a program has taken.
local function cpu(pid)
  local file = assert(io.open("/proc/" .. pid .. "/stat"))
  local user, system = file:read("a"):match("%) %S" .. (" %S+"):rep(10) .. " (%d+) (%d+)")
  file:close()
  return (tonumber(user) + tonumber(system)) * 10000
end

local function measure(side)
  local server = assert(io.popen("echo $$; exec " .. side.command))
  local pid, port = server:read("l"), server:read("l")
  local wrk = assert(io.popen(("wrk -t1 -c100 -d%ss http://127.0.0.1:%s/"):format(seconds, port)))
  local text = wrk:read("a")
  wrk:close()
  local requests = tonumber((text:match("(%d+) requests in")))
  table.insert(side.cpu, cpu(pid) / requests)
  os.execute("kill " .. pid)
  server:close()
  assert(not text:find("Socket errors", 1, true), text)
  return tonumber((assert(text:match("Requests/sec:%s+([%d.]+)"), text)))
end

for _ = 1, rounds do
  for _, side in ipairs(sides) do
    side.values, side.cpu = side.values or {}, side.cpu or {}
    side.values[#side.values + 1] = measure(side)
  end
end

local own, own_cpu = median(sides[1].values), median(sides[1].cpu)
print(("%-10s %9.0f requests/s  %6.1f us of processor time each"):format("moonbeam", own, own_cpu))
for i = 2, #sides do
  local other, other_cpu = median(sides[i].values), median(sides[i].cpu)
  print(("%-10s %9.0f requests/s  %6.1f us   moonbeam: %.2f, by processor time %.2f, wanted %.2f"):format(sides[i].name,
    other, other_cpu, own / other, other_cpu / own_cpu, sides[i].wanted))
end

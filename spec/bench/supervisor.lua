-- Supervisors of many children: what starting and stopping cost for each child, and what the restart of one costs.
--
--   moonbeam --schedulers 1 spec/bench/supervisor.lua [children = 100000]
--
-- Wanted: at most 10 us per child to start and to stop, and about the same at a tenth of the children.

local most = tonumber(arg[1] or "100000")
Logger.configure{level = "none"}

local function idle() return spawn_link(function() receive() end) end
local function zero() return 0 end

local kinds = {
  {"processes", function(i) return {id = i, start = {idle}} end},
  {"Agents", function(i) return {id = i, start = {Agent.start_link, zero}} end},
}

-- Microseconds of the processor, and what fn returns.
local function time(fn, ...)
  collectgarbage()
  local started = os.clock()
  local result = fn(...)
  return (os.clock() - started) * 1e6, result
end

local function check_alive(entries, expected)
  local living = 0
  for _, entry in ipairs(entries) do living = living + (Process.alive(entry[2]) and 1 or 0) end
  assert(#entries == expected or expected == 0, ("%d children instead of %d"):format(#entries, expected))
  assert(living == expected, ("%d children live instead of %d"):format(living, expected))
end

-- Kill a child whose start function then says so.
local function restart(pid)
  Process.exit(pid, "kill")
  assert(receive(10000) == "started", "no restart")
end

local function static(specs)
  local me, n = self(), #specs
  specs[n // 2] = {id = "watched", start = {function()
    send(me, "started")
    return spawn_link(function() receive() end)
  end}}
  local start, sup = time(Supervisor.start_link, specs, {strategy = "one_for_one"})
  assert(receive() == "started")
  local entries = Supervisor.which_children(sup)
  check_alive(entries, n)
  local watched = entries[n - n // 2 + 1]
  assert(watched[1] == "watched")
  local again = time(restart, watched[2])
  check_alive(Supervisor.which_children(sup), n)
  return start / n, time(Supervisor.stop, sup) / n, again, entries
end

local function dynamic(specs)
  local n = #specs
  local start, sup = time(function()
    local sup = DynamicSupervisor.start_link()
    for i = 1, n do assert(DynamicSupervisor.start_child(sup, specs[i])) end
    return sup
  end)
  local entries = DynamicSupervisor.which_children(sup)
  check_alive(entries, n)
  return start / n, time(DynamicSupervisor.stop, sup) / n, nil, entries
end

for _, kind in ipairs(kinds) do
  for _, supervisor in ipairs{{"Supervisor", static}, {"DynamicSupervisor", dynamic}} do
    for _, n in ipairs{most // 10, most} do
      local specs = {}
      for i = 1, n do specs[i] = kind[2](i) end
      local start, stop, again, entries = supervisor[2](specs)
      check_alive(entries, 0)
      print(("%-17s of %6d %-9s  start %5.2f us, stop %5.2f us each%s"):format(supervisor[1], n, kind[1], start, stop,
        again and ("; one restart %.0f us"):format(again) or ""))
    end
  end
end

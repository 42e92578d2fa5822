-- Supervisors of many children: what starting, one restart and stopping cost for each child.
--
--   moonbeam --schedulers 1 spec/bench/supervisor.lua [children = 100000]
--
-- Wanted: at most 10 us per child to start and to stop, at any number of children.

local most = tonumber(arg[1] or 100000)

local idle = {id = true}
local function start_idle() return spawn_link(function() receive() end) end

local function counter(n) return n end

local kinds = {
  {"process", function(i) return {id = i, start = {start_idle}} end},
  {"Agent", function(i) return {id = i, start = {Agent.start_link, counter}} end},
}

-- Microseconds for each of n, and what fn returns.
local function time(n, fn, ...)
  collectgarbage()
  local started = os.clock()
  local result = fn(...)
  return (os.clock() - started) * 1e6 / n, result
end

local function alive(pids, count)
  local living = 0
  for i = 1, #pids do if Process.alive(pids[i][2]) then living = living + 1 end end
  assert(living == count, ("%d of %d children are there"):format(living, count))
end

local function restart(sup, pid)
  Process.exit(pid, "kill")
  repeat local now = Supervisor.count_children(sup) until now.active == now.specs
end

for _, kind in ipairs(kinds) do
  for _, n in ipairs{most // 10, most} do
    local specs = {}
    for i = 1, n do specs[i] = kind[2](i) end
    local start, sup = time(n, Supervisor.start_link, specs, {strategy = "one_for_one"})
    local children = Supervisor.which_children(sup)
    alive(children, n)
    local again = time(1, restart, sup, children[n // 2][2])
    alive(Supervisor.which_children(sup), n)
    local stop = time(n, Supervisor.stop, sup)
    alive(children, 0)
    print(("Supervisor, %-7s %7d children: start %5.2f us, stop %5.2f us each; one restart and count %8.0f us"):format(
      kind[1], n, start, stop, again))

    start, sup = time(n, function()
      local sup = DynamicSupervisor.start_link()
      for i = 1, n do assert(DynamicSupervisor.start_child(sup, specs[i])) end
      return sup
    end)
    children = DynamicSupervisor.which_children(sup)
    alive(children, n)
    stop = time(n, DynamicSupervisor.stop, sup)
    alive(children, 0)
    print(("Dynamic,    %-7s %7d children: start %5.2f us, stop %5.2f us each"):format(kind[1], n, start, stop))
  end
end

-- Chaos in a tree: 1,000 named workers under three levels of supervisors, killed at random, their supervisors too. At
-- the end the tree is whole, nobody is left who does not belong to it, no name is held by the dead, and memory is where
-- it was.
--   moonbeam --schedulers 4 spec/stress/chaos.lua [kills = 100000] [seed = 1]
-- Prints what it found; the status is 1 when something is wrong.
local mb = require "moonbeam"
mb.import()
local tools = require "spec.stress.tools"
local check, dice, resident = tools.check, tools.dice, tools.resident
local kills, seed = tonumber(arg[1] or "100000"), tonumber(arg[2] or "1")

local BRANCHES, TWIGS, LEAVES, KILLERS = 10, 10, 10, 8
local strategies = {"one_for_one", "one_for_all", "rest_for_one"}
local unlimited = 1000000000

local Worker = {}

-- Every third worker traps exits.
function Worker.init(trap)
  if trap then Process.flag("trap_exit", true) end
  return "ok", 0
end

function Worker.handle_info(_, n) return "noreply", n + 1 end

function Worker.handle_cast() error("told to fail", 0) end

local function worker(name, number)
  return {id = name, start = {GenServer.start_link, Worker, number % 3 == 0, {name = name}}, shutdown = 1000}
end

local function workers(twig)
  local specs = {}
  for leaf = 1, LEAVES do specs[leaf] = worker(("%s.%d"):format(twig, leaf), leaf) end
  return specs
end

-- Fills a dynamic supervisor, the child before it: anew, when it was in the middle of that before.
local Filler = {}

function Filler.init(arg)
  local busy = false
  for _, entry in ipairs(DynamicSupervisor.which_children(arg.sup)) do
    if entry[2] == "restarting" then busy = true else DynamicSupervisor.terminate_child(arg.sup, entry[2]) end
  end
  if busy then return "stop", "busy" end
  for _, spec in ipairs(arg.specs) do
    local pid, reason = DynamicSupervisor.start_child(arg.sup, spec)
    if not pid then return "stop", reason end
  end
  return "ok", 0
end

-- The children of a branch: supervisors of workers. In every fifth branch they are dynamic ones, each with its filler.
-- Some supervisors give up soon, so that their own supervisors have to restart them.
local function twigs(branch)
  local specs = {}
  for number = 1, TWIGS do
    local twig = ("%d.%d"):format(branch, number)
    local limit = number % 3 == 0 and 5 or unlimited
    if branch % 5 == 0 then
      specs[#specs + 1] = {DynamicSupervisor, {name = twig, max_restarts = limit, max_seconds = 1}}
      specs[#specs + 1] = {
        id = twig .. " filler", start = {GenServer.start_link, Filler, {sup = twig, specs = workers(twig)}},
      }
    else
      local strategy = strategies[(branch + number) % 3 + 1]
      specs[#specs + 1] = {Supervisor, {workers(twig),
        {name = twig, strategy = strategy, max_restarts = limit, max_seconds = 1}}}
    end
  end
  return specs
end

local function start_tree()
  local branches = {}
  for branch = 1, BRANCHES do
    local strategy = branch % 5 == 0 and "rest_for_one" or strategies[branch % 3 + 1]
    branches[branch] = {Supervisor, {twigs(branch),
      {name = tostring(branch), strategy = strategy, max_restarts = unlimited, max_seconds = 1}}}
  end
  return assert(Supervisor.start_link(branches, {strategy = "one_for_one", max_restarts = unlimited, name = "root"}))
end

-- A name to strike at: of a worker mostly, else of a supervisor below the root.
local function target(roll)
  local branch, dice_of_100 = roll(BRANCHES), roll(100)
  if dice_of_100 == 1 then return tostring(branch), true end
  local twig = ("%d.%d"):format(branch, roll(TWIGS))
  if dice_of_100 <= 8 then return twig, true end
  local leaf = roll(LEAVES)
  return ("%s.%d"):format(twig, leaf), leaf % 3 == 0
end

local reasons = {"kill", "boom", "shutdown", {"shutdown", "now"}, "fail"}

-- Kill processes by their names, one after the other, until `count` have died. It says how it went.
local function killer(boss, count, own_seed)
  local roll, done, missed = dice(own_seed), 0, 0
  while done < count do
    local name, traps = target(roll)
    local pid = Process.whereis(name)
    if pid then
      local reason, ref = traps and "kill" or reasons[roll(#reasons)], monitor(pid)
      if reason == "fail" then GenServer.cast(pid, reason) else Process.exit(pid, reason) end
      local why = receive{
        {{"DOWN", ref, "process", pid, any}},
        after = {tools.patience, function() exit{"does not die", name, reason} end},
      }
      if why == "noproc" then missed = missed + 1 else done = done + 1 end
    else
      missed = missed + 1
      sleep(1) -- else those who restart it would hardly get a turn
    end
  end
  send(boss, {"killed", done, missed})
end

local function attack(count, round)
  local me, done, missed = self(), 0, 0
  for k = 1, KILLERS do
    spawn_monitor(killer, me, count // KILLERS + (k <= count % KILLERS and 1 or 0), seed * 7919 + round * 131 + k)
  end
  for _ = 1, KILLERS do
    local why = receive{ {{"DOWN", any, "process", any, any}, function(_, _, reason) return reason end} }
    check(why == "normal", "a killer failed: %s", inspect(why))
  end
  for _ = 1, KILLERS do
    receive{ {{"killed", any, any}, function(d, m) done, missed = done + d, missed + m end} }
  end
  check(done == count, "%d killed instead of %d", done, count)
  return missed
end

-- The pids of a supervisor's children, who live and are its own | nil, what is wrong.
local function children_of(sup, which, expected)
  local entries, list = which(sup), {}
  if #entries ~= expected then return nil, ("%s has %d children, not %d"):format(sup, #entries, expected) end
  for i, entry in ipairs(entries) do
    local id, pid = entry[1], entry[2]
    if mb.type(pid) ~= "pid" or not Process.alive(pid) then
      return nil, ("%s: %s is %s"):format(sup, id, inspect(pid))
    end
    if Process.info(pid, "parent") ~= Process.whereis(sup) then return nil, ("%s: %s is another's"):format(sup, id) end
    list[i] = pid
  end
  return list
end

-- All pids of the tree, by name where they have one; nil, what is wrong.
local function survey()
  local pids, names = {}, {root = Process.whereis("root")}
  local function visit(sup, which, expected)
    local list, wrong = children_of(sup, which, expected)
    if not list then return wrong end
    for _, pid in ipairs(list) do
      pids[pid] = true
      local name = Process.info(pid, "registered_name")
      if name then names[name] = pid end
    end
  end
  local wrong = visit("root", Supervisor.which_children, BRANCHES)
  for branch = 1, BRANCHES do
    local dynamic = branch % 5 == 0
    wrong = wrong or visit(tostring(branch), Supervisor.which_children, dynamic and 2 * TWIGS or TWIGS)
    for number = 1, TWIGS do
      local which = dynamic and DynamicSupervisor.which_children or Supervisor.which_children
      wrong = wrong or visit(("%d.%d"):format(branch, number), which, LEAVES)
    end
  end
  if wrong then return nil, wrong end
  return pids, names
end

local function count(t)
  local n = 0
  for _ in pairs(t) do n = n + 1 end
  return n
end

local WITHOUT_NAME = BRANCHES // 5 * TWIGS -- the fillers
local TREE = 1 + BRANCHES * (1 + TWIGS + TWIGS * LEAVES) + WITHOUT_NAME

-- What is not as it should be: nil, when the tree is whole and nothing else is there.
local function wrong()
  local ok, pids, names = pcall(survey) -- a supervisor that is just restarting has no name to call
  if not ok then return inspect(pids) end
  if not pids then return names end
  for name, pid in pairs(names) do
    if Process.whereis(name) ~= pid then return ("the name %s is held by another"):format(name) end
  end
  local census = mb.census()
  for _, what in ipairs{
    {"processes in the tree", count(pids) + 1, TREE}, {"processes", census.processes, TREE + 1},
    {"names in the tree", count(names), TREE - WITHOUT_NAME}, {"names", census.names, TREE - WITHOUT_NAME},
    {"messages", census.messages, 0}, {"timers", census.timers, 0},
  } do
    if what[2] ~= what[3] then return ("%d %s, not %d"):format(what[2], what[1], what[3]) end
  end
end

-- Wait until what was going on has come to its end, and all is well.
local function examine()
  local deadline = monotonic_time() + tools.patience
  while true do
    local what = wrong()
    if not what then return end
    check(monotonic_time() < deadline, "not whole: %s", what)
    sleep(5)
  end
end

local function chaos()
  Logger.configure{level = "none"}
  Process.flag("trap_exit", true)
  local root = start_tree()
  examine()
  local missed, early = 0, nil
  for round = 1, 10 do
    missed = missed + attack(kills // 10, round)
    examine()
    if round == 2 then early = resident() end
  end
  local now = resident()
  check(Process.whereis("root") == root, "the root has died")
  check(kills < 50000 or now < early * 1.2 + 8, "%.0f MiB after the first fifth, %.0f at the end", early, now)
  check(Supervisor.stop(root) == true, "the root does not stop")
  tools.quiet()
  return ("%d kills, %d strokes at nobody, the tree is whole, %.0f MiB after the first fifth, %.0f at the end"):format(
    kills // 10 * 10, missed, early, now)
end

local started = monotonic_time()
local ok, text = pcall(chaos)
print(("chaos %s: %s (%.1f s, %d schedulers)"):format(ok and "adds up" or "FAILED",
  type(text) == "string" and text or inspect(text), (monotonic_time() - started) / 1000, #mb.schedulers()))
if not ok then os.exit(1) end

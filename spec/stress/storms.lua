-- Storms, each with an oracle: what happened must add up. By hand for a minute each, from the tests for seconds:
--   moonbeam --schedulers 4 spec/stress/storms.lua [storm | all] [seconds = 60]
-- Prints a line per storm; the status is 1 when one of them does not add up.
local mb = require "moonbeam"
local wanted, seconds = arg[1] or "all", tonumber(arg[2] or "60")
local tools = require "spec.stress.tools"
local check, dice, quiet, resident, patience = tools.check, tools.dice, tools.quiet, tools.resident, tools.patience

local function await(pattern, what)
  return receive{ {pattern}, after = {patience, function() error("waited in vain for " .. what, 0) end} }
end

-- Wait for a process to end, any one when it is not named: its reason.
local function ended(ref)
  return receive{
    {{"DOWN", ref or any, "process", any, any}, function(...) return (select(select("#", ...), ...)) end},
    after = {patience, function() error("waited in vain for an end", 0) end},
  }
end

local function repeatedly(time, round)
  local deadline, rounds = monotonic_time() + time * 1000, 0
  repeat
    rounds = rounds + 1
    round(rounds)
    quiet()
  until monotonic_time() >= deadline
  return rounds
end

local storms, names = {}, {"conservation", "links", "names", "registry", "timers", "spawns", "streams"}

-- Everybody sends numbered messages to random others. Per pair they arrive in order, and all of them do.
function storms.conservation(time)
  local n, me, total = 64, self(), 0
  local function member(number, seed)
    local roll, peers = dice(seed), receive{ {{"peers", any}} }
    local counts, last, done = {}, {}, 0
    local function take(from, k)
      if k ~= (last[from] or 0) + 1 then exit{"order", from, k, last[from] or 0} end
      last[from] = k
    end
    local function finished() done = done + 1 end
    local poll = matcher{ {{"n", any, any}, take}, {{"done"}, finished}, after = 0 }
    local wait = matcher{ {{"n", any, any}, take}, {{"done"}, finished} }
    for _ = 1, 300 do
      local to = roll(#peers)
      counts[to] = (counts[to] or 0) + 1
      send(peers[to], {"n", number, counts[to]})
      receive(poll)
    end
    for _, peer in ipairs(peers) do send(peer, {"done"}) end
    while done < #peers do receive(wait) end
    send(me, {"sum", number, counts, last})
  end
  local rounds = repeatedly(time, function(round)
    local pids, sent, got = {}, {}, {}
    for i = 1, n do pids[i] = spawn(member, i, round * 7919 + i) end
    for _, pid in ipairs(pids) do
      monitor(pid)
      send(pid, {"peers", pids})
    end
    for _ = 1, n do
      local reason = ended()
      check(reason == "normal", "%s", inspect(reason))
    end
    for _ = 1, n do
      receive{ {{"sum", any, any, any}, function(number, counts, last) sent[number], got[number] = counts, last end} }
    end
    for a = 1, n do
      for b = 1, n do
        local s, g = sent[a][b] or 0, got[b][a] or 0
        check(s == g, "%d sent %d messages to %d, which got %d", a, s, b, g)
        total = total + s
      end
    end
  end)
  return ("%d messages in %d rounds"):format(total, rounds)
end

-- Random links and unlinks, then some exits. The fate of everybody follows from the links that were left.
function storms.links(time)
  local n, me, deaths = 60, self(), 0
  local function member(seed)
    local roll, peers = dice(seed), receive{ {{"peers", any}} }
    for _ = 1, 40 do
      local other = peers[roll(#peers)]
      if roll(2) == 1 then link(other) else unlink(other) end
    end
    send(me, "linked")
    receive{ {"stop"} }
  end
  local rounds = repeatedly(time, function(round)
    local pids, refs, index, graph, doomed = {}, {}, {}, {}, {}
    for i = 1, n do
      pids[i], refs[i] = spawn_monitor(member, round * 104729 + i)
      index[pids[i]] = i
    end
    for _, pid in ipairs(pids) do send(pid, {"peers", pids}) end
    for _ = 1, n do await("linked", "the end of linking") end
    -- The first round of questions comes after every link and unlink, the second after the answers to those.
    for _ = 1, 2 do
      for i, pid in ipairs(pids) do
        graph[i] = {}
        for _, other in ipairs(Process.info(pid, "links")) do graph[i][index[other]] = true end
      end
    end
    for i, links in ipairs(graph) do
      for j in pairs(links) do check(graph[j][i], "%d is linked to %d, but not the other way round", i, j) end
    end
    local function spread(i)
      if doomed[i] then return end
      doomed[i] = true
      for j in pairs(graph[i]) do spread(j) end
    end
    for k = 1, 3 do
      local i = (round * 31 + k * 17) % n + 1
      spread(i)
      Process.exit(pids[i], "boom")
    end
    for i in pairs(doomed) do
      local reason = ended(refs[i])
      check(reason == "boom", "%d ended with %s", i, inspect(reason))
      deaths = deaths + 1
    end
    for i, pid in ipairs(pids) do
      if not doomed[i] then
        check(Process.alive(pid), "%d died without a reason", i)
        send(pid, "stop")
        check(ended(refs[i]) == "normal", "a survivor did not survive")
      end
    end
  end)
  return ("%d deaths explained in %d rounds"):format(deaths, rounds)
end

-- Few names, many who want them and die with them. A name never has two holders, and the dead hold none.
function storms.names(time)
  local n, me, taken, refused = 40, self(), 0, 0
  local function member(seed, rounds)
    local roll, mine, lost = dice(seed), 0, 0
    for _ = 1, rounds do
      local name = "name " .. roll(5)
      if roll(3) == 1 then
        local pid, down = spawn_monitor(function()
          if not pcall(Process.register, self(), name) then exit("refused") end
          exit(Process.whereis(name) == self() and "held" or "stolen")
        end)
        local reason = ended(down)
        if reason == "held" then mine = mine + 1 elseif reason == "refused" then lost = lost + 1 else exit(reason) end
        if Process.whereis(name) == pid then exit("the dead hold a name") end
      elseif pcall(Process.register, self(), name) then
        mine = mine + 1
        if Process.whereis(name) ~= self() then exit("stolen") end
        if Process.info(self(), "registered_name") ~= name then exit("not mine") end
        if not pcall(Process.unregister, name) then exit("taken away") end
      else
        lost = lost + 1
      end
    end
    send(me, {"counts", mine, lost})
  end
  local rounds = repeatedly(time, function(round)
    for i = 1, n do spawn_monitor(member, round * 15485863 + i, 200) end
    for _ = 1, n do
      local reason = ended()
      check(reason == "normal", "%s", inspect(reason))
      receive{ {{"counts", any, any}, function(a, b) taken, refused = taken + a, refused + b end} }
    end
  end)
  return ("%d names taken, %d refused, in %d rounds"):format(taken, refused, rounds)
end

-- Many register in two registries and die. What is found is what those who live say they hold: after the last step,
-- after a third has been killed, and after the unique registry has ended and taken those along that stood in it.
function storms.registry(time)
  local n, me, keys, held, ends = 40, self(), 8, 0, 0
  local function key(k) return {"key", k} end

  local function child(k)
    if not Registry.register("one", key(k), self()) then exit("refused") end
    local entries = Registry.lookup("one", key(k))
    exit(#entries == 1 and entries[1][1] == self() and entries[1][2] == self() and "held" or "stolen")
  end
  local function step(roll, one, many)
    local k, what = roll(keys), roll(6)
    if what == 1 then
      local pid, down = spawn_monitor(child, k)
      local reason = ended(down)
      if reason ~= "held" and reason ~= "refused" then exit{"the child", reason} end
      if Registry.whereis_name{"one", key(k)} == pid then exit("the dead are found") end
    elseif what == 2 and one[k] then
      Registry.unregister("one", key(k))
      one[k] = nil
      if Registry.whereis_name{"one", key(k)} == self() then exit("not gone") end
    elseif what <= 3 then
      local ok, reason = Registry.register("one", key(k), self())
      if ok and one[k] or not ok and (reason[2] == self()) ~= (one[k] or false) then exit("two of a kind") end
      one[k] = ok and true or one[k]
      if one[k] and Registry.whereis_name{"one", key(k)} ~= self() then exit("stolen") end
    elseif what == 4 then
      Registry.unregister("many", key(k))
      many[k] = 0
    elseif what == 5 then
      Registry.register("many", key(k), self())
      many[k] = (many[k] or 0) + 1
    else
      for _, entry in ipairs(Registry.lookup("many", key(k))) do
        if entry[1] ~= entry[2] then exit("another's value") end
      end
      if #Registry.values("many", key(k), self()) ~= (many[k] or 0) then exit("miscounted") end
    end
  end
  local function member(seed, traps)
    Process.flag("trap_exit", traps)
    local roll, one, many = dice(seed), {}, {}
    for _ = 1, 150 do step(roll, one, many) end
    send(me, {"holds", self(), one, many})
    receive{ {"stop"} }
  end

  -- The registries hold what the members of the list do, and nothing else.
  local function compare(when, holds, unique)
    local sum_one, sum_many = 0, 0
    for pid, h in pairs(holds) do
      local mine = 0
      for k in pairs(h.one) do
        mine = mine + 1
        check(not unique or Registry.whereis_name{"one", key(k)} == pid, "%s: %d is not held", when, k)
      end
      check(not unique or #Registry.keys("one", pid) == mine, "%s: other unique keys", when)
      sum_one, mine = sum_one + mine, 0
      for k, count in pairs(h.many) do
        mine = mine + count
        check(#Registry.values("many", key(k), pid) == count, "%s: %d not %d times", when, k, count)
      end
      check(#Registry.keys("many", pid) == mine, "%s: other keys", when)
      sum_many = sum_many + mine
    end
    for name, sum in pairs{one = unique and sum_one or nil, many = sum_many} do
      check(Registry.count(name) == sum, "%s: %d in %s, not %d", when, Registry.count(name), name, sum)
    end
    held = held + sum_one + sum_many
  end

  local function start(name, kind)
    local pid = Registry.start_link{keys = kind, name = name}
    unlink(pid)
    return pid
  end
  local function finish(pid, kill)
    local ref = monitor(pid)
    if kill then Process.exit(pid, "kill") else GenServer.stop(pid) end
    ended(ref)
  end

  local function fates(round)
    local one, many = start("one", "unique"), start("many", "duplicate")
    local pids, refs, holds = {}, {}, {}
    for i = 1, n do pids[i], refs[i] = spawn_monitor(member, round * 32452843 + i, i % 4 == 0) end
    for _ = 1, n do
      local pid, h_one, h_many = await({"holds", any, any, any}, "a member")
      holds[pid] = {one = h_one, many = h_many}
    end
    compare("at rest", holds, true)
    for i = 1, n, 3 do Process.exit(pids[i], "kill") end
    for i = 1, n, 3 do
      check(ended(refs[i]) == "killed", "not killed")
      holds[pids[i]] = nil
    end
    compare("after deaths", holds, true)
    local kill = round % 2 == 0
    finish(one, kill)
    for i = 1, n do
      local h = holds[pids[i]]
      if h and next(h.one) and i % 4 ~= 0 then
        local reason = ended(refs[i])
        check(reason == (kill and "killed" or "shutdown"), "the registry's end became %s", inspect(reason))
        holds[pids[i]], ends = nil, ends + 1
      end
    end
    compare("without the unique one", holds, false)
    for i = 1, n do
      if holds[pids[i]] then
        check(Process.alive(pids[i]), "%d died without a reason", i)
        send(pids[i], "stop")
        check(ended(refs[i]) == "normal", "a survivor did not survive")
      end
    end
    finish(many, not kill)
  end

  -- The registry ends in the middle of it: everybody dies with it, or finds it unknown.
  local function siege(round)
    local one = start("one", "unique")
    local left = n
    for i = 1, n do
      monitor(spawn(function(seed, traps)
        Process.flag("trap_exit", traps)
        local roll, ok, e = dice(seed), true, nil
        local count = 0
        while ok do
          count = count + 1
          if count == 20 then send(me, "attacks") end
          ok, e = pcall(Registry.register, "one", roll(keys), self())
          if ok then ok, e = pcall(Registry.unregister, "one", roll(keys)) end
        end
        if not tostring(e):find("unknown registry", 1, true) then exit{"another error", e} end
      end, round * 86028121 + i, i % 4 == 0))
    end
    for _ = 1, n do await("attacks", "an attacker") end
    finish(one, round % 2 == 0)
    while left > 0 do
      local reason = ended()
      check(({normal = 1, shutdown = 1, killed = 1, noproc = 1})[reason], "%s", inspect(reason))
      left, ends = left - 1, ends + 1
    end
  end

  local rounds = repeatedly(time, function(round)
    fates(round)
    siege(round)
  end)
  return ("%d registrations accounted for, %d ends by the registry's, in %d rounds"):format(held, ends, rounds)
end

-- Timers from one process to another, half of them cancelled by a third. Each fires or is cancelled, never both.
function storms.timers(time)
  local groups, each, me, fired, cancelled = 12, 400, self(), 0, 0
  local function target()
    local ticks, seen, expected = 0, {}, each
    while ticks < expected do
      receive{
        {{"tick", any}, function(i)
          if seen[i] then exit{"twice", i} end
          seen[i] = true
          ticks = ticks + 1
        end},
        {{"cancelled", any}, function(k) expected = expected - k end},
        after = {patience, function() exit{"missing", expected - ticks} end},
      }
    end
    -- the sum must not be overtaken: whatever is cancelled later was counted before
    send(me, {"fired", ticks, each - expected})
  end
  local function canceller(to)
    local refs, count = receive{ {{"refs", any}} }, 0
    for i = 1, #refs, 2 do
      Process.read_timer(refs[i])
      if Process.cancel_timer(refs[i]) then count = count + 1 end
      if Process.cancel_timer(refs[i]) then exit("cancelled twice") end
    end
    send(to, {"cancelled", count})
    send(me, {"count", count})
  end
  local rounds = repeatedly(time, function()
    local everywhere, expected, counted = #mb.schedulers(), 0, 0
    local function at(k) return {scheduler = k % everywhere + 1, monitor = true} end
    for g = 1, groups do
      local to = Process.spawn(target, at(g))
      local by = Process.spawn(canceller, at(g + 1), to)
      Process.spawn(function()
        local refs = {}
        for i = 1, each do refs[i] = Process.send_after(to, {"tick", i}, i % 40) end
        send(by, {"refs", refs})
      end, at(g + 2))
    end
    for _ = 1, groups * 3 do
      local reason = ended()
      check(reason == "normal", "%s", inspect(reason))
    end
    for _ = 1, groups do
      receive{ {{"fired", any, any}, function(ticks, less) fired, expected = fired + ticks, expected + less end} }
      receive{ {{"count", any}, function(k) counted = counted + k end} }
    end
    check(expected == counted, "%d cancelled, %d counted", expected, counted)
    cancelled = cancelled + counted
  end)
  check(fired + cancelled == rounds * groups * each, "%d timers, %d fired, %d cancelled", rounds * groups * each, fired,
    cancelled)
  return ("%d timers fired, %d were cancelled, in %d rounds"):format(fired, cancelled, rounds)
end

-- Processes come and go, by themselves or killed: ten million in a minute's run, and memory stays where it was after
-- the first million.
function storms.spawns(time)
  local parents, each, born, early = 8, 2000, 0, nil
  local most = time >= 60 and 10000000 or math.huge
  local deadline = monotonic_time() + (time >= 60 and 600 or time) * 1000
  while born < most and monotonic_time() < deadline do
    for _ = 1, parents do
      spawn_monitor(function()
        for i = 1, each do
          local pid, ref = spawn_monitor(function(wait) if wait then receive() end end, i % 2 == 0)
          if i % 2 == 0 then Process.exit(pid, "kill") end
          local reason = ended(ref)
          if reason ~= (i % 2 == 0 and "killed" or "normal") then exit(reason) end
        end
        for i = 1, each do spawn(function(wait) if wait then sleep(0) end end, i % 2 == 0) end
      end)
    end
    for _ = 1, parents do
      local reason = ended()
      check(reason == "normal", "%s", inspect(reason))
    end
    while mb.census().processes > parents * each do sleep(1) end -- those that nobody waits for may lag behind
    born = born + parents * (1 + 2 * each)
    if not early and born >= 1000000 then early = resident() end
  end
  quiet()
  local now = resident()
  if early then check(now < early * 1.2 + 8, "%.0f MiB after the first million, %.0f at the end", early, now) end
  return ("%d processes, %.0f MiB after the first million, %.0f at the end"):format(born, early or now, now)
end

-- Streams whose tasks end, fail, hang or are killed, and whose consumers read to the end, leave, raise or are killed.
-- Those that read on get every item once, in order, and nothing stays behind.
function storms.streams(time)
  local function work(n, how)
    if how == "fail" then exit("failed") end
    if how == "hang" then sleep("infinity") end
    if how == "kill" then Process.exit(self(), "kill") end
    if how == "sleep" then sleep(n % 3) end
    return n
  end
  local expected = {fail = "failed", hang = "timeout", kill = "killed"}
  local hows = {"fail", "hang", "kill", "sleep", "return", "return"}
  local function consume(seed, ending, trapping)
    local roll, n = dice(seed), 0
    local items = roll(40)
    local leave = roll(items)
    Process.flag("trap_exit", trapping)
    local given = {}
    local function source()
      if n == items then return nil end
      n = n + 1
      given[n] = trapping and hows[roll(#hows)] or hows[3 + roll(3)]
      if ending == "source" and n == leave then error("the source is broken", 0) end
      return n, given[n]
    end
    local got = 0
    local function loop()
      local options = {max_concurrency = roll(8), timeout = 20, on_timeout = "kill_task"}
      for ok, result in Task.async_stream(source, work, options) do
        got = got + 1
        local failure = expected[given[got]]
        if result == "timeout" then failure = result end -- anyone may be late
        if ok ~= (failure == nil) or result ~= (failure or got) then exit{"result", got, given[got], ok, result} end
        if ending == "break" and got == leave then break end
        if ending == "raise" and got == leave then error("the consumer is broken", 0) end
      end
    end
    local ok, e = pcall(loop)
    if ending == "end" and not (ok and got == items) then exit{"items", got, items, e} end
    if ok and (ending == "raise" or ending == "source") then exit{"went on", ending} end
    if receive(0) ~= nil then exit("messages left") end
    if #Process.info(self(), "links") > 0 then exit("links left") end
  end
  local endings, streams = {"end", "break", "raise", "source", "kill"}, 0
  local rounds = repeatedly(time, function(round)
    local refs, killed, roll = {}, {}, dice(round)
    for i = 1, 40 do
      local ending = endings[i % #endings + 1]
      local pid, ref = spawn_monitor(consume, round * 100 + i, ending, i % 2 == 0)
      refs[i] = ref
      if ending == "kill" then killed[i] = pid end
    end
    for _, pid in pairs(killed) do
      if roll(2) == 1 then sleep(roll(3)) end
      Process.exit(pid, "kill")
    end
    for i, ref in ipairs(refs) do
      local reason = ended(ref)
      check(reason == "normal" or killed[i] and reason == "killed", "consumer %d: %s", i, inspect(reason))
    end
    streams = streams + #refs
  end)
  return ("%d streams in %d rounds"):format(streams, rounds)
end

Logger.configure{level = "none"} -- of the many ends that are meant
local failed = false
for _, name in ipairs(names) do
  if wanted == "all" or wanted == name then
    local started = monotonic_time()
    local ok, text = pcall(storms[name], seconds)
    print(("%-13s %s: %s (%.0f s, %d schedulers)"):format(name, ok and "adds up" or "FAILED",
      type(text) == "string" and text or inspect(text), (monotonic_time() - started) / 1000, #mb.schedulers()))
    failed = failed or not ok
  end
end
if failed then os.exit(1) end

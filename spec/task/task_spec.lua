local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, any, exit = mb.self, mb.send, mb.receive, mb.any, mb.exit
local Process, Task, await, exit_reason, catch_exit = mb.Process, mb.Task, helper.await, helper.exit_reason,
  helper.catch_exit

local function forever() receive{ {"never"} } end

local function nothing_left()
  assert.is_nil(receive(0))
  assert.same({}, Process.info(self(), "monitors"))
end

describe("Task.async and await", function()
  helper.setup()

  it("TASK-01 give the function's results and leave nothing", function()
    local me = self()
    local task = Task.async(function(a, b)
      receive()
      return a + b, nil, "c"
    end, 1, 2)
    assert.equal("pid", mb.type(task.pid))
    assert.equal("reference", mb.type(task.ref))
    assert.equal(me, task.owner)
    assert.same({task.pid}, Process.info(me, "links"))
    assert.same({task.pid}, Process.info(me, "monitors"))
    send(task.pid, "go")
    assert.same({3, nil, "c", n = 3}, table.pack(Task.await(task)))
    nothing_left()
    assert.is_nil(Task.await(Task.async(function() return nil end)))
    assert.is_false(Task.await(Task.async(function() return false end)))
    assert.equal(0, select("#", Task.await(Task.async(function() end))))
  end)

  it("TASK-02 only for the owner", function()
    local task = Task.async(function() return 1 end)
    for _, f in ipairs{Task.await, Task.yield, Task.shutdown, Task.ignore} do
      local reason = exit_reason(function() f(task) end)
      assert.matches("task_spec.lua:%d+: bad argument #1 to 'Task%.%a+' %(task .* belongs to", reason[2])
    end
    assert.equal(1, Task.await(task))
    assert.is_false(pcall(Task.await, 5))
  end)

  it("TASK-03 a timeout exits; the task goes on, what it sends is dropped", function()
    local me = self()
    local task = Task.async(function() receive{ {"go on"} } return "late" end)
    local reason = catch_exit(Task.await, task, 5)
    assert.equal("timeout", reason[1])
    assert.same({"Task", "await"}, {reason[2][1], reason[2][2]})
    assert.is_true(Process.alive(task.pid))
    assert.same({task.pid}, Process.info(me, "links"))
    local ref = mb.monitor(task.pid)
    send(task.pid, "go on")
    await{"DOWN", ref, "process", task.pid, "normal"}
    nothing_left()
  end)

  it("TASK-04 uncaught, it takes the task along", function()
    local me = self()
    assert.equal("timeout", exit_reason(function()
      local task = Task.async(forever)
      send(me, {"task", task.pid})
      Task.await(task, 1)
    end)[1])
    helper.reason_of(await{"task", any})
  end)

  it("TASK-05 a second await waits its whole timeout", function()
    local task = Task.async(function() return 1 end)
    Task.await(task)
    assert.equal("timeout", catch_exit(Task.await, task, 5)[1])
  end)

  it("TASK-06 a crash takes an owner along that does not trap", function()
    assert.equal("R", exit_reason(function() Task.await(Task.async(function() exit("R") end)) end))
    assert.equal("R", exit_reason(function() Task.async(function() exit("R") end) forever() end))
  end)

  it("TASK-07 TASK-08 TASK-09 exits {reason, ...} for an owner that traps", function()
    Process.flag("trap_exit", true)
    for _, case in ipairs{
      {function() exit("R") end, "R"},
      {function() exit("normal") end, "normal"},
      {function() Process.exit(self(), "kill") end, "killed"},
    } do
      local task = Task.async(case[1])
      local reason = catch_exit(Task.await, task)
      assert.equal(case[2], reason[1])
      assert.equal("await", reason[2][2])
      await{"EXIT", task.pid, case[2]}
    end
    local task = Task.async(function() error("E", 0) end)
    assert.equal("E", catch_exit(Task.await, task)[1][2])
    await{"EXIT", task.pid, any}
  end)

  it("TASK-10 a trapping owner still gets EXIT normal", function()
    Process.flag("trap_exit", true)
    local task = Task.async(function() return 1 end)
    Task.await(task)
    await{"EXIT", task.pid, "normal"}
  end)

  it("TASK-11 without await the owner gets {ref, results...} and DOWN", function()
    local task = Task.async(function() return 1, 2 end)
    assert.same({task.ref, 1, 2}, receive(helper.patience))
    assert.same({"DOWN", task.ref, "process", task.pid, "normal"}, receive(helper.patience))
    task = Task.async(function() return nil, 2, nil, 4 end)
    assert.same({nil, 2, nil, 4, n = 4}, table.pack(await{task.ref, any, any, any, any}))
    await{"DOWN", task.ref, "process", task.pid, "normal"}
  end)

  it("TASK-12 the task dies with an owner that fails, not with one that ends", function()
    local me = self()
    for _, how in ipairs{"R", "normal"} do
      exit_reason(function()
        send(me, {"task", Task.async(forever).pid})
        exit(how)
      end)
      local pid = await{"task", any}
      if how == "R" then
        helper.reason_of(pid)
      else
        assert.is_true(Process.alive(pid))
        Process.exit(pid, "kill")
      end
    end
  end)

  it("TASK-13 start is unlinked and silent, start_link is linked", function()
    local pid = Task.start(function() error("crash") end)
    helper.reason_of(pid)
    assert.is_nil(receive(0))
    assert.equal("R", exit_reason(function() Task.start_link(function() exit("R") end) forever() end))
    local me = self()
    Task.start(function(...) send(me, {"arguments", ...}) end, 1, 2)
    assert.same({"arguments", 1, 2}, receive(helper.patience))
    assert.is_false(pcall(Task.start, 5))
    assert.is_false(pcall(Task.async))
  end)

  it("TASK-14 knows its callers", function()
    local me = self()
    local outer = Task.async(function()
      local inner = Task.async(function() return Process.get("$callers") end)
      return Process.get("$callers"), Task.await(inner), self()
    end)
    local first, second, pid = Task.await(outer)
    assert.same({me}, first)
    assert.same({pid, me}, second)
  end)

  it("TASK-15 knows its ancestors, by their names where they have one", function()
    local me = self()
    local function ancestors() return Process.get("$ancestors") end
    local own, inner, pid = Task.await(Task.async(function()
      return ancestors(), Task.await(Task.async(ancestors)), mb.self()
    end))
    assert.same({me}, own)
    assert.same({pid, me}, inner)
    helper.in_process(function()
      Process.register(mb.self(), "task-15")
      for _, start in ipairs{Task.start, Task.start_link} do
        start(function(to) send(to, {"ancestors", Process.get("$ancestors"), Process.get("$callers")}) end, mb.self())
        assert.same({{"task-15"}, {mb.self()}}, {await{"ancestors", any, any}})
      end
      local sup = Task.Supervisor.start_link{name = "task-15 tasks"}
      local function both() return Process.get("$ancestors"), Process.get("$callers") end
      assert.same({{"task-15 tasks", "task-15"}, {mb.self()}}, {Task.await(Task.Supervisor.async(sup, both))})
      Task.Supervisor.start_child(sup, {restart = "transient", start = {function(to)
        send(to, {"ancestors", Process.get("$ancestors"), Process.get("$callers")})
      end, mb.self()}})
      assert.same({{"task-15 tasks", "task-15"}, {mb.self()}}, {await{"ancestors", any, any}})
      assert.same({"task-15"}, select(2, Task.async_stream({1}, ancestors)()))
      local agent = mb.Agent.start_link(ancestors)
      assert.same({"task-15"}, mb.Agent.get(agent))
      mb.Agent.stop(agent)
      Task.Supervisor.stop(sup)
    end)
  end)
end)

describe("Task.await_many", function()
  helper.setup()

  it("YIELD-01 gives first results in the order of the tasks", function()
    local tasks = {}
    for i = 1, 5 do tasks[i] = Task.async(function() mb.sleep(5 - i) return i, "more" end) end
    assert.same({1, 2, 3, 4, 5, n = 5}, Task.await_many(tasks))
    assert.same({n = 0}, Task.await_many{})
    nothing_left()
  end)

  it("YIELD-01 gives a task that is listed twice in both places", function()
    local task, done = Task.async(function() return "once" end), Task.completed("done")
    assert.same({"once", "done", "once", "done", n = 4}, Task.await_many{task, done, task, done})
    nothing_left()
  end)

  it("YIELD-02 has one timeout for all; nothing of any remains", function()
    local fast, slow = Task.async(function() return 1 end), Task.async(forever)
    local reason = catch_exit(Task.await_many, {fast, slow}, 20)
    assert.equal("timeout", reason[1])
    assert.same({"Task", "await_many"}, {reason[2][1], reason[2][2]})
    nothing_left()
    mb.unlink(slow.pid)
    Process.exit(slow.pid, "kill")
  end)

  it("YIELD-03 exits at the first failure", function()
    Process.flag("trap_exit", true)
    local bad, slow = Task.async(function() exit("R") end), Task.async(forever)
    assert.equal("R", catch_exit(Task.await_many, {slow, bad})[1])
    await{"EXIT", bad.pid, "R"}
    mb.unlink(slow.pid)
    Process.exit(slow.pid, "kill")
    nothing_left()
  end)

  it("YIELD-03 hands on any reason, false too", function()
    Process.flag("trap_exit", true)
    local task = Task.async(function() exit(false) end)
    assert.is_false(catch_exit(Task.await_many, {task})[1])
    await{"EXIT", task.pid, false}
  end)

  it("YIELD-04 leaves other messages", function()
    local other = mb.make_ref()
    send(self(), {other, 1})
    send(self(), {"DOWN", other, "process", self(), "x"})
    Task.await(Task.async(function() return 1 end))
    Task.yield(Task.async(function() return 1 end))
    Task.await_many{Task.async(function() return 1 end)}
    assert.same({{other, 1}, {"DOWN", other, "process", self(), "x"}}, Process.info(self(), "messages"))
  end)
end)

describe("Task.yield", function()
  helper.setup()

  it("YIELD-05 is nil while the task runs, and may be asked again", function()
    local task = Task.async(function() receive{ {"go on"} } return "done" end)
    assert.is_nil((Task.yield(task, 1)))
    assert.same({task.pid}, Process.info(self(), "monitors"))
    send(task.pid, "go on")
    assert.same({true, "done"}, {Task.yield(task, helper.patience)})
    nothing_left()
  end)

  it("YIELD-06 is true, results... when it is done, the DOWN flushed", function()
    local task = Task.async(function() return 1, nil, 3 end)
    helper.reason_of(task.pid)
    assert.same({true, 1, nil, 3, n = 4}, table.pack(Task.yield(task, 0)))
    nothing_left()
  end)

  it("YIELD-07 is false, reason when it died", function()
    assert.same({false, "normal"}, {Task.yield(Task.async(function() exit() end), helper.patience)})
    Process.flag("trap_exit", true)
    local task = Task.async(function() exit("R") end)
    assert.same({false, "R"}, {Task.yield(task, helper.patience)})
    await{"EXIT", task.pid, "R"}
    assert.equal("R", exit_reason(function() Task.yield(Task.async(function() exit("R") end)) end))
  end)

  it("YIELD-08 waits and is nil when the result was taken", function()
    local task = Task.async(function() return 1 end)
    Task.await(task)
    assert.is_nil((Task.yield(task, 1)))
  end)

  it("YIELD-09 yield_many lists what became of each", function()
    Process.flag("trap_exit", true)
    local a, b, c = Task.async(function() return 1, 2 end), Task.async(function() exit("R") end), Task.async(forever)
    helper.reason_of(a.pid)
    helper.reason_of(b.pid)
    local results = Task.yield_many({a, b, c}, 1)
    assert.same({a, true, 1, 2}, results[1])
    assert.same({b, false, "R"}, results[2])
    assert.same({c}, results[3])
    await{"EXIT", a.pid, any}
    await{"EXIT", b.pid, any}
    assert.is_nil((Task.shutdown(c, "brutal_kill")))
    nothing_left()
  end)

  it("YIELD-09 yield_many gives a task that is listed twice in both places", function()
    local task = Task.async(function() return 1 end)
    assert.same({{task, true, 1}, {task, true, 1}}, Task.yield_many({task, task}, "infinity"))
    task = Task.async(forever)
    assert.same({{task}, {task}}, Task.yield_many({task, task}, {timeout = 0, on_timeout = "kill_task"}))
    assert.is_false(Process.alive(task.pid))
    nothing_left()
  end)

  it("YIELD-10 on_timeout kills or ignores the late ones", function()
    for _, how in ipairs{"kill_task", "ignore", "nothing"} do
      local task = Task.async(function() receive{ {"go on"} } return 1 end)
      assert.same({{task}}, Task.yield_many({task}, {timeout = 5, on_timeout = how}))
      assert.equal(how ~= "kill_task", Process.alive(task.pid))
      send(task.pid, "go on")
      if how == "nothing" then
        assert.same({{task, true, 1}}, Task.yield_many({task}, {timeout = helper.patience}))
      else
        helper.reason_of(task.pid)
      end
      nothing_left()
    end
    assert.is_false(pcall(Task.yield_many, {}, {on_timeout = "what"}))
  end)

  it("YIELD-11 limit returns when so many are done", function()
    local fast, slow = Task.async(function() return 1 end), Task.async(forever)
    local results = Task.yield_many({slow, fast}, {limit = 1, on_timeout = "kill_task"})
    assert.same({{slow}, {fast, true, 1}}, results)
    assert.is_true(Process.alive(slow.pid))
    Task.shutdown(slow, "brutal_kill")
  end)
end)

describe("Task.shutdown and ignore", function()
  helper.setup()

  it("TSHUT-01 ends a running task and leaves nothing", function()
    for _, trap in ipairs{false, true} do
      Process.flag("trap_exit", trap)
      local task = Task.async(forever)
      assert.is_nil((Task.shutdown(task)))
      assert.is_false(Process.alive(task.pid))
      nothing_left()
    end
  end)

  it("TSHUT-02 gives the reply that is there already", function()
    for _, how in ipairs{100, "brutal_kill"} do
      local task = Task.async(function() return "there" end)
      helper.reason_of(task.pid)
      assert.same({true, "there"}, {Task.shutdown(task, how)})
      nothing_left()
    end
  end)

  it("TSHUT-03 tells what it had died of", function()
    Process.flag("trap_exit", true)
    for _, case in ipairs{ {"R", false, "R"}, {"normal", false, "normal"}, {"shutdown", nil, nil} } do
      local task = Task.async(function() exit(case[1]) end)
      helper.reason_of(task.pid)
      local ok, reason = Task.shutdown(task)
      assert.equal(case[2], ok)
      assert.equal(case[3], reason)
      await{"EXIT", task.pid, case[1]} -- of a task that was dead it is there, as after await
      nothing_left()
    end
  end)

  it("TSHUT-04 gives the reply of one that replies in time", function()
    local me = self()
    local task = Task.async(function()
      Process.flag("trap_exit", true)
      send(me, "ready")
      receive{ {{"EXIT", any, "shutdown"}} }
      return "in time"
    end)
    await("ready")
    assert.same({true, "in time"}, {Task.shutdown(task)})
    nothing_left()
  end)

  it("TSHUT-05 kills one that does not end in time", function()
    local me = self()
    for _, how in ipairs{5, "brutal_kill"} do
      local task = Task.async(function() Process.flag("trap_exit", true) send(me, "ready") forever() end)
      await("ready")
      local ok, reason = Task.shutdown(task, how)
      assert.same(how == 5 and {false, "killed"} or {}, {ok, reason})
      nothing_left()
    end
  end)

  it("TSHUT-05 tells of a kill whenever the news of it comes", function()
    Process.flag("trap_exit", true)
    for _ = 1, 100 do
      local task = Task.async(forever)
      Process.exit(task.pid, "kill")
      assert.same({false, "killed"}, {Task.shutdown(task)})
      receive{ {{"EXIT", task.pid, "killed"}}, after = 0 } -- it may have come before the unlink
      nothing_left()
    end
  end)

  it("TSHUT-06 brutal_kill maps only killed to nil", function()
    Process.flag("trap_exit", true)
    local task = Task.async(function() exit("shutdown") end)
    helper.reason_of(task.pid)
    assert.same({false, "shutdown"}, {Task.shutdown(task, "brutal_kill")})
  end)

  it("TSHUT-07 of one that was taken already is noproc", function()
    local task = Task.async(function() return 1 end)
    Task.await(task)
    assert.same({false, "noproc"}, {Task.shutdown(task)})
    task = Task.async(forever)
    Task.shutdown(task)
    assert.same({false, "noproc"}, {Task.shutdown(task)})
  end)

  it("TSHUT-07 but one that was given up on still runs, and is ended", function()
    for _, give_up in ipairs{
      function(task) catch_exit(Task.await, task, 1) end,
      function(task) catch_exit(Task.await_many, {task}, 1) end,
      Task.ignore,
    } do
      for _, how in ipairs{5000, "brutal_kill"} do
        local task = Task.async(forever)
        give_up(task)
        assert.is_nil((Task.shutdown(task, how)))
        assert.is_false(Process.alive(task.pid))
        nothing_left()
      end
    end
  end)

  it("TSHUT-08 ignore lets it go", function()
    local task = Task.async(function() receive{ {"go on"} } exit("crash") end)
    assert.is_nil((Task.ignore(task)))
    assert.same({}, Process.info(self(), "links"))
    send(task.pid, "go on")
    helper.reason_of(task.pid)
    nothing_left()
    task = Task.async(function() return 1 end)
    helper.reason_of(task.pid)
    assert.same({true, 1}, {Task.ignore(task)})
    Process.flag("trap_exit", true)
    task = Task.async(function() exit("R") end)
    helper.reason_of(task.pid)
    assert.same({false, "R"}, {Task.ignore(task)})
    await{"EXIT", task.pid, "R"}
  end)

  it("TSHUT-09 await after ignore times out", function()
    local task = Task.async(forever)
    Task.ignore(task)
    assert.equal("timeout", catch_exit(Task.await, task, 1)[1])
    Process.exit(task.pid, "kill")
  end)

  it("TSHUT-10 completed is done at once", function()
    local task = Task.completed(5)
    assert.equal(5, Task.await(task))
    for _, f in ipairs{Task.yield, Task.shutdown, Task.ignore} do assert.same({true, 5}, {f(task)}) end
    assert.same({5, n = 1}, Task.await_many{task})
    assert.same({{task, true, 5}}, Task.yield_many{task})
  end)

  it("TSHUT-11 a task's child specification is temporary", function()
    local spec = Task.child_spec{print, 1, 2}
    assert.equal("temporary", spec.restart)
    assert.same({Task.start_link, print, 1, 2}, spec.start)
    spec = Task.child_spec(print)
    assert.same({"temporary", {Task.start_link, print}}, {spec.restart, spec.start})
    for _, wrong in ipairs{5, {}, {5}} do
      local ok, e = pcall(Task.child_spec, wrong)
      assert.is_false(ok)
      assert.matches("^[^:]*task_spec.lua:%d+: bad argument #1 to 'Task.child_spec' %(function expected", e)
    end
  end)

  it("TSHUT-11 a supervisor does not restart it, and forgets it", function()
    local me = self()
    local sup = mb.Supervisor.start_link({{Task, {function(n)
      send(me, {"ran", n, mb.self()})
      receive()
      exit("R")
    end, 7}}}, {strategy = "one_for_one"})
    local pid = await{"ran", 7, any}
    local ref = mb.monitor(pid)
    send(pid, "go on")
    await{"DOWN", ref, "process", pid, "R"}
    while #mb.Supervisor.which_children(sup) > 0 do mb.sleep(1) end
    assert.is_nil(receive(0))
    mb.Supervisor.stop(sup)
  end)
end)

local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, any, exit = mb.self, mb.send, mb.receive, mb.any, mb.exit
local Process, Task = mb.Process, mb.Task
local await, exit_reason, catch_exit = helper.await, helper.exit_reason, helper.catch_exit

local function forever() receive{ {"never"} } end

-- Run body with a supervisor that is stopped afterwards, unless it is gone.
local function with_supervisor(options, body)
  local sup = Task.Supervisor.start_link(options)
  body(sup)
  if Process.alive(sup) then Task.Supervisor.stop(sup) end
end

local function nothing_left(sup)
  assert.is_nil(receive(0))
  assert.same({}, Process.info(self(), "monitors"))
  assert.same({sup}, Process.info(self(), "links"))
end

-- The supervisor has seen the end of a task that others have seen.
local function wait_for_no_children(sup)
  while #Task.Supervisor.children(sup) > 0 do mb.sleep(1) end
end

describe("Task.Supervisor", function()
  helper.setup()

  it("TSUP-01 async is a child of the supervisor, linked to and monitored by the caller", function()
    with_supervisor({name = "tsup-01"}, function(sup)
      assert.equal(sup, Process.whereis("tsup-01"))
      local task = Task.Supervisor.async("tsup-01", function(a, b)
        receive()
        return a, b, nil, Process.get("$callers")
      end, 1, nil)
      assert.equal(self(), task.owner)
      assert.same({task.pid}, Task.Supervisor.children(sup))
      local links = Process.info(task.pid, "links")
      assert.is_true(links[1] == sup and links[2] == self() or links[1] == self() and links[2] == sup)
      assert.same({task.pid}, Process.info(self(), "monitors"))
      send(task.pid, "go")
      assert.same({1, nil, nil, {self()}, n = 4}, table.pack(Task.await(task)))
      wait_for_no_children(sup)
      nothing_left(sup)
    end)
  end)

  it("TSUP-02 async_nolink may fail without harm", function()
    with_supervisor(nil, function(sup)
      local task = Task.Supervisor.async_nolink(sup, function() receive() exit("R") end)
      assert.same({sup}, Process.info(self(), "links"))
      send(task.pid, "go")
      assert.same({false, "R"}, {Task.yield(task, helper.patience)})
      local reason = catch_exit(Task.await, Task.Supervisor.async_nolink(sup, exit, "R"))
      assert.equal("R", reason[1])
      assert.same({"Task", "await"}, {reason[2][1], reason[2][2]})
      assert.is_true(Process.alive(sup))
      assert.equal(5, Task.await(Task.Supervisor.async_nolink(sup, function() return 5 end)))
      wait_for_no_children(sup)
      nothing_left(sup)
    end)
  end)

  it("TSUP-03 a failure of async takes a caller along that does not trap", function()
    with_supervisor(nil, function(sup)
      assert.equal("R", exit_reason(function()
        Task.Supervisor.async(sup, exit, "R")
        forever()
      end))
      assert.is_true(Process.alive(sup))
    end)
  end)

  it("TSUP-04 start_child is not linked to the caller, listed, and not restarted", function()
    with_supervisor(nil, function(sup)
      local me = self()
      local pid = Task.Supervisor.start_child(sup, function(...)
        send(me, {"ran", Process.get("$callers"), ...})
        receive{ {"fail"} }
        exit("R")
      end, "a", "b")
      assert.same({sup}, Process.info(me, "links"))
      assert.same({sup}, Process.info(pid, "links"))
      assert.same({pid}, Task.Supervisor.children(sup))
      await{"ran", {me}, "a", "b"}
      assert.same({}, Process.info(me, "monitors"))
      local ref = mb.monitor(pid)
      send(pid, "fail")
      await{"DOWN", ref, "process", pid, "R"}
      wait_for_no_children(sup)
      assert.is_true(Process.alive(sup))
      nothing_left(sup)
    end)
  end)

  it("TSUP-04 start_child with a table: function, arguments, how it ends", function()
    with_supervisor(nil, function(sup)
      local me = self()
      local pid = Task.Supervisor.start_child(sup, {start = {function(...)
        Process.flag("trap_exit", true)
        send(me, {"ran", ...})
        forever()
      end, 1, 2}, shutdown = "brutal_kill"})
      await{"ran", 1, 2}
      local ref = mb.monitor(pid)
      assert.is_true(Task.Supervisor.terminate_child(sup, pid))
      await{"DOWN", ref, "process", pid, "killed"}
      assert.same({"invalid_restart_type", "always"},
        select(2, Task.Supervisor.start_child(sup, {start = {forever}, restart = "always"})))
    end)
  end)

  it("TSUP-05 a transient task is restarted up to max_restarts, then the supervisor ends", function()
    Process.flag("trap_exit", true)
    local me = self()
    local sup = Task.Supervisor.start_link{max_restarts = 2}
    Task.Supervisor.start_child(sup, {start = {function(n)
      send(me, {"ran", n, Process.get("$callers")})
      exit("R")
    end, 7}, restart = "transient"})
    for _ = 1, 3 do assert.same({"ran", 7, {me}}, receive(helper.patience)) end
    await{"EXIT", sup, "shutdown"}
    assert.is_nil(receive(0))
  end)

  it("TSUP-05 a transient task that ends is not restarted", function()
    with_supervisor(nil, function(sup)
      local me = self()
      local pid = Task.Supervisor.start_child(sup, {start = {function()
        send(me, "ran")
        receive()
      end}, restart = "transient"})
      local ref = mb.monitor(pid)
      await("ran")
      send(pid, "go")
      await{"DOWN", ref, "process", pid, "normal"}
      wait_for_no_children(sup)
      nothing_left(sup)
    end)
  end)

  it("TSUP-06 a task of async_nolink outlives its owner, one of async does not", function()
    with_supervisor(nil, function(sup)
      local me = self()
      for _, how in ipairs{"async_nolink", "async"} do
        assert.equal("R", exit_reason(function()
          local task = Task.Supervisor[how](sup, function()
            send(me, "works")
            forever()
          end)
          send(me, {"task", task.pid})
          receive{ {"go on"}, after = 0 }
          exit("R")
        end))
        local pid = await{"task", any}
        if how == "async" then
          helper.reason_of(pid)
          receive{ {"works"}, after = 0 } -- it may not have come to that
        else
          await("works")
          assert.is_true(Process.alive(pid))
          assert.is_true(Task.Supervisor.terminate_child(sup, pid))
        end
      end
      assert.is_true(Process.alive(sup))
    end)
  end)

  it("TSUP-07 more than max_children are refused", function()
    with_supervisor({max_children = 1, name = "tsup-07"}, function(sup)
      local pid = Task.Supervisor.start_child(sup, forever)
      assert.same({nil, "max_children"}, {Task.Supervisor.start_child(sup, forever)})
      assert.same({nil, "max_children"}, {Task.Supervisor.start_child(sup, {start = {forever}, restart = "transient"})})
      for _, how in ipairs{"async", "async_nolink"} do
        local ok, e = pcall(Task.Supervisor[how], "tsup-07", forever)
        assert.is_false(ok)
        assert.matches('supervisor_spec.lua:%d+: the supervisor "tsup%-07" has its max_children tasks', e)
      end
      for _, how in ipairs{"async_stream", "async_stream_nolink"} do
        local ok, e = pcall(Task.Supervisor[how](sup, {1}, forever))
        assert.is_false(ok)
        assert.matches("supervisor_spec.lua:%d+: the supervisor #PID<.*> has its max_children tasks", e)
      end
      assert.same({pid}, Task.Supervisor.children(sup))
      nothing_left(sup)
    end)
  end)

  it("TSUP-08 stop shuts the tasks down, which their owners hear", function()
    local sup = Task.Supervisor.start_link()
    local task = Task.Supervisor.async_nolink(sup, forever)
    assert.is_true(Task.Supervisor.stop(sup))
    assert.same({"DOWN", task.ref, "process", task.pid, "shutdown"}, receive(0))
    assert.is_false(Process.alive(sup))
  end)

  it("TSUP-09 terminate_child stops a task, once", function()
    with_supervisor(nil, function(sup)
      local pid = Task.Supervisor.start_child(sup, forever)
      assert.is_true(Task.Supervisor.terminate_child(sup, pid))
      assert.is_false(Process.alive(pid))
      assert.same({nil, "not_found"}, {Task.Supervisor.terminate_child(sup, pid)})
      assert.same({}, Task.Supervisor.children(sup))
    end)
  end)

  it("TSUP-11 async takes a table, too, with the time the task gets to end", function()
    local sup = Task.Supervisor.start_link()
    for _, how in ipairs{"async", "async_nolink"} do
      local async = Task.Supervisor[how]
      local task = async(sup, {start = {math.max, 3, 4}, shutdown = "brutal_kill"})
      assert.equal(4, Task.await(task))
      assert.same({1, nil, nil, n = 3}, table.pack(Task.await(async(sup, {
        start = {function(...) return ... end, 1, nil, nil, n = 4},
      }))))
      local ok, e = pcall(async, sup, {start = {math.max}, restart = "transient"})
      assert.is_false(ok)
      assert.matches("unknown option restart = \"transient\"; options: start, shutdown", e)
      ok, e = pcall(async, sup, {start = {math.max}, shutdown = "soon"})
      assert.is_false(ok)
      assert.matches('has not started a task: {"invalid_shutdown", "soon"}', e)
    end
    Process.flag("trap_exit", true)
    local killed = Task.Supervisor.async_nolink(sup, {start = {function()
      Process.flag("trap_exit", true)
      forever()
    end}, shutdown = "brutal_kill"})
    helper.until_waiting(killed.pid)
    Task.Supervisor.stop(sup)
    assert.same({false, "killed"}, {Task.yield(killed)})
  end)

  it("TSUP-11 so do streams, but those without a supervisor", function()
    Process.flag("trap_exit", true)
    local me, sup = self(), Task.Supervisor.start_link()
    local consumer = mb.spawn(function()
      for _ in Task.Supervisor.async_stream_nolink(sup, {1}, function()
        Process.flag("trap_exit", true)
        send(me, {"task", mb.self()})
        forever()
      end, {shutdown = "brutal_kill"}) do end
    end)
    local ref = mb.monitor(await{"task", any})
    Task.Supervisor.stop(sup)
    await{"DOWN", ref, "process", any, "killed"}
    helper.reason_of(consumer)
    local ok, e = pcall(Task.async_stream, {1}, print, {shutdown = 5})
    assert.is_false(ok)
    assert.matches("unknown option shutdown = 5", e)
  end)

  it("TSUP-10 async_stream_nolink gives failures as results", function()
    with_supervisor(nil, function(sup)
      local results = {}
      for ok, result in Task.Supervisor.async_stream_nolink(sup, {1, 2, 3}, function(n)
        if n == 2 then exit("R") end
        return n
      end) do
        results[#results + 1] = {ok, result}
      end
      assert.same({{true, 1}, {false, "R"}, {true, 3}}, results)
      wait_for_no_children(sup)
      nothing_left(sup)
    end)
  end)

  it("TSUP-10 leaving its loop kills the tasks", function()
    with_supervisor(nil, function(sup)
      for ok in Task.Supervisor.async_stream_nolink(sup, {1, 2, 3}, function(n) if n > 1 then forever() end end,
        {max_concurrency = 3}) do
        assert.is_true(ok)
        break
      end
      wait_for_no_children(sup)
      nothing_left(sup)
    end)
  end)

  it("STREAM-07 async_stream kills a late task", function()
    with_supervisor(nil, function(sup)
      local results = {}
      for ok, result in Task.Supervisor.async_stream(sup, {1, 2}, function(n) return n == 1 and forever() or n end,
        {max_concurrency = 2, timeout = 500 * helper.scale, on_timeout = "kill_task", zip_input_on_exit = true}) do
        results[#results + 1] = {ok, result}
      end
      assert.same({{false, {1, "timeout"}}, {true, 2}}, results)
      wait_for_no_children(sup)
      nothing_left(sup)
    end)
  end)

  it("STREAM-09 a failure in async_stream takes a caller along that does not trap", function()
    with_supervisor(nil, function(sup)
      local me = self()
      local pid, ref = mb.spawn_monitor(function()
        for _ in Task.Supervisor.async_stream(sup, {"wait", "fail"}, function(how)
          send(me, {how, mb.self()})
          receive()
          exit("R")
        end, {max_concurrency = 2}) do send(me, "a result") end
      end)
      local waiting, failing = await{"wait", any}, await{"fail", any}
      local waiting_ref = mb.monitor(waiting)
      send(failing, "fail")
      await{"DOWN", ref, "process", pid, "R"}
      await{"DOWN", waiting_ref, "process", waiting, "R"}
      assert.is_true(Process.alive(sup))
    end)
  end)

  it("its tasks find messages that came before their work", function()
    with_supervisor(nil, function(sup)
      local me = self()
      local sender = mb.spawn(function()
        local known = {}
        while true do
          for _, pid in ipairs(Task.Supervisor.children(sup)) do
            if not known[pid] then send(pid, "hello") end
            known[pid] = true
          end
          if receive(0) then return end
        end
      end)
      for _ = 1, 20 do
        assert.equal("hello", Task.await(Task.Supervisor.async(sup, function() return receive() end)))
      end
      assert.equal(me, self())
      send(sender, "stop")
      helper.reason_of(sender)
      wait_for_no_children(sup)
    end)
  end)

  it("an owner that dies before it hands its work over ends the task", function()
    with_supervisor(nil, function(sup)
      local process = require "moonbeam.task.process"
      local me = self()
      local owner = mb.spawn(function()
        send(me, {"task", process.start_in(sup)})
        forever()
      end)
      local pid = await{"task", any}
      local ref = mb.monitor(pid)
      Process.exit(owner, "R")
      -- The task may begin to watch an owner that is gone.
      local reason = await{"DOWN", ref, "process", pid, {"shutdown", any}}
      assert.is_true(reason == "R" or reason == "noproc")
    end)
  end)

  it("work that cannot be copied raises, and leaves no task", function()
    with_supervisor(nil, function(sup)
      local file = assert(io.open("README.md"))
      for _, how in ipairs{"async", "async_nolink", "start_child"} do
        local ok, e = pcall(Task.Supervisor[how], sup, function() return file end)
        assert.is_false(ok)
        assert.matches(('supervisor_spec.lua:%%d+: cannot copy argument #2 of Task.Supervisor.%s: upvalue "file" is a userdata')
          :format(how), e)
      end
      file:close()
      wait_for_no_children(sup)
      nothing_left(sup)
    end)
  end)

  it("refuses wrong arguments where it is called", function()
    local TaskSupervisor = Task.Supervisor
    for what, call in pairs{
      ["#1 to 'Task.Supervisor.start_link' %(table of options"] = function() TaskSupervisor.start_link(5) end,
      ["#1 to 'Task.Supervisor.start_link' %(the name"] = function() TaskSupervisor.start_link{name = 5} end,
      ["#2 to 'Task.Supervisor.async' %(function"] = function() TaskSupervisor.async(self(), 5) end,
      ["#2 to 'Task.Supervisor.async_nolink' %(function"] = function() TaskSupervisor.async_nolink(self()) end,
      ["#2 to 'Task.Supervisor.start_child' %(function"] = function() TaskSupervisor.start_child(self(), {}) end,
      ["#2 to 'Task.Supervisor.start_child' %(start is"] = function()
        TaskSupervisor.start_child(self(), {start = forever})
      end,
      ["#2 to 'Task.Supervisor.terminate_child' %(pid"] = function() TaskSupervisor.terminate_child(self(), 5) end,
      ["#3 to 'Task.Supervisor.async_stream' %(function"] = function() TaskSupervisor.async_stream(self(), {}) end,
      ["#4 to 'Task.Supervisor.async_stream_nolink' %(max_conc"] = function()
        TaskSupervisor.async_stream_nolink(self(), {}, forever, {max_concurrency = 0})
      end,
    } do
      local ok, e = pcall(call)
      assert.is_false(ok)
      assert.matches("^[^:]*supervisor_spec.lua:%d+: bad argument " .. what, e)
    end
  end)

  it("exits noproc when there is no supervisor", function()
    for _, call in ipairs{Task.Supervisor.async, Task.Supervisor.start_child} do
      assert.equal("noproc", catch_exit(call, "nobody", forever)[1])
    end
    Process.flag("trap_exit", true)
    local reason = catch_exit(Task.Supervisor.async_stream("nobody", {1}, forever))
    assert.same({"Task.Supervised", "stream", {5000}}, reason[2])
    assert.equal("noproc", reason[1][1])
    assert.is_nil(receive(0))
  end)

  it("can be a child of a supervisor", function()
    local sup = mb.Supervisor.start_link({{Task.Supervisor, {name = "a task supervisor"}}}, {strategy = "one_for_one"})
    local entry = mb.Supervisor.which_children(sup)[1]
    assert.same({"a task supervisor", Process.whereis("a task supervisor"), "supervisor"},
      table.move(entry, 1, 3, 1, {}))
    assert.equal(1, Task.await(Task.Supervisor.async("a task supervisor", function() return 1 end)))
    mb.Supervisor.stop(sup)
    assert.equal("Task.Supervisor", Task.Supervisor.child_spec().id)
  end)
end)

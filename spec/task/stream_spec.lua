local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, any, exit = mb.self, mb.send, mb.receive, mb.any, mb.exit
local Process, Task = mb.Process, mb.Task
local await, exit_reason, catch_exit = helper.await, helper.exit_reason, helper.catch_exit

-- Long enough for a task to be started and to end meanwhile, on a busy machine too.
local LONG = 500 * helper.scale

local function forever() receive{ {"never"} } end

-- A task of the tests: tells who it is, and ends as it is told to.
local function obey(item, tester)
  send(tester, {"task", item, mb.self()})
  return receive{
    {{"return", any}},
    {{"exit", any}, mb.exit},
    {{"error", any}, function(e) error(e, 0) end},
  }
end

local function obedient()
  local tester = self()
  return function(item) return obey(item, tester) end
end

local function task_of(item) return await{"task", item, any} end

-- The results of a stream as {ok, result}.
local function all(...)
  local results = {}
  for ok, result in Task.async_stream(...) do results[#results + 1] = {ok, result} end
  return results
end

-- The tasks that have told of themselves and nobody asked for, which may be none, are dead.
local function dead()
  local pid = receive{ {{"task", any, any}, function(_, task) return task end}, after = 0 }
  if pid then
    assert.is_false(Process.alive(pid))
    return dead()
  end
end

-- They die.
local function reaped()
  local pid = receive{ {{"task", any, any}, function(_, task) return task end}, after = 0 }
  if pid then
    helper.reason_of(pid)
    return reaped()
  end
end

local function nothing_left()
  assert.is_nil(receive(0))
  assert.same({}, Process.info(self(), "monitors"))
  assert.same({}, Process.info(self(), "links"))
end

-- Run a consumer in a process of its own; it is told by `send(tester, {"result", ok, value})` of each result.
local function consume(trapping, source, fn, options)
  local tester = self()
  return mb.spawn_monitor(function()
    Process.flag("trap_exit", trapping)
    for ok, result in Task.async_stream(source, fn, options) do send(tester, {"result", ok, result}) end
    send(tester, {"left", Process.info(mb.self(), "message_queue_len"), Process.info(mb.self(), "links")})
  end)
end

describe("Task.async_stream", function()
  helper.setup()

  it("STREAM-01 starts nothing before it is asked for a result", function()
    local read = 0
    local before = mb.census().processes
    local iterator = Task.async_stream(function() read = read + 1 end, obedient())
    assert.equal(before, mb.census().processes)
    assert.equal(0, read)
    assert.is_nil(iterator())
    assert.equal(1, read)
    nothing_left()
  end)

  it("STREAM-01 gives nothing for an empty source, also when asked again", function()
    assert.same({}, all({}, forever))
    local iterator = Task.async_stream({}, forever)
    assert.is_nil(iterator())
    assert.is_nil(iterator())
    nothing_left()
  end)

  it("STREAM-02 gives results in the order of the source", function()
    local pid, ref = consume(false, {"a", "b", "c"}, obedient(), {max_concurrency = 3})
    local a, b, c = task_of("a"), task_of("b"), task_of("c")
    for _, task in ipairs{c, b, a} do
      send(task, {"return", task})
      helper.reason_of(task)
    end
    assert.same({"result", true, a}, receive(helper.patience))
    assert.same({"result", true, b}, receive(helper.patience))
    assert.same({"result", true, c}, receive(helper.patience))
    await{"left", 0, {}}
    await{"DOWN", ref, "process", pid, "normal"}
  end)

  it("STREAM-02 gives all results of the function, nil and false too", function()
    local results = {}
    for ok, first, second, third in Task.async_stream({1, 2}, function(n)
      if n == 1 then return nil, false, n end
      return false
    end) do
      results[#results + 1] = table.pack(ok, first, second, third)
    end
    assert.same({{true, nil, false, 1, n = 4}, {true, false, nil, nil, n = 4}}, results)
    nothing_left()
  end)

  it("STREAM-03 unordered gives them in the order of finishing", function()
    consume(false, {"a", "b", "c"}, obedient(), {max_concurrency = 3, ordered = false})
    local a, b, c = task_of("a"), task_of("b"), task_of("c")
    for _, task in ipairs{b, c, a} do
      send(task, {"return", task})
      await{"result", true, task}
    end
    await{"left", 0, {}}
  end)

  it("STREAM-04 starts the next task when one has finished", function()
    consume(false, {1, 2, 3}, obedient(), {max_concurrency = 2})
    local first, second = task_of(1), task_of(2)
    assert.is_nil((receive{ {{"task", 3, any}}, after = 0 }))
    send(second, {"return", 2})
    local third = task_of(3)
    assert.is_true(Process.alive(first))
    assert.is_false(Process.alive(second))
    send(first, {"return", 1})
    send(third, {"return", 3})
    await{"left", 0, {}}
  end)

  it("STREAM-04 never runs more than max_concurrency at a time", function()
    local Agent = mb.Agent
    local count = Agent.start_link(function() return {now = 0, most = 0} end)
    local items = {}
    for i = 1, 50 do items[i] = i end
    for _, ordered in ipairs{true, false} do
      local sum = 0
      for ok, n in Task.async_stream(items, function(n)
        Agent.update(count, function(c)
          c.now = c.now + 1
          c.most = math.max(c.most, c.now)
        end)
        Agent.update(count, function(c) c.now = c.now - 1 end)
        return n
      end, {max_concurrency = 3, ordered = ordered}) do
        assert.is_true(ok)
        sum = sum + n
      end
      assert.equal(1275, sum)
    end
    assert.is_true(Agent.get(count, function(c) return c.most end) <= 3)
    Agent.stop(count)
  end)

  it("STREAM-04 uses the cores unless told otherwise", function()
    local cores = require "moonbeam.core".cores()
    local items = {}
    for i = 1, cores + 1 do items[i] = i end
    consume(false, items, obedient())
    local tasks = {}
    for i = 1, cores do tasks[i] = task_of(i) end
    assert.is_nil((receive{ {{"task", any, any}}, after = 0 }))
    send(tasks[1], {"return", 1})
    tasks[#tasks + 1] = task_of(cores + 1)
    for i = 2, #tasks do send(tasks[i], {"return", i}) end
    await{"left", 0, {}}
  end)

  it("STREAM-04 STREAM-13 refuses wrong arguments where it is called", function()
    local function refused(text, ...)
      local ok, message = pcall(Task.async_stream, ...)
      assert.is_false(ok)
      assert.matches("^[^:]*stream_spec.lua:%d+: bad argument #%d to 'Task.async_stream' %(.*" .. text, message)
    end
    local function f() end
    for _, n in ipairs{0, -1, 1.5, "2", "infinity"} do refused("max_concurrency", {}, f, {max_concurrency = n}) end
    refused("on_timeout", {}, f, {on_timeout = "ignore"})
    for _, ms in ipairs{-1, 1.5, "soon", {}} do refused("timeout", {}, f, {timeout = ms}) end
    refused("ordered", {}, f, {ordered = "yes"})
    refused("zip_input_on_exit", {}, f, {zip_input_on_exit = 1})
    refused("table of options", {}, f, 5)
    refused("function expected", {}, 5)
    refused("sequence or iterator", 5, f)
    refused("sequence or iterator", nil, f)
    assert.same({{true, 1}}, all({1}, function(n) return n end, {max_concurrency = 2.0, timeout = math.huge}))
  end)

  it("STREAM-05 the timeout is each task's own", function()
    local started, n = mb.monotonic_time(), 0
    local function source()
      n = n + 1
      return n <= 12 and LONG // 10 or nil
    end
    local results = all(source, mb.sleep, {max_concurrency = 1, timeout = LONG})
    for i = 1, 12 do assert.same({true, true}, results[i]) end
    assert.is_true(mb.monotonic_time() - started > LONG)
  end)

  it("STREAM-06 a late task ends the consumer, and with it the others", function()
    local pid, ref = consume(false, {1, 2}, obedient(), {max_concurrency = 2, timeout = 10})
    assert.same({"timeout", {"Task.Supervised", "stream", {10}}}, await{"DOWN", ref, "process", pid, any})
    reaped()
  end)

  it("STREAM-06 caught, nothing is left of any", function()
    local work = obedient()
    local reason = catch_exit(function()
      for _ in Task.async_stream({1, 2}, work, {max_concurrency = 2, timeout = 10}) do error("a result") end
    end)
    assert.same({"timeout", {"Task.Supervised", "stream", {10}}}, reason)
    dead()
    nothing_left()
  end)

  it("STREAM-07 kill_task kills the late one only", function()
    for _, trapping in ipairs{false, true} do
      local pid, ref = consume(trapping, {"slow", "quick", "next"}, obedient(),
        {max_concurrency = 2, timeout = LONG, on_timeout = "kill_task"})
      local slow = task_of("slow")
      local slow_ref = mb.monitor(slow)
      send(task_of("quick"), {"return", "quick"})
      send(task_of("next"), {"return", "next"})
      await{"DOWN", slow_ref, "process", slow, "killed"}
      assert.same({"result", false, "timeout"}, receive(helper.patience))
      assert.same({"result", true, "quick"}, receive(helper.patience))
      assert.same({"result", true, "next"}, receive(helper.patience))
      await{"left", 0, {}}
      await{"DOWN", ref, "process", pid, "normal"}
    end
  end)

  it("STREAM-07 a task's time is up also while the consumer is busy", function()
    local tester = self()
    local pid, ref = mb.spawn_monitor(function()
      for ok, result in Task.async_stream({"quick", "slow"}, function(item)
        if item == "slow" then obey(item, tester) end
        return item
      end, {max_concurrency = 2, timeout = LONG, on_timeout = "kill_task"}) do
        send(tester, {"result", ok, result})
        receive{ {"go on"} }
      end
    end)
    await{"result", true, "quick"}
    local slow = task_of("slow")
    assert.equal("killed", helper.reason_of(slow))
    send(pid, "go on")
    await{"result", false, "timeout"}
    send(pid, "go on")
    await{"DOWN", ref, "process", pid, "normal"}
  end)

  it("STREAM-08 zip_input_on_exit adds the input of what failed", function()
    Process.flag("trap_exit", true)
    local function work(n)
      if n == 1 then exit("R") end
      if n == 2 then forever() end
      return n
    end
    assert.same({{false, {1, "R"}}, {false, {2, "timeout"}}, {true, 3}}, all({1, 2, 3}, work,
      {max_concurrency = 3, timeout = LONG, on_timeout = "kill_task", zip_input_on_exit = true}))
    assert.same({{false, {false, "R"}}}, all({false}, function() exit("R") end, {zip_input_on_exit = true}))
    nothing_left()
  end)

  it("STREAM-09 a failure takes a consumer along that does not trap, and the other tasks", function()
    for _, how in ipairs{"exit", "error"} do
      local pid, ref = consume(false, {1, 2}, obedient(), {max_concurrency = 2})
      local first, second = task_of(1), task_of(2)
      local first_ref = mb.monitor(first)
      send(second, {how, "R"})
      local reason = await{"DOWN", ref, "process", pid, any}
      if how == "error" then
        assert.same({"error", "R"}, {reason[1], reason[2]})
      else
        assert.equal("R", reason)
      end
      assert.same(reason, await{"DOWN", first_ref, "process", first, any})
    end
  end)

  it("STREAM-09 at once, even while it is busy with a result", function()
    local tester = self()
    local pid, ref = mb.spawn_monitor(function()
      for _ in Task.async_stream({1, 2}, function(n) return n == 1 or obey(n, tester) end, {max_concurrency = 2}) do
        send(tester, "busy")
        forever()
      end
    end)
    await("busy")
    send(task_of(2), {"exit", "R"})
    await{"DOWN", ref, "process", pid, "R"}
  end)

  it("STREAM-10 for a consumer that traps it is a result", function()
    local pid, ref = consume(true, {1, 2, 3}, obedient(), {max_concurrency = 3})
    local tasks = {task_of(1), task_of(2), task_of(3)}
    send(tasks[1], {"exit", "R"})
    send(tasks[2], {"exit", "normal"}) -- without a result that is a failure
    send(tasks[3], {"error", "E"})
    assert.same({"result", false, "R"}, receive(helper.patience))
    assert.same({"result", false, "normal"}, receive(helper.patience))
    local reason = await{"result", false, any}
    assert.same({"error", "E"}, {reason[1], reason[2]})
    await{"left", 0, {}}
    await{"DOWN", ref, "process", pid, "normal"}
  end)

  it("STREAM-10 no EXIT comes while it goes on either", function()
    Process.flag("trap_exit", true)
    for _ in Task.async_stream({1, 2, 3, 4}, function(n) if n % 2 == 0 then exit("R") end end, {max_concurrency = 1}) do
      assert.is_nil((receive{ {{"EXIT", any, any}}, after = 0 }))
    end
    nothing_left()
  end)

  it("STREAM-11 leaving the loop kills what still runs", function()
    for _, trapping in ipairs{false, true} do
      Process.flag("trap_exit", trapping)
      local me = self()
      local n = 0
      local source = function() n = n + 1 return n end
      for ok, result in Task.async_stream(source, function(i)
        if i == 1 then return i end
        return obey(i, me)
      end, {max_concurrency = 3}) do
        assert.same({true, 1}, {ok, result})
        break
      end
      assert.is_true(n <= 3)
      dead()
      nothing_left()
    end
  end)

  it("STREAM-11 so does killing the consumer", function()
    local pid, ref = consume(false, {1, 2}, obedient(), {max_concurrency = 2})
    local first, second = task_of(1), task_of(2)
    Process.exit(pid, "kill")
    await{"DOWN", ref, "process", pid, "killed"}
    helper.reason_of(first)
    helper.reason_of(second)
  end)

  it("STREAM-12 reads the source when there is a place, no earlier", function()
    local tester, work = self(), obedient()
    local pid, ref = mb.spawn_monitor(function()
      local n = 0
      for _, result in Task.async_stream(function()
        n = n + 1
        send(tester, {"read", n})
        return n <= 4 and n or nil
      end, work, {max_concurrency = 2}) do
        send(tester, {"result", result})
      end
    end)
    local first = task_of(1)
    local second = task_of(2)
    await{"read", 1}
    await{"read", 2}
    assert.is_nil((receive{ {{"read", any}}, after = 0 }))
    -- The first is slow: the others go on behind it, and their results wait.
    send(second, {"return", "second"})
    await{"read", 3}
    send(task_of(3), {"return", "third"})
    await{"read", 4}
    send(task_of(4), {"return", "fourth"})
    await{"read", 5}
    assert.is_nil((receive{ {{"result", any}}, after = 0 }))
    send(first, {"return", "first"})
    for _, result in ipairs{"first", "second", "third", "fourth"} do
      assert.same({"result", result}, receive(helper.patience))
    end
    await{"DOWN", ref, "process", pid, "normal"}
  end)

  it("STREAM-12 the source is read by the consumer, and once to its end", function()
    local me, readers, ends = self(), {}, 0
    local words = ("one two three"):gmatch("%a+")
    local results = all(function()
      readers[#readers + 1] = mb.self()
      local word = words()
      if not word then ends = ends + 1 end
      return word
    end, string.upper, {max_concurrency = 8})
    assert.same({{true, "ONE"}, {true, "TWO"}, {true, "THREE"}}, results)
    assert.same({me, me, me, me}, readers)
    assert.equal(1, ends)
  end)

  it("STREAM-12 an iterator's values all go to the function; a generator may wait", function()
    local tester = self()
    local results = all(coroutine.wrap(function()
      for k = 1, 2 do
        send(tester, "pulse")
        receive{ {"pulse"} }
        coroutine.yield(k, nil, k * 10)
      end
    end), function(k, hole, v) return {k, hole, v, n = 3} end, {max_concurrency = 1})
    assert.same({{true, {1, nil, 10, n = 3}}, {true, {2, nil, 20, n = 3}}}, results)
    local callable = setmetatable({n = 0}, {__call = function(t)
      t.n = t.n + 1
      return t.n < 3 and t.n or nil
    end})
    assert.same({{true, 1}, {true, 2}}, all(callable, function(n) return n end))
  end)

  it("STREAM-14 an error of the source kills the tasks before it goes on", function()
    local me, reads, first = self(), 0, nil
    local iterator = Task.async_stream(function()
      reads = reads + 1
      if reads == 3 then
        first = task_of(1)
        error("the source is broken", 0)
      end
      return reads
    end, function(i) return obey(i, me) end, {max_concurrency = 3})
    local ok, e = pcall(iterator)
    assert.same({false, "the source is broken"}, {ok, e})
    assert.is_false(Process.alive(first))
    dead()
    nothing_left()
    assert.is_nil(iterator())
  end)

  it("STREAM-14 an error in the loop does so too, and keeps its traceback", function()
    local me = self()
    local _, trace = xpcall(function()
      for _ in Task.async_stream({1, 2}, function(n) return n == 1 or obey(n, me) end, {max_concurrency = 2}) do
        error("the consumer is broken")
      end
    end, debug.traceback)
    assert.matches("the consumer is broken\nstack traceback:.*stream_spec.lua", trace)
    dead()
    nothing_left()
  end)

  it("STREAM-14 so does an item that cannot be sent", function()
    local file = assert(io.open("README.md"))
    local ok, e = pcall(Task.async_stream({1, {file}}, forever, {max_concurrency = 2}))
    file:close()
    assert.is_false(ok)
    assert.matches("stream_spec.lua:%d+: cannot copy item 2 of Task.async_stream: .*userdata", e)
    nothing_left()
  end)

  it("leaves other messages alone", function()
    local other = mb.make_ref()
    send(self(), {other, 1})
    send(self(), {"DOWN", other, "process", self(), "x"})
    assert.same({{true, 1}, {true, 2}}, all({1, 2}, function(n) return n end))
    assert.same({{other, 1}, {"DOWN", other, "process", self(), "x"}}, Process.info(self(), "messages"))
  end)

  it("tells its tasks who their callers are", function()
    local me = self()
    local outer = Task.async(function()
      local iterator = Task.async_stream({1}, function() return Process.get("$callers") end)
      local _, callers = iterator()
      return mb.self(), callers, iterator()
    end)
    local pid, callers = Task.await(outer)
    assert.same({pid, me}, callers)
  end)

  it("can only be read by the process that began to", function()
    local iterator = Task.async_stream({1, 2}, function(n) return n end, {max_concurrency = 1})
    assert.same({true, 1}, {iterator()})
    local reason = exit_reason(function() iterator() end)
    assert.matches("stream_spec.lua:%d+: the stream belongs to #PID", reason[2])
    assert.same({true, 2}, {iterator()})
    assert.is_nil(iterator())
  end)

  it("one that has not begun may be read anywhere", function()
    local iterator = Task.async_stream({1, 2}, function(n) return n end)
    assert.same({true, 1, true, 2}, {Task.await(Task.async(function()
      local a, b = iterator()
      local c, d = iterator()
      assert(iterator() == nil)
      return a, b, c, d
    end))})
  end)
end)

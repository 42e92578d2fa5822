local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, spawn, any = mb.self, mb.send, mb.receive, mb.spawn, mb.any
local Process, await = mb.Process, helper.await

describe("a timer", function()
  helper.setup()

  it("TIMER-01 delivers the message itself, once, not before its time", function()
    local start = mb.monotonic_time()
    local ref = Process.send_after(self(), {"m"}, 10)
    assert.equal("reference", mb.type(ref))
    assert.same({"m"}, receive(helper.patience))
    assert.is_true(mb.monotonic_time() - start >= 10)
    assert.is_nil((receive(15)))
  end)

  it("TIMER-03 says how long it has to go", function()
    local ref = Process.send_after(self(), "m", 10000)
    local left = Process.read_timer(ref)
    assert.equal("integer", math.type(left))
    assert.is_true(left >= 0 and left <= 10000)
    Process.cancel_timer(ref)
    assert.is_false(Process.read_timer(ref))
  end)

  it("TIMER-03 whose time is beyond all bounds has very long to go", function()
    for _, ms in ipairs{2^32 + 60000, 2^53, math.maxinteger, 1e300} do
      local ref = Process.send_after(self(), "m", ms)
      local left = Process.read_timer(ref)
      assert.equal("integer", math.type(left))
      assert.is_true(left >= 2^32 and left <= ms)
      assert.is_true(Process.cancel_timer(ref) >= 2^32)
      assert.is_false(Process.read_timer(ref))
    end
    assert.is_nil(receive(0))
  end)

  it("TIMER-04 that is cancelled delivers nothing", function()
    local ref, left
    repeat -- until it is cancelled in time
      receive(0)
      ref = Process.send_after(self(), "m", 5)
      left = Process.cancel_timer(ref)
      if not left then await("m") end
    until left
    assert.is_true(left <= 5)
    assert.is_false(Process.cancel_timer(ref))
    assert.is_nil((receive(10)))
  end)

  it("TIMER-05 that has fired cannot be taken back", function()
    local ref = Process.send_after(self(), "m", 0)
    await("m")
    send(self(), "m")
    assert.is_false(Process.cancel_timer(ref))
    assert.equal("m", receive(0))
  end)

  it("TIMER-06 unknown is false; what is no reference raises", function()
    assert.is_false(Process.cancel_timer(mb.make_ref()))
    assert.is_false(Process.read_timer(mb.make_ref()))
    assert.is_false(pcall(Process.cancel_timer, 1))
    assert.is_false(pcall(Process.read_timer, self()))
  end)

  it("TIMER-07 can be cancelled by another process", function()
    local me, ref = self(), Process.send_after(self(), "m", 5000)
    spawn(function() send(me, {"left", Process.cancel_timer(ref)}) end)
    assert.is_true(await{"left", any} > 0)
    assert.is_false(Process.read_timer(ref))
  end)

  it("TIMER-08 fires in the order of deadlines", function()
    local function arrange()
      local round = mb.make_ref()
      for _, ms in ipairs{30, 10, 20} do Process.send_after(self(), {round, ms}, ms) end
      return round
    end
    local round = helper.within(10, arrange)
    for _, ms in ipairs{10, 20, 30} do assert.equal(ms, await{round, any}) end
  end)

  it("TIMER-09 refuses times that are none", function()
    for _, bad in ipairs{-1, 1.5, "x", "infinity", math.huge, 0 / 0} do
      assert.is_false(pcall(Process.send_after, self(), "m", bad))
    end
    assert.is_false(pcall(Process.send_after, 5, "m", 1))
    assert.is_false(pcall(Process.send_after, self(), "m"))
  end)

  it("TIMER-10 ends with the pid it is for", function()
    assert.is_false(Process.read_timer(Process.send_after(helper.dead_pid(), "m", 1000)))
    local pid = helper.idle()
    local ref = Process.send_after(pid, "m", 10000)
    Process.exit(pid, "kill")
    helper.reason_of(pid)
    assert.is_false(Process.read_timer(ref))
  end)

  it("TIMER-10 is gone, with its message, for who has heard of the death, wherever each of them lives", function()
    local schedulers = #mb.schedulers()
    -- Reads the timers of those it is told of when it hears of their ends.
    local witness = Process.spawn(function()
      while true do
        local target, timer = mb.receive{ {{"watch", any, any}} }
        local ref = mb.monitor(target)
        mb.receive{ {{"DOWN", ref, "process", target, any}} }
        send(mb.receive{ {{"asked by", any}} }, {"seen", Process.read_timer(timer)})
      end
    end, {scheduler = schedulers, link = true})
    for round = 1, 400 do
      local target, ref = Process.spawn(function() mb.receive() end,
        {scheduler = 1 + round % schedulers, monitor = true})
      local timer = Process.send_after(target, {"idle", ("x"):rep(1000)}, 3600000)
      local other = Process.send_after(target, "idle", 3600000)
      send(witness, {"watch", target, other})
      send(target, "end")
      await{"DOWN", ref, "process", target, "normal"}
      assert.is_false(Process.read_timer(timer))
      assert.is_false(Process.cancel_timer(timer))
      send(witness, {"asked by", self()})
      assert.is_false((await{"seen", any}))
      assert.is_false(Process.read_timer(Process.send_after(target, "late", 3600000)))
    end
    mb.unlink(witness)
    Process.exit(witness, "kill")
  end)

  it("TIMER-10 leaves nothing behind when it is made while its target dies", function()
    local schedulers = #mb.schedulers()
    for round = 1, 300 do
      local target, ref = Process.spawn(function() mb.receive() end,
        {scheduler = 1 + round % schedulers, monitor = true})
      send(target, "end")
      for _ = 1, round % 20 do Process.send_after(target, "idle", 3600000) end
      await{"DOWN", ref, "process", target, "normal"}
    end
  end) -- helper.setup's census finds what is left

  it("for one that lives elsewhere fires and is cancelled as others, and outlives its maker", function()
    for scheduler = 1, #mb.schedulers() do
      local me = self()
      local target = Process.spawn(function()
        for _ = 1, 3 do send(me, {"got", mb.receive()}) end
      end, {scheduler = scheduler})
      local cancelled = Process.send_after(target, "cancelled", 3600000)
      Process.send_after(target, "first", 5)
      Process.send_after(target, "second", 20)
      helper.in_process(function() Process.send_after(target, "third", 40) end)
      assert.is_true(Process.cancel_timer(cancelled) > 3000000)
      for _, expected in ipairs{"first", "second", "third"} do assert.equal(expected, await{"got", any}) end
      helper.reason_of(target)
    end
  end)

  it("TIMER-11 looks a name up when it fires", function()
    local timer
    repeat -- until the name is given before the timer fires
      if timer then Process.unregister("timer-11") end
      timer = Process.send_after("timer-11", "m", 5)
      Process.register(self(), "timer-11")
    until Process.read_timer(timer)
    await("m")
    repeat
      if not Process.whereis("timer-11") then Process.register(self(), "timer-11") end
      timer = Process.send_after("timer-11", "dropped", 5)
      Process.unregister("timer-11")
    until Process.read_timer(timer)
    while receive(0) do end -- of those that were too early
    assert.is_nil((receive(15)))
  end)

  it("TIMER-12 outlives its creator", function()
    local me = self()
    helper.in_process(function() Process.send_after(me, "m", 5) end)
    await("m")
  end)

  it("TIMER-02 of start_timer sends what tells it from others", function()
    local first, second = Process.start_timer(self(), "m", 1), Process.start_timer(self(), {"n"}, 1)
    assert.same({"n"}, await{"timeout", second, any})
    assert.equal("m", await{"timeout", first, any})
    local at = mb.monotonic_time() + 5
    first = Process.start_timer(self(), nil, at, {abs = true})
    assert.same({"timeout", first}, receive(helper.patience))
    assert.is_true(mb.monotonic_time() >= at)
    assert.error_matches(function() Process.start_timer(5, "m", 1) end, "'Process.start_timer'")
  end)

  it("TIMER-13 is cancelled without waiting, with what was left as a message, or not at all", function()
    local me = self()
    for scheduler = 1, #mb.schedulers() do
      local pid = Process.spawn(function()
        for _ = 1, 4 do send(me, {"timer", Process.send_after(me, "never", 10000)}) end
      end, {scheduler = scheduler})
      local timers = {}
      for i = 1, 4 do timers[i] = await{"timer", any} end
      assert.is_true(Process.cancel_timer(timers[1], {async = true}))
      local left = await{"cancel_timer", timers[1], any}
      assert.is_true(left > 0 and left <= 10000)
      assert.is_true(Process.cancel_timer(timers[1], {async = true}))
      assert.is_false((await{"cancel_timer", timers[1], any}))
      assert.is_true(Process.cancel_timer(timers[2], {async = true, info = false}))
      assert.is_true(Process.cancel_timer(timers[3], {info = false}))
      assert.is_true(Process.cancel_timer(timers[4], {async = false, info = true}) > 0)
      for i = 1, 4 do assert.is_false(Process.read_timer(timers[i])) end
      helper.reason_of(pid)
    end
    assert.is_nil((receive(0)))
    assert.error_matches(function() Process.cancel_timer(mb.make_ref(), {asinc = true}) end,
      "unknown option asinc = true; options: async, info")
    assert.error_matches(function() Process.cancel_timer(mb.make_ref(), {async = 1}) end, "async")
    assert.error_matches(function() Process.read_timer(mb.make_ref(), {async = true}) end,
      "unknown option async = true; there are none")
  end)

  it("TIMER-14 takes a time of the clock", function()
    local at = mb.monotonic_time() + 12.5
    local timer = Process.send_after(self(), "at", at, {abs = true})
    local left = Process.read_timer(timer)
    assert.is_true(not left or left <= 13)
    await("at")
    assert.is_true(mb.monotonic_time() >= at)
    for _, over in ipairs{mb.monotonic_time() - 5, 0, -1e9} do
      Process.send_after(self(), "at once", over, {abs = true})
      await("at once")
    end
    timer = Process.send_after(self(), "never", 1e300, {abs = true})
    assert.is_true(Process.cancel_timer(timer) > 2^32)
    Process.register(self(), "timer-14")
    Process.send_after("timer-14", "by name", mb.monotonic_time(), {abs = true})
    await("by name")
    Process.unregister("timer-14")
    assert.is_number(Process.cancel_timer(Process.send_after(self(), "m", 1000, {abs = false})))
    for _, bad in ipairs{"x", 0 / 0, math.huge} do
      assert.error_matches(function() Process.send_after(self(), "m", bad, {abs = true}) end, "")
    end
    assert.error_matches(function() Process.send_after(self(), "m", 1, {abs = 1}) end, "abs is true or false, got 1")
    assert.error_matches(function() Process.send_after(self(), "m", 1, {absolute = true}) end, "options: abs")
  end)

  it("TIMER-15 comes again and again, and does not drift", function()
    local start = mb.monotonic_time()
    local timer = Process.send_interval(self(), {"tick"}, 3)
    for i = 1, 10 do
      assert.same({"tick"}, receive(helper.patience))
      assert.is_true(mb.monotonic_time() - start >= 3 * i)
    end
    local now = mb.monotonic_time()
    local left = Process.read_timer(timer)
    -- the next one is due at a multiple of the period from the start, however late the last ones were heard of
    local off = (now + left - start) % 3
    assert.is_true(left <= 3 and (off < 1.1 or off > 2.9), off)
    assert.is_number(Process.cancel_timer(timer))
    assert.is_false(Process.cancel_timer(timer))
    while receive(0) do end
    assert.is_nil((receive(10)))
  end)

  it("TIMER-15 makes up for what a process was late for", function()
    helper.in_process(function()
      local timer = Process.send_interval(self(), "tick", 2)
      local start = mb.monotonic_time()
      while mb.monotonic_time() - start < 21 do end
      for _ = 1, 10 do assert(receive(helper.patience) == "tick") end
      assert(Process.cancel_timer(timer))
    end)
  end)

  it("TIMER-15 ends with the process it is for, wherever that lives", function()
    local me = self()
    for scheduler = 1, #mb.schedulers() do
      local target = Process.spawn(function()
        for _ = 1, 3 do send(me, {"got", receive()}) end
      end, {scheduler = scheduler})
      local timer = Process.send_interval(target, "tick", 1)
      for _ = 1, 3 do assert.equal("tick", await{"got", any}) end
      helper.reason_of(target)
      assert.is_false(Process.read_timer(timer))
    end
    assert.is_false(Process.read_timer(Process.send_interval(helper.dead_pid(), "m", 1000)))
  end)

  it("TIMER-15 is for the process that has the name by then", function()
    local pid = helper.idle()
    Process.register(pid, "timer-15")
    local timer = Process.send_interval("timer-15", "m", 100000)
    local via = Process.send_interval({"via", {whereis_name = function() return pid end}, "x"}, "m", 100000)
    Process.unregister("timer-15")
    Process.register(self(), "timer-15")
    Process.exit(pid, "kill")
    helper.reason_of(pid)
    assert.is_false(Process.read_timer(timer))
    assert.is_false(Process.read_timer(via))
    Process.unregister("timer-15")
    assert.error_matches(function() Process.send_interval("timer-15", "m", 1) end,
      "no process is registered as 'timer%-15'")
    assert.error_matches(function() Process.send_interval({"via", {whereis_name = function() end}, "x"}, "m", 1) end,
      'no process is registered under "x"')
    for _, bad in ipairs{0, -1, "x", math.huge} do
      assert.error_matches(function() Process.send_interval(self(), "m", bad) end, "")
    end
    assert.error_matches(function() Process.send_interval(self(), coroutine.create(print), 1) end, "cannot .*coroutine")
  end)

  it("MON-19 for an alias sends to it", function()
    local ref = mb.alias()
    Process.send_after(ref, "after", 1)
    await("after")
    local timer = Process.send_interval(ref, "again", 1)
    await("again")
    await("again")
    mb.unalias(ref)
    while receive(0) do end
    assert.is_nil((receive(5)))
    Process.cancel_timer(timer)
    assert.is_false(Process.read_timer(Process.send_after(ref, "nobody", 1000)))
  end)

  it("is cheap: very many can be pending", function()
    local n, refs = 200000 // helper.scale, {}
    for i = 1, n do refs[i] = Process.send_after(self(), i, 100000 + (i * 7919) % 50000) end
    assert.equal(n, mb.census().timers)
    for i = 1, n do assert(Process.cancel_timer(refs[i])) end
    assert.equal(0, mb.census().timers)
  end)
end)

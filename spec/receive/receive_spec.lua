local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, spawn, any, is = mb.self, mb.send, mb.receive, mb.spawn, mb.any, mb.is
local Process, await, monotonic_time = mb.Process, helper.await, mb.monotonic_time

local function queue(...)
  for _, v in ipairs{...} do send(self(), v) end
end

local function mailbox() return Process.info(self(), "messages") end

describe("receive", function()
  helper.setup()

  it("RECV-01 takes the oldest message that any clause matches", function()
    queue("b", "a")
    assert.equal("B", receive{ {"a", function() return "A" end}, {"b", function() return "B" end} })
    assert.same({"a"}, mailbox())
  end)

  it("RECV-02 leaves the other messages in order", function()
    queue(1, 2, 3)
    assert.equal(2, receive{ {2} })
    assert.same({1, 3}, mailbox())
  end)

  it("RECV-03 prefers a queued message to a timeout of 0", function()
    queue("here")
    assert.equal("here", receive{ {"here"}, after = 0 })
    queue("here")
    assert.equal("here", receive(0))
  end)

  it("RECV-04 with timeout 0 leaves messages that do not match", function()
    queue(1, 2)
    local v, timeout = receive{ {"x"}, after = 0 }
    assert.is_nil(v)
    assert.equal("timeout", timeout)
    assert.same({1, 2}, mailbox())
  end)

  it("RECV-05 does not start the clock again for messages that do not match", function()
    local me = self()
    local pid = spawn(function()
      for _ = 1, 1000 do
        send(me, "noise")
        mb.sleep(5)
      end
      send(me, "signal") -- the clock has started again for each
    end)
    local start = monotonic_time()
    local _, timeout = receive{ {"signal"}, after = 50 }
    local took = monotonic_time() - start
    Process.exit(pid, "kill")
    assert.equal("timeout", timeout)
    assert.is_true(took >= 50)
  end)

  it("RECV-06 keeps a message that comes after the timeout", function()
    local me = self()
    local pid = spawn(function() receive{ {"go"} } send(me, "late") end)
    assert.equal("timeout", select(2, receive{ {"late"}, after = 5 }))
    send(pid, "go")
    assert.equal("late", await("late"))
  end)

  it("RECV-07 forgets the timeout of a receive that was satisfied", function()
    queue("now")
    assert.equal("now", receive{ {"now"}, after = 5 })
    assert.is_nil((receive(15)))
    assert.equal(0, mb.census().timers)
    assert.is_true(mb.sleep(1))
  end)

  it("RECV-08 waits for ever without a timeout", function()
    local me = self()
    local pid = spawn(function() receive{ {"never"}, after = "infinity" } send(me, "woke") end)
    send(pid, "other")
    assert.is_nil((receive(20)))
    assert.is_true(Process.alive(pid))
    Process.exit(pid, "kill")
  end)

  it("RECV-09 refuses what is no timeout", function()
    for _, bad in ipairs{-1, 1.5, "soon", true, 0 / 0} do
      assert.error_matches(function() receive(bad) end, "timeout_value")
      assert.error_matches(function() receive{ {any}, after = bad } end, "timeout_value")
      assert.error_matches(function() mb.sleep(bad) end, "timeout_value")
    end
    assert.is_nil((receive(1.0)))
  end)

  it("RECV-10 scans from the oldest message each time", function()
    queue("a", "b")
    assert.equal("b", receive{ {"b"} })
    assert.equal("a", receive{ {"a"} })
  end)

  it("RECV-11 is not what sleep does: messages stay", function()
    queue(1, 2)
    local start = monotonic_time()
    assert.is_true(mb.sleep(5))
    assert.is_true(monotonic_time() - start >= 5)
    assert.is_true(mb.sleep(0))
    assert.is_false(pcall(mb.sleep, -1))
    assert.same({1, 2}, mailbox())
  end)

  it("RECV-12 accepts timeouts beyond 2^32 ms", function()
    local me = self()
    local pid = spawn(function()
      receive{ {"go"}, after = {2^32 + 5, function() send(me, "early") end} }
      send(me, "went")
    end)
    local sleeper = spawn(function() mb.sleep(2^40) send(me, "early") end)
    assert.is_nil((receive(20)))
    send(pid, "go")
    assert.equal("went", receive(helper.patience))
    Process.exit(sleeper, "kill")
  end)

  it("RECV-13 runs no branch when the process is killed", function()
    local me, timeout, started = self(), 20, nil
    repeat -- until it has been killed in time
      while receive(0) do end
      started = monotonic_time()
      local pid = spawn(function()
        receive{ {any, function() send(me, "clause") end}, after = {timeout, function() send(me, "timeout") end} }
        send(me, "after")
      end)
      repeat
        mb.sleep(1)
        local status = Process.info(pid, "status")
      until status == "waiting" or status == nil
      Process.exit(pid, "kill")
    until monotonic_time() - started < timeout
    assert.is_nil((receive(2 * timeout)))
  end)

  it("RECV-14 takes the time that is left until a deadline", function()
    local now = monotonic_time()
    assert.equal("integer", math.type(mb.time_left(now + 10000.5)))
    local left = mb.time_left(now + 10000.5)
    assert.is_true(left > 0 and left <= 10001)
    assert.equal(0, mb.time_left(now))
    assert.equal(0, mb.time_left(-math.huge))
    assert.equal("infinity", mb.time_left("infinity"))
    assert.equal("infinity", mb.time_left(math.huge))
    assert.equal("timeout", select(2, receive(mb.time_left(now + 1.5))))
    assert.is_true(monotonic_time() >= now + 1.5)
    for _, bad in ipairs{"soon", true, 0 / 0} do
      assert.error_matches(function() mb.time_left(bad) end,
        "^bad argument #1 to 'time_left' %(number or \"infinity\" expected, got %a+%)$")
    end
  end)

  it("calls bodies in tail position: a loop runs in constant space", function()
    local me = self()
    helper.in_process(function()
      local function loop(map, left)
        if left == 0 then return send(me, {"sum", map.sum, debug.traceback()}) end
        return receive{ {{"add", is.number}, function(n)
          map.sum = map.sum + n
          send(self(), {"add", 1})
          return loop(map, left - 1)
        end} }
      end
      send(self(), {"add", 1})
      loop({sum = 0}, 100000 // helper.scale)
    end)
    local sum, trace = await{"sum", any, any}
    assert.equal(100000 // helper.scale, sum)
    assert.is_true(#trace < 2000)
  end)

  it("finds a fresh reference in a long mailbox without scanning it", function()
    helper.in_process(function()
      for i = 1, 10000 do send(self(), {"old", i}) end
      local start = os.clock()
      for _ = 1, 300 do receive{ {{"nobody", any}}, after = 0 } end
      local scans = os.clock() - start
      start = os.clock()
      for _ = 1, 1000 do
        local ref = mb.make_ref()
        send(self(), {ref, "fresh"})
        receive{ {{ref, any}}, {{"DOWN", ref, "process", any, any}} }
        ref = mb.make_ref()
        send(self(), {"reply", "fresh", ref})
        receive{ {{"reply", any, ref}} }
        ref = mb.make_ref()
        send(self(), {"reply", to = ref})
        receive{ {{"reply", to = ref}} }
      end
      local took = os.clock() - start
      assert(took < scans, ("3000 took %g s, 300 scans %g s"):format(took, scans))
    end)
  end)

  it("gives the captures without a body, and the message when nothing is captured", function()
    queue({"pair", 1, 2}, {"plain", 3})
    local a, b = receive{ {{"pair", any, any}} }
    assert.same({1, 2}, {a, b})
    assert.same({"plain", 3}, receive{ {{"plain", 3}} })
  end)

  it("gives every capture to the body, or as a result, however many there are", function()
    local function count(...) return select("#", ...), ... end
    for n = 0, 40 do
      local pattern, message, expected = {"m"}, {"m"}, {}
      for i = 1, n do
        pattern[i + 1], message[i + 1], expected[i] = any, i % 3 > 0 and i, i % 3 > 0 and i
      end
      if n == 0 then expected[1] = message end
      for _, clauses in ipairs{ {{pattern}}, mb.matcher{ {{"other"}, print}, {pattern} } } do
        queue(message, message)
        local results = table.pack(receive(clauses))
        assert.equal(#expected, results.n)
        results.n = nil
        assert.same(expected, results)
        results = table.pack(receive{ {pattern, count} })
        assert.equal(#expected, table.remove(results, 1))
        results.n = nil
        assert.same(expected, results)
      end
    end
  end)

  it("gives what a body returns, nothing and nil included", function()
    local function results(body)
      queue("m")
      return select("#", receive{ {"m", body} })
    end
    assert.equal(0, results(function() end))
    assert.equal(1, results(function() return nil end))
    assert.equal(5, results(function() return 1, nil, 3, nil, nil end))
    assert.equal(0, select("#", receive{ after = {0, function() end} }))
    assert.equal(2, select("#", receive{ after = 0 }))
  end)

  -- A copy's metatable is collected with it, and another's may come to stand at the same address.
  it("means the same by a matcher that has travelled, whatever was there before it", function()
    -- In an interpreter of its own: two hundred collections of the heap with all specs take seconds.
    local output, code = helper.run_script([[
      local mb = require "moonbeam"
      local self, send, receive, Process = mb.self, mb.send, mb.receive, mb.Process
      local two, late = mb.matcher{ {"a"}, {"b"} }, mb.matcher{ {"a"}, after = 0 }
      local function copy(m)
        send(self(), {m})
        return receive()[1]
      end
      for _ = 1, 100 do
        local c = copy(late)
        assert(select(2, receive(c)) == "timeout")
        c = nil
        collectgarbage()
        c = copy(two)
        send(self(), "b")
        local timer = Process.send_after(self(), "a", 60000)
        assert(receive(c) == "b")
        Process.cancel_timer(timer)
        c = nil
        collectgarbage()
      end
    ]])
    assert.equal(0, code, output)
  end)

  it("takes after = {ms, fn}: fn's results are receive's", function()
    local a, b = receive{ {"x"}, after = {0, function() return "late", 2 end} }
    assert.same({"late", 2}, {a, b})
    local _, timeout = receive{ after = 1 }
    assert.equal("timeout", timeout)
  end)

  it("raises at the call for ill-formed clauses", function()
    for _, bad in ipairs{ {5}, { {} }, { {any, 5} }, { {any, when = 1} }, { {any, print, print} },
        {what = {any}}, { {any}, after = {1, 2} } } do
      local ok, message = pcall(function() receive(bad) end)
      assert.is_false(ok)
      assert.matches("receive_spec.lua:%d+: bad argument #1 to 'receive'", message)
      ok, message = pcall(function() mb.matcher(bad) end)
      assert.is_false(ok)
      assert.matches("receive_spec.lua:%d+: bad argument #1 to 'matcher'", message)
    end
    assert.error_matches(function() mb.matcher{ {any}, after = -1 } end, "bad argument #1 to 'matcher' %(timeout_value")
  end)
end)

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
    for _, ms in ipairs{2^32 + 5, 2^53, math.maxinteger, 1e300} do
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
    local ref = Process.send_after(self(), "m", 5)
    assert.is_true(Process.cancel_timer(ref) <= 5)
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
    for _, ms in ipairs{30, 10, 20} do Process.send_after(self(), ms, ms) end
    for _, ms in ipairs{10, 20, 30} do assert.equal(ms, receive(helper.patience)) end
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

  it("TIMER-11 looks a name up when it fires", function()
    Process.send_after("timer-11", "m", 5)
    Process.register(self(), "timer-11")
    await("m")
    Process.send_after("timer-11", "dropped", 5)
    Process.unregister("timer-11")
    assert.is_nil((receive(15)))
  end)

  it("TIMER-12 outlives its creator", function()
    local me = self()
    helper.in_process(function() Process.send_after(me, "m", 5) end)
    await("m")
  end)

  it("is cheap: very many can be pending", function()
    local n, refs = 200000 // helper.scale, {}
    for i = 1, n do refs[i] = Process.send_after(self(), i, 100000 + (i * 7919) % 50000) end
    assert.equal(n, mb.census().timers)
    for i = 1, n do assert(Process.cancel_timer(refs[i])) end
    assert.equal(0, mb.census().timers)
  end)
end)

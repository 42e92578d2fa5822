local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, spawn, spawn_monitor, any, exit, monitor, demonitor =
  mb.self, mb.send, mb.receive, mb.spawn, mb.spawn_monitor, mb.any, mb.exit, mb.monitor, mb.demonitor
local Process, await = mb.Process, helper.await
local here = "nonode@nohost"

local function victim() return spawn(function() exit(receive()) end) end

describe("a monitor", function()
  helper.setup()

  it("MON-01 tells of any end, once", function()
    for _, reason in ipairs{"normal", "r"} do
      local pid = victim()
      local ref = monitor(pid)
      assert.equal("reference", mb.type(ref))
      send(pid, reason)
      assert.same({"DOWN", ref, "process", pid, reason}, receive(helper.patience))
      assert.is_nil((receive(2)))
    end
  end)

  it("MON-02 on the dead says noproc at once", function()
    local pid = spawn(function() exit("something else") end)
    helper.reason_of(pid)
    local ref = monitor(pid)
    assert.same({"DOWN", ref, "process", pid, "noproc"}, receive(0))
  end)

  it("MON-03 on oneself says nothing", function()
    assert.equal("reference", mb.type(monitor(self())))
    helper.in_process(function() monitor(self()) end)
    assert.is_nil(receive(0))
  end)

  it("MON-04 twice says it twice", function()
    local pid = victim()
    local r1, r2 = monitor(pid), monitor(pid)
    send(pid, "x")
    await{"DOWN", r1, "process", pid, "x"}
    await{"DOWN", r2, "process", pid, "x"}
  end)

  it("MON-05 never ends the watcher", function()
    local pid, ref = spawn_monitor(function() error("crash") end)
    await{"DOWN", ref, "process", pid, any}
  end)

  it("MON-06 ends with the watcher", function()
    local pid = victim()
    helper.in_process(function() monitor(pid) end)
    assert.same({}, Process.info(pid, "monitored_by"))
    assert.is_true(Process.alive(pid))
    send(pid, "end")
  end)

  it("MON-07 is over after demonitor", function()
    local pid = victim()
    local ref = monitor(pid)
    assert.is_true(demonitor(ref))
    send(pid, "end")
    helper.reason_of(pid)
    assert.is_nil(receive(0))
  end)

  it("MON-08 demonitor leaves a queued DOWN", function()
    local pid, ref = spawn_monitor(function() end)
    helper.reason_of(pid)
    assert.is_true(demonitor(ref))
    await{"DOWN", ref, "process", pid, any}
  end)

  it("MON-09 demonitor with flush removes it, and only it", function()
    local pid = victim()
    local r1, r2 = monitor(pid), monitor(pid)
    send(pid, "end")
    helper.reason_of(pid)
    assert.is_true(demonitor(r1, "flush"))
    assert.equal(r2, receive(0)[2])
    assert.is_nil(receive(0))
    assert.is_false(pcall(demonitor, r2, "what"))
  end)

  it("MON-10 nothing comes after demonitor with flush", function()
    local pid = helper.idle()
    local ref = monitor(pid)
    Process.exit(pid, "x")
    demonitor(ref, "flush")
    helper.reason_of(pid)
    assert.is_nil(receive(0))
  end)

  it("MON-11 that has fired can still be flushed", function()
    local pid, ref = spawn_monitor(function() end)
    helper.reason_of(pid)
    demonitor(ref, "flush")
    demonitor(ref, "flush")
    assert.is_nil(receive(0))
  end)

  it("MON-12 unknown references are fine, other values raise", function()
    assert.is_true(demonitor(mb.make_ref()))
    for _, bad in ipairs{1, "x", self()} do
      assert.error_matches(function() demonitor(bad) end, "bad argument #1 to 'demonitor'")
    end
  end)

  it("MON-13 of another process cannot be ended", function()
    local pid = victim()
    local ref = monitor(pid)
    helper.in_process(function() demonitor(ref) end)
    send(pid, "x")
    await{"DOWN", ref, "process", pid, "x"}
  end)

  it("MON-14 by name says the name", function()
    local pid = victim()
    Process.register(pid, "mon-14")
    local ref = monitor("mon-14")
    assert.same({{"mon-14", here}}, Process.info(self(), "monitors"))
    send(pid, "x")
    assert.same({"DOWN", ref, "process", {"mon-14", here}, "x"}, receive(helper.patience))
  end)

  it("MON-15 by a name nobody has says noproc", function()
    local ref = monitor("mon-15")
    assert.same({"DOWN", ref, "process", {"mon-15", here}, "noproc"}, receive(0))
    for _, bad in ipairs{1, true, {}} do
      assert.error_matches(function() monitor(bad) end, "bad argument #1 to 'monitor'")
    end
  end)

  it("MON-16 by name stays with the process it found", function()
    local a, b = victim(), victim()
    Process.register(a, "mon-16")
    local ref = monitor("mon-16")
    Process.unregister("mon-16")
    Process.register(b, "mon-16")
    send(b, "b ends")
    helper.reason_of(b)
    assert.is_nil(receive(0))
    send(a, "a ends")
    await{"DOWN", ref, "process", {"mon-16", here}, "a ends"}
  end)

  it("MON-17 carries {error, E, trace} and killed", function()
    local pid, ref = spawn_monitor(function() error("E", 0) end)
    local reason = await{"DOWN", ref, "process", pid, any}
    assert.same({"error", "E"}, {reason[1], reason[2]})
    pid = helper.idle()
    ref = monitor(pid)
    Process.exit(pid, "kill")
    assert.equal("killed", await{"DOWN", ref, "process", pid, any})
  end)

  it("MON-18 made after a deadly signal says noproc", function()
    local pid = helper.idle()
    Process.exit(pid, "x")
    local ref = monitor(pid)
    await{"DOWN", ref, "process", pid, "noproc"}
    Process.flag("trap_exit", true)
    pid = helper.idle()
    Process.exit(pid, "x")
    mb.link(pid)
    await{"EXIT", pid, "noproc"}
  end)

  it("MON-21 drops replies that come after it was ended", function()
    local server = {init = function() return "ok" , 0 end,
      handle_call = function(_, from, s) return "noreply", from end,
      handle_cast = function(_, from) mb.GenServer.reply(from, "late") return "noreply", 0 end}
    local pid = mb.GenServer.start(server)
    assert.equal("timeout", helper.catch_exit(mb.GenServer.call, pid, "x", 1)[1])
    mb.GenServer.cast(pid, "reply now")
    mb.GenServer.stop(pid)
    assert.is_nil(receive(0))
  end)
end)

local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, spawn, spawn_monitor, any, exit =
  mb.self, mb.send, mb.receive, mb.spawn, mb.spawn_monitor, mb.any, mb.exit
local Process, await = mb.Process, helper.await

describe("the order of signals", function()
  helper.setup()

  it("ORD-01 is that of sending, between two processes", function()
    Process.flag("trap_exit", true)
    local me = self()
    local pid = spawn(function()
      mb.link(me)
      send(me, 1)
      Process.exit(me, "signal")
      send(me, 2)
      receive{ {"end"} }
    end)
    assert.equal(1, receive(helper.patience))
    assert.same({"EXIT", pid, "signal"}, receive(helper.patience))
    assert.equal(2, receive(helper.patience))
    send(pid, "end")
    await{"EXIT", pid, "normal"}
  end)

  it("ORD-02 an exit signal comes between the messages around it", function()
    local me = self()
    local pid, ref = spawn_monitor(function()
      receive{ {"never"} }
    end)
    for i = 1, 3 do send(pid, i) end
    Process.exit(pid, "good")
    for i = 4, 6 do send(pid, i) end
    assert.equal("good", await{"DOWN", ref, "process", pid, any})
    local trapping = spawn(function()
      Process.flag("trap_exit", true)
      send(me, "ready")
      receive{ {"go"} }
      send(me, {"saw", Process.info(self(), "messages")})
    end)
    await("ready")
    send(trapping, 1)
    Process.exit(trapping, "x")
    send(trapping, 2)
    send(trapping, "go")
    assert.same({1, {"EXIT", me, "x"}, 2}, await{"saw", any})
  end)

  it("ORD-03 names are free before an end is told", function()
    Process.flag("trap_exit", true)
    local pid = mb.spawn_link(receive)
    Process.register(pid, "ord-3")
    send(pid, "end")
    await{"EXIT", pid, "normal"}
    assert.is_nil(Process.whereis("ord-3"))
  end)

  it("ORD-04 both notices come after the messages", function()
    Process.flag("trap_exit", true)
    local me = self()
    local pid, ref = Process.spawn(function() for i = 1, 10 do send(me, i) end end, {link = true, monitor = true})
    for i = 1, 10 do assert.equal(i, receive(helper.patience)) end
    await{"EXIT", pid, any}
    await{"DOWN", ref, "process", pid, any}
  end)

  it("ORD-05 every monitor's DOWN arrives", function()
    local pid = spawn(receive)
    local refs = {}
    for i = 1, 10 do refs[i] = mb.monitor(pid) end
    send(pid, "end")
    for i = 1, 10 do await{"DOWN", refs[i], "process", pid, any} end
  end)

  it("ORD-06 an unlink comes before the end", function()
    Process.flag("trap_exit", true)
    local me = self()
    local pid, ref = Process.spawn(function() mb.unlink(me) exit("r") end, {link = true, monitor = true})
    await{"DOWN", ref, "process", pid, "r"}
    assert.is_nil(receive(0))
  end)

  it("ORD-07 nobody sees half of a death", function()
    Process.flag("trap_exit", true)
    local me, pid = self(), helper.idle()
    for _ = 1, 5 do
      spawn(function()
        Process.flag("trap_exit", true)
        mb.link(pid)
        mb.monitor(pid)
        send(me, "ready")
        receive()
        send(me, {"saw", 1 + #Process.info(self(), "messages")})
      end)
      await("ready")
    end
    Process.exit(pid, "x")
    for _ = 1, 5 do assert.equal(2, await{"saw", any}) end
  end)

  it("ORD-08 a timer of 0 is asynchronous", function()
    local me, send_after = self(), Process.send_after
    local before = Process.info(me, "reductions")
    send_after(me, "timer", 0)
    send(me, "direct")
    local undisturbed = Process.info(me, "reductions") - before < 10
    local first, second = receive(helper.patience), receive(helper.patience)
    if undisturbed then
      assert.same({"direct", "timer"}, {first, second})
    else -- it was preempted between the two
      assert.is_true(first == "timer" or second == "timer")
    end
  end)

  it("ORD-09 timers do not disturb the order of messages", function()
    for i = 1, 5 do
      Process.send_after(self(), {"timer", i}, i)
      send(self(), {"message", i})
    end
    for i = 1, 5 do assert.equal(i, await{"message", any}) end
    for i = 1, 5 do await{"timer", i} end
  end)

  it("ORD-10 casts are handled before the call that follows them", function()
    local server = {init = function() return "ok", {} end,
      handle_cast = function(x, s) s[#s + 1] = x return "noreply", s end,
      handle_call = function(_, _, s) return "reply", s, s end}
    local pid = mb.GenServer.start(server)
    for i = 1, 3 do mb.GenServer.cast(pid, i) end
    assert.same({1, 2, 3}, mb.GenServer.call(pid, "all"))
    mb.GenServer.stop(pid)
  end)
end)

local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, spawn, spawn_monitor, any, exit =
  mb.self, mb.send, mb.receive, mb.spawn, mb.spawn_monitor, mb.any, mb.exit
local Process, await, exit_reason = mb.Process, helper.await, helper.exit_reason

-- A process that traps exits and tells what it receives.
local function trapper()
  local me = self()
  local pid = spawn(function()
    Process.flag("trap_exit", true)
    send(me, "trapping")
    while true do send(me, {"got", self(), receive()}) end
  end)
  await("trapping")
  return pid
end

describe("Process.exit", function()
  helper.setup()

  it("XSIG-01 normal does nothing to a process that does not trap", function()
    local pid = helper.idle()
    assert.is_true(Process.exit(pid, "normal"))
    assert.is_true(Process.alive(pid))
    Process.exit(pid, "kill")
  end)

  it("XSIG-02 normal is a message for one that traps", function()
    local pid = trapper()
    Process.exit(pid, "normal")
    assert.same({"EXIT", self(), "normal"}, await{"got", pid, any})
    assert.is_true(Process.alive(pid))
    Process.exit(pid, "kill")
  end)

  it("XSIG-03 normal ends oneself", function()
    local me = self()
    assert.equal("normal", exit_reason(function() Process.exit(self(), "normal") send(me, "went on") end))
    assert.is_nil(receive(0))
  end)

  it("XSIG-04 normal to oneself is a message when trapping", function()
    helper.in_process(function()
      Process.flag("trap_exit", true)
      assert(Process.exit(self(), "normal") == true)
      local m = receive(0)
      assert(m[1] == "EXIT" and m[2] == self() and m[3] == "normal")
    end)
  end)

  it("XSIG-05 to oneself cannot be caught", function()
    local me = self()
    assert.equal("r", exit_reason(function() pcall(Process.exit, self(), "r") send(me, "went on") end))
    assert.is_nil(receive(0))
  end)

  it("XSIG-06 to oneself is a message when trapping", function()
    helper.in_process(function()
      Process.flag("trap_exit", true)
      Process.exit(self(), "r")
      assert(receive(0)[3] == "r")
    end)
  end)

  it("XSIG-07 kill ends anyone as killed", function()
    local pid, idle = trapper(), helper.idle()
    local ref, ref2 = mb.monitor(pid), mb.monitor(idle)
    Process.exit(pid, "kill")
    Process.exit(idle, "kill")
    assert.equal("killed", await{"DOWN", ref, "process", pid, any})
    assert.equal("killed", await{"DOWN", ref2, "process", idle, any})
    assert.equal("killed", exit_reason(function()
      Process.flag("trap_exit", true)
      Process.exit(self(), "kill")
    end))
  end)

  it("XSIG-08 killed is an ordinary reason", function()
    local pid = trapper()
    Process.exit(pid, "killed")
    assert.equal("killed", await{"got", pid, any}[3])
    Process.exit(pid, "kill")
  end)

  it("XSIG-09 kill over a link is an ordinary reason", function()
    assert.equal("kill", exit_reason(function()
      mb.spawn_link(function() exit("kill") end)
      receive()
    end))
    helper.in_process(function()
      Process.flag("trap_exit", true)
      local pid = mb.spawn_link(function() exit("kill") end)
      local m = receive()
      assert(m[2] == pid and m[3] == "kill")
    end)
  end)

  it("XSIG-10 other reasons end a process that does not trap", function()
    for _, reason in ipairs{"r", "shutdown", {"shutdown", 2}} do
      local pid, ref = spawn_monitor(receive)
      Process.exit(pid, reason)
      assert.same(reason, await{"DOWN", ref, "process", pid, any})
    end
  end)

  it("XSIG-11 names the sender to one that traps", function()
    local pid = trapper()
    local sender = spawn(function() Process.exit(pid, "r") end)
    assert.same({"EXIT", sender, "r"}, await{"got", pid, any})
    Process.exit(pid, "kill")
  end)

  it("XSIG-12 to the dead is true", function()
    assert.is_true(Process.exit(helper.dead_pid(), "r"))
  end)

  it("XSIG-13 raises for what is no pid", function()
    for _, bad in ipairs{5, "name", mb.make_ref()} do
      assert.error_matches(function() Process.exit(bad, "r") end,
        "bad argument #1 to 'Process.exit' %(pid expected")
    end
    assert.is_false(pcall(Process.exit, self(), nil))
  end)

  it("XSIG-14 is true at once", function()
    local pid = helper.idle()
    assert.is_true(Process.exit(pid, "r"))
  end)

  it("XSIG-15 counts what the process was when the signal came", function()
    local me = self()
    local pid, ref = spawn_monitor(function()
      send(me, "ready")
      receive{ {"go"} }
      Process.flag("trap_exit", true)
      send(me, "trapped")
    end)
    await("ready")
    Process.exit(pid, "r")
    send(pid, "go")
    assert.equal("r", await{"DOWN", ref, "process", pid, any})
    assert.is_nil(receive(0))
  end)

  it("XSIG-16 flag returns the old value and refuses other values", function()
    assert.is_false(Process.flag("trap_exit", true))
    assert.is_true(Process.flag("trap_exit", false))
    assert.is_false(pcall(Process.flag, "trap_exit", 1))
    assert.is_false(pcall(Process.flag, "unknown", true))
  end)

  it("XSIG-17 queued EXIT messages stay when trapping ends", function()
    helper.in_process(function()
      Process.flag("trap_exit", true)
      Process.exit(self(), "r")
      Process.flag("trap_exit", false)
      assert(receive(0)[3] == "r")
    end)
  end)

  it("XSIG-18 a plain message that looks like one is a message", function()
    local me = self()
    local pid = spawn(function() send(me, {"got", receive()}) end)
    send(pid, {"EXIT", me, "kill"})
    assert.same({"EXIT", me, "kill"}, await{"got", any})
  end)

  it("XSIG-19 has happened when it returns", function()
    local pid = helper.idle()
    Process.exit(pid, "r")
    assert.is_false(Process.alive(pid))
    assert.is_nil(Process.info(pid))
    assert.is_nil(Process.info(pid, "status"))
  end)
end)

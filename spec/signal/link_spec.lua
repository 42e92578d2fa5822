local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, spawn, spawn_link, spawn_monitor, any, exit, link, unlink =
  mb.self, mb.send, mb.receive, mb.spawn, mb.spawn_link, mb.spawn_monitor, mb.any, mb.exit, mb.link, mb.unlink
local Process, await, exit_reason = mb.Process, helper.await, helper.exit_reason

local function links(pid) return Process.info(pid or self(), "links") end

-- A process that ends with the reason it is sent.
local function victim() return spawn(function() exit(receive()) end) end

describe("a link", function()
  helper.setup()

  it("LINK-01 goes both ways", function()
    local pid = victim()
    assert.is_true(link(pid))
    assert.same({pid}, links())
    assert.same({self()}, links(pid))
    unlink(pid)
    send(pid, "end")
  end)

  it("LINK-02 is made once and taken away once", function()
    Process.flag("trap_exit", true)
    local pid = victim()
    link(pid)
    link(pid)
    assert.same({pid}, links())
    send(pid, "x")
    await{"EXIT", pid, "x"}
    assert.is_nil((receive(5)))
    pid = victim()
    link(pid)
    link(pid)
    unlink(pid)
    assert.same({}, links())
    send(pid, "x")
    helper.reason_of(pid)
    assert.is_nil(receive(0))
  end)

  it("LINK-03 to oneself is none", function()
    assert.is_true(link(self()))
    assert.is_true(unlink(self()))
    assert.same({}, links())
  end)

  it("LINK-04 can be taken away where there is none", function()
    local pid = victim()
    assert.is_true(unlink(pid))
    assert.is_true(unlink(helper.dead_pid()))
    send(pid, "end")
  end)

  it("LINK-05 to the dead exits noproc", function()
    local dead = helper.dead_pid()
    assert.equal("noproc", helper.catch_exit(link, dead))
    assert.equal("noproc", exit_reason(function() link(dead) end))
  end)

  it("LINK-06 to the dead is a message when trapping", function()
    local dead = helper.dead_pid()
    Process.flag("trap_exit", true)
    assert.is_true(link(dead))
    assert.same({"EXIT", dead, "noproc"}, receive(helper.patience))
    assert.same({}, links())
  end)

  it("LINK-07 a normal end disturbs only those that trap", function()
    local pid = spawn_link(function() end)
    helper.reason_of(pid)
    assert.same({}, links())
    Process.flag("trap_exit", true)
    pid = spawn_link(function() end)
    await{"EXIT", pid, "normal"}
  end)

  it("LINK-08 another end takes the peer along, or is a message", function()
    assert.equal("r", exit_reason(function() spawn_link(function() exit("r") end) receive() end))
    Process.flag("trap_exit", true)
    local pid = spawn_link(function() exit("r") end)
    await{"EXIT", pid, "r"}
  end)

  it("LINK-09 a kill arrives as killed", function()
    assert.equal("killed", exit_reason(function()
      Process.exit(spawn_link(receive), "kill")
      receive()
    end))
    Process.flag("trap_exit", true)
    local pid = spawn_link(receive)
    Process.exit(pid, "kill")
    await{"EXIT", pid, "killed"}
  end)

  it("LINK-10 passes a reason along a chain", function()
    local me = self()
    local a, ref = spawn_monitor(function()
      spawn_link(function()
        local c = spawn_link(function() exit(receive()) end)
        send(me, {"b", self(), c})
        receive()
      end)
      receive()
    end)
    local b, c = await{"b", any, any}
    send(c, "boom")
    assert.equal("boom", await{"DOWN", ref, "process", a, any})
    assert.is_false(Process.alive(b))
  end)

  it("LINK-11 names the direct peer", function()
    local me = self()
    Process.flag("trap_exit", true)
    local b = spawn_link(function()
      send(me, {"c", spawn_link(receive)})
      receive{ {"never"} }
    end)
    Process.exit(await{"c", any}, "kill")
    assert.equal("killed", await{"EXIT", b, any})
  end)

  it("LINK-12 stops at one that traps, and at a normal end", function()
    local me = self()
    local a = spawn(function()
      spawn_link(function()
        Process.flag("trap_exit", true)
        local c = spawn_link(function() exit("r") end)
        receive{ {{"EXIT", c, "r"}} }
        spawn_link(function() end)
        receive{ {{"EXIT", any, "normal"}} }
        send(me, {"trapped", self()})
        receive()
      end)
      receive()
    end)
    local b = await{"trapped", any}
    assert.is_true(Process.alive(a))
    Process.exit(b, "kill")
    helper.reason_of(a)
  end)

  it("LINK-13 in a ring ends each once", function()
    local me = self()
    local a = spawn(function() local c = receive() link(c) send(me, "ring") receive{ {"go"} } exit("boom") end)
    local b = spawn(function() link(a) send(me, "b") receive() end)
    await("b")
    local c = spawn(function() link(b) send(me, "c") receive() end)
    await("c")
    local refs = {[mb.monitor(a)] = a, [mb.monitor(b)] = b, [mb.monitor(c)] = c}
    send(a, c)
    await("ring")
    send(a, "go")
    for _ = 1, 3 do
      local ref = await{"DOWN", any, "process", any, any}
      assert.is_truthy(refs[ref])
      refs[ref] = nil
    end
    assert.is_nil((receive(5)))
  end)

  it("LINK-14 in a long chain needs no stack", function()
    local me, n = self(), 20000 // helper.scale
    local first, ref = spawn_monitor(function()
      local function chain(left)
        if left == 0 then
          send(me, {"last", self()})
          return exit(receive())
        end
        spawn_link(chain, left - 1)
        receive{ {"never"} }
      end
      chain(n)
    end)
    send(await({"last", any}, 20000 * helper.scale), "end of the chain")
    assert.equal("end of the chain", await({"DOWN", ref, "process", first, any}, 20000 * helper.scale))
  end)

  it("LINK-15 a parent that returns leaves its children, one that shuts down does not", function()
    local me = self()
    helper.in_process(function()
      send(me, {"child", spawn_link(receive)})
    end)
    local child = await{"child", any}
    assert.is_true(Process.alive(child))
    Process.exit(child, "kill")
    assert.equal("shutdown", exit_reason(function()
      send(me, {"child", spawn_link(function() receive{ {"never"} } end)})
      exit("shutdown")
    end))
    assert.is_false(Process.alive(await{"child", any}))
  end)

  it("LINK-16 that was removed has no effect", function()
    local me = self()
    for _, who in ipairs{"parent", "child"} do
      local parent = spawn(function()
        local mother = self()
        local child = spawn_link(function()
          if who == "child" then unlink(mother) end
          send(mother, "ready")
          receive{ {"crash"} }
          exit("crash")
        end)
        receive{ {"ready"} }
        if who == "parent" then unlink(child) end
        local ref = mb.monitor(child)
        send(child, "crash")
        receive{ {{"DOWN", ref, "process", child, any}} }
        send(me, "lived on")
      end)
      assert.equal("lived on", receive(helper.patience))
      helper.reason_of(parent)
    end
  end)

  it("LINK-17 unlink leaves a queued EXIT message", function()
    Process.flag("trap_exit", true)
    local pid, ref = Process.spawn(function() exit("r") end, {link = true, monitor = true})
    await{"DOWN", ref, "process", pid, any}
    unlink(pid)
    await{"EXIT", pid, "r"}
  end)

  it("LINK-18 sends nothing after unlink has returned", function()
    Process.flag("trap_exit", true)
    for _ = 1, 50 do
      local pid = spawn_link(receive)
      Process.exit(pid, "bang")
      unlink(pid)
      while receive(0) do end
      helper.reason_of(pid)
      assert.is_nil(receive(0))
    end
  end)

  it("LINK-19 can be made again", function()
    Process.flag("trap_exit", true)
    local pid = victim()
    link(pid)
    unlink(pid)
    link(pid)
    send(pid, "x")
    await{"EXIT", pid, "x"}
    assert.is_nil(receive(0))
  end)

  it("LINK-20 raises for what is no pid", function()
    for _, bad in ipairs{1, "name", {}} do
      assert.error_matches(function() link(bad) end, "bad argument #1 to 'link'")
      assert.error_matches(function() unlink(bad) end, "bad argument #1 to 'unlink'")
    end
  end)
end)

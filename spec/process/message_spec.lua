local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, spawn, any, exit = mb.self, mb.send, mb.receive, mb.spawn, mb.any, mb.exit
local Process, await = mb.Process, helper.await

describe("send", function()
  helper.setup()

  it("MSG-01 returns the message", function()
    local t = {"x"}
    assert.equal(t, send(self(), t))
    assert.same({"x"}, receive(0))
  end)

  it("MSG-02 drops a message to a dead pid", function()
    assert.equal("lost", send(helper.dead_pid(), "lost"))
  end)

  it("MSG-03 raises for a name that nobody holds", function()
    local ok, message = pcall(send, "nobody here", 1)
    assert.is_false(ok)
    assert.matches("message_spec.lua:%d+: .*nobody here", message)
  end)

  it("MSG-04 keeps the order of messages to oneself", function()
    for i = 1, 5 do send(self(), i) end
    for i = 1, 5 do assert.equal(i, receive(0)) end
  end)

  it("MSG-05 keeps the order of each sender's messages", function()
    local me = self()
    for s = 1, 5 do
      spawn(function() for i = 1, 200 do send(me, {s, i}) end end)
    end
    local last = {0, 0, 0, 0, 0}
    for _ = 1, 1000 do
      local m = receive(helper.patience)
      assert.equal(last[m[1]] + 1, m[2])
      last[m[1]] = m[2]
    end
  end)

  it("MSG-06 delivers both ways round a third process", function()
    local me = self()
    local b = spawn(function() receive{ {"y"} } send(me, "z") end)
    spawn(function() send(me, "x") send(b, "y") end)
    assert.equal("x", await("x"))
    assert.equal("z", await("z"))
  end)

  it("MSG-07 delivers a dying sender's messages before its end", function()
    Process.flag("trap_exit", true)
    local me = self()
    local pid, ref = Process.spawn(function()
      send(me, 1)
      send(me, 2)
      exit("gone")
    end, {link = true, monitor = true})
    assert.equal(1, receive(helper.patience))
    assert.equal(2, receive(helper.patience))
    await{"EXIT", pid, "gone"}
    await{"DOWN", ref, "process", pid, "gone"}
  end)

  it("MSG-08 resolves a name when sending", function()
    local pid = spawn(function() receive{ {"go"} } local m = receive() send(m[2], {"got", m[1]}) end)
    Process.register(pid, "short lived name")
    send("short lived name", {"hello", self()})
    Process.unregister("short lived name")
    send(pid, "go")
    assert.equal("hello", await{"got", any})
  end)

  it("MSG-09 discards what a dead process has not read", function()
    local pid = helper.idle()
    Process.exit(pid, "kill")
    send(pid, "unread")
    assert.is_nil(receive(0))
  end)

  it("MSG-10 delivers nil, false, functions, pids and references unchanged", function()
    local ref, me = mb.make_ref(), self()
    for _, v in ipairs{false, true, 0, -1, 2^53, 1.5, "", "text", me, ref, math.mininteger, ("x"):rep(1000)} do
      send(me, v)
      assert.equal(v, (receive(0)))
    end
    send(me, nil)
    assert.equal(1, select("#", receive(0)))
    local v, timeout = receive(0)
    assert.is_nil(v)
    assert.equal("timeout", timeout)
    send(me, function(x) return x * 2 end)
    assert.equal(8, receive(0)(4))
    send(me, {{me, {ref}}, a = {b = {c = 1}}})
    assert.same({{me, {ref}}, a = {b = {c = 1}}}, receive(0))
  end)

  it("names function and argument for what is no destination", function()
    local ok, message = pcall(send, 5, 1)
    assert.is_false(ok)
    assert.matches("message_spec.lua:%d+: bad argument #1 to 'send' %(pid or name expected, got number%)", message)
  end)

  it("LUA-10 copies: neither side sees the other's changes", function()
    local me, t = self(), {n = 1}
    local pid = spawn(function() local m = receive() receive{ {"look"} } send(me, {"saw", m.n}) m.n = 3 end)
    send(pid, t)
    t.n = 2
    send(pid, "look")
    assert.equal(1, await{"saw", any})
    assert.equal(2, t.n)
  end)
end)

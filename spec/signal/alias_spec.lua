local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, spawn, any = mb.self, mb.send, mb.receive, mb.spawn, mb.any
local alias, unalias, monitor, demonitor = mb.alias, mb.unalias, mb.monitor, mb.demonitor
local Process, await = mb.Process, helper.await

-- What has been sent to oneself has arrived when send returns.
local function got(ref, message)
  send(ref, message)
  local first, why = receive(0)
  return first ~= nil and first or why
end

describe("an alias", function()
  helper.setup()

  it("MON-19 is sent to like its process, until it is ended", function()
    local ref = alias()
    assert.equal("reference", mb.type(ref))
    assert.equal("one", got(ref, "one"))
    assert.equal("two", got(ref, "two"))
    send(ref, "queued")
    assert.is_true(unalias(ref))
    assert.equal("queued", receive(0))
    assert.equal("timeout", got(ref, "late"))
    assert.is_false(unalias(ref))
  end)

  it("MON-19 is sent to from every scheduler, in order with what is sent to the pid", function()
    local me, ref = self(), alias()
    for scheduler = 1, #mb.schedulers() do
      local pid = Process.spawn(function()
        for i = 1, 100 do send(i % 2 == 0 and me or ref, {ref, i}) end
      end, {scheduler = scheduler})
      for i = 1, 100 do assert.equal(i, await{ref, any}) end
      helper.reason_of(pid)
    end
    unalias(ref)
  end)

  it("MON-19 ended while others send drops what is on its way", function()
    local me = self()
    for scheduler = 1, #mb.schedulers() do
      local ref = alias()
      local pid = Process.spawn(function()
        send(me, "begin")
        while receive(0) ~= "end" do send(ref, {"to the alias"}) end
        send(me, "done")
      end, {scheduler = scheduler})
      await("begin")
      unalias(ref)
      while receive(0) do end
      assert.is_nil(receive{ {{"to the alias"}}, after = 5 })
      send(pid, "end")
      await("done")
      assert.is_nil((receive(0)))
    end
  end)

  it("MON-20 that is for one reply ends with the first message", function()
    local ref = alias("reply")
    send(ref, 1)
    send(ref, 2)
    assert.equal(1, receive(0))
    assert.is_nil((receive(0)))
    assert.is_false(unalias(ref))
    ref = alias("reply")
    assert.is_true(unalias(ref))
    assert.equal("timeout", got(ref, 1))
  end)

  it("MON-22 is a monitor's reference, and lives as long as that says", function()
    local pid = helper.idle()
    local explicit = monitor(pid, {alias = "explicit_unalias"})
    demonitor(explicit)
    assert.equal("m", got(explicit, "m"))
    assert.is_true(unalias(explicit))
    local with = monitor(pid, {alias = "demonitor"})
    assert.equal("m", got(with, "m"))
    assert.equal("m", got(with, "m"))
    demonitor(with)
    assert.equal("timeout", got(with, "m"))
    assert.is_false(unalias(with))
    with = monitor(pid, {alias = "demonitor"})
    assert.is_true(unalias(with)) -- the monitor goes on
    assert.equal("timeout", got(with, "m"))
    explicit = monitor(pid, {alias = "explicit_unalias"})
    local ended = monitor(pid, {alias = "demonitor"})
    Process.exit(pid, "over")
    for _, ref in ipairs{with, explicit, ended} do assert.equal("over", await{"DOWN", ref, "process", pid, any}) end
    assert.equal("m", got(explicit, "m"))
    assert.equal("timeout", got(ended, "m"))
    assert.is_true(unalias(explicit))
    assert.is_false(unalias(ended))
  end)

  it("MON-22 that is for one reply ends its monitor as well", function()
    local pid = helper.idle()
    local ref = monitor(pid, {alias = "reply_demonitor"})
    send(ref, 1)
    send(ref, 2)
    assert.equal(1, receive(0))
    assert.same({}, Process.info(self(), "monitors"))
    Process.exit(pid, "over")
    local other = monitor(pid)
    await{"DOWN", other, "process", pid, any}
    assert.is_nil((receive(0)))
    pid = helper.idle()
    ref = monitor(pid, {alias = "reply_demonitor"})
    Process.exit(pid, "over")
    await{"DOWN", ref, "process", pid, any}
    assert.equal("timeout", got(ref, 1))
  end)

  it("MON-22 is made of monitors by name, and of via tables, too", function()
    local pid = helper.idle()
    Process.register(pid, "monitored")
    local via = {"via", {whereis_name = function() return pid end}, "x"}
    for _, item in ipairs{"monitored", via} do
      local ref = monitor(item, {alias = "demonitor"})
      assert.equal("m", got(ref, "m"))
      demonitor(ref)
      assert.equal("timeout", got(ref, "m"))
    end
    local nobody = monitor("no such name", {alias = "demonitor"})
    await{"DOWN", nobody, any, any, "noproc"}
    assert.equal("timeout", got(nobody, "m"))
    local own = monitor(self(), {alias = "demonitor"})
    assert.equal("timeout", got(own, "m"))
    Process.exit(pid, "kill")
  end)

  it("MON-23 ends with its process, and no other process ends it", function()
    local me = self()
    local pid = spawn(function()
      local back = alias()
      send(me, {"alias", back})
      receive()
    end)
    local ref = await{"alias", any}
    assert.is_false(unalias(ref))
    assert.equal(1, mb.census().aliases)
    send(ref, "end")
    helper.reason_of(pid)
    assert.equal(0, mb.census().aliases)
    assert.equal("late", send(ref, "late"))
    assert.equal("late", send(mb.make_ref(), "late"))
    helper.in_process(function()
      for _ = 1, 1000 do alias() end
      assert(mb.census().aliases == 1000)
    end)
    assert.equal(0, mb.census().aliases)
  end)

  it("MON-23 is left alone by who answers a call late", function()
    local ref = alias()
    local server = assert(mb.GenServer.start({
      init = function() return "ok", {} end,
      handle_call = function(request) return "reply", send(request, "an answer"), {} end,
    }))
    assert.equal("an answer", mb.GenServer.call(server, ref))
    assert.equal("an answer", receive(0))
    mb.GenServer.stop(server)
    unalias(ref)
  end)

  it("MON-24 refuses what it is not", function()
    assert.matches("alias_spec.lua:%d+: ", select(2, pcall(unalias, self())))
    assert.error_matches(function() alias("rely") end, '"explicit_unalias" or "reply" expected, got "rely"')
    assert.error_matches(function() unalias(5) end, "reference expected, got number")
    assert.error_matches(function() monitor(self(), {alias = "x"}) end, 'alias is "explicit_unalias", ')
    assert.error_matches(function() monitor(self(), {alas = "x"}) end, 'unknown option alas = "x"; options: alias')
    local ref = alias()
    assert.error_matches(function() send(ref, coroutine.create(print)) end, "cannot send message")
    unalias(ref)
    assert.error_matches(function() send(ref, coroutine.create(print)) end, "cannot send message")
    helper.in_process(function() assert(Process.alias == alias and Process.unalias == unalias) end)
  end)
end)

local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, spawn, any = mb.self, mb.send, mb.receive, mb.spawn, mb.any
local Process, await, idle = mb.Process, helper.await, helper.idle

local function has(list, item)
  for _, v in ipairs(list) do if v == item then return true end end
  return false
end

local function stop(...)
  for _, pid in ipairs{...} do Process.exit(pid, "kill") end
end

describe("registered names", function()
  helper.setup()

  it("NAME-01 lead to the process", function()
    local pid = idle()
    assert.is_true(Process.register(pid, "n1"))
    assert.equal(pid, Process.whereis("n1"))
    assert.equal("n1", Process.info(pid, "registered_name"))
    assert.is_true(has(Process.registered(), "n1"))
    stop(pid)
  end)

  it("NAME-01 are listed whole, whatever bytes they have", function()
    local pid, name = idle(), ("x"):rep(1000) .. "\0y"
    Process.register(pid, name)
    assert.is_true(has(Process.registered(), name))
    assert.equal(pid, Process.whereis(name))
    assert.is_nil(Process.whereis(("x"):rep(1000)))
    stop(pid)
  end)

  it("NAME-02 cannot be taken from a living holder", function()
    local a, b = idle(), idle()
    Process.register(a, "n2")
    assert.is_false(pcall(Process.register, b, "n2"))
    assert.equal(a, Process.whereis("n2"))
    stop(a, b)
  end)

  it("and other texts that are long are quoted by their beginning in errors", function()
    local long, taken = ("x"):rep(100000), idle()
    Process.register(taken, long)
    local attempts = {
      function() mb.name({}, long) end,
      function() mb.name({}, long .. ".x") end,
      function() send(long .. "x", 1) end,
      function() Process.register(self(), long) end,
      function() Process.unregister(long .. "x") end,
      function() Process.register(taken, "other") end,
      function() Process.info(self(), long) end,
      function() Process.spawn(print, {[long] = long}) end,
      function() receive{[long] = 1} end,
      function() receive{after = long} end,
      function() mb.Registry.lookup(long, 1) end,
      function() mb.Agent.start(print, {[long] = long}) end,
      function() mb.Agent.start(print, {timeout = long}) end,
      function() mb.Registry.start_link{keys = long, name = "r"} end,
      function() send(self(), {[long] = coroutine.create(print)}) end,
      function() Process.send_after(self(), 1, long) end,
    }
    for i, attempt in ipairs(attempts) do
      local ok, message = pcall(attempt)
      if not ok then assert.is_true(#tostring(message) < 2000, i .. " has " .. #tostring(message) .. " bytes") end
    end
    local _, message = pcall(mb.name, {}, ("\u{e4}"):rep(300))
    assert.is_truthy(utf8.len(message))
    stop(taken)
  end)

  it("NAME-03 come one to a process", function()
    local pid = idle()
    Process.register(pid, "n3")
    assert.is_false(pcall(Process.register, pid, "n3 too"))
    assert.is_nil(Process.whereis("n3 too"))
    stop(pid)
  end)

  it("NAME-04 cannot be given twice to the same process", function()
    local pid = idle()
    Process.register(pid, "n4")
    assert.is_false(pcall(Process.register, pid, "n4"))
    stop(pid)
  end)

  it("NAME-05 cannot be given to the dead", function()
    assert.is_false(pcall(Process.register, helper.dead_pid(), "n5"))
  end)

  it("NAME-06 cannot be reserved words or empty", function()
    for _, name in ipairs{"nil", "true", "false", "undefined", "", 5, true} do
      assert.is_false(pcall(Process.register, self(), name))
    end
    assert.is_nil(Process.info(self(), "registered_name"))
  end)

  it("NAME-07 can be given by any process", function()
    local me, pid = self(), idle()
    spawn(function() Process.register(pid, "n7") send(me, "named") end)
    await("named")
    assert.equal(pid, Process.whereis("n7"))
    stop(pid)
  end)

  it("NAME-08 can be taken away and given again", function()
    local pid = idle()
    Process.register(pid, "n8")
    assert.is_true(Process.unregister("n8"))
    assert.is_nil(Process.whereis("n8"))
    assert.is_true(Process.alive(pid))
    assert.is_true(Process.register(pid, "n8 again"))
    stop(pid)
  end)

  it("NAME-09 raise at unregister and are nil at whereis when unknown", function()
    assert.is_false(pcall(Process.unregister, "unknown"))
    assert.is_nil(Process.whereis("unknown"))
  end)

  it("NAME-10 are free when the end is seen", function()
    for i = 1, 20 do
      local pid, ref = mb.spawn_monitor(function() receive() end)
      Process.register(pid, "n10")
      Process.exit(pid, i % 2 == 0 and "kill" or "end")
      await{"DOWN", ref, "process", pid, any}
      assert.is_nil(Process.whereis("n10"))
      local next_one = idle()
      assert.is_true(Process.register(next_one, "n10"))
      Process.unregister("n10")
      stop(next_one)
    end
  end)

  it("NAME-11 lead only to the new holder", function()
    local me, old = self(), idle()
    Process.register(old, "n11")
    Process.exit(old, "kill")
    helper.reason_of(old)
    local new = spawn(function() send(me, {"new", receive()}) end)
    Process.register(new, "n11")
    send("n11", "hello")
    assert.equal("hello", await{"new", any})
  end)

  it("NAME-12 are refused where a pid is needed", function()
    local pid = idle()
    Process.register(pid, "n12")
    assert.is_false(pcall(Process.exit, "n12", "x"))
    assert.is_false(pcall(mb.link, "n12"))
    assert.is_false(pcall(Process.alive, "n12"))
    stop(pid)
  end)

  it("NAME-13 are free for the server that is started again", function()
    local server = {init = function() return "ok", 0 end}
    for _ = 1, 10 do
      local pid = assert(mb.GenServer.start(server, nil, {name = "n13"}))
      Process.exit(pid, "kill")
      helper.reason_of(pid)
    end
  end)
end)

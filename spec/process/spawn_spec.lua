local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, spawn, spawn_link, spawn_monitor, any =
  mb.self, mb.send, mb.receive, mb.spawn, mb.spawn_link, mb.spawn_monitor, mb.any
local Process, exit = mb.Process, mb.exit
local await = helper.await

describe("spawn", function()
  helper.setup()

  it("SPAWN-01 returns a new pid at once and drops the function's results", function()
    local pid, ref = spawn_monitor(function() return "a result", 2 end)
    assert.equal("pid", mb.type(pid))
    assert.equal("normal", await{"DOWN", ref, "process", pid, any})
    assert.is_nil(receive(0))
  end)

  it("SPAWN-01 does not suspend the caller", function()
    local me = self()
    local pid = spawn(function()
      receive()
      send(me, "ran")
    end)
    assert.is_true(Process.alive(pid))
    send(pid, "go")
    assert.equal("ran", await("ran"))
  end)

  it("SPAWN-02 gives the child the pid that the parent got", function()
    local me, seen = self(), {}
    for _ = 1, 50 do
      local pid = spawn(function() send(me, {"self", self()}) end)
      assert.equal(pid, await{"self", mb.is.pid})
      assert.is_nil(seen[pid])
      seen[pid] = true
    end
  end)

  it("SPAWN-03 leaves the parent alone when the child crashes", function()
    helper.reason_of(spawn(function() error("boom") end))
    assert.is_nil(receive(0))
  end)

  it("SPAWN-03 leaves the child alone when the parent crashes", function()
    local me = self()
    helper.exit_reason(function()
      spawn(function()
        send(me, {"child", self()})
        receive{ {"end"} }
        send(me, "lived on")
      end)
      error("boom")
    end)
    send(await{"child", any}, "end")
    assert.equal("lived on", await("lived on"))
  end)

  it("SPAWN-04 has linked both when the child's first statement runs", function()
    local me = self()
    local pid = spawn_link(function()
      send(me, {"links", Process.info(self(), "links")})
      receive()
    end)
    assert.same({me}, await{"links", any})
    assert.same({pid}, Process.info(me, "links"))
    send(pid, "end")
    helper.reason_of(pid)
  end)

  it("SPAWN-05 tells a trapping parent the real reason of a child that exits at once", function()
    Process.flag("trap_exit", true)
    local pid = spawn_link(function() exit("at once") end)
    assert.equal("at once", await{"EXIT", pid, any})
  end)

  it("SPAWN-06 tells the monitor the real reason of a child that exits at once", function()
    local pid, ref = spawn_monitor(function() exit("at once") end)
    assert.equal("at once", await{"DOWN", ref, "process", pid, any})
  end)

  it("SPAWN-07 sends one EXIT and one DOWN when linked and monitored", function()
    Process.flag("trap_exit", true)
    local pid, ref = Process.spawn(function() exit("both") end, {link = true, monitor = true})
    assert.equal("both", await{"DOWN", ref, "process", pid, any})
    assert.equal("both", await{"EXIT", pid, any})
    assert.is_nil(receive(0))
  end)

  it("SPAWN-08 starts the child with nothing of the parent's", function()
    local me = self()
    helper.in_process(function()
      Process.flag("trap_exit", true)
      Process.register(self(), "the parent")
      Process.put("key", "value")
      send(self(), "queued")
      local _, ref = spawn_monitor(function()
        local info = Process.info(self())
        send(me, {"child", info.trap_exit, info.registered_name == nil, #info.messages,
          Process.get("key") == nil})
      end)
      receive{ {{"DOWN", ref, "process", any, any}} }
    end)
    assert.same({"child", false, true, 0, true}, receive(helper.patience))
  end)

  it("SPAWN-09 raises for what cannot be called and makes no process", function()
    local before = mb.census().processes
    for _, bad in ipairs{5, "name", true, {}} do
      local ok, message = pcall(spawn, bad)
      assert.is_false(ok)
      assert.matches("bad argument #1 to 'spawn' %(function expected", message)
    end
    assert.is_false(pcall(spawn))
    assert.is_false(pcall(spawn_link, 1))
    assert.is_false(pcall(spawn_monitor, 1))
    assert.equal(before, mb.census().processes)
  end)

  it("takes options, and refuses what is none", function()
    local me = self()
    local pid, ref = Process.spawn(function(...) send(me, {"got", ...}) end,
      {link = false, monitor = true, scheduler = "here", priority = "normal"}, 1, 2)
    assert.same({"got", 1, 2}, receive(helper.patience))
    await{"DOWN", ref, "process", pid, "normal"}
    assert.equal(1, select("#", Process.spawn(function() end)))
    assert.equal(1, select("#", Process.spawn(function() end, nil)))
    for _, bad in ipairs{ {lnk = true}, {"link"}, {scheduler = 0}, {scheduler = "there"}, 5 } do
      local ok, message = pcall(function() Process.spawn(function() end, bad) end)
      assert.is_false(ok)
      assert.matches("spawn_spec.lua:%d+: bad argument #2 to 'Process.spawn'", message)
    end
  end)

  it("passes copies of the arguments, nils counted", function()
    local me, t = self(), {1}
    spawn(function(...)
      local first = ...
      first[1] = 2
      send(me, {select("#", ...), (select(3, ...))})
    end, t, nil, "c", nil)
    assert.same({4, "c"}, receive(helper.patience))
    assert.same({1}, t)
  end)

  it("accepts a callable table", function()
    local me = self()
    spawn(setmetatable({}, {__call = function(_, x) send(me, {"called", x}) end}), 9)
    assert.equal(9, await{"called", any})
  end)

  it("LUA-13 does not grow over many processes", function()
    local function round(n)
      for _ = 1, n do
        local pid, ref = spawn_monitor(function() end)
        receive{ {{"DOWN", ref, "process", pid, any}} }
      end
      collectgarbage()
      collectgarbage()
      return collectgarbage("count")
    end
    round(1000)
    local before = round(100)
    assert.is_true(round(100000 // helper.scale) - before < 200)
  end)

  -- Only the main chunk of stock Lua waits inside C calls: the host refuses it there.
  it("begins wherever the main chunk waits, and afterwards, too", function()
    local me = self()
    local function get(ms)
      spawn(function() send(me, "x") end)
      return receive(ms)
    end
    local function deep(n)
      if n == 0 then return get(20) end
      local result
      ;("a"):gsub("a", function() result = deep(n - 1) end)
      return result
    end
    for n = 140, 198 do -- Lua nests 200, busted has some of them
      pcall(deep, n)
      while receive(0) do end
      assert.equal("x", get(helper.patience))
    end
  end)
end)

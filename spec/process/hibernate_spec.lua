local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, spawn, any = mb.self, mb.send, mb.receive, mb.spawn, mb.any
local Process, await = mb.Process, helper.await

describe("Process.hibernate", function()
  helper.setup()

  it("SPAWN-10 waits for a message, which it leaves there, and goes on with the function", function()
    local me = self()
    local pid = spawn(function()
      Process.hibernate(function(...) send(me, {"awake", select("#", ...), (...), receive()}) end, 1, nil)
    end)
    helper.until_waiting(pid)
    send(pid, "wake up")
    assert.same({"awake", 2, 1, "wake up"}, receive(helper.patience))
    assert.equal("normal", helper.exit_reason(function()
      send(self(), "is there already")
      Process.hibernate(function() assert(receive(0) == "is there already") end)
    end))
  end)

  it("SPAWN-10 leaves the stack: nothing catches it, and variables are closed", function()
    local me = self()
    local pid = spawn(function()
      local guard <close> = setmetatable({}, {__close = function() send(me, {"closed", pcall(error, "caught")}) end})
      pcall(function()
        coroutine.wrap(function()
          xpcall(function() Process.hibernate(function() receive() send(me, debug.traceback()) end) end, print)
          send(me, "not here")
        end)()
        send(me, "not here")
      end)
      send(me, "not here")
    end)
    assert.same({"closed", false, "caught"}, receive(helper.patience))
    helper.until_waiting(pid)
    send(pid, "go on")
    local stack = receive(helper.patience)
    local _, lines = stack:gsub("\n", "")
    assert.is_true(lines <= 3, stack)
  end)

  it("SPAWN-10 ends the process when the function has returned, with its error, or its exit", function()
    assert.equal("normal", helper.exit_reason(function()
      send(self(), 1)
      Process.hibernate(function() return 1, 2, 3 end)
    end))
    assert.equal("why", helper.exit_reason(function()
      send(self(), 1)
      Process.hibernate(mb.exit, "why")
    end))
    local reason = helper.exit_reason(function()
      send(self(), 1)
      Process.hibernate(error, "gone wrong")
    end)
    assert.equal("error", reason[1])
    assert.matches("gone wrong", reason[2])
    local pid, ref = mb.spawn_monitor(function() Process.hibernate(print) end)
    helper.until_waiting(pid)
    Process.exit(pid, "kill")
    await{"DOWN", ref, "process", pid, "killed"}
  end)

  it("SPAWN-10 may be done for ever", function()
    local pid, ref = mb.spawn_monitor(function()
      local function loop(n)
        receive()
        if n == 0 then return end
        send(self(), n)
        Process.hibernate(loop, n - 1)
      end
      Process.hibernate(loop, 3000)
    end)
    send(pid, "begin")
    await{"DOWN", ref, "process", pid, "normal"}
  end)

  it("SPAWN-10 is over when what is closed on the way fails: with that error", function()
    local reason = helper.exit_reason(function()
      local guard <close> = setmetatable({}, {__close = function() error("cannot close") end})
      Process.hibernate(print)
    end)
    assert.matches("cannot close", reason[2])
  end)

  it("SPAWN-10 gives back what was on the stack", function()
    local output, code = helper.run_script([[
      local mb = require "moonbeam"
      local main = mb.self()
      mb.spawn(function()
        local large = ("x"):rep(20 * 1024 * 1024)
        mb.send(main, collectgarbage("count"))
        mb.Process.hibernate(function() return #mb end, large and 1)
      end)
      local full = mb.receive()
      while collectgarbage("count") > full - 19 * 1024 do mb.sleep(1) end -- nobody sends a message about it
      print "given back"
    ]], "", "MOONBEAM_SCHEDULERS=1")
    assert.equal("given back\n", output)
    assert.equal(0, code)
  end)

  it("SPAWN-10 refuses what cannot be called, and the script's own process", function()
    helper.in_process(function()
      local ok, why = pcall(Process.hibernate, 5)
      assert(not ok and why:find("hibernate_spec.lua:%d+: .*function expected, got number"), why)
    end)
    local output = helper.run_script[[print(pcall(require("moonbeam").Process.hibernate, print))]]
    assert.matches("^false\t.*:1: Process.hibernate: the script's own process cannot leave its stack", output)
    assert.is_false((pcall(table.sort, {2, 1}, function() Process.hibernate(print) end)))
  end)
end)

describe("Process", function()
  helper.setup()

  it("SPAWN-11 has the kernel's functions by Elixir's names", function()
    for _, name in ipairs{"self", "link", "unlink", "monitor", "demonitor", "alias", "unalias", "sleep", "spawn_link",
        "spawn_monitor"} do
      assert.equal(mb[name], Process[name], name)
    end
    assert.is_true(Process.send(self(), {"sent", 1}))
    assert.same({"sent", 1}, receive(0))
    assert.error_matches(function() Process.send(self(), 1, {noconnect = true}) end,
      "unknown option noconnect = true; there are none")
    assert.error_matches(function() Process.send("no such name", 1) end, "")
  end)

  it("SPAWN-12 tells and sets who gets what a process prints", function()
    local me = self()
    local leader = spawn(function() while true do send(me, {"led", receive()}) end end)
    for scheduler = 1, #mb.schedulers() do
      local pid, ref = Process.spawn(function()
        receive()
        local own = Process.group_leader()
        print("hello", own == leader)
        helper.in_process(function() assert(Process.group_leader() == own) end) -- inherited
        Process.group_leader(self(), nil)
        assert(Process.group_leader() == nil)
      end, {scheduler = scheduler, monitor = true})
      assert.is_true(Process.group_leader(pid, leader))
      send(pid, "go on")
      assert.equal("hello\ttrue\n", await{"led", {"$gen_cast", any}})
      await{"DOWN", ref, "process", pid, "normal"}
    end
    Process.exit(leader, "kill")
    assert.is_true(Process.group_leader(leader, nil))
    assert.error_matches(function() Process.group_leader("x", nil) end, "pid expected")
    assert.error_matches(function() Process.group_leader(self()) end, "pid or nil expected, got no value")
  end)
end)

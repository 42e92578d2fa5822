local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, spawn, spawn_link, spawn_monitor, any, exit =
  mb.self, mb.send, mb.receive, mb.spawn, mb.spawn_link, mb.spawn_monitor, mb.any, mb.exit
local Process, await, exit_reason = mb.Process, helper.await, helper.exit_reason

describe("exit(reason)", function()
  helper.setup()

  it("EXIT-01 ends the process with just that reason", function()
    local me = self()
    assert.equal("r", exit_reason(function() exit("r") send(me, "went on") end))
    assert.same({"a", {1}}, exit_reason(function() exit{"a", {1}} end))
    assert.equal("normal", exit_reason(function() exit() end))
    assert.is_false(exit_reason(function() exit(false) end))
    assert.is_nil(receive(0))
  end)

  it("EXIT-02 can be caught, its reason read, and the process goes on", function()
    local ok, e = pcall(exit, {"r", 1})
    assert.is_false(ok)
    assert.equal("exit", mb.type(e))
    assert.same({"r", 1}, e.reason)
    assert.equal("exit: enough", tostring(select(2, pcall(exit, "enough"))))
    assert.equal("again", exit_reason(function()
      local _, caught = pcall(exit, "again")
      error(caught)
    end))
  end)

  it("EXIT-03 with kill is just the reason kill", function()
    assert.equal("kill", exit_reason(function() exit("kill") end))
    assert.equal("kill", exit_reason(function() Process.flag("trap_exit", true) exit("kill") end))
  end)

  it("EXIT-04 an uncaught error E is {error, E, traceback}", function()
    local reason = exit_reason(function() local x = nil; return x.y end)
    assert.equal("error", reason[1])
    assert.matches("exit_spec.lua:%d+: attempt to index a nil value", reason[2])
    assert.matches("stack traceback:.*exit_spec.lua:%d+", reason[3])
  end)

  it("EXIT-05 error(\"normal\") is a crash", function()
    for _, word in ipairs{"normal", "kill", "shutdown"} do
      local reason = exit_reason(function() error(word, 0) end)
      assert.equal("error", reason[1])
      assert.equal(word, reason[2])
      assert.same(reason, exit_reason(function()
        spawn_link(function() exit(reason) end)
        receive()
      end))
    end
  end)

  it("EXIT-06 what is thrown is carried as it is", function()
    assert.same({"thrown", 1}, exit_reason(function() error({"thrown", 1}) end)[2])
  end)

  it("EXIT-07 closes variables before the death is announced", function()
    local me = self()
    for _, how in ipairs{exit, error} do
      local pid, ref = spawn_monitor(function()
        local guard <close> = setmetatable({}, {__close = function() send(me, "closed") end})
        how("r")
      end)
      assert.equal("closed", receive(helper.patience))
      await{"DOWN", ref, "process", pid, any}
    end
  end)

  it("EXIT-08 a signal runs no code of the victim but to-be-closed variables", function()
    local me = self()
    local pid, ref = spawn_monitor(function()
      pcall(receive)
      send(me, "went on")
    end)
    mb.sleep(1)
    Process.exit(pid, "r")
    assert.equal("r", await{"DOWN", ref, "process", pid, any})
    assert.is_nil(receive(0))
    assert.equal("me", exit_reason(function()
      pcall(function() Process.exit(self(), "me") end)
      send(me, "went on")
    end))
    assert.is_nil(receive(0))
  end)

  it("EXIT-09 the first fatal signal wins", function()
    for _, second in ipairs{"second", "kill"} do
      local pid, ref = spawn_monitor(receive)
      Process.exit(pid, "first")
      Process.exit(pid, second)
      assert.equal("first", await{"DOWN", ref, "process", pid, any})
    end
  end)

  it("EXIT-10 carries a compound reason unchanged over any number of hops", function()
    local reason = {"down", {1, {x = "y"}}, false}
    assert.same(reason, exit_reason(function()
      spawn_link(function()
        spawn_link(function() exit(reason) end)
        receive()
      end)
      receive()
    end))
  end)

  it("EXIT-11 releases what the process had", function()
    local target = helper.idle()
    local pid, ref = spawn_monitor(function()
      Process.register(self(), "exit-11")
      mb.monitor(target)
      receive{ {"go"} }
    end)
    local timer = Process.send_after(pid, "x", 60000)
    send(pid, "unread")
    send(pid, "go")
    await{"DOWN", ref, "process", pid, "normal"}
    assert.is_nil(Process.whereis("exit-11"))
    assert.same({}, Process.info(target, "monitored_by"))
    assert.is_false(Process.read_timer(timer))
    Process.exit(target, "kill")
  end)

  it("EXIT-12 timers for others fire after their creator's death", function()
    local me = self()
    helper.in_process(function() Process.send_after(me, "from the dead", 5) end)
    assert.equal("from the dead", receive(helper.patience))
  end)

  it("EXIT-13 logs an error, with where the process was spawned, and no exit", function()
    local output = helper.run_script([[
      local mb = require "moonbeam"
      local pid, ref = mb.spawn_monitor(function() error("the error") end)
      mb.receive()
      mb.spawn_monitor(function() mb.exit("the exit") end)
      mb.receive()
    ]])
    assert.matches("%d+:%d+:%d+%.%d+ %[error%] Process #PID<%d+%.%d+%.%d+> terminating", output)
    assert.matches("%(error%) [^\n]+:2: the error", output)
    assert.matches("stack traceback:", output)
    assert.matches("spawned at [^\n]+:2", output)
    assert.not_matches("the exit", output)
  end)

  it("EXIT-14 shutdown is ordinary but kills linked processes", function()
    for _, reason in ipairs{"shutdown", {"shutdown", 1}} do
      assert.same(reason, exit_reason(function()
        spawn_link(function() exit(reason) end)
        receive()
      end))
    end
  end)

  it("replaces a reason that cannot travel by its text", function()
    assert.matches("file", exit_reason(function() exit(io.open("/dev/null")) end))
    assert.equal("{1, file", exit_reason(function() exit{1, io.open("/dev/null")} end):sub(1, 8))
    local pid, ref = spawn_monitor(receive)
    Process.exit(pid, io.open("/dev/null"))
    assert.matches("^file %(", await{"DOWN", ref, "process", pid, any})
  end)

  it("LUA-09 replaces an error value that cannot travel by its text, and keeps the rest", function()
    local function check(reason, text)
      assert.equal("error", reason[1])
      assert.matches(text, reason[2])
      assert.matches("^stack traceback:.*exit_spec", reason[3])
    end
    check(exit_reason(function() error(io.open("/dev/null")) end), "^file %(")
    check(exit_reason(function() error{file = io.open("/dev/null")} end), "^{file = file %(")
    local server = mb.GenServer.start{
      init = function() return "ok", 0 end,
      handle_call = function() error(io.open("/dev/null")) end,
    }
    check(helper.catch_exit(mb.GenServer.call, server, 1)[1], "^file %(")
    local _, reason = mb.GenServer.start{init = function() return io.open("/dev/null") end}
    assert.equal("bad_return_value", reason[1])
    assert.matches("^file %(", reason[2])
  end)

  it("LUA-09 takes any value as an error", function()
    assert.equal("nil", exit_reason(function() error(nil) end)[2])
    assert.same({1}, exit_reason(function() error{1} end)[2])
    assert.equal(5, exit_reason(function() error(5) end)[2])
    assert.is_true(exit_reason(function() error(true) end)[2])
  end)

  it("LUA-14 knows {shutdown, x} by its structure", function()
    local output = helper.run_script([[
      local mb = require "moonbeam"
      local S = {init = function() return "ok", 0 end,
        handle_cast = function(r, s) return "stop", r, s end}
      for _, reason in ipairs{ {"shutdown", 1}, "normal", "shutdown", {"other"} } do
        local pid = mb.GenServer.start(S)
        local ref = mb.monitor(pid)
        mb.GenServer.cast(pid, reason)
        mb.receive()
      end
    ]])
    local _, reports = output:gsub("GenServer", "")
    assert.equal(1, reports)
    assert.matches('{"other"}', output)
  end)

  it("contains a stack overflow", function()
    local function deep(n) return 1 + deep(n + 1) end
    assert.matches("stack overflow", exit_reason(function() return deep(1) end)[2])
    local huge = setmetatable({}, {__index = function(t, k) return t[k + 1] end})
    assert.equal("error", exit_reason(function() return huge[1] end)[1])
  end)

  it("contains running out of memory", function()
    local core = require "moonbeam.core"
    local limit = core.memory_limit
    local _ <close> = setmetatable({}, {__close = function() limit(nil) end}) -- or the other tests have it, too
    local pid, ref = Process.spawn(function() -- the limit is that of a scheduler's heap: lifted below on the same
      limit(20 * 1024 * 1024)
      local t = {}
      for i = 1, 1e9 do t[i] = ("x"):rep(1000) .. i end
    end, {monitor = true, scheduler = "here"})
    local reason = helper.await_end(pid, ref) -- the collector goes over all there is, again and again
    limit(nil)
    assert.equal("error", reason[1])
    assert.matches("not enough memory", reason[2])
    helper.in_process(function() return ("x"):rep(100) end)
  end)

  it("gives back what a process filled before others need it", function()
    if helper.scale > 1 then return end -- sanitizers and valgrind need more address space
    local output = helper.run_script([[
      local mb = require "moonbeam"
      mb.Logger.configure{level = "none"}
      local big = ("x"):rep(20 * 2^20) -- its copies are made by malloc, which knows no garbage
      local _, ref = mb.spawn_monitor(function()
        local t = {}
        for i = 1, 1e9 do t[i] = ("x"):rep(100000) .. i end
      end)
      local reason = mb.receive{ {{"DOWN", ref, "process", mb.any, mb.any}, function(_, r) return r end} }
      print(reason[1], reason[2], #mb.send(mb.self(), big))
    ]], "", "ulimit -v 250000; MOONBEAM_SCHEDULERS=1")
    assert.equal("error\tnot enough memory\t20971520\n", output)
  end)

  it("LUA-17 survives errors in its own callbacks", function()
    assert.equal("error", exit_reason(function()
      error(setmetatable({}, {__tostring = function() error("in tostring") end}))
    end)[1])
    assert.equal("r", exit_reason(function()
      local guard <close> = setmetatable({}, {__close = function() error("in close") end})
      Process.exit(self(), "r")
    end))
  end)

  it("LUA-04 closes a killed process's variables; nothing there can wait, the reason stays", function()
    local me = self()
    local pid, ref = spawn_monitor(function()
      local guard <close> = setmetatable({}, {__close = function()
        send(me, {"closing", pcall(receive)})
        error("ignored")
      end})
      send(me, "ready")
      receive{ {"never"} }
    end)
    await("ready")
    Process.exit(pid, "kill")
    assert.equal("killed", await{"DOWN", ref, "process", pid, any})
    local m = receive(helper.patience)
    assert.is_false(m[2])
    assert.matches("exiting", m[3])
  end)

  it("LUA-05 closes variables of a process that ended by an error", function()
    local me = self()
    spawn(function()
      local guard <close> = setmetatable({}, {__close = function(_, e) send(me, {"closed with", e}) end})
      error("E", 0)
    end)
    assert.equal("E", await{"closed with", any})
  end)

  it("LUA-06 leaves at once when it signals itself", function()
    local me = self()
    assert.equal("r", exit_reason(function()
      while true do pcall(function() Process.exit(self(), "r") send(me, "went on") end) end
    end))
    assert.equal("r", exit_reason(function()
      pcall(table.sort, {3, 1, 2}, function() Process.exit(self(), "r") return false end)
      send(me, "went on")
    end))
    assert.is_nil(receive(0))
  end)
end)

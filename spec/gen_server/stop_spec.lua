local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, spawn, any, exit = mb.self, mb.send, mb.receive, mb.spawn, mb.any, mb.exit
local Process, GenServer, await, exit_reason, catch_exit =
  mb.Process, mb.GenServer, helper.await, helper.exit_reason, helper.catch_exit

-- A server that tells of its terminate, trapping if `trap`.
local function module_for(me, trap, terminate)
  return {
    init = function() Process.flag("trap_exit", trap or false) return "ok", "state" end,
    handle_call = function(f, _, s) return f(s) end,
    handle_cast = function(f, s) return f(s) end,
    handle_info = function(m, s) send(me, {"info", m}) return "noreply", s end,
    terminate = terminate or function(reason, s) send(me, {"terminate", reason, s}) end,
  }
end

local function start(trap, terminate) return assert(GenServer.start(module_for(self(), trap, terminate))) end

describe("GenServer.stop", function()
  helper.setup()

  it("GST-01 terminates and returns when the server is gone", function()
    local pid = start()
    assert.is_true(GenServer.stop(pid))
    assert.is_false(Process.alive(pid))
    assert.same({"terminate", "normal", "state"}, receive(0))
  end)

  it("GST-02 is true for the reason that was asked for; links still work", function()
    local me = self()
    assert.is_true(GenServer.stop(start(), {"custom", {1}}))
    receive(0)
    for _, reason in ipairs{"R", "shutdown"} do
      assert.equal(reason, exit_reason(function()
        local pid = GenServer.start_link(module_for(me))
        GenServer.stop(pid, reason)
      end))
      await{"terminate", reason, any}
    end
  end)

  it("GST-03 exits noproc, and calling_self inside itself", function()
    local dead = helper.dead_pid()
    assert.same({"noproc", {"GenServer", "stop", {dead, "normal", "infinity"}}}, catch_exit(GenServer.stop, dead))
    assert.equal("noproc", catch_exit(GenServer.stop, "nobody")[1])
    assert.equal("calling_self", catch_exit(GenServer.stop, self())[1])
  end)

  it("GST-04 exits timeout and does not kill", function()
    local pid = start(false, function() receive{ {"go on"} } end)
    assert.equal("timeout", catch_exit(GenServer.stop, pid, "normal", 10)[1])
    assert.is_true(Process.alive(pid))
    local ref = mb.monitor(pid)
    send(pid, "go on")
    await{"DOWN", ref, "process", pid, "normal"}
  end)

  it("GST-05 GST-06 an error in terminate replaces the reason", function()
    local pid = start(false, function() error("T", 0) end)
    local ref = mb.monitor(pid)
    assert.equal("T", catch_exit(GenServer.stop, pid)[1][2])
    assert.equal("T", await{"DOWN", ref, "process", pid, any}[2])
    pid = start(false, function() exit("other") end)
    assert.equal("other", catch_exit(GenServer.stop, pid)[1])
  end)

  it("GST-07 terminate runs on stop, errors, exits and bad returns", function()
    local cases = {
      {function(s) return "stop", "R", s end, "R"},
      {function() exit("X") end, "X"},
      {function() error("E", 0) end, nil},
      {function() return "junk" end, nil},
    }
    for _, case in ipairs(cases) do
      local pid = start()
      GenServer.cast(pid, case[1])
      local reason = await{"terminate", any, any}
      if case[2] then assert.equal(case[2], reason) else assert.is_table(reason) end
      helper.reason_of(pid)
    end
  end)

  it("GST-08 terminate does not run on a signal, a kill or a failed init", function()
    local me = self()
    for _, how in ipairs{"R", "kill"} do
      local pid = start(how == "kill")
      Process.exit(pid, how)
      helper.reason_of(pid)
    end
    local failing = module_for(me)
    failing.init = function() return "stop", "R" end
    GenServer.start(failing)
    assert.is_nil(receive(0))
  end)

  it("GST-09 a trapping server terminates with its parent, whatever the reason", function()
    local me = self()
    for _, reason in ipairs{"normal", "R"} do
      helper.exit_reason(function()
        local pid = GenServer.start_link(module_for(me, true))
        send(me, {"server", pid})
        exit(reason)
      end)
      local pid = await{"server", any}
      assert.same({"terminate", reason, "state"}, receive(helper.patience))
      helper.reason_of(pid)
    end
    local pid = spawn(function()
      local server = GenServer.start_link(module_for(me, true))
      Process.exit(server, "normal")
      receive{ {"end"} }
    end)
    assert.same({"terminate", "normal", "state"}, receive(helper.patience))
    send(pid, "end")
  end)

  it("GST-10 a server that does not trap outlives a normal parent", function()
    local me = self()
    helper.in_process(function() send(me, {"server", GenServer.start_link(module_for(me))}) end)
    local pid = await{"server", any}
    assert.is_true(Process.alive(pid))
    GenServer.stop(pid)
    await{"terminate", any, any}
  end)

  it("GST-11 a server started without a link has no parent", function()
    local pid = start(true)
    Process.exit(pid, "R")
    assert.same({"EXIT", self(), "R"}, await{"info", any})
    GenServer.stop(pid)
    await{"terminate", any, any}
  end)

  it("GST-12 messages before the parent's exit are handled, none after it", function()
    local me = self()
    local parent = spawn(function()
      local server = GenServer.start_link(module_for(me, true))
      send(me, {"server", server})
      GenServer.cast(server, function(s) receive{ {"go on"} } return "noreply", s end)
      send(server, "before")
      Process.exit(server, "R")
      send(server, "after")
      send(server, "go on")
      receive{ {"end"} }
    end)
    await{"server", any}
    assert.same({"info", "before"}, receive(helper.patience))
    assert.same({"terminate", "R", "state"}, receive(helper.patience))
    assert.is_nil((receive(5)))
    send(parent, "end")
    Process.exit(parent, "kill")
  end)

  it("GST-13 logs only reasons that are not ordinary", function()
    local output = helper.run_script([[
      local mb = require "moonbeam"
      local S = {init = function() return "ok", {secret = 1} end, handle_cast = function(r, s) return "stop", r, s end}
      for _, reason in ipairs{"normal", "shutdown", {"shutdown", 1}, "unordinary"} do
        local pid = mb.GenServer.start(S, nil, {name = "the server"})
        local ref = mb.monitor(pid)
        mb.GenServer.cast(pid, reason)
        mb.receive()
      end
    ]])
    local _, count = output:gsub("terminating", "")
    assert.equal(1, count)
    assert.matches("GenServer #PID<[%d.]+> %(\"the server\"%) terminating\n%*%* %(stop%) \"unordinary\"", output)
    assert.matches("Last message: \"unordinary\"", output)
    assert.matches("State: {secret = 1}", output)
  end)
end)

local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, spawn, any, exit = mb.self, mb.send, mb.receive, mb.spawn, mb.any, mb.exit
local Process, GenServer, await, exit_reason, catch_exit =
  mb.Process, mb.GenServer, helper.await, helper.exit_reason, helper.catch_exit

-- A server that does what it is told: requests are functions of from and state.
local obedient = {
  init = function(state) return "ok", state end,
  handle_call = function(request, from, state) return request(from, state) end,
  handle_cast = function(request, state) return request(state) end,
  handle_info = function(message, state)
    if type(message) == "function" then return message(state) end
    return "noreply", state
  end,
}

local function start(extra)
  local module = {}
  for k, v in pairs(obedient) do module[k] = v end
  for k, v in pairs(extra or {}) do module[k] = v end
  return assert(GenServer.start(module, 0))
end

local function identity(v) return function(_, s) return "reply", v, s end end

describe("GenServer.call", function()
  helper.setup()

  it("GSC-01 returns the reply", function()
    local pid = start()
    assert.same({"r", 1}, GenServer.call(pid, identity{"r", 1}))
    assert.is_nil(GenServer.call(pid, function(_, s) return "reply", nil, s end))
    assert.is_false(GenServer.call(pid, identity(false), "infinity"))
    for _, bad in ipairs{-1, 1.5, "x"} do
      assert.error_matches(function() GenServer.call(pid, identity(1), bad) end, "timeout_value")
    end
    GenServer.stop(pid)
  end)

  it("GSC-02 exits noproc when nobody is there", function()
    local dead = helper.dead_pid()
    assert.same({"noproc", {"GenServer", "call", {dead, 5000}}}, catch_exit(GenServer.call, dead, 1))
    assert.equal("noproc", catch_exit(GenServer.call, "nobody", 1, 10)[1])
  end)

  it("GSC-03 exits calling_self, also inside a callback", function()
    assert.equal("calling_self", catch_exit(GenServer.call, self(), 1)[1])
    local pid = start()
    assert.equal("calling_self", GenServer.call(pid, function(_, s)
      local _, e = pcall(GenServer.call, self(), 1)
      return "reply", e.reason[1], s
    end))
    GenServer.stop(pid)
  end)

  it("GSC-04 GSC-05 exits timeout; the server goes on; the late reply is dropped", function()
    local me, pid = self(), start()
    local reason = catch_exit(GenServer.call, pid, function(_, s)
      receive{ {"go on"} }
      send(me, "handled")
      return "reply", "late", s
    end, 5)
    assert.equal("timeout", reason[1])
    assert.same({"GenServer", "call", {pid, 5}}, reason[2])
    send(pid, "go on")
    await("handled")
    assert.equal(1, GenServer.call(pid, identity(1)))
    assert.is_nil(receive(0))
    assert.same({}, Process.info(self(), "monitors"))
    GenServer.stop(pid)
  end)

  it("GSC-06 an uncaught timeout ends the caller", function()
    local pid = start()
    local reason = exit_reason(function()
      GenServer.call(pid, function(_, s) return "noreply", s end, 1)
    end)
    assert.equal("timeout", reason[1])
    GenServer.stop(pid)
  end)

  it("GSC-07 exits with what the server died of", function()
    local pid = start()
    assert.equal("R", catch_exit(GenServer.call, pid, function() exit("R") end, "infinity")[1])
    pid = start()
    assert.equal("killed", catch_exit(GenServer.call, pid, function() Process.exit(self(), "kill") end)[1])
  end)

  it("GSC-08 a linked caller dies of the bare reason", function()
    local pid = start()
    assert.equal("R", exit_reason(function()
      mb.link(pid)
      GenServer.call(pid, function(_, s) return "stop", "R", s end)
    end))
  end)

  it("GSC-09 a linked caller that traps gets both", function()
    Process.flag("trap_exit", true)
    local pid = start()
    mb.link(pid)
    assert.equal("R", catch_exit(GenServer.call, pid, function(_, s) return "stop", "R", s end)[1])
    await{"EXIT", pid, "R"}
  end)

  it("GSC-10 waits for a reply from anyone who has from", function()
    local me, pid = self(), start()
    assert.equal("from another", GenServer.call(pid, function(from, s)
      spawn(function() GenServer.reply(from, "from another") end)
      return "noreply", s
    end))
    assert.is_true(GenServer.call(pid, function(from, s)
      return "reply", from[1] == me, s
    end))
    GenServer.stop(pid)
  end)

  it("GSC-11 stop with a reply: terminate, then the reply, then the end", function()
    local me = self()
    local pid = start{terminate = function(reason) send(me, {"terminate", reason}) end}
    local ref = mb.monitor(pid)
    assert.equal("reply", GenServer.call(pid, function(_, s) return "stop", "R", "reply", s end))
    assert.same({"terminate", "R"}, receive(helper.patience))
    await{"DOWN", ref, "process", pid, "R"}
  end)

  it("GSC-12 stop without a reply exits the caller, even for normal", function()
    assert.equal("normal", catch_exit(GenServer.call, start(), function(_, s) return "stop", "normal", s end)[1])
  end)

  it("GSC-13 an early reply counts", function()
    assert.equal("early", GenServer.call(start(), function(from, s)
      GenServer.reply(from, "early")
      return "stop", "normal", s
    end))
  end)

  it("GSC-14 drops a second reply", function()
    local pid = start()
    assert.equal(1, GenServer.call(pid, function(from, s)
      GenServer.reply(from, 1)
      GenServer.reply(from, 2)
      return "noreply", s
    end))
    assert.equal(3, GenServer.call(pid, identity(3)))
    assert.is_nil(receive(0))
    GenServer.stop(pid)
  end)

  it("GSC-15 reply to somebody gone is fine", function()
    assert.is_true(GenServer.reply({helper.dead_pid(), mb.make_ref()}, 1))
    assert.is_true(GenServer.reply({self(), mb.make_ref()}, 1))
    assert.is_nil(receive(0))
  end)

  it("GSC-16 an error ends server and call", function()
    local me = self()
    local pid = start{terminate = function(reason) send(me, {"terminate", reason[1], reason[2]}) end}
    local ref = mb.monitor(pid)
    local reason = catch_exit(GenServer.call, pid, function() error("E", 0) end)
    assert.same({"error", "E"}, {reason[1][1], reason[1][2]})
    assert.same({"terminate", "error", "E"}, receive(helper.patience))
    assert.equal("E", await{"DOWN", ref, "process", pid, any}[2])
  end)

  it("GSC-17 so does a bad return", function()
    assert.same({"bad_return_value", "junk"}, catch_exit(GenServer.call, start(), function() return "junk" end)[1])
    assert.same({"bad_return_value", {"reply", 1}},
      catch_exit(GenServer.call, start(), function() return "reply", 1 end)[1])
    assert.same({"bad_return_value", {"noreply", 1, 2, 3}},
      catch_exit(GenServer.call, start(), function() return "noreply", 1, 2, 3 end)[1])
    assert.same({"bad_return_value", {"noreply", 1, "soon"}},
      catch_exit(GenServer.call, start(), function() return "noreply", 1, "soon" end)[1])
    assert.same({"bad_return_value", {"reply", 1, 2, "soon"}},
      catch_exit(GenServer.call, start(), function() return "reply", 1, 2, "soon" end)[1])
  end)

  it("GSC-18 missing callbacks: call and cast crash, info is dropped", function()
    local bare = {init = function() return "ok", 0 end}
    local pid = GenServer.start(bare, nil, {name = "gsc-18"})
    assert.matches("gsc%-18.*handle_call", catch_exit(GenServer.call, pid, 1)[1][2])
    pid = GenServer.start(bare)
    local ref = mb.monitor(pid)
    GenServer.cast(pid, 1)
    assert.matches("handle_cast", await{"DOWN", ref, "process", pid, any}[2])
    pid = GenServer.start(bare)
    send(pid, "unexpected")
    assert.is_true(GenServer.stop(pid))
  end)

  it("GSC-19 cast is always true", function()
    assert.is_true(GenServer.cast(helper.dead_pid(), 1))
    assert.is_true(GenServer.cast("nobody", 1))
    assert.is_true(GenServer.cast({"via", {whereis_name = function() end}, "x"}, 1))
    assert.is_false(pcall(GenServer.cast, 5, 1))
  end)

  it("names function and argument for what is no server, and what is no from", function()
    local cases = {
      {"GenServer.call", GenServer.call, nil, 1}, {"GenServer.call", GenServer.call, 5, 1},
      {"GenServer.call", GenServer.call, {}, 1}, {"GenServer.cast", GenServer.cast, nil, 1},
      {"GenServer.stop", GenServer.stop, nil}, {"GenServer.stop", GenServer.stop, 5},
      {"GenServer.whereis", GenServer.whereis, nil}, {"GenServer.whereis", GenServer.whereis, mb.make_ref()},
      {"GenServer.reply", GenServer.reply, 5, 1}, {"GenServer.reply", GenServer.reply, {self()}, 1},
    }
    for _, case in ipairs(cases) do
      local ok, message = pcall(case[2], case[3], case[4])
      assert.is_false(ok)
      assert.matches("call_spec.lua:%d+: bad argument #1 to '" .. case[1], message)
    end
  end)

  it("GSC-20 handles one at a time, in order", function()
    local pid = start()
    for i = 1, 3 do GenServer.cast(pid, function(s) return "noreply", s * 10 + i end) end
    assert.equal(123, GenServer.call(pid, function(_, s) return "reply", s, s end))
    GenServer.stop(pid)
  end)

  it("GSC-21 leaves other messages, in order, and nothing behind", function()
    local me, pid = self(), start()
    send(me, 1)
    send(me, {2})
    GenServer.call(pid, function(_, s) send(me, 3) return "reply", 1, s end)
    assert.same({1, {2}, 3}, Process.info(me, "messages"))
    assert.same({}, Process.info(me, "monitors"))
    assert.same({}, Process.info(me, "links"))
    GenServer.stop(pid)
  end)

  it("GSC-22 a request is handled though its caller died", function()
    local me, pid = self(), start()
    local caller = spawn(function()
      GenServer.call(pid, function(_, s)
        send(me, "handling")
        receive{ {"go on"} }
        send(me, "handled")
        return "reply", 1, s
      end)
    end)
    await("handling")
    Process.exit(caller, "kill")
    send(pid, "go on")
    await("handled")
    GenServer.stop(pid)
  end)
end)

local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, any = mb.self, mb.send, mb.receive, mb.any
local Process, GenServer, Task, await = mb.Process, mb.GenServer, mb.Task, helper.await

-- A server that tells what it gets; a function it is sent decides what handle_info returns.
local function start(callbacks, arg)
  local me = self()
  local module = {
    init = function(x) return "ok", x end,
    handle_call = function(request, _, state) return request(state) end,
    handle_cast = function(request, state) return request(state) end,
    handle_info = function(message, state)
      if type(message) == "function" then return message(state) end
      send(me, {"info", message})
      return "noreply", state
    end,
  }
  for k, v in pairs(callbacks or {}) do module[k] = v end
  return assert(GenServer.start(module, arg))
end

describe("a server's other messages", function()
  helper.setup()

  it("GSI-01 go to handle_info, those of tasks too", function()
    local pid = start()
    send(pid, {"plain", 1})
    assert.same({"plain", 1}, await{"info", any})
    GenServer.cast(pid, function(s) Task.async(function() return "result" end) return "noreply", s end)
    assert.equal("result", await{"info", any}[2])
    local down = await{"info", any}
    assert.equal("DOWN", down[1])
    assert.equal("normal", down[5])
    GenServer.stop(pid)
  end)

  it("GSI-02 a timeout comes once when no message does", function()
    local pid = start()
    GenServer.cast(pid, function(s) return "noreply", s, 5 end)
    assert.equal("timeout", await{"info", any})
    assert.is_nil((receive(15)))
    GenServer.stop(pid)
  end)

  it("GSI-03 a message cancels it for good", function()
    local pid = start()
    repeat -- until the message comes in time
      local started = mb.monotonic_time()
      GenServer.cast(pid, function(s) return "noreply", s, 20 end)
      send(pid, "message")
      local first = await{"info", any}
      if first ~= "message" then
        assert.is_true(mb.monotonic_time() - started >= 20)
        await{"info", "message"}
      end
    until first == "message"
    assert.is_nil((receive(40)))
    GenServer.stop(pid)
  end)

  it("GSI-04 a timeout of 0 comes only when nothing is queued", function()
    local pid = start()
    GenServer.cast(pid, function(s)
      send(self(), "queued")
      return "noreply", s, 0
    end)
    assert.equal("queued", await{"info", any})
    assert.is_nil((receive(5)))
    GenServer.cast(pid, function(s) return "noreply", s, 0 end)
    assert.equal("timeout", await{"info", any})
    GenServer.stop(pid)
  end)

  it("GSI-05 continue runs before any message", function()
    local me = self()
    local pid = start{
      init = function() send(self(), "early") return "ok", 0, {"continue", "first"} end,
      handle_continue = function(x, s) send(me, {"continue", x}) return "noreply", s end,
    }
    assert.same({"continue", "first"}, receive(helper.patience))
    assert.same({"info", "early"}, receive(helper.patience))
    GenServer.cast(pid, function(s)
      send(self(), "queued")
      return "noreply", s, {"continue", "second"}
    end)
    assert.same({"continue", "second"}, receive(helper.patience))
    assert.same({"info", "queued"}, receive(helper.patience))
    GenServer.stop(pid)
  end)

  it("GSI-06 the reply is sent before continue runs", function()
    local pid = start{handle_continue = function(_, s) receive{ {"go on"} } return "noreply", s end}
    assert.equal("r", GenServer.call(pid, function(s) return "reply", "r", s, {"continue", 1} end))
    send(pid, "go on")
    GenServer.stop(pid)
  end)

  it("GSI-07 an EXIT of one that is not the parent is a message", function()
    local pid = start{init = function() Process.flag("trap_exit", true) return "ok", 0 end}
    Process.exit(pid, "R")
    assert.same({"EXIT", self(), "R"}, await{"info", any})
    assert.is_true(Process.alive(pid))
    GenServer.stop(pid)
  end)

  it("GSI-08 stop from cast and info terminates", function()
    local me = self()
    local function terminate(reason, state) send(me, {"terminate", reason, state}) end
    local pid = start({terminate = terminate}, "s")
    local ref = mb.monitor(pid)
    GenServer.cast(pid, function(s) return "stop", "R", s .. "1" end)
    assert.same({"terminate", "R", "s1"}, receive(helper.patience))
    await{"DOWN", ref, "process", pid, "R"}
    pid = start({terminate = terminate}, "s")
    ref = mb.monitor(pid)
    send(pid, function(s) return "stop", "normal", s end)
    assert.same({"terminate", "normal", "s"}, receive(helper.patience))
    await{"DOWN", ref, "process", pid, "normal"}
  end)

  it("GSI-09 continue without handle_continue crashes", function()
    local pid = start()
    local ref = mb.monitor(pid)
    GenServer.cast(pid, function(s) return "noreply", s, {"continue", 1} end)
    assert.matches("handle_continue", await{"DOWN", ref, "process", pid, any}[2])
  end)
end)

local mb = require "moonbeam"
local helper = require "spec.helper"
local logging = require "spec.logging"
local self, send, receive, any, Process, GenServer = mb.self, mb.send, mb.receive, mb.any, mb.Process, mb.GenServer
local await, catch_exit = helper.await, helper.catch_exit

-- A server that tells what it handles.
local function start(more, opts)
  local me = self()
  local module = {
    init = function(state) return "ok", state end,
    handle_call = function(request, _, state)
      if type(request) == "function" then return request(state) end
      return "reply", {"answer", request}, state
    end,
    handle_cast = function(request, state) send(me, {"cast", request}) return "noreply", state end,
    handle_info = function(message, state) send(me, {"info", message}) return "noreply", state end,
  }
  for k, v in pairs(more or {}) do module[k] = v end
  return assert(GenServer.start(module, {n = 1}, opts))
end

describe("GenServer.get_state", function()
  helper.setup()

  it("gives a copy of the state, in order with what was sent before", function()
    local pid = start({handle_cast = function(n, state) state.n = n return "noreply", state end}, {name = "looked at"})
    for i = 1, 10 do GenServer.cast(pid, i) end
    local state = GenServer.get_state(pid)
    assert.same({n = 10}, state)
    state.n = 99
    assert.same({n = 10}, GenServer.get_state("looked at"))
    GenServer.stop(pid)
  end)

  it("refuses a state that cannot be copied, and the server lives on", function()
    local pid = start{init = function() return "ok", {file = io.open("/dev/null")} end}
    local ok, message = pcall(GenServer.get_state, pid)
    assert.is_false(ok)
    assert.matches('sys_spec.lua:%d+: GenServer.get_state: .*field "file" is a userdata', message)
    assert.same({"answer", 1}, GenServer.call(pid, 1))
    GenServer.stop(pid)
  end)

  it("exits as calls do", function()
    for name, arguments in pairs{
      get_state = {}, get_status = {}, suspend = {}, resume = {}, replace_state = {function() end}, trace = {true},
    } do
      local dead = helper.dead_pid()
      local reason = catch_exit(GenServer[name], dead, table.unpack(arguments))
      assert.same({"noproc", {"GenServer", name, {dead, 5000}}}, reason)
      assert.equal("noproc", catch_exit(GenServer[name], "nobody has this name", table.unpack(arguments))[1])
      assert.equal("calling_self", catch_exit(GenServer[name], self(), table.unpack(arguments))[1])
    end
    local busy = start{handle_cast = function(_, s) receive{ {"go on"} } return "noreply", s end}
    GenServer.cast(busy, 1)
    assert.equal("timeout", catch_exit(GenServer.get_state, busy, 1)[1])
    send(busy, "go on")
    GenServer.stop(busy)
    assert.is_nil((receive(0)))
  end)

  it("refuses wrong arguments at the caller", function()
    for text, call in pairs{
      ["bad argument #1 to 'GenServer.get_state' %(pid or name expected"] = function() GenServer.get_state(5) end,
      ["bad argument #2 to 'GenServer.get_state' %(timeout_value"] = function() GenServer.get_state(self(), -1) end,
      ["bad argument #2 to 'GenServer.replace_state' %(function expected"] =
        function() GenServer.replace_state(self(), 1) end,
      ["bad argument #2 to 'GenServer.trace' %(boolean expected"] = function() GenServer.trace(self(), 1) end,
    } do
      local ok, message = pcall(call)
      assert.is_false(ok)
      assert.matches("sys_spec.lua:%d+: " .. text, message)
    end
  end)
end)

describe("GenServer.replace_state", function()
  helper.setup()

  it("gives the server what the function makes of its state", function()
    local pid = start()
    assert.same({n = 2, by = pid}, GenServer.replace_state(pid, function(s) return {n = s.n + 1, by = mb.self()} end))
    assert.same(2, GenServer.get_state(pid).n)
    assert.same(3, GenServer.replace_state(pid, function(s) s.n = 3 end).n)
    assert.is_nil(GenServer.replace_state(pid, function() return nil end))
    assert.is_nil(GenServer.get_state(pid))
    GenServer.stop(pid)
  end)

  it("changes nothing when the function raises, or what it makes cannot be copied back", function()
    local pid = start()
    local ok, message = pcall(GenServer.replace_state, pid, function() error("no") end)
    assert.is_false(ok)
    assert.matches("sys_spec.lua:%d+: GenServer.replace_state: the function failed: .*no$", message)
    ok = pcall(GenServer.replace_state, pid, function() return io.open("/dev/null") end)
    assert.is_false(ok)
    ok = pcall(GenServer.replace_state, pid, function() mb.exit("x") end)
    assert.is_false(ok)
    assert.same({n = 1}, GenServer.get_state(pid))
    GenServer.stop(pid)
  end)
end)

describe("GenServer.suspend", function()
  helper.setup()

  it("holds a server until resume; what came meanwhile is handled in order", function()
    local pid = start()
    assert.is_true(GenServer.suspend(pid))
    assert.equal("suspended", GenServer.get_status(pid).status)
    for i = 1, 3 do
      GenServer.cast(pid, i)
      send(pid, i)
    end
    assert.equal("timeout", catch_exit(GenServer.call, pid, "late", 1)[1])
    assert.same({n = 1}, GenServer.get_state(pid))
    assert.is_nil((receive(0)))
    assert.is_true(GenServer.suspend(pid))
    assert.is_true(GenServer.resume(pid))
    assert.equal("running", GenServer.get_status(pid).status)
    for i = 1, 3 do
      assert.same({"cast", i}, receive(helper.patience))
      assert.same({"info", i}, receive(helper.patience))
    end
    assert.same({"answer", 5}, GenServer.call(pid, 5))
    assert.is_nil((receive(0)))
    GenServer.stop(pid)
  end)

  it("resume without suspend changes nothing", function()
    local pid = start()
    assert.is_true(GenServer.resume(pid))
    assert.same({"answer", 1}, GenServer.call(pid, 1))
    GenServer.stop(pid)
  end)

  it("lets a server be stopped, with its terminate", function()
    local me = self()
    local pid = start{terminate = function(reason, state) send(me, {"terminate", reason, state}) end}
    GenServer.suspend(pid)
    GenServer.cast(pid, "never handled")
    assert.is_true(GenServer.stop(pid, "shutdown"))
    assert.same({"terminate", "shutdown", {n = 1}}, receive(helper.patience))
    assert.is_nil((receive(0)))
  end)

  it("lets a server end with its parent", function()
    local me = self()
    local parent = mb.spawn(function()
      local pid = mb.GenServer.start_link({
        init = function() mb.Process.flag("trap_exit", true) return "ok", 0 end,
        terminate = function(reason) mb.send(me, {"terminate", reason}) end,
      })
      mb.GenServer.suspend(pid)
      mb.send(me, {"started", pid})
      mb.receive()
      mb.exit("the parent's reason")
    end)
    local pid = await{"started", any}
    local ref = mb.monitor(pid)
    Process.exit(pid, "of a stranger: waits")
    send(parent, "end")
    assert.equal("the parent's reason", await{"terminate", any})
    await{"DOWN", ref, "process", pid, "the parent's reason"}
  end)

  it("does not take a server's timeout away", function()
    local me = self()
    local pid = start{
      init = function() return "ok", 0, 20 end,
      handle_info = function(message, state) send(me, {"info", message}) return "noreply", state end,
    }
    GenServer.suspend(pid)
    GenServer.get_state(pid)
    GenServer.resume(pid)
    assert.equal("timeout", await{"info", any})
    GenServer.stop(pid)
  end)
end)

describe("GenServer.get_status", function()
  helper.setup()

  it("tells what a server is", function()
    local me = self()
    local linked = assert(GenServer.start_link({init = function() return "ok", "state" end}, nil, {name = "the name"}))
    assert.same({
      status = "running", traced = false, pid = linked, name = "the name", parent = me, state = "state",
    }, GenServer.get_status(linked))
    GenServer.stop(linked)
    -- the test framework takes modules out of package.loaded between files: the agent's is looked up in its own program
    local output = helper.run_script([[
      local mb = require "moonbeam"
      print(mb.GenServer.get_status(mb.Agent.start(function() return 1 end)).module)
    ]])
    assert.equal("moonbeam.agent.server\n", output)
  end)
end)

describe("GenServer.trace", function()
  helper.setup()
  logging.setup()

  it("tells what a server gets, answers and keeps, until it is turned off", function()
    local me = self()
    local pid = start({
      handle_call = function(request, _, n) return "reply", request + 1, n + request end,
      handle_cast = function(request, n) return "noreply", n + request, {"continue", "c"} end,
      handle_continue = function(_, n) return "noreply", n + 100 end,
      handle_info = function(_, n) return "noreply", n, "infinity" end,
      init = function() return "ok", 0 end,
    }, {name = "traced"})
    mb.Logger.configure{level = "error"} -- tracing is asked for by name
    assert.is_true(GenServer.trace(pid, true))
    assert.is_true(GenServer.get_status(pid).traced)
    assert.equal(6, GenServer.call(pid, 5))
    GenServer.cast(pid, 1)
    send(pid, "message")
    GenServer.get_state(pid)
    local expected = {
      {"call", ('*DBG* "traced" got call 5 from %s'):format(me)},
      {"reply", ('*DBG* "traced" sent 6 to %s, new state 5'):format(me)},
      {"cast", '*DBG* "traced" got cast 1'},
      {"state", '*DBG* "traced" new state 6'},
      {"continue", '*DBG* "traced" continues with "c"'},
      {"state", '*DBG* "traced" new state 106'},
      {"info", '*DBG* "traced" got "message"'},
      {"state", '*DBG* "traced" new state 106'},
    }
    for _, e in ipairs(expected) do
      local event = logging.next_event()
      assert.equal("debug", event.level)
      assert.equal(e[2], event.message)
      assert.equal("trace", event.metadata.report.kind)
      assert.equal(e[1], event.metadata.report.event)
      assert.equal(pid, event.metadata.report.pid)
    end
    assert.is_true(GenServer.trace("traced", false))
    GenServer.call(pid, 1)
    GenServer.stop(pid)
    mb.Logger.error("the end")
    assert.equal("the end", logging.next_event().message)
  end)

  it("tells of other results, and changes nothing of what they do", function()
    local pid = start{handle_cast = function(_, s) return "stop", "reason", s end}
    mb.Logger.configure{level = "none"}
    GenServer.trace(pid, true)
    local ref = mb.monitor(pid)
    GenServer.cast(pid, 1)
    await{"DOWN", ref, "process", pid, "reason"}
    logging.next_event()
    assert.matches('returned {"stop", "reason", {n = 1}}$', logging.next_event().message)
  end)
end)

describe("a system request", function()
  helper.setup()

  it("costs a server nothing afterwards: its messages are handled as before", function()
    local pid = start()
    for _ = 1, 3 do
      GenServer.suspend(pid)
      GenServer.cast(pid, "held")
      GenServer.resume(pid)
      GenServer.get_state(pid)
      assert.equal("held", await{"cast", any})
    end
    assert.same({"answer", "x"}, GenServer.call(pid, "x"))
    GenServer.stop(pid)
  end)

  it("that is unknown is refused", function()
    local core = require "moonbeam.core"
    local pid = start()
    local arrived, ok, why = core.system(pid, {"dance"}, 5000, "test")
    assert.is_true(arrived)
    assert.is_false(ok)
    assert.equal('unknown system request "dance"', why)
    GenServer.stop(pid)
  end)
end)

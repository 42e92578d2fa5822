local mb = require "moonbeam"
local helper = require "spec.helper"
local support = require "spec.registry.support"
local self, send, receive, any = mb.self, mb.send, mb.receive, mb.any
local Process, Registry, GenServer, Agent = mb.Process, mb.Registry, mb.GenServer, mb.Agent
local with, member, stop, await = support.with, support.member, support.stop, helper.await
local via = Registry.via

local echo = {}
function echo.init(me) return "ok", me end
function echo.handle_call(request, _, me) return "reply", {request, self()}, me end
function echo.handle_cast(request, me)
  send(me, {"cast", request})
  return "noreply", me
end
function echo.handle_info(message, me)
  send(me, {"info", message})
  return "noreply", me
end

describe("Registry.via", function()
  helper.setup()

  it("REG-10 names servers: start, call, cast, whereis, stop", function()
    with("unique", function()
      local name = via("reg", {"room", 5})
      local pid = GenServer.start(echo, self(), {name = name})
      assert.same({{pid}}, Registry.lookup("reg", {"room", 5}))
      assert.equal(pid, GenServer.whereis(name))
      assert.same({"hello", pid}, GenServer.call(via("reg", {"room", 5.0}), "hello"))
      assert.is_true(GenServer.cast(name, "hi"))
      await{"cast", "hi"}
      assert.is_true(GenServer.stop(name))
      assert.is_nil(GenServer.whereis(name))
      assert.is_false(Process.alive(pid))
    end)
  end)

  it("REG-10 names agents", function()
    with("unique", function()
      local name = via("reg", "a")
      local pid = Agent.start_link(function() return 0 end, {name = name})
      assert.is_true(Agent.update(name, function(n) return n + 1 end))
      assert.is_true(Agent.cast(name, function(n) return n + 1 end))
      assert.equal(2, Agent.get(name))
      assert.equal(pid, GenServer.whereis(name))
      assert.is_true(Agent.stop(name))
      assert.is_nil(GenServer.whereis(name))
    end)
  end)

  it("REG-10 a name that is taken is not started again", function()
    with("unique", function()
      local name = via("reg", "a")
      local pid = Agent.start(function() return 0 end, {name = name})
      for _, start in ipairs{Agent.start, Agent.start_link} do
        assert.same({n = 2, nil, {"already_started", pid}},
          table.pack(start(function() error("it ran") end, {name = name})))
      end
      assert.equal(0, Agent.get(name))
      Agent.stop(name)
    end)
  end)

  it("REG-10 of many that start with one name at once one does", function()
    with("unique", function()
      local me = self()
      for i = 1, 30 do
        mb.spawn(function()
          local pid, reason = Agent.start(function() return i end, {name = via("reg", "a")})
          send(me, {"started", pid or reason[2], pid ~= nil})
        end)
      end
      local winner, starts = nil, 0
      for _ = 1, 30 do
        local pid, started = await{"started", any, any}
        winner = winner or pid
        assert.equal(winner, pid)
        if started then starts = starts + 1 end
      end
      assert.equal(1, starts)
      assert.equal(winner, GenServer.whereis(via("reg", "a")))
      Agent.stop(winner)
    end)
  end)

  it("REG-10 nobody under the key: whereis is nil, call and stop exit noproc, cast is true", function()
    with("unique", function()
      local name = via("reg", "none")
      assert.is_nil(GenServer.whereis(name))
      local reason = helper.catch_exit(GenServer.call, name, "hello")
      assert.equal("noproc", reason[1])
      assert.same({"GenServer", "call"}, {reason[2][1], reason[2][2]})
      assert.equal("noproc", helper.catch_exit(Agent.get, name)[1])
      assert.equal("noproc", helper.catch_exit(GenServer.stop, name)[1])
      assert.is_true(GenServer.cast(name, "hello"))
    end)
  end)

  it("REG-10 the name goes with the server, and the next one can have it", function()
    with("unique", function()
      local name = via("reg", "a")
      local first = Agent.start(function() return 1 end, {name = name})
      stop(first)
      local second = Agent.start(function() return 2 end, {name = name})
      assert.equal(2, Agent.get(name))
      Agent.stop(second)
      assert.is_nil((GenServer.start({init = function() return "stop", "why" end}, nil, {name = name})))
      assert.is_nil(GenServer.whereis(name))
    end)
  end)

  it("REG-11 registers with a value", function()
    with("unique", function()
      local pid = Agent.start(function() return 0 end, {name = via("reg", "k", {"v"})})
      assert.same({{pid, {"v"}}}, Registry.lookup("reg", "k"))
      Agent.stop(pid)
      pid = Agent.start(function() return 0 end, {name = via("reg", "k", false)})
      assert.same({{pid, false}}, Registry.lookup("reg", "k"))
      Agent.stop(pid)
    end)
  end)

  it("REG-11 raises where keys are duplicate", function()
    with("duplicate", function()
      Registry.register("reg", "k", 1)
      for _, fn in ipairs{
        function() return Agent.start_link(function() return 0 end, {name = via("reg", "k")}) end,
        function() return GenServer.call(via("reg", "k"), 1) end,
        function() return GenServer.whereis(via("reg", "k")) end,
        function() return send(via("reg", "k"), 1) end,
      } do
        local ok, e = pcall(fn)
        assert.is_false(ok)
        assert.matches("the registry 'reg' has duplicate keys", e)
      end
      assert.is_nil(receive(0))
    end)
  end)

  it("REG-11 send reaches who is under the key, and raises when nobody is", function()
    with("unique", function()
      Registry.register("reg", "me")
      local message = {1}
      assert.equal(message, send(via("reg", "me"), message))
      assert.same({1}, receive(0))
      assert.equal("again", Registry.send({"reg", "me"}, "again"))
      assert.equal("again", receive(0))
      local ok, e = pcall(send, via("reg", {"no", 1}), "hello")
      assert.is_false(ok)
      assert.matches("via_spec.lua:%d+: bad argument #1 to 'send'", e)
      assert.matches('no process is registered under {"reg", {"no", 1}}', e, 1, true)
      assert.is_false(pcall(Registry.send, {"reg", "nobody"}, "hello"))
      ok, e = pcall(send, via("reg", "me"), {print, io.open("/dev/null")})
      assert.is_false(ok)
      assert.matches("cannot send message: field", e)
    end)
  end)

  it("REG-11 monitor watches who is under the key; nobody is down at once", function()
    with("unique", function()
      local pid = member({"k", 1})
      local ref = mb.monitor(via("reg", "k"))
      assert.equal("killed", stop(pid))
      assert.equal("killed", await{"DOWN", ref, "process", pid, any})
      ref = mb.monitor(via("reg", "k"))
      local nobody, reason = await{"DOWN", ref, "process", any, any}
      assert.same({"pid", "noproc", false}, {mb.type(nobody), reason, Process.alive(nobody)})
    end)
  end)

  it("REG-11 send_after finds out whom it is for when the time has come", function()
    with("unique", function()
      local name = via("reg", "k")
      local timer = Process.send_after(name, "to the old one", 60000)
      assert.is_true(Process.read_timer(timer) > 50000)
      assert.is_true(Process.cancel_timer(timer) > 50000)
      repeat -- until the new one has the name in time
        GenServer.start(echo, self(), {name = name})
        timer = Process.send_after(name, "to the new one", 30)
        stop(GenServer.whereis(name))
        GenServer.start(echo, self(), {name = name})
        local in_time = Process.read_timer(timer)
        if not in_time then GenServer.stop(name) end
      until in_time
      await{"info", "to the new one"}
      GenServer.stop(name)
      Process.send_after(name, "to nobody", 0)
      Process.send_after(self(), "later", 1)
      await("later")
      assert.is_nil(receive(0))
    end)
    Process.send_after(via("reg", "k"), "the registry has gone", 0)
    Process.send_after(self(), "later", 1)
    await("later")
  end)

  it("REG-11 takes other modules of names too", function()
    local names = {
      whereis_name = function(term) return Process.whereis(term[1]) end,
      register_name = function(term, pid)
        if Process.whereis(term[1]) then return "no" end
        Process.register(pid, term[1])
        return "yes"
      end,
    }
    local name = {"via", names, {"via-spec"}}
    local pid = GenServer.start(echo, self(), {name = name})
    assert.equal(pid, Process.whereis("via-spec"))
    assert.same({"hello", pid}, GenServer.call(name, "hello"))
    assert.same({n = 2, nil, {"already_started", pid}}, table.pack(GenServer.start(echo, self(), {name = name})))
    send(name, "a message")
    await{"info", "a message"}
    Process.send_after(name, "later", 1)
    await{"info", "later"}
    GenServer.stop(name)
    assert.is_false(pcall(send, name, "a message"))
  end)

  it("raises for ill-formed names, at the caller", function()
    for _, name in ipairs{{"via"}, {"via", "Registry", {"reg", "k"}}, {"by", Registry, {"reg", "k"}}, {}} do
      local ok, e = pcall(GenServer.call, name, 1)
      assert.is_false(ok)
      assert.matches("via_spec.lua:%d+: bad argument #1 to 'GenServer.call'", e)
      ok, e = pcall(GenServer.start, echo, self(), {name = name})
      assert.is_false(ok)
      assert.matches("via_spec.lua:%d+: bad argument #3 to 'GenServer.start'", e)
    end
    assert.matches("via_spec.lua:%d+: bad argument #2 to 'Registry.via'", select(2, pcall(via, "reg", nil)))
    assert.matches("via_spec.lua:%d+: bad argument #1 to 'Registry.via'", select(2, pcall(via, {}, 1)))
  end)
end)

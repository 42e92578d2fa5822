local mb = require "moonbeam"
local helper = require "spec.helper"
local support = require "spec.registry.support"
local self, send, receive, any = mb.self, mb.send, mb.receive, mb.any
local Process, Registry, GenServer = mb.Process, mb.Registry, mb.GenServer
local with, member, stop, await = support.with, support.member, support.stop, helper.await

local function has(list, item)
  for _, v in ipairs(list) do if v == item then return true end end
  return false
end

describe("a registry", function()
  helper.setup()

  it("REG-12 that is unknown raises, wherever it is named", function()
    local function f() error("it was called") end
    for name, arguments in pairs{
      register = {"k", 1}, unregister = {"k"}, lookup = {"k"}, keys = {self()}, count = {}, values = {"k", self()},
      dispatch = {"k", f}, update_value = {"k", f}, match = {"k", any}, count_match = {"k", any},
      unregister_match = {"k", any}, meta = {"k"}, put_meta = {"k", 1}, delete_meta = {"k"}, lock = {"k", f},
    } do
      local ok, e = pcall(Registry[name], "nope", table.unpack(arguments))
      assert.is_false(ok, name)
      assert.matches("start_spec.lua:%d+: bad argument #1 to 'Registry." .. name .. "' %(unknown registry: 'nope'%)", e)
    end
    local name = Registry.via("nope", "k")
    for _, fn in ipairs{GenServer.call, GenServer.cast, GenServer.whereis, send} do
      local ok, e = pcall(fn, name, 1)
      assert.is_false(ok)
      assert.matches("unknown registry: 'nope'", e)
    end
    assert.matches("unknown registry", select(2, pcall(GenServer.start, {init = f}, 1, {name = name})))
    assert.is_false(pcall(Registry.lookup, nil, "k"))
    Process.register(self(), "no-registry")
    assert.matches("unknown registry", select(2, pcall(Registry.lookup, "no-registry", "k")))
    Process.unregister("no-registry")
  end)

  it("REG-13 needs keys and a name", function()
    for text, options in pairs{["keys is"] = {name = "reg"}, ["got wrong"] = {name = "reg", keys = "wrong"},
        ["name is a string, got nil"] = {keys = "unique"}, ["got number"] = {keys = "unique", name = 5},
        ["cannot be a name"] = {keys = "unique", name = ""},
        ["listener 1"] = {keys = "unique", name = "reg", listeners = {5}},
        ["listeners"] = {keys = "unique", name = "reg", listeners = "all"},
        ["meta"] = {keys = "unique", name = "reg", meta = 5}} do
      for _, fn in ipairs{Registry.start_link, Registry.child_spec} do
        local ok, e = pcall(fn, options)
        assert.is_false(ok, text)
        assert.matches("start_spec.lua:%d+: bad argument #1 to 'Registry.start_link'", e)
        assert.matches(text, e)
      end
    end
    assert.is_false(pcall(Registry.start_link, "reg"))
  end)

  it("REG-13 whose name is taken is not started", function()
    with("unique", function(reg)
      Registry.register("reg", "k", 1)
      local answer = table.pack(Registry.start_link{keys = "duplicate", name = "reg"})
      assert.same({n = 2, nil, {"already_started", reg}}, answer)
      assert.same({{self(), 1}}, Registry.lookup("reg", "k"))
    end)
    local pid = helper.idle()
    Process.register(pid, "reg")
    assert.same({n = 2, nil, {"already_started", pid}}, table.pack(Registry.start_link{keys = "unique", name = "reg"}))
    stop(pid)
  end)

  it("REG-13 keeps its name even when its process has lost it", function()
    with("unique", function(reg)
      Process.unregister("reg")
      local pid, reason = Registry.start_link{keys = "unique", name = "reg"}
      assert.same({nil, {"already_started", reg}}, {pid, reason})
      assert.same({}, Registry.lookup("reg", "k"))
      GenServer.stop(reg)
    end)
  end)

  it("REG-13 starts under its name again as soon as the last one's end is seen", function()
    for i = 1, 20 do
      local pid, ref = mb.spawn_monitor(function()
        assert(Registry.start_link{keys = "unique", name = "reg"})
        Registry.register("reg", "k", i)
        GenServer.stop("reg")
      end)
      assert.equal("shutdown", await{"DOWN", ref, "process", pid, any})
      local gone = Process.whereis("reg")
      if gone then helper.reason_of(gone) end
      assert.is_false(pcall(Registry.lookup, "reg", "k"))
    end
  end)

  it("REG-13 has a child specification", function()
    local options = {keys = "unique", name = "reg"}
    local spec = Registry.child_spec(options)
    assert.same({id = "reg", start = {Registry.start_link, options}, type = "supervisor"}, spec)
    local pid = spec.start[1](table.unpack(spec.start, 2))
    assert.equal(pid, Process.whereis("reg"))
    GenServer.stop(pid)
  end)

  it("REG-14 is linked to those registered, until the last key is unregistered", function()
    for _, keys in ipairs{"unique", "duplicate"} do
      with(keys, function(reg)
        local owner = Registry.register("reg", "k", 1)
        assert.equal(owner, Registry.register("reg", "l", 1))
        assert.is_true(has(Process.info(self(), "links"), owner))
        assert.is_true(has(Process.info(owner, "links"), self()))
        Registry.unregister("reg", "k")
        assert.is_true(has(Process.info(self(), "links"), owner))
        Registry.unregister("reg", "l")
        assert.same({reg}, Process.info(self(), "links"))
        assert.is_false(has(Process.info(owner, "links"), self()))
        local pid = member({"k", 1})
        assert.same({owner}, Process.info(pid, "links"))
        stop(pid)
        assert.is_false(has(Process.info(owner, "links"), pid))
      end)
    end
  end)

  it("REG-14 a refused registration leaves no link", function()
    with("unique", function(reg)
      local pid = member({"k", 1})
      assert.is_nil((Registry.register("reg", "k", 2)))
      assert.same({reg}, Process.info(self(), "links"))
      stop(pid)
    end)
  end)

  it("REG-14 takes those registered with it when it stops: of shutdown", function()
    with("unique", function()
      local me = self()
      local plain = member({"a", 1})
      local trapping = mb.spawn(function()
        Process.flag("trap_exit", true)
        Registry.register("reg", "b", 2)
        send(me, "ready")
        send(me, {"got", receive()[3], Process.info(self(), "links")})
        receive()
      end)
      await("ready")
      local ref = mb.monitor(plain)
      GenServer.stop("reg")
      assert.equal("shutdown", await{"DOWN", ref, "process", plain, any})
      assert.same({"shutdown", {}}, {await{"got", any, any}})
      assert.equal(0, mb.census().registrations) -- what the survivor had is forgotten, too
      stop(trapping)
    end)
  end)

  it("REG-14 takes those registered with it when it dies or is killed", function()
    for how, reason in pairs{kill = "killed", shutdown = "shutdown", crash = "crash"} do
      with("unique", function(reg)
        local pid = member({"a", 1})
        local ref = mb.monitor(pid)
        mb.unlink(reg)
        Process.exit(reg, how)
        assert.equal(reason, await{"DOWN", ref, "process", pid, any})
        assert.is_false(pcall(Registry.lookup, "reg", "a"))
      end)
    end
  end)

  it("REG-14 ends with its owner", function()
    with("unique", function(reg)
      local pid = member({"a", 1})
      local ref, other_ref = mb.monitor(reg), mb.monitor(pid)
      mb.unlink(reg)
      Process.exit(Process.info(pid, "links")[1], "kill")
      assert.equal("killed", await{"DOWN", ref, "process", reg, any})
      assert.equal("killed", await{"DOWN", other_ref, "process", pid, any})
      assert.is_false(pcall(Registry.lookup, "reg", "a"))
    end)
  end)

  it("REG-14 that has closed is another one than its successor of the same name", function()
    local me = self()
    local survivor
    with("unique", function()
      survivor = mb.spawn(function()
        Process.flag("trap_exit", true)
        Registry.register("reg", "k", "old")
        send(me, "ready")
        receive{ {{"EXIT", any, any}} }
        receive{ {"go on"} }
        send(me, {"seen", Registry.keys("reg", self()), Registry.register("reg", "l", "new") ~= nil})
        receive()
      end)
      await("ready")
    end)
    Process.flag("trap_exit", false)
    with("unique", function()
      assert.same({}, Registry.lookup("reg", "k"))
      send(survivor, "go on")
      assert.same({{}, true}, {await{"seen", any, any}})
      assert.same({{survivor, "new"}}, Registry.lookup("reg", "l"))
      stop(survivor)
      assert.equal(0, Registry.count("reg"))
    end)
  end)
end)

describe("the listeners of a registry", function()
  helper.setup()

  it("REG-15 are told of registrations and their ends, but not of deaths", function()
    Process.register(self(), "listener")
    with("duplicate", function()
      local pid = member({"k", {1}})
      local owner = Process.info(pid, "links")[1]
      assert.same({"register", "reg", "k", pid, {1}}, receive(helper.patience))
      support.ask(pid, Registry.register, "reg", "k", 2)
      assert.same({"register", "reg", "k", pid, 2}, receive(helper.patience))
      support.ask(pid, Registry.unregister, "reg", "k")
      assert.same({"unregister", "reg", "k", pid}, receive(helper.patience))
      support.ask(pid, Registry.unregister, "reg", "unknown")
      support.ask(pid, Registry.register, "reg", "l", "x")
      support.ask(pid, Registry.unregister_match, "reg", "l", "y")
      support.ask(pid, Registry.unregister_match, "reg", "l", "x")
      assert.same({"register", "reg", "l", pid, "x"}, receive(helper.patience))
      assert.same({"unregister", "reg", "l", pid}, receive(helper.patience))
      support.ask(pid, Registry.register, "reg", "m")
      assert.same({"register", "reg", "m", pid}, receive(helper.patience))
      stop(pid)
      Process.info(owner)
      assert.is_nil(receive(0))
      Process.unregister("listener") -- nobody listens: no reason to fail
      assert(Registry.register("reg", "k", 1))
      assert.is_nil(receive(0))
    end, {listeners = {"listener", "nobody"}})
  end)

  it("REG-15 hear of servers that start under a name", function()
    Process.register(self(), "listener")
    with("unique", function()
      local pid = mb.Agent.start(function() return 0 end, {name = Registry.via("reg", "a", 5)})
      assert.same({"register", "reg", "a", pid, 5}, receive(0))
      mb.Agent.stop(pid)
      assert.is_nil(receive(0))
    end, {listeners = {"listener"}})
    Process.unregister("listener")
  end)
end)

describe("the metadata of a registry", function()
  helper.setup()

  it("REG-16 is set, read and deleted, from any process", function()
    with("unique", function()
      assert.same({1, 2}, Registry.meta("reg", "a"))
      assert.same({n = 2, nil, "not_found"}, table.pack(Registry.meta("reg", "b")))
      assert.is_true(Registry.put_meta("reg", "b", 1))
      assert.is_true(Registry.put_meta("reg", "b", {x = 2}))
      assert.same({x = 2}, Registry.meta("reg", "b"))
      helper.in_process(function()
        assert(Registry.meta("reg", "b").x == 2)
        Registry.put_meta("reg", {"c", 1}, false)
      end)
      assert.is_false(Registry.meta("reg", {"c", 1}))
      assert.is_true(Registry.delete_meta("reg", "b"))
      assert.is_true(Registry.delete_meta("reg", "b"))
      assert.is_nil((Registry.meta("reg", "b")))
      Registry.put_meta("reg", "a", nil)
      assert.is_nil((Registry.meta("reg", "a")))
      assert.is_false(pcall(Registry.put_meta, "reg", nil, 1))
    end, {meta = {a = {1, 2}}})
  end)

  it("REG-16 is no registration", function()
    with("unique", function()
      Registry.put_meta("reg", "k", 1)
      assert.same({}, Registry.lookup("reg", "k"))
      assert.equal(0, Registry.count("reg"))
      assert(Registry.register("reg", "k", 2))
      Registry.unregister("reg", "k")
      assert.equal(1, Registry.meta("reg", "k"))
    end)
  end)
end)

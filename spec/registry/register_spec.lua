local mb = require "moonbeam"
local helper = require "spec.helper"
local support = require "spec.registry.support"
local self, any = mb.self, mb.any
local Process, Registry = mb.Process, mb.Registry
local with, member, ask, stop, await = support.with, support.member, support.ask, support.stop, helper.await

local function pids_of(entries)
  local pids = {}
  for i, entry in ipairs(entries) do pids[i] = entry[1] end
  return pids
end

describe("Registry.register", function()
  helper.setup()

  it("REG-01 puts the caller under a key, with a value", function()
    with("unique", function()
      local owner = Registry.register("reg", "k", {v = 1})
      assert.equal("pid", mb.type(owner))
      assert.is_true(Process.alive(owner))
      assert.same({{self(), {v = 1}}}, Registry.lookup("reg", "k"))
    end)
  end)

  it("REG-01 keeps copies of values, of any kind that can be sent", function()
    with("unique", function()
      local value = {1}
      Registry.register("reg", "table", value)
      value[1] = 2
      local seen = Registry.lookup("reg", "table")[1][2]
      assert.same({1}, seen)
      seen[1] = 3
      assert.same({1}, Registry.lookup("reg", "table")[1][2])
      Registry.register("reg", "function", function(n) return n * 2 end)
      assert.equal(10, Registry.lookup("reg", "function")[1][2](5))
      Registry.register("reg", "nothing")
      assert.same({{self()}}, Registry.lookup("reg", "nothing"))
      Registry.register("reg", "false", false)
      assert.same({{self(), false}}, Registry.lookup("reg", "false"))
      Registry.register("reg", "long", ("x"):rep(100000))
      assert.equal(100000, #Registry.lookup("reg", "long")[1][2])
      local ok, e = pcall(Registry.register, "reg", "file", io.open("/dev/null"))
      assert.is_false(ok)
      assert.matches("register_spec.lua:%d+: cannot copy argument #3 of Registry.register: it is a userdata %(FILE", e)
      assert.same({}, Registry.lookup("reg", "file"))
    end)
  end)

  it("REG-02 refuses a unique key that is taken, by the caller too", function()
    with("unique", function()
      local pid = member({"k", 1})
      assert.same({n = 2, nil, {"already_registered", pid}}, table.pack(Registry.register("reg", "k", 2)))
      assert.same({{pid, 1}}, Registry.lookup("reg", "k"))
      assert.same({n = 2, nil, {"already_registered", pid}}, table.pack(ask(pid, Registry.register, "reg", "k", 2)))
      assert.same({{pid, 1}}, Registry.lookup("reg", "k"))
      stop(pid)
    end)
  end)

  it("REG-03 keeps many entries under a duplicate key", function()
    with("duplicate", function()
      local pid = member({"k", "a"}, {"k", "b"}, {"other", "c"})
      Registry.register("reg", "k", "d")
      Registry.register("reg", "k", "d")
      assert.same({{pid, "a"}, {pid, "b"}, {self(), "d"}, {self(), "d"}}, Registry.lookup("reg", "k"))
      assert.same({"a", "b"}, Registry.values("reg", "k", pid))
      assert.same({"d", "d"}, Registry.values("reg", "k", self()))
      assert.same({"k", "k", "other"}, Registry.keys("reg", pid))
      assert.same({"k", "k"}, Registry.keys("reg", self()))
      assert.equal(5, Registry.count("reg"))
      stop(pid)
      assert.equal(2, Registry.count("reg"))
      assert.same({}, Registry.values("reg", "k", pid))
    end)
  end)

  it("REG-03 values of nil keep their places", function()
    with("duplicate", function()
      Registry.register("reg", "k")
      Registry.register("reg", "k", 1)
      assert.same({[2] = 1, n = 2}, Registry.values("reg", "k", self()))
    end)
  end)

  it("REG-04 what is not there is empty, and can be unregistered", function()
    for _, keys in ipairs{"unique", "duplicate"} do
      with(keys, function()
        assert.same({}, Registry.lookup("reg", "unknown"))
        assert.same({}, Registry.values("reg", "unknown", self()))
        assert.same({}, Registry.keys("reg", self()))
        assert.same({}, Registry.keys("reg", helper.dead_pid()))
        assert.equal(0, Registry.count("reg"))
        assert.is_true(Registry.unregister("reg", "unknown"))
      end)
    end
  end)

  it("REG-05 is undone by the end of the process, whatever it died of, before anybody hears of it", function()
    for _, keys in ipairs{"unique", "duplicate"} do
      with(keys, function()
        for _, reason in ipairs{"kill", "shutdown", {"some", "reason"}} do
          local pid = member({"k", 1}, {"l", 2})
          stop(pid, reason)
          assert.same({}, Registry.lookup("reg", "k"))
          assert.same({}, Registry.keys("reg", pid))
          assert.equal(0, Registry.count("reg"))
          local heir = member({"k", 3})
          assert.same({{heir, 3}}, Registry.lookup("reg", "k"))
          stop(heir)
        end
        for _, fn in ipairs{function() end, function() error("crash") end, function() mb.exit("left") end} do
          local pid, ref = mb.spawn_monitor(function()
            Registry.register("reg", "k", 1)
            fn()
          end)
          await{"DOWN", ref, "process", pid, any}
          assert.same({}, Registry.lookup("reg", "k"))
          assert(Registry.register("reg", "k", 2))
          Registry.unregister("reg", "k")
        end
      end)
    end
  end)

  it("REG-05 the registry outlives those it holds", function()
    with("unique", function(reg)
      local owner = Registry.register("reg", "mine", 1)
      for _, reason in ipairs{"kill", "crash", "shutdown"} do stop(member({"k", 1}), reason) end
      assert.is_true(Process.alive(reg) and Process.alive(owner))
      assert.same({"mine"}, Registry.keys("reg", self()))
    end)
  end)

  it("REG-05 cannot be done by what runs while a process is closed", function()
    with("unique", function()
      local me = self()
      local pid, ref = mb.spawn_monitor(function()
        local late <close> = setmetatable({}, {__close = function()
          mb.send(me, {"late", pcall(Registry.register, "reg", "k", 1)})
        end})
        mb.receive()
        return late
      end)
      Process.info(pid)
      Process.exit(pid, "kill")
      await{"DOWN", ref, "process", pid, any}
      local message = mb.receive(0)
      if message then -- it had started
        assert.is_false(message[2])
        assert.matches("Registry.register: the process is exiting", message[3])
      end
      assert.equal(0, Registry.count("reg"))
    end)
  end)

  it("REG-06 unregister ends the caller's own entries under a key, all of them", function()
    with("duplicate", function()
      local pid = member({"k", 1}, {"k", 2}, {"l", 3})
      Registry.register("reg", "k", 4)
      assert.is_true(ask(pid, Registry.unregister, "reg", "k"))
      assert.same({{self(), 4}}, Registry.lookup("reg", "k"))
      assert.same({"l"}, Registry.keys("reg", pid))
      stop(pid)
    end)
    with("unique", function()
      local pid = member({"k", 1}, {"l", 2})
      assert.is_true(Registry.unregister("reg", "k"))
      assert.same({{pid, 1}}, Registry.lookup("reg", "k"))
      assert.is_true(ask(pid, Registry.unregister, "reg", "k"))
      assert.same({}, Registry.lookup("reg", "k"))
      assert.same({"l"}, Registry.keys("reg", pid))
      stop(pid)
    end)
  end)

  it("REG-07 update_value changes the value of the caller's own key", function()
    with("unique", function()
      Registry.register("reg", "k", 1)
      assert.same({2, 1}, {Registry.update_value("reg", "k", function(n) return n + 1 end)})
      assert.same({{self(), 2}}, Registry.lookup("reg", "k"))
      assert.same({n = 2, nil, 2}, table.pack(Registry.update_value("reg", "k", function() end)))
      assert.same({{self()}}, Registry.lookup("reg", "k"))
      Registry.update_value("reg", "k", function() return ("x"):rep(5000) end)
      assert.equal(5000, #Registry.lookup("reg", "k")[1][2])
    end)
  end)

  it("REG-07 update_value does not call the function for what is not the caller's", function()
    with("unique", function()
      local pid = member({"k", 1})
      local function never() error("it was called") end
      assert.same({n = 2, nil, "not_registered"}, table.pack(Registry.update_value("reg", "k", never)))
      assert.same({n = 2, nil, "not_registered"}, table.pack(Registry.update_value("reg", "unknown", never)))
      assert.same({{pid, 1}}, Registry.lookup("reg", "k"))
      stop(pid)
      Registry.register("reg", "k", 1)
      assert.is_nil((Registry.update_value("reg", "k", function(n)
        Registry.unregister("reg", "k")
        return n
      end)))
      assert.same({}, Registry.lookup("reg", "k"))
    end)
  end)

  it("REG-07 update_value raises where keys are duplicate", function()
    with("duplicate", function()
      Registry.register("reg", "k", 1)
      local ok, e = pcall(Registry.update_value, "reg", "k", function() error("it was called") end)
      assert.is_false(ok)
      assert.matches("register_spec.lua:%d+: bad argument #1 to 'Registry.update_value'", e)
      assert.matches("the registry 'reg' has duplicate keys", e)
    end)
  end)

  it("REG-17 compares keys as Lua does", function()
    with("unique", function()
      Registry.register("reg", 1, "one")
      assert.same({{self(), "one"}}, Registry.lookup("reg", 1.0))
      assert.is_nil((Registry.register("reg", 1.0, "again")))
      assert.same({}, Registry.lookup("reg", "1"))
      for i, key in ipairs{1.5, 2^53, math.mininteger, "", "1", "a\0b", true, false, self(), mb.make_ref(), 2^70} do
        assert(Registry.register("reg", key, i), mb.inspect(key))
        assert.same({{self(), i}}, Registry.lookup("reg", key))
      end
      assert.same({{self(), 2}}, Registry.lookup("reg", 2^53 | 0))
      assert.equal(12, #Registry.keys("reg", self()))
      Registry.register("reg", -0.0, "zero")
      assert.same({{self(), "zero"}}, Registry.lookup("reg", 0))
    end)
  end)

  it("REG-17 compares tables by what is in them", function()
    with("unique", function()
      Registry.register("reg", {"room", 5, deep = {x = 1, y = {2, 3}, [2.5] = true}}, "v")
      assert.same({{self(), "v"}}, Registry.lookup("reg", {deep = {[2.5] = true, y = {2.0, 3}, x = 1}, "room", 5.0}))
      for _, other in ipairs{{"room", 6}, {"room"}, {}, {"room", 5, deep = {x = 1, y = {2, 3}}}, {{"room", 5}},
          {"room", 5, deep = {x = 1, y = {3, 2}, [2.5] = true}}} do
        assert.same({}, Registry.lookup("reg", other))
      end
      assert.same({{"room", 5, deep = {x = 1, y = {2, 3}, [2.5] = true}}}, Registry.keys("reg", self()))
      local built = {}
      for i = 40, 1, -1 do built[i], built["k" .. i] = i, {i} end
      Registry.register("reg", built, "built")
      local again = {}
      for i = 1, 40 do again["k" .. i] = {i} end
      for i = 1, 40 do again[i] = i end
      assert.same({{self(), "built"}}, Registry.lookup("reg", again))
      again.k40[1] = 41
      assert.same({}, Registry.lookup("reg", again))
      Registry.register("reg", {1, nil, 3}, "hole")
      assert.same({{self(), "hole"}}, Registry.lookup("reg", {[1] = 1, [3] = 3}))
    end)
  end)

  it("REG-17 modules are keys", function()
    with("unique", function()
      local pid = member({mb.Agent, 1}, {{"of", mb.Task}, 2})
      assert.same({pid}, pids_of(Registry.lookup("reg", mb.Agent)))
      assert.same({pid}, pids_of(Registry.lookup("reg", {"of", mb.Task})))
      assert.equal(mb.Agent, Registry.keys("reg", pid)[1])
      stop(pid)
    end)
  end)

  it("REG-17 refuses what cannot be a key, naming it", function()
    with("unique", function()
      local cycle = {}
      cycle[1] = cycle
      local wide = {}
      wide.a, wide.b = wide, wide
      for text, key in pairs{
        ["NaN cannot stand as a key"] = 0 / 0, ["NaN cannot stand in a key"] = {0 / 0},
        ["function cannot stand as a key"] = print, ["function cannot stand in a key"] = {{f = function() end}},
        ["thread cannot stand as a key"] = coroutine.create(print), ["userdata cannot stand as a key"] = io.stdout,
        ["a table with a metatable cannot stand as a key"] = setmetatable({}, {}),
        ["at most 100 levels .* or contains itself"] = cycle, ["this one has more, or contains itself"] = wide,
      } do
        for _, fn in ipairs{"register", "lookup", "unregister"} do
          local ok, e = pcall(Registry[fn], "reg", key, 1)
          assert.is_false(ok)
          assert.matches("register_spec.lua:%d+: bad argument #2 to 'Registry." .. fn, e)
          assert.matches(text, e)
        end
      end
      local ok, e = pcall(Registry.register, "reg", nil, 1)
      assert.is_false(ok)
      assert.matches("nil cannot stand as a key", e)
      assert.equal(0, Registry.count("reg"))
    end)
  end)
end)

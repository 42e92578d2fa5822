local mb = require "moonbeam"
local helper = require "spec.helper"
local support = require "spec.registry.support"
local self, send, receive, any, is = mb.self, mb.send, mb.receive, mb.any, mb.is
local Registry = mb.Registry
local with, member, ask, stop, await = support.with, support.member, support.ask, support.stop, helper.await

describe("Registry.dispatch", function()
  helper.setup()

  it("REG-08 calls the function with the entries, in the calling process", function()
    for _, keys in ipairs{"unique", "duplicate"} do
      with(keys, function()
        local pid = member({"k", 1})
        local seen
        assert.is_true(Registry.dispatch("reg", "k", function(entries) seen = {self(), entries} end))
        assert.same({self(), {{pid, 1}}}, seen)
        stop(pid)
      end)
    end
  end)

  it("REG-08 reaches all that are under a duplicate key", function()
    with("duplicate", function()
      local pids = {}
      for i = 1, 300 do pids[i] = member({"news", i}) end
      local order = function() return "told" end
      Registry.dispatch("reg", "news", function(entries)
        for _, entry in ipairs(entries) do send(entry[1], {order}) end
      end)
      for _, pid in ipairs(pids) do
        await{"done", pid, any}
        stop(pid)
      end
      assert.equal(0, Registry.count("reg"))
    end)
  end)

  it("REG-08 does not call the function when nobody is there", function()
    with("duplicate", function()
      assert.is_true(Registry.dispatch("reg", "none", function() error("it was called") end))
    end)
  end)

  it("REG-09 passes on what the function raises; the entries stay", function()
    with("duplicate", function()
      Registry.register("reg", "k", 1)
      local ok, e = pcall(Registry.dispatch, "reg", "k", function() error("boo", 0) end)
      assert.same({false, "boo"}, {ok, e})
      assert.same({{self(), 1}}, Registry.lookup("reg", "k"))
    end)
  end)

  it("REG-20 in parallel calls it in a task for each partition that somebody stands in", function()
    with("duplicate", function()
      local me, pids = self(), {}
      for i = 1, 20 do pids[i] = member({"k", i}, {"k", -i}) end
      local function tell(entries) send(me, {"told", self(), entries}) end
      Registry.dispatch("reg", "k", tell, {parallel = true})
      local seen, tasks, part, count = {}, 0, {}, 0
      while count < 40 do
        local task, entries = await{"told", any, any}
        assert.are_not.equal(self(), task)
        tasks, count = tasks + 1, count + #entries
        for _, entry in ipairs(entries) do
          seen[entry[2]] = entry[1]
          assert.equal(task, part[entry[1]] or task)
          part[entry[1]] = task
        end
      end
      assert.is_nil(receive(0))
      assert.is_true(tasks <= 3)
      for i, pid in ipairs(pids) do assert.same({pid, pid}, {seen[i], seen[-i]}) end
      assert.is_true(Registry.dispatch("reg", "none", tell, {parallel = true}))
      Registry.dispatch("reg", "k", tell)
      assert.same({self(), 40}, {(function(by, entries) return by, #entries end)(await{"told", any, any})})
      for _, pid in ipairs(pids) do stop(pid) end
    end, {partitions = 3})
  end)

  it("REG-20 in parallel is as usual where there is one partition, or one process under a key", function()
    for _, case in ipairs{{"duplicate"}, {"duplicate", 1}, {"unique", 4}} do
      with(case[1], function()
        Registry.register("reg", "k", 1)
        local seen
        Registry.dispatch("reg", "k", function(entries) seen = {self(), #entries} end, {parallel = true})
        assert.same({self(), 1}, seen)
      end, {partitions = case[2]})
    end
  end)

  it("REG-20 in parallel takes the caller along when the function fails", function()
    with("duplicate", function()
      local pid = member({"k", 1})
      local reason = helper.exit_reason(function()
        Registry.dispatch("reg", "k", function() mb.exit("oops") end, {parallel = true})
      end)
      assert.is_true(reason == "oops" or reason[1] == "oops" and reason[2][2] == "await")
      stop(pid)
    end, {partitions = 2})
  end)
end)

describe("Registry.match", function()
  helper.setup()

  it("REG-18 gives the entries whose value matches, and counts them", function()
    with("duplicate", function()
      local pid = member({"k", {"page", 1}}, {"k", {"page", 2}}, {"k", {"line", 1}}, {"other", {"page", 1}})
      assert.same({{pid, {"page", 1}}, {pid, {"page", 2}}}, Registry.match("reg", "k", {"page", any}))
      assert.same({{pid, {"page", 1}}}, Registry.match("reg", "k", {"page", 1}))
      assert.same({{pid, {"page", 2}}}, Registry.match("reg", "k", {any, is(function(n) return n > 1 end)}))
      assert.same({}, Registry.match("reg", "k", {"page"}))
      assert.same({}, Registry.match("reg", "none", any))
      assert.equal(3, Registry.count_match("reg", "k", any))
      assert.equal(1, Registry.count_match("reg", "k", {"line", is.number}))
      stop(pid)
    end)
    with("unique", function()
      Registry.register("reg", "k", 5)
      assert.same({{self(), 5}}, Registry.match("reg", "k", is.integer))
      assert.equal(0, Registry.count_match("reg", "k", is.string))
    end)
  end)

  it("REG-18 unregister_match ends the caller's entries that match and keeps the others", function()
    with("duplicate", function()
      local pid = member({"k", "a"}, {"k", "b"}, {"k", "c"}, {"l", "a"})
      Registry.register("reg", "k", "a")
      assert.is_true(ask(pid, Registry.unregister_match, "reg", "k", "a"))
      assert.same({{pid, "b"}, {pid, "c"}, {self(), "a"}}, Registry.lookup("reg", "k"))
      assert.same({"k", "k", "l"}, Registry.keys("reg", pid))
      assert.is_true(ask(pid, Registry.unregister_match, "reg", "k", any))
      assert.same({{self(), "a"}}, Registry.lookup("reg", "k"))
      assert.same({"l"}, Registry.keys("reg", pid))
      stop(pid)
    end)
    with("unique", function()
      Registry.register("reg", "k", 1)
      Registry.unregister_match("reg", "k", 2)
      assert.equal(1, Registry.count("reg"))
      Registry.unregister_match("reg", "k", 1)
      assert.equal(0, Registry.count("reg"))
    end)
  end)
end)

describe("Registry.lookup", function()
  helper.setup()

  it("is the same from every scheduler", function()
    with("unique", function()
      for i = 1, 200 do Registry.register("reg", i, i * 2) end
      local me, count = self(), #mb.schedulers()
      for s = 1, count do
        mb.Process.spawn(function()
          local sum = 0
          for i = 1, 200 do sum = sum + Registry.lookup("reg", i)[1][2] end
          send(me, {"sum", s, sum})
        end, {scheduler = s})
      end
      for s = 1, count do assert.equal(200 * 201, await{"sum", s, any}) end
      assert.is_nil(receive(0))
    end)
  end)
end)

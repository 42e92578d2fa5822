local mb = require "moonbeam"
local helper = require "spec.helper"
local support = require "spec.registry.support"
local self, any, is, ignore = mb.self, mb.any, mb.is, mb.ignore
local Registry = mb.Registry
local with, member, stop = support.with, support.member, support.stop

local function sorted(list)
  table.sort(list, function(a, b) return mb.inspect(a) < mb.inspect(b) end)
  return list
end

local function message(fn, ...)
  local ok, text = pcall(fn, ...)
  assert.is_false(ok)
  return text
end

describe("Registry.select", function()
  helper.setup()

  it("REG-21 gives what the clauses make of the entries", function()
    with("duplicate", function()
      local pid = member({"news", 1}, {"news", 2}, {{"room", 5}, {size = 7}}, {"empty"})
      Registry.register("reg", "news", 3)
      local function select(...) return sorted(Registry.select("reg", {...})) end
      assert.same({{"empty", pid}, {"news", self(), 3}, {"news", pid, 1}, {"news", pid, 2}, {{"room", 5}, pid, {size = 7}}},
        select({{any, any, any}}))
      assert.same({1, 2, 3}, select({{"news", ignore, any}}))
      assert.same({{pid, 1}, {pid, 2}}, select({{"news", is(function(p) return p == pid end), any}}))
      assert.same({2, 3}, select({{"news", ignore, is.number}, when = function(n) return n > 1 end}))
      assert.same({6}, select({{"news", self(), any}, function(n) return 2 * n, "more" end}))
      assert.same({"five", "news", "news", "news"}, select({{{"room", 5}, ignore, {size = is.number}}, function()
        return "five"
      end}, {{is.string, ignore, is.number}, function(key) return key end}))
      assert.same({{"news", self(), 3}}, select({{"news", self(), 3}}))
      assert.same({}, select({{"none", any, any}}))
      assert.same({n = 1}, Registry.select("reg", {{{"empty", ignore, any}}}))
      assert.same({{"news", 3}}, Registry.select("reg", mb.matcher{{{any, self(), any}}}))
      assert.same({5, 3, 1, 0}, {
        Registry.count_select("reg", {{{any, any, any}}}), Registry.count_select("reg", {{{"news", any, any}}}),
        Registry.count_select("reg", {{{any, self(), any}, error}}), Registry.count_select("reg", {{"news"}}),
      })
      stop(pid)
    end)
  end)

  it("REG-21 finds all of very many", function()
    with("unique", function()
      for i = 1, 500 do Registry.register("reg", i, {string.rep("x", i)}) end
      local keys = Registry.select("reg", {{{any, ignore, {is.string}}, function(key) return key end}})
      table.sort(keys)
      for i = 1, 500 do assert.equal(i, keys[i]) end
      assert.equal(500, #keys)
      for i = 1, 500 do Registry.unregister("reg", i) end
      assert.same({}, Registry.select("reg", {{any}}))
    end)
  end)

  it("REG-21 leaves out what belongs to the registry itself", function()
    with("unique", function()
      Registry.put_meta("reg", "size", 5)
      assert.equal(0, Registry.count_select("reg", {{any}}))
    end)
  end)

  it("REG-21 raises for what is no clause, and for a registry that is unknown", function()
    assert.matches("select_spec.lua:%d+: bad argument #2 to 'Registry.select' %(table of clauses expected, got number%)",
      message(function() return (Registry.select("reg", 5)) end))
    assert.matches("bad argument #2 to 'Registry.count_select' %(clause 1: it is empty",
      message(Registry.count_select, "reg", {{}}))
    assert.matches("clauses for values have no after", message(Registry.select, "reg", {{any}, after = 5}))
    assert.matches("bad argument #1 to 'Registry.select' %(unknown registry: 'nobody'%)",
      message(Registry.select, "nobody", {{any}}))
  end)

  it("REG-21 passes on what a body raises", function()
    with("unique", function()
      Registry.register("reg", "k", 1)
      assert.equal("oops", message(Registry.select, "reg", {{{any, any, any}, function() error("oops", 0) end}}))
    end)
  end)
end)

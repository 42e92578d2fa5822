local mb = require "moonbeam"
local helper = require "spec.helper"
local any, is, case, matcher = mb.any, mb.is, mb.case, mb.matcher

local function pack(...) return table.pack(...) end

describe("case", function()
  helper.setup()

  it("CASE-01 takes the first clause that matches, and gives its body or guard the captures", function()
    local function kind(value)
      return case(value, {
        {{"pair", any, any}, when = function(a, b) return a == b end, function(a) return "twins", a end},
        {{"pair", any, any}, function(a, b) return "pair", a, b end},
        {is.string, function(s) return "text", s end},
        {{ok = any, v = any}},
        {mb.one_of(nil, false), function(...) return select("#", ...), ... end},
        {{"alone"}},
      })
    end
    assert.same({"twins", 1}, {kind{"pair", 1, 1}})
    assert.same({"pair", 1, 2}, {kind{"pair", 1, 2}})
    assert.same({"text", "s"}, {kind "s"})
    assert.same({1, 2}, {kind{v = 2, ok = 1}})
    assert.same(pack(1, nil), pack(kind(nil)))
    assert.same(pack(1, false), pack(kind(false)))
    local alone = {"alone"}
    assert.equal(alone, (kind(alone)))
  end)

  it("CASE-01 gives all captures and all results, however many", function()
    for n = 1, 10 do
      local pattern, value = {}, {}
      for i = 1, n do pattern[i], value[i] = any, i end
      assert.same(value, {case(value, { {pattern} })})
      assert.same(value, {case(value, { {pattern, function(...) return ... end} })})
    end
    assert.same(pack(nil, 1, nil), pack(case(1, { {any, function() return nil, 1, nil end} })))
    assert.equal(0, select("#", case(1, { {any, function() end} })))
  end)

  it("CASE-02 calls bodies in tail position", function()
    local function count(n)
      return case(n, {
        {0, function() return debug.traceback() end},
        {any, function(left) return count(left - 1) end},
      })
    end
    assert.is_true(#count(50000 // helper.scale) < 2000)
  end)

  it("CASE-03 raises at the caller when no clause matches, with the value", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local ok, message = pcall(function() return case({"a", 1}, { {"b"}, {any, when = function() error("no") end} }) end)
    assert.is_false(ok)
    assert.equal(("spec/receive/case_spec.lua:%d: no case clause matching: {\"a\", 1}"):format(line), message)
    assert.error_matches(function() case(3, {}) end, "^no case clause matching: 3$")
    assert.error_matches(function() matcher{ {1} }(nil) end, "^no case clause matching: nil$")
  end)

  it("CASE-03 takes clauses or a matcher, and no after but a matcher's", function()
    assert.error_matches(function() case(1) end,
      "^bad argument #2 to 'case' %(table of clauses or matcher expected, got nil%)")
    assert.error_matches(function() case({ {1} }, 1) end, "^bad argument #2 to 'case' %(table of clauses or matcher")
    assert.error_matches(function() case(1, { {1}, after = 0 }) end,
      "^bad argument #2 to 'case' %(unknown field 'after' beside the clauses; there are none%)")
    assert.equal("one", case(1, matcher{ {1, function() return "one" end}, after = 0 }))
  end)

  it("CASE-04 is what a matcher does when it is called, wherever it has come", function()
    local m = matcher{
      {{"n", is.number}, when = function(n) return n > 1 end, function(n) return n * 2 end},
      {{"n", any}, function(n) return "small", n end},
      {"plain"},
    }
    assert.equal(6, m{"n", 3})
    assert.same({"small", 1}, {m{"n", 1}})
    assert.equal("plain", m("plain"))
    local me = mb.self()
    mb.spawn(function()
      mb.send(me, {m{"n", 4}, (m{"n", 0})})
      mb.send(me, m)
    end)
    assert.same({8, "small"}, mb.receive(helper.patience))
    local travelled = mb.receive(helper.patience)
    assert.equal(10, travelled{"n", 5})
    mb.send(me, {"n", 7})
    assert.equal(14, mb.receive(travelled))
  end)

  it("CASE-04 lets a matcher stand as a body", function()
    local inner = matcher{ {is.integer, function(n) return "integer", n end}, {any, function() return "else" end} }
    assert.same({"integer", 1}, {case({"v", 1}, { {{"v", any}, inner} })})
    assert.equal("else", case({"v", "s"}, { {{"v", any}, inner} }))
  end)
end)

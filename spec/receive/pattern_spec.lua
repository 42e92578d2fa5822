local mb = require "moonbeam"
local helper = require "spec.helper"
local match, any, is, self, send, receive, spawn = mb.match, mb.any, mb.is, mb.self, mb.send, mb.receive, mb.spawn
local Process = mb.Process

describe("a pattern", function()
  helper.setup()

  it("matches other values by ==", function()
    assert.is_true(match(1, 1.0))
    assert.is_true(match("a", "a"))
    assert.is_false(match("a", "b"))
    assert.is_false(match("1", 1))
    assert.is_true(match(self(), self()))
  end)

  it("matches sequences of the same length item by item", function()
    assert.is_true(match({1, 2}, {1, 2}))
    assert.is_false(match({1}, {1, 2}))
    assert.is_false(match({1, 2}, {1}))
    assert.is_false(match({}, "not a table"))
    assert.is_true(match({}, {}))
  end)

  it("matches named fields that are there, and allows more", function()
    assert.is_true(match({x = 1}, {x = 1, y = 2}))
    assert.is_false(match({x = 1, z = 3}, {x = 1, y = 2}))
    assert.is_false((match({z = any}, {x = 1})))
    assert.is_false((match({[2.5] = any}, {x = 1})))
    assert.is_false((match({z = is(function() return true end)}, {x = 1})))
    assert.same({true, false}, {match({z = any}, {z = false})})
  end)

  it("takes any number of named fields, and any names", function()
    local pattern, value, wanted = {}, {}, {true}
    for i = 1, 1000 do
      local name = ("name %04d"):format(i)
      pattern[name], value[name], wanted[i + 1] = any, i, i
    end
    assert.same(wanted, {match(pattern, value)})
    assert.same({true, 2, 1}, {match({["a\0b"] = any, ["a\0a"] = any}, {["a\0b"] = 1, ["a\0a"] = 2})})
  end)

  it("may not nest too deep, which raises at the call", function()
    local pattern, value = any, 1
    for _ = 1, 100 do pattern, value = {pattern}, {value} end
    assert.same({true, 1}, {match(pattern, value)})
    for _ = 1, 100 do pattern, value = {pattern}, {value} end
    send(self(), value)
    for _, try in ipairs{function() match(pattern, value) end, function() receive{ {pattern} } end} do
      local ok, message = pcall(try)
      assert.is_false(ok)
      assert.matches("pattern_spec.lua:%d+: a pattern nests", message)
    end
    receive(0)
  end)

  it("captures with any and is.*, items first, then fields in alphabetical order", function()
    assert.same({true, "i1", "a", "b", "c"},
      {match({any, c = any, a = any, b = any}, {"i1", a = "a", b = "b", c = "c"})})
    assert.same({true, 1, 2, 3}, {match({any, {any, k = any}}, {1, {2, k = 3}})})
  end)

  it("captures as much as there is, at every depth", function()
    local pattern, value = {}, {}
    for i = 1, 60 do
      pattern[i], value[i] = {any, {any, is.integer}, k = any, [i + 0.5] = any, [true] = any},
        {-i, {"s", i}, k = i, [i + 0.5] = {}, [true] = false}
      pattern["f" .. i], value["f" .. i] = any, i
    end
    local captures = table.pack(match(pattern, value))
    assert.equal(1 + 60 * 7, captures.n)
    assert.same({true, -1, "s", 1, 1}, {table.unpack(captures, 1, 5)})
    value[60][2][2] = "not an integer"
    assert.equal(1, select("#", match(pattern, value)))
  end)

  it("matches by type", function()
    local values = {string = "s", number = 1.5, integer = 3, boolean = false, table = {}, func = print,
      pid = self(), ref = mb.make_ref()}
    for name, v in pairs(values) do
      assert.is_true((match(is[name], v)), name)
      for other, w in pairs(values) do
        local subtype = (name == "number" and other == "integer")
        if other ~= name and not subtype then assert.is_false((match(is[name], w)), name .. other) end
      end
    end
  end)

  it("says where and what a kind is that there is not, which would shorten a pattern as nil", function()
    local line = debug.getinfo(1, "l").currentline + 1
    local ok, message = pcall(function() return {any, is.integr} end)
    assert.is_false(ok)
    assert.matches("pattern_spec.lua:" .. line .. ": there is no pattern is%.integr: there are is%.string, ", message)
    assert.matches("is%.ref, and is%(fn%)$", message)
    assert.equal(0, #is)
    assert.is_nil(is[1])
    assert.is_nil(rawget(is, "integr"))
  end)

  it("takes predicates, and one that raises does not match", function()
    assert.same({true, 4}, {match(is(function(v) return v > 3 end), 4)})
    assert.is_false((match(is(function(v) return v > 3 end), 2)))
    assert.is_false((match(is(function() error("no") end), 2)))
    assert.is_false(pcall(is, 5))
  end)

  it("works with guards, which get the captures", function()
    send(self(), {"n", 1})
    send(self(), {"n", 5})
    assert.equal(5, receive{ {{"n", any}, when = function(n) return n > 3 end} })
    assert.equal(1, receive{
      {{"n", any}, when = function() error("raises") end, function() return "wrong" end},
      {{"n", any}},
    })
  end)

  it("means the same in another process", function()
    local me = self()
    spawn(function(pattern, more)
      local matched, s, n = match(pattern, {"x", 1})
      send(me, {matched, s, n, more == any, (match(is.string, "s"))})
    end,
      {any, is.integer}, any)
    assert.same({true, "x", 1, true, true}, receive(helper.patience))
    spawn(function(p) send(me, (match(p, 10))) end, is(function(v) return v == 10 end))
    assert.is_true(receive(helper.patience))
  end)

  it("is checked once by matcher", function()
    local next_job = mb.matcher{ {{"job", any}, function(n) return n * 2 end}, after = 0 }
    send(self(), {"job", 21})
    assert.equal(42, receive(next_job))
    assert.equal("timeout", select(2, receive(next_job)))
    assert.is_false(pcall(mb.matcher, { {} }))
    assert.is_false(pcall(mb.matcher, 5))
    send(self(), {"job", 2})
    assert.equal(4, receive(mb.matcher(next_job)))
    assert.same({1, "after"}, {next(next_job), (next(next_job, 1))})
    next_job[1] = "no clause"
    send(self(), {"job", 1})
    assert.error_matches(function() receive(next_job) end,
      "^clause 1 is no table any more: the matcher has been changed")
    assert.same({"job", 1}, receive(0))
  end)

  it("does not match encoded look-alikes", function()
    local messages = {{"1"}, 1, {1, 2}, {{1}}, "1", {1.5}, {true}, {1, x = 2}, {1.0}}
    for _, m in ipairs(messages) do send(self(), m) end
    assert.same({1, x = 2}, receive{ {{1}}, after = 0 })
    local float = receive{ {{1}}, after = 0 }
    assert.equal("float", math.type(float[1]))
    assert.equal("timeout", select(2, receive{ {{1}}, after = 0 }))
    assert.equal(1, receive{ {1}, after = 0 })
    assert.equal("1", receive{ {"1"}, after = 0 })
    assert.same({"1"}, receive{ {{"1"}}, after = 0 })
    assert.same({{1, 2}, {{1}}, {1.5}, {true}}, Process.info(self(), "messages"))
  end)
end)

describe("a pattern of its own", function()
  helper.setup()
  local ignore, rest, maybe, one_of = mb.ignore, mb.rest, mb.maybe, mb.one_of

  it("PAT-01 ignore matches everything and captures nothing", function()
    assert.same({true, 2}, {match({ignore, any}, {1, 2})})
    assert.same({true}, {match({x = ignore}, {x = false})})
    assert.is_false((match({x = ignore}, {})))
    assert.is_false((match({ignore}, {})))
    assert.same({true}, {match(ignore, nil)})
    send(self(), {"whole"})
    assert.same({"whole"}, receive{ {ignore} })
  end)

  it("PAT-02 rest matches the items that are left and captures them", function()
    assert.same({true, 1, {2, 3}}, {match({any, rest}, {1, 2, 3})})
    assert.same({true, 1, {}}, {match({any, rest}, {1})})
    assert.same({true, {}}, {match({rest}, {})})
    assert.is_false((match({any, rest}, {})))
    assert.is_false((match({"a", any, rest}, {"a"})))
    assert.is_false((match({"a", rest}, {"b", 1, 2})))
    assert.is_false((match({rest}, "no table")))
    assert.same({true, "deep", {2}, "x"}, {match({{any, rest}, x = any}, {{"deep", 2}, x = "x", y = 1})})
    local value = {1, {2}}
    local _, tail = match({rest}, value)
    assert.are_not.equal(value, tail)
    assert.equal(value[2], tail[2])
    assert.same({true, {1, 2, n = 4}}, {match({"a", rest}, table.pack("a", 1, 2, nil, nil))})
    assert.same({true, {n = 1}}, {match({"a", rest}, table.pack("a", nil))})
    for n = 1, 20 do
      local list = {}
      for i = 1, n do list[i] = i end
      send(self(), list)
      assert.equal(n - 1, #select(2, receive{ {{any, rest}} }))
    end
    local captured = {match({any, rest}, {1, n = 1 << 40})} -- no count that a table could have
    assert.same({true, 1, {}}, captured)
  end)

  it("PAT-03 rest raises anywhere else than as the last item", function()
    local text = "^rest stands last among the items of a table pattern: {any, rest}$"
    for pattern, value in pairs{
      [{rest, any}] = {1, 2}, [{x = rest}] = {x = 1}, [{{rest, 1}, any}] = {{2, 1}, 2}, [{[2.5] = rest}] = {[2.5] = 1},
      [rest] = {1},
    } do
      assert.error_matches(function() match(pattern, value) end, text)
    end
    send(self(), {1, 2})
    local line = debug.getinfo(1, "l").currentline + 1
    local ok, message = pcall(function() receive{ {{rest, any}} } end)
    assert.is_false(ok)
    assert.matches("pattern_spec.lua:" .. line .. ": rest stands last", message)
  end)

  it("PAT-04 maybe matches a last item or a field that is missing, too", function()
    local function count(...) return select("#", ...), ... end
    assert.same({2, true, nil}, {count(match({"result", maybe}, {"result", nil}))})
    assert.same({true, 1}, {match({"result", maybe}, {"result", 1})})
    assert.is_false((match({"result", maybe}, {"result", 1, 2})))
    assert.is_false((match({"result", maybe}, {"other", nil})))
    assert.same({4, true, 1, nil, nil}, {count(match({any, maybe, maybe}, {1}))})
    assert.same({4, true, 1, 2, nil}, {count(match({any, maybe, maybe}, {1, 2}))})
    assert.is_false((match({any, maybe, any}, {1, 2})))
    assert.same({3, true, 1, nil}, {count(match({x = any, y = maybe}, {x = 1}))})
    assert.same({2, true, nil}, {count(match({[2.5] = maybe}, {}))})
    assert.same({3, true, nil, {}}, {count(match({maybe, rest}, {}))})
    assert.same({true, 1, {2}}, {match({maybe, rest}, {1, 2})})
    assert.same({2, true, nil}, {count(match(maybe, nil))})
    send(self(), {"result", nil})
    assert.same({"got", 1},
      {receive{ {{"result", maybe}, function(...) return "got", select("#", ...) end}, after = 0 }})
  end)

  it("PAT-05 any matches a missing last item where the table counts its items", function()
    assert.same({true, nil}, {match({"result", any}, table.pack("result", nil))})
    assert.is_false((match({"result", any}, {"result", nil})))
    assert.is_false((match({"result", is.string}, table.pack("result", nil))))
    assert.is_false((match({"result", any, any}, table.pack("result", nil))))
    assert.is_true((match({any, any, any}, table.pack(nil, nil, nil))))
    assert.is_true((match({"result"}, table.pack("result", nil)))) -- the array part has as many
    assert.is_false((match({1, any}, {1, n = "2"})))
    send(self(), table.pack("result", nil))
    assert.same({"got", 1}, {receive{ {{"result", any}, function(...) return "got", select("#", ...) end}, after = 0 }})
  end)

  it("PAT-06 one_of matches what an alternative does, with its captures", function()
    assert.is_true((match(one_of("get", "fetch"), "fetch")))
    assert.is_false((match(one_of("get", "fetch"), "put")))
    assert.same({true, "ann"}, {match({"user", one_of(is.integer, is.string)}, {"user", "ann"})})
    assert.same({true, 1, 2}, {match(one_of({"p", any, any}, {any, any}), {1, 2})})
    assert.same({true, 3, 4}, {match(one_of({"p", any, any}, {any, any}), {"p", 3, 4})})
    assert.same({true, 1}, {match({x = one_of(is.integer, one_of({any}, {y = any}))}, {x = {y = 1}})})
    assert.is_true((match(one_of(nil, 1), nil)))
    assert.is_true((match(one_of(1, nil), nil)))
    assert.is_false((match(one_of(false), nil)))
    local first = one_of({any}, {is.integer})
    assert.same({true, 1}, {match(first, {1})})
    for _, other in ipairs{any, {1, any, any}, is.string, maybe, is(print)} do
      assert.error_matches(function() one_of(1, "x", other) end,
        "^bad argument #3 to 'one_of' %(it captures %d, and argument 1 captures 0: all have to capture as many%)$")
    end
    assert.error_matches(function() one_of() end, "^bad argument #1 to 'one_of' %(pattern expected, got no value%)$")
    local deep = any
    for _ = 1, 200 do deep = {deep} end
    assert.error_matches(function() one_of(deep, 1) end, "^a pattern nests more than 150 levels$")
  end)

  it("PAT-06 one_of with a reference finds what was there before the reference, too", function()
    for i = 1, 20 do send(self(), {"old", i}) end
    local ref = mb.make_ref()
    assert.same({"old", 1}, receive{ {one_of(ref, {"old", 1})} })
    while receive(0) do end
  end)

  it("PAT-07 travels as what it is, and shows as it is written", function()
    local me, patterns = self(), {{"a", ignore, rest}, {maybe}, one_of({1, any}, {nil, is.string}), is(print)}
    spawn(function()
      send(me, {(match(patterns[1], {"a", 1, 2})), (match(patterns[2], {})), match(patterns[3], {1, "s"})})
      send(me, patterns)
    end)
    assert.same({true, true, true, "s"}, receive(helper.patience))
    local travelled = receive(helper.patience)
    assert.same({true, {2, 3}}, {match(travelled[1], {"a", 1, 2, 3})})
    assert.same({true, "s"}, {match(travelled[3], {1, "s"})})
    assert.equal('{{"a", ignore, rest}, {maybe}, one_of({1, any}, {nil, is.string}), is(function<C>)}',
      mb.inspect(travelled, {width = 100}))
    local matched, head, tail = mb.blocking(function(a, b) return match({a, b}, {"s", 1, 2}) end, one_of(is.string, any),
      rest)
    assert.same({true, "s", {1, 2}}, {matched, head, tail})
    assert.equal("ignore rest maybe", ("%s %s %s"):format(travelled[1][2], rest, maybe))
  end)
end)

describe("a guard or predicate", function()
  helper.setup()

  it("cannot take messages or wait: the one that is looked at stays", function()
    local flush_down = mb.monitor("nobody")
    local everything = mb.matcher{ {any} }
    local takers = {
      function() return receive(0) end,
      function() return receive{ {any}, after = 0 } end,
      function() return receive{ {any} } end,
      function() return receive(everything) end,
      function() return mb.sleep(1) end,
      function() return mb.demonitor(flush_down, "flush") end,
      function() return mb.GenServer.call(self(), "x") == nil end,
    }
    send(self(), {"m", 1})
    local before = Process.info(self(), "messages")
    assert.equal(2, #before)
    for _, take in ipairs(takers) do
      local message
      local function try()
        local ok
        ok, message = pcall(take)
        return ok
      end
      assert.equal("timeout", select(2, receive{ {any, when = try}, after = 0 }))
      assert.matches("pattern_spec.lua:%d+: a guard or predicate cannot wait or take messages", message)
      message = nil
      assert.equal("timeout", select(2, receive{ {is(try)}, after = 0 }))
      assert.matches("cannot wait or take messages", message)
    end
    assert.same(before, Process.info(self(), "messages"))
  end)

  it("that ends its process ends it", function()
    local me = self()
    assert.equal("from the guard", helper.exit_reason(function()
      send(self(), 1)
      receive{ {any, when = function() pcall(Process.exit, self(), "from the guard") end} }
      send(me, "went on")
    end))
    assert.is_nil(receive(0))
  end)
end)

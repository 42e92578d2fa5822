-- What is said about a clause that is none: each mistake has a sentence of its own.
local mb = require "moonbeam"
local helper = require "spec.helper"
local any, is, receive = mb.any, mb.is, mb.receive

local function fn() end

local SHAPE = "a clause is {pattern, [when = guard,] [body]}"
local BODY = "a body stands inside of its clause's braces, behind the pattern: "
local CAPTURED = "the body is a function of what is captured, got "
local BRACES = "a pattern that is a table needs braces of its own: "

local mistakes = {
  {"the outer braces are missing", { {"hello", any} },
    'clause 1: the body is a pattern (any), not a function; ' .. BRACES .. '{ {"hello", any} }'},
  {"so are they around more items", { {any}, {"get", is.integer, {"deep", is.string}} },
    'clause 2: ' .. BRACES .. '{ {"get", is.integer, {"deep", is.string}} }'},
  {"or around items and a body", { {"hello", any, fn} }, 'clause 1: ' .. BRACES .. '{ {"hello", any}, function }'},
  {"or around fields", { {type = "x", id = any} },
    "clause 1: unknown field 'id'; " .. BRACES .. '{ {id = any, type = "x"} }'},
  {"or around fields beside a body", { {fn, id = 1} }, "clause 1: unknown field 'id'; " .. SHAPE},
  {"or around values", { {"get", "x"} },
    'clause 1: ' .. CAPTURED .. 'string; ' .. BRACES .. '{ {"get", "x"} }'},
  {"a body beside its clause", { {"hello", any}, fn },
    'clause 2 is a function: ' .. BODY .. '{ {"hello", any}, function }'},
  {"a body beside a whole clause", { {any, fn}, fn },
    'clause 2 is a function: ' .. BODY .. '{ {any, function}, function }'},
  {"a body alone", { fn }, 'clause 1 is a function: ' .. BODY .. '{pattern, function}'},
  {"no braces at all", { "hello", fn },
    'clause 1 is "hello", without braces of its own: ' .. SHAPE .. ', here {"hello", function}'},
  {"a lone pattern", { any }, 'clause 1 is any, without braces of its own: ' .. SHAPE .. ', here {any}'},
  {"a lone predicate", { mb.one_of(1, 2) },
    'clause 1 is one_of(1, 2), without braces of its own: ' .. SHAPE .. ', here {one_of(1, 2)}'},
  {"a hole", { {any}, nil, {any} }, "clause 2 is nil: " .. SHAPE},
  {"a body that is none", { {{"hello", any}, "body"} }, "clause 1: " .. CAPTURED .. "string"},
  {"two patterns", { {{"a"}, {"b"}, fn} },
    'clause 1: it has 2 patterns, and a clause has one: each in a clause of its own, {{"a"}, function}, ' ..
    'or, as the items of one message, { {{"a"}, {"b"}}, function }'},
  {"two functions", { {any, fn, fn} },
    "clause 1: it has two functions: the guard has a name, {pattern, when = guard, body}"},
  {"three items", { {any, fn, 3} }, "clause 1: it has 3 items: " .. SHAPE},
  {"a guard's name misspelt", { {{"hello", any}, guard = fn} },
    "clause 1: unknown field 'guard'; the guard's name is when: {pattern, when = guard, body}"},
  {"another name", { {any, fn, [true] = 1} }, "clause 1: unknown field [true]; " .. SHAPE},
  {"a guard that is none", { {any, when = true} }, "clause 1: when is a function of what is captured, got boolean"},
  {"nothing", { {} }, "clause 1: it is empty: " .. SHAPE},
  {"no pattern", { {nil, fn} },
    "clause 1: its pattern is nil, a misspelt name perhaps: " .. SHAPE .. ", and one_of(nil) matches nil"},
  {"a pattern too long to show", { {("long"):rep(100), any, any} }, "clause 1: " .. BRACES .. "{ {...} }"},
}

describe("an ill-formed clause", function()
  helper.setup()

  it("CLAUSE-01 is named, with what is wrong and how it is written, at the call", function()
    local function check(call, place, name, expected)
      local line = debug.getinfo(call, "S").linedefined
      local ok, message = pcall(call)
      assert.is_false(ok, name)
      assert.equal(("spec/receive/clause_spec.lua:%d: bad argument #%s (%s)"):format(line, place, expected), message)
    end
    for _, mistake in ipairs(mistakes) do
      local name, clauses, expected = table.unpack(mistake)
      check(function() receive(clauses) end, "1 to 'receive'", name, expected)
      check(function() mb.matcher(clauses) end, "1 to 'matcher'", name, expected)
      check(function() mb.case(1, clauses) end, "2 to 'case'", name, expected)
    end
  end)

  it("CLAUSE-02 has an after whose fault is said of it", function()
    local text = "^bad argument #1 to '%s' %%(timeout_value: after: a timeout is an integer >= 0 in ms or " ..
      "\"infinity\", got %s%%)$"
    for value, shown in pairs{["1s"] = "string", [-1] = "%-1: math.max%(0, ms%), or time_left%(deadline%)",
        [1.5] = "1.5: math.ceil%(ms%), or time_left%(deadline%)", [true] = "boolean"} do
      for name, f in pairs{receive = receive, matcher = mb.matcher} do
        for _, after in ipairs{value, {value}, {value, fn}} do
          assert.error_matches(function() f{ {any}, after = after } end, text:format(name, shown))
        end
      end
    end
    assert.error_matches(function() receive{ {any}, timeout = 10 } end,
      "unknown field 'timeout' beside the clauses; only 'after' may stand there")
  end)
end)

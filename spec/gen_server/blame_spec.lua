local mb = require "moonbeam"
local helper = require "spec.helper"
local logging = require "spec.logging"
local GenServer, Agent = mb.GenServer, mb.Agent

local RETURNS = '\n  It returns "reply", value, state %[, extra%] | "noreply", state %[, extra%] | "stop", reason, value, '
  .. 'state | "stop", reason, state'

local function init(state) return "ok", state end

-- What the report of a server says of its end: the server is called, or cast to, once.
local function report_of(module, request, ...)
  local pid = assert(GenServer.start(module, 0))
  request(pid, ...)
  local report = logging.next_report()
  assert.equal(pid, report.pid)
  return report
end

local function call(pid, ...) assert.is_false(pcall(GenServer.call, pid, ...)) end

-- The number of the line that calls this.
local function line() return debug.getinfo(2, "l").currentline end

describe("the report of a bad result", function()
  helper.setup()
  logging.setup()

  local function told_of(...)
    local results = table.pack(...)
    local function handle_call() return table.unpack(results, 1, results.n) end
    local report = report_of({init = init, handle_call = handle_call}, call, "get")
    return report.explanation, line() - 2, report.reason
  end

  it("GSE-01 names the callback, its place, and what it returns", function()
    local text, at, reason = told_of(7)
    assert.matches("^bad return value: 7, from handle_call %(spec/gen_server/blame_spec.lua:" .. at .. "%)" .. RETURNS
      .. "$", text)
    assert.same({"bad_return_value", 7}, reason)
  end)

  it("GSE-01 asks for a missing return", function()
    assert.matches("^bad return value: nothing, from handle_call %(.*%): is a return missing%?" .. RETURNS, (told_of()))
  end)

  it("GSE-01 asks for a missing state", function()
    local text, _, reason = told_of("reply", {1})
    assert.matches('^bad return value: "reply", {1}, from handle_call %(.*%): is the state missing%?' .. RETURNS, text)
    assert.same({"bad_return_value", {"reply", {1}}}, reason)
    assert.matches('^bad return value: "noreply", from handle_call %(.*%): is the state missing%?', (told_of("noreply")))
  end)

  it("GSE-01 says what the last result may be", function()
    assert.matches('^bad return value: "reply", 1, 2, "soon", from handle_call %b()' .. RETURNS ..
      '\n  extra is ms >= 0, "infinity", "hibernate" or {"continue", x}$', (told_of("reply", 1, 2, "soon")))
  end)

  it("GSE-01 knows which callback it was, and its module", function()
    local function bad() return "ok" end
    for _, case in ipairs{
      {"handle_cast", GenServer.cast, 1}, {"handle_info", mb.send, 1},
      {"handle_continue", function(pid) pcall(GenServer.call, pid, 1) end},
    } do
      local module = {
        name = "Counter", init = init, [case[1]] = bad,
        handle_call = function(_, _, s) return "noreply", s, {"continue", 1} end,
      }
      local report = report_of(module, case[2], case[3])
      assert.matches('^bad return value: "ok", from Counter%.' .. case[1] .. " %b()", report.explanation)
    end
  end)

  it("GSE-01 suspects a colon of a parameter self", function()
    local report = report_of({init = init, handle_cast = function(self) return self end}, GenServer.cast, 1)
    assert.matches("It has a parameter self, as one written with a colon has, and is given request, state$",
      report.explanation)
  end)

  it("GSE-01 tells of agents which function it was", function()
    local agent = Agent.start(function() return 1 end)
    assert.is_false(pcall(Agent.get_and_update, agent, function() return "one" end))
    assert.matches('^bad return value: "one", from the function given to Agent.get_and_update ' ..
      "%(spec/gen_server/blame_spec.lua:" .. line() - 2 .. "%)\n  It returns a reply and the new state$",
      logging.next_report().explanation)
  end)

  it("GSE-01 stands in the log in the reason's place", function()
    local output = helper.run_script([[
      require("moonbeam").import()
      local S = {init = function() return "ok", 0 end, handle_call = function() end}
      pcall(GenServer.call, GenServer.start(S), "get")
    ]])
    assert.matches("terminating\n%*%* %(stop%) bad return value: nothing, from handle_call %(.*:2%): is a return missing%?"
      .. RETURNS .. '\nLast message: "get"\nState: 0\n', output)
  end)

  it("GSE-02 is made of init's, too", function()
    local pid, reason = GenServer.start{init = function() return {} end}
    assert.is_nil(pid)
    assert.same({"bad_return_value", {}}, reason)
    assert.matches('^bad return value: {}, from init %b()\n  It returns "ok", state %[, extra%] | "ignore" | '
      .. '"stop", reason | "error", reason$', logging.next_report().explanation)
    GenServer.start{init = function() end}
    assert.matches("^bad return value: nothing, from init %b(): is a return missing%?", logging.next_report().explanation)
  end)
end)

describe("a callback that is not there", function()
  helper.setup()

  it("GSE-03 is told of with those that are", function()
    local module = {init = init, handel_call = function() end}
    local reason = helper.catch_exit(GenServer.call, GenServer.start(module, 0, {name = "gse-3"}), 1)[1]
    assert.matches('^GenServer "gse%-3" has no handle_call callback: its module has handel_call %(spec/gen_server/'
      .. "blame_spec.lua:" .. line() - 3 .. "%), init %(spec/gen_server/blame_spec.lua:%d+%)$", reason[2])
    assert.matches("has no init callback: its module has no functions$", select(2, GenServer.start{})[2])
  end)
end)

describe("a callback written with a colon", function()
  helper.setup()

  it("GSE-04 is refused at the start", function()
    local S = {}
    function S:init() self.n = 1 return "ok", self end
    function S:handle_call(_, _, state) return "reply", self, state end
    for name, start in pairs{["GenServer.start"] = GenServer.start, ["GenServer.start_link"] = GenServer.start_link} do
      local ok, message = pcall(start, S, {})
      assert.is_false(ok)
      assert.equal(("spec/gen_server/blame_spec.lua:%d: bad argument #1 to '%s' (handle_call (spec/gen_server/"
        .. "blame_spec.lua:%d) is written with a colon, and callbacks get no self: write function "
        .. "Module.handle_call(request, from, state))"):format(line() - 4, name, line() - 6), message)
    end
  end)

  it("GSE-04 is not one whose parameter is merely called self", function()
    local S = {}
    function S.init(self) return "ok", self end
    function S.handle_call(self, _, state) return "reply", self, state end
    local pid = GenServer.start(S, 5)
    assert.equal("hello", GenServer.call(pid, "hello"))
    GenServer.stop(pid)
  end)
end)

describe("a reply that cannot be copied", function()
  helper.setup()

  local function server(reply)
    return assert(GenServer.start({init = init, handle_call = function(_, from, s) return reply(from, s) end}, 0))
  end

  local function text_of(...)
    local reason = helper.catch_exit(...)[1]
    assert.equal("error", reason[1])
    return reason[2]
  end

  it("GSE-05 is an error of the callback", function()
    assert.matches("^cannot copy the reply of handle_call %(spec/gen_server/blame_spec.lua:%d+%): field \"conn\" is a "
      .. "coroutine$", text_of(GenServer.call,
      server(function(_, s) return "reply", {conn = coroutine.create(print)}, s end), 1))
    assert.matches("^cannot copy the reply of handle_call %(.*%): it is a coroutine$", text_of(GenServer.call,
      server(function(_, s) return "stop", "normal", coroutine.create(print), s end), 1))
  end)

  it("GSE-05 is one of GenServer.reply's in its line", function()
    local pid = server(function(from, s) mb.GenServer.reply(from, coroutine.create(print)) return "noreply", s end)
    assert.equal(("spec/gen_server/blame_spec.lua:%d: cannot copy argument #2 of GenServer.reply: it is a coroutine")
      :format(line() - 2), text_of(GenServer.call, pid, 1))
  end)

  it("GSE-05 is one of the function that an agent was given", function()
    local function agent() return Agent.start(function() return coroutine.create(print) end) end
    assert.equal("cannot copy the reply of Agent.get: it is a coroutine", text_of(Agent.get, agent()))
    assert.matches("^cannot copy the reply of the function given to Agent.get %(spec/gen_server/blame_spec.lua:" .. line() + 1
      .. "%): it is a coroutine$", text_of(Agent.get, agent(), function(c) return c end))
  end)
end)

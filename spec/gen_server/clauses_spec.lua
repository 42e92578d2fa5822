local mb = require "moonbeam"
local helper = require "spec.helper"
local any, is, ignore, rest = mb.any, mb.is, mb.ignore, mb.rest
local GenServer, Logger, self, send, receive = mb.GenServer, mb.Logger, mb.self, mb.send, mb.receive

local function counter()
  return GenServer.clauses{
    init = function(n) return "ok", n, {"continue", {"add", 1}} end,
    handle_call = {
      {"get", function(_, n) return "reply", n, n end},
      {{"add", is.number}, when = function(x, n) return n + x >= 0 end,
        function(x, _, n) return "reply", n + x, n + x end},
      {{"add", ignore}, function(_, n) return "reply", "too low", n end},
      {{"later", any}, function(x, from, n) GenServer.reply(from, x) return "noreply", n end},
      {{"pack", rest}, function(items, _, n) return "reply", items, n end},
      {{"two", any, any}, function(a, b, from, n) return "reply", {a, b, #from, n}, n end},
      {{"three", any, any, any}, function(a, b, c, from, n) return "reply", {a, b, c, #from, n}, n end},
      {{"four", any, any, any, any}, function(a, b, c, d, from, n) return "reply", {a, b, c, d, #from, n}, n end},
      {{"whole", x = any}, function(x, from, n) return "reply", {x, #from, n}, n end},
      {"bad", function() return "soon" end},
    },
    handle_cast = {
      {"reset", function() return "noreply", 0 end},
      {{"set", any}, function(x) return "noreply", x end},
      {{"sum", any, any}, function(a, b, n) return "noreply", n + a + b end},
      {{"sum", any, any, any}, function(a, b, c, n) return "noreply", n + a + b + c end},
      {{"sum", any, any, any, any}, function(a, b, c, d, n) return "noreply", n + a + b + c + d end},
    },
    handle_info = {
      {{"set", any}, when = function(x, n) return x ~= n end, function(x) return "noreply", x end},
      {{"stop", any}, function(reason, n) return "stop", reason, n end},
    },
    handle_continue = { {{"add", any}, function(x, n) return "noreply", n + x end} },
  }
end

describe("GenServer.clauses", function()
  helper.setup()

  it("GSM-01 gives bodies what is captured, from and the state", function()
    local pid = GenServer.start(counter(), 1)
    local function call(request) return GenServer.call(pid, request) end
    assert.equal(2, call("get"))
    assert.equal(5, call{"add", 3})
    assert.equal("x", call{"later", "x"})
    assert.same({1, 2, 3}, call{"pack", 1, 2, 3})
    assert.same({1, 2, 2, 5}, call{"two", 1, 2})
    assert.same({1, 2, 3, 2, 5}, call{"three", 1, 2, 3})
    assert.same({1, 2, 3, 4, 2, 5}, call{"four", 1, 2, 3, 4})
    assert.same({"f", 2, 5}, call{"whole", x = "f", y = 1})
    GenServer.cast(pid, "reset")
    assert.equal(0, call("get"))
    for _, request in ipairs{ {"set", 1}, {"sum", 1, 2}, {"sum", 1, 2, 3}, {"sum", 1, 2, 3, 4} } do
      GenServer.cast(pid, request)
    end
    assert.equal(1 + 3 + 6 + 10, call("get"))
    send(pid, {"set", 7})
    assert.equal(7, call("get"))
    local ref = mb.monitor(pid)
    send(pid, {"stop", "shutdown"})
    assert.equal("shutdown", helper.await_end(pid, ref))
  end)

  it("GSM-02 gives guards what is captured and the state", function()
    local pid = GenServer.start(counter(), 1)
    assert.equal("too low", GenServer.call(pid, {"add", -3}))
    assert.equal(0, GenServer.call(pid, {"add", -2}))
    GenServer.stop(pid)
  end)

  it("GSM-03 ends the server when no clause matches, with callback, request and place", function()
    local place = "spec/gen_server/clauses_spec.lua:%d+"
    local function text_of(reason) return reason[1] == "error" and reason[2] end
    local pid = GenServer.start(counter(), 1)
    local exit = helper.catch_exit(GenServer.call, pid, {"no", "such"})
    assert.matches("^" .. place .. ': no clause of handle_call matches {"no", "such"}$', text_of(exit[1]))
    pid = GenServer.start(counter(), 1)
    local ref = mb.monitor(pid)
    GenServer.cast(pid, 5)
    assert.matches("^" .. place .. ": no clause of handle_cast matches 5$", text_of(helper.await_end(pid, ref)))
    local lost = GenServer.clauses{init = function() return "ok", 1, {"continue", "lost"} end, handle_continue = {}}
    pid, ref = GenServer.start(lost), nil
    ref = mb.monitor(pid)
    local reason = helper.await_end(pid, ref)
    assert.is_true(reason == "noproc" or text_of(reason) == 'no clause of handle_continue matches "lost"')
  end)

  it("GSM-04 logs a message that no clause of handle_info matches", function()
    local me = self()
    local pid = GenServer.start(counter(), 1, {name = "counter of clauses"})
    Logger.configure{level = "error", handler = function(event) send(me, {"event", event.level, event.message}) end}
    send(pid, "surprise")
    local level, message = helper.await{"event", any, any}
    Logger.configure{level = "none", handler = "default"}
    assert.equal("error", level)
    assert.matches('^GenServer "counter of clauses" received an unexpected message, which no clause of handle_info ' ..
      '%(spec/gen_server/clauses_spec.lua:%d+%) matches: "surprise"$', message)
    assert.equal(2, GenServer.call(pid, "get"))
    GenServer.stop(pid)
  end)

  it("GSM-05 leaves everything else as it is, and raises for what is wrong", function()
    local function init() return "ok" end
    local table_of = {init = init, name = "counter", start = {1}, helper = {}, handle_call = init,
      handle_cast = { {any, init} }}
    assert.equal(table_of, GenServer.clauses(table_of))
    assert.equal("function", type(table_of.handle_cast))
    assert.same({init, "counter", {1}, {}, init},
      {table_of.init, table_of.name, table_of.start, table_of.helper, table_of.handle_call})
    assert.equal(table_of, GenServer.clauses(table_of))
    local one = {any, init}
    for text, bad in pairs{
      ["table of callbacks expected, got nil"] = false,
      ["handle_call: clause 1: its pattern is nil, a misspelt name perhaps"] = {handle_call = { {nil, init} }},
      ["handle_cast: clause 2: the body is a function of what is captured, got number"] =
        {handle_cast = { {any, init}, {any, 5} }},
      ["handle_info: clause 1 has no body: it is {pattern, %[when = guard,%] body}"] = {handle_info = { {any} }},
      ["handle_call: unknown field 'after' beside the clauses; there are none"] = {handle_call = {one, after = 5}},
      ["there is no callback handle_cal; those of clauses are handle_call, handle_cast, handle_info, handle_continue"] =
        {handle_cal = { {any, init} }},
      ["init is a function, got table; callbacks of clauses are handle_call"] = {init = { {any, init} }},
    } do
      local ok, message = pcall(function() return GenServer.clauses(bad or nil) end)
      assert.is_false(ok)
      assert.matches("^spec/gen_server/clauses_spec.lua:%d+: bad argument #1 to 'GenServer.clauses' %(" .. text,
        message)
    end
    assert.error_matches(function() GenServer.start{init = init, handle_call = { {any, init} }} end,
      "^bad argument #1 to 'GenServer.start' %(handle_call is a table: GenServer.clauses makes callbacks of clauses%)$")
  end)

  it("GSM-05 takes a matcher for clauses", function()
    local pid = GenServer.start(GenServer.clauses{
      init = function() return "ok", 0 end,
      handle_call = mb.matcher{ {{"twice", is.number}, function(x, _, n) return "reply", 2 * x, n end} },
    })
    assert.equal(8, GenServer.call(pid, {"twice", 4}))
    GenServer.stop(pid)
  end)

  it("GSM-06 makes a table that goes to every scheduler, to supervisors and into modules", function()
    local schedulers = #mb.schedulers()
    for i = 1, 2 * schedulers do
      local pid = mb.Process.spawn(function(module)
        local server = GenServer.start_link(module, 1)
        local me = receive()
        send(me, {GenServer.call(server, {"add", 1}), GenServer.call(server, {"add", -9})})
        receive()
      end, {scheduler = (i - 1) % schedulers + 1}, counter())
      send(pid, self())
      assert.same({3, "too low"}, receive(helper.patience))
      mb.Process.exit(pid, "kill")
    end
    local sup = mb.Supervisor.start_link({ {counter(), 4} }, {strategy = "one_for_one"})
    local pid = mb.Supervisor.which_children(sup)[1][2]
    assert.equal(5, GenServer.call(pid, "get"))
    mb.Supervisor.stop(sup)
  end)

  it("has the place of the clauses in what is said of a bad result", function()
    local me = self()
    Logger.configure{level = "error", handler = function(event) send(me, {"event", event.message}) end}
    local pid = GenServer.start(counter(), 1)
    pcall(GenServer.call, pid, "bad")
    local message = helper.await{"event", any}
    Logger.configure{level = "none", handler = "default"}
    assert.matches("bad return value: \"soon\", from handle_call %(spec/gen_server/clauses_spec.lua:%d+%)",
      type(message) == "string" and message or mb.inspect(message))
  end)
end)

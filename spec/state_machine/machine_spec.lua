local mb = require "moonbeam"
local helper = require "spec.helper"
local logging = require "spec.logging"
local Process, GenServer, StateMachine, Supervisor = mb.Process, mb.GenServer, mb.StateMachine, mb.Supervisor
local self, send, receive, any, await, catch_exit = mb.self, mb.send, mb.receive, mb.any, helper.await, helper.catch_exit

-- A machine of one state that does what it is told: events are functions of type and data.
local function obedient(more)
  local module = {
    init = function(data) return "ok", "first", data end,
    first = function(kind, event, data)
      if type(event) == "function" then return event(kind, data) end
      return "keep_state_and_data"
    end,
    second = function() return "keep_state_and_data" end,
  }
  for name, fn in pairs(more or {}) do module[name] = fn end
  return module
end

local function start(more, ...) return assert(StateMachine.start(obedient(more), 0, ...)) end

local function reply(value) return function(kind) return "keep_state_and_data", {"reply", kind[2], value} end end

describe("StateMachine.start", function()
  helper.setup()

  it("STM-01 returns when init has, as servers do", function()
    local pid = StateMachine.start(obedient(), 5, {name = "stm-1"})
    assert.equal(pid, Process.whereis("stm-1"))
    assert.same({nil, {"already_started", pid}}, {StateMachine.start(obedient(), 5, {name = "stm-1"})})
    StateMachine.stop("stm-1")
    for _, case in ipairs{{{"ignore"}, "ignore"}, {{"stop", "why"}, nil, "why"}, {{"error", "why"}, nil, "why"}} do
      local module = {init = function() return table.unpack(case[1]) end}
      assert.same({n = case[3] and 2 or 1, case[2], case[3]}, table.pack(StateMachine.start(module)))
    end
    assert.equal("oops", select(2, StateMachine.start{init = function() error("oops", 0) end})[2])
    assert.same({nil, "timeout"}, {StateMachine.start({init = function() receive() end}, nil, {timeout = 1})})
  end)

  it("STM-01 links with start_link", function()
    Process.flag("trap_exit", true)
    local pid = StateMachine.start_link(obedient(), 0)
    Process.exit(pid, "kill")
    await{"EXIT", pid, "killed"}
  end)

  it("STM-02 calls a function for each state, or one for all", function()
    local pid = start{first = function(kind, event, data) return "keep_state_and_data", {"reply", kind[2], {event, data}} end}
    assert.same({"event", 0}, StateMachine.call(pid, "event"))
    StateMachine.stop(pid)
    pid = StateMachine.start{
      init = function() return "ok", {"any", 1}, "data" end,
      handle_event = function(kind, event, state, data)
        return "keep_state_and_data", {"reply", kind[2], {event, state, data}}
      end,
    }
    assert.same({"event", {"any", 1}, "data"}, StateMachine.call(pid, "event"))
    StateMachine.stop(pid)
  end)

  it("STM-02 takes callback_mode as a word, a sequence or a function", function()
    for _, mode in ipairs{
      "handle_event_function", {"handle_event_function"}, function() return "handle_event_function" end,
      function() return {"handle_event_function"} end,
    } do
      local pid = StateMachine.start{
        callback_mode = mode, init = function() return "ok", "init", 1 end,
        handle_event = function(kind) return "keep_state_and_data", {"reply", kind[2], "one for all"} end,
      }
      assert.equal("one for all", StateMachine.call(pid, 1))
      StateMachine.stop(pid)
    end
    assert.same({nil, {"bad_return_from_callback_mode", "states"}}, {StateMachine.start(obedient{callback_mode = "states"})})
  end)

  it("names function and argument for what is wrong", function()
    local cases = {
      {StateMachine.start, "bad argument #1 to 'StateMachine.start' %(table of callbacks expected, got nil%)"},
      {StateMachine.start_link, "bad argument #3 to 'StateMachine.start_link' %(unknown option debug = true; options: " ..
        "name, timeout, hibernate_after%)", {}, nil, {debug = true}},
      {StateMachine.start, "cannot copy argument #2 of StateMachine.start: it is a coroutine", obedient(),
        coroutine.create(print)},
      {StateMachine.start, 'cannot copy argument #2 of StateMachine.start: field "a" is a coroutine', obedient(),
        {a = coroutine.create(print)}},
      {StateMachine.start, 'cannot copy argument #1 of StateMachine.start: field "x" is a coroutine',
        {x = coroutine.create(print)}},
      {StateMachine.call, "bad argument #1 to 'StateMachine.call'", nil, 1},
      {StateMachine.call, "cannot copy argument #2 of StateMachine.call: it is a coroutine", self(),
        coroutine.create(print)},
      {StateMachine.cast, "bad argument #1 to 'StateMachine.cast'", 5, 1},
      {StateMachine.stop, "bad argument #1 to 'StateMachine.stop'"},
      {StateMachine.reply, "bad argument #1 to 'StateMachine.reply'", {}},
      {StateMachine.child_spec, "bad argument #1 to 'StateMachine.child_spec' %({module, arg, opts} expected", 5},
    }
    for _, case in ipairs(cases) do
      local ok, message = pcall(case[1], table.unpack(case, 3, 5))
      assert.is_false(ok)
      assert.matches("^spec/state_machine/machine_spec.lua:%d+: " .. case[2], message)
    end
  end)

  it("STM-18 is what a supervisor does for {StateMachine, {module, arg, opts}}", function()
    local sup = Supervisor.start_link({{StateMachine, {obedient{name = "lock"}, 7, {name = "stm-18"}}}},
      {strategy = "one_for_one"})
    assert.equal("lock", Supervisor.which_children(sup)[1][1])
    local first = Process.whereis("stm-18")
    local ref = mb.monitor(first)
    Process.exit(first, "kill")
    await{"DOWN", ref, "process", first, "killed"}
    Supervisor.which_children(sup) -- behind the restart
    assert.same({"first", 7}, GenServer.get_state("stm-18"))
    assert.equal("StateMachine", StateMachine.child_spec{obedient()}.id)
    Supervisor.stop(sup)
  end)
end)

describe("a state machine", function()
  helper.setup()

  it("STM-10 may not change its state, postpone or insert where it enters one", function()
    local cases = {
      {{"bad_state_enter_return_from_state_function", {"next_state", "first", 1}}, "next_state", "first", 1},
      {{"bad_state_enter_action_from_state_function", "postpone"}, "keep_state_and_data", "postpone"},
      {{"bad_state_enter_action_from_state_function", {"next_event", "internal", 1}}, "keep_state_and_data",
        {"next_event", "internal", 1}},
    }
    for _, case in ipairs(cases) do
      local pid = start{callback_mode = "state_enter", second = function() return table.unpack(case, 2) end}
      local ref = mb.monitor(pid)
      StateMachine.cast(pid, function() return "next_state", "second", 0 end)
      assert.same(case[1], await{"DOWN", ref, "process", pid, any})
    end
  end)

  it("STM-12 replies where the action stands, several at once, and from elsewhere", function()
    local pid = start()
    assert.equal(5, StateMachine.call(pid, reply(5)))
    assert.is_nil(StateMachine.call(pid, reply(nil)))
    local first = GenServer.send_request(pid, function(kind) return "keep_state", {kind[2]} end)
    GenServer.get_state(pid)
    assert.equal(2, StateMachine.call(pid, function(kind, data)
      return "keep_state", 0, {{"reply", data[1], 1}, {"reply", kind[2], 2}}
    end))
    assert.same({true, 1}, {GenServer.wait_response(first)})
    assert.equal(3, StateMachine.call(pid, function(kind)
      StateMachine.reply(kind[2], 3)
      return "keep_state_and_data"
    end))
    assert.equal(4, StateMachine.call(pid, function(kind)
      StateMachine.reply{{"reply", kind[2], 4}}
      return "keep_state_and_data"
    end))
    StateMachine.stop(pid)
  end)

  it("STM-12 answers a call that was postponed", function()
    local pid = start{second = reply("second")}
    local id = GenServer.send_request(pid, function() return "keep_state_and_data", "postpone" end)
    StateMachine.cast(pid, function() return "next_state", "second", 0 end)
    assert.same({true, "second"}, {GenServer.wait_response(id, helper.patience)})
    StateMachine.stop(pid)
  end)

  it("STM-13 stops, normally where no reason is given, with terminate", function()
    local me = self()
    local more = {terminate = function(reason, state, data) send(me, {"terminate", reason, state, data}) end}
    local cases = {
      {{"stop"}, "normal", 0}, {{"stop", "shutdown"}, "shutdown", 0}, {{"stop", {"shutdown", 1}, 5}, {"shutdown", 1}, 5},
    }
    for _, case in ipairs(cases) do
      local pid = start(more)
      local ref = mb.monitor(pid)
      StateMachine.cast(pid, function() return table.unpack(case[1]) end)
      assert.same({"terminate", case[2], "first", case[3]}, receive(helper.patience))
      assert.same({"DOWN", ref, "process", pid, case[2]}, receive(helper.patience))
    end
    local pid = start(more)
    assert.is_true(StateMachine.stop(pid, "shutdown"))
    assert.same({"terminate", "shutdown", "first", 0}, receive(0))
    assert.same({"noproc", {"GenServer", "stop", {pid, "normal", "infinity"}}}, catch_exit(StateMachine.stop, pid))
  end)

  it("STM-13 sends the replies of stop_and_reply before terminate", function()
    local pid = start{terminate = function() receive{ {"end"} } end}
    local ref = mb.monitor(pid)
    assert.equal(5, StateMachine.call(pid, function(kind) return "stop_and_reply", "normal", {"reply", kind[2], 5} end))
    send(pid, "end")
    await{"DOWN", ref, "process", pid, "normal"}
    pid = start()
    assert.equal(6, StateMachine.call(pid, function(kind) return "stop_and_reply", "shutdown", {{"reply", kind[2], 6}}, 1 end))
    pid = start()
    assert.same({"bad_reply_action_from_state_function", "postpone"},
      catch_exit(StateMachine.call, pid, function() return "stop_and_reply", "normal", {"postpone"} end)[1])
  end)

  it("STM-14 ends by wrong results and actions", function()
    local cases = {
      {{"bad_return_from_state_function", "junk"}, "junk"},
      {{"bad_return_from_state_function", {"next_state", "second"}}, "next_state", "second"},
      {{"bad_return_from_state_function"}},
      {{"bad_action_from_state_function", "junk"}, "keep_state_and_data", "junk"},
      {{"bad_action_from_state_function", {"junk", 1}}, "keep_state_and_data", {{"junk", 1}}},
      {{"bad_action_from_state_function", {"state_timeout", -1, 1}}, "keep_state_and_data", {"state_timeout", -1, 1}},
      {{"bad_action_from_state_function", {"next_event", "junk", 1}}, "keep_state_and_data", {"next_event", "junk", 1}},
      {{"bad_action_from_state_function", {"reply", 1, 1}}, "keep_state_and_data", {{"reply", 1, 1}}},
      {{"bad_action_from_state_function", {"postpone", 1}}, "keep_state_and_data", {{"postpone", 1}}},
    }
    for _, case in ipairs(cases) do
      assert.same(case[1], catch_exit(StateMachine.call, start(), function() return table.unpack(case, 2) end)[1])
    end
  end)

  it("STM-14 says which state has no function", function()
    local pid = start({}, {name = "stm-14"})
    local reason = catch_exit(StateMachine.call, pid, function() return "next_state", "thrid", 0, {"next_event", "internal", 1} end)
    assert.matches('^StateMachine "stm%-14" has no thrid state function: its module has first %(.*machine_spec.lua:%d+%), init ',
      reason[1][2])
    assert.matches("^StateMachine .* has no init callback: its module has no functions$", select(2, StateMachine.start{})[2])
  end)

  it("STM-14 refuses functions that are written with a colon", function()
    local Door = {}
    function Door:init() return "ok", "closed", self end
    function Door:closed(_, _, data) return "keep_state", {self, data} end
    assert.matches("^closed %(.*machine_spec.lua:%d+%) is written with a colon, and callbacks get no self: write function "
      .. "Module.closed%(event_type, event, data%)$", catch_exit(StateMachine.call, StateMachine.start(Door), 1)[1][2])
    function Door:terminate(_, _, _) return self end
    local ok, message = pcall(StateMachine.start, setmetatable({terminate = Door.terminate}, nil))
    assert.is_false(ok)
    assert.matches("bad argument #1 to 'StateMachine.start' %(terminate %(.*%) is written with a colon", message)
  end)

  it("STM-15 is called without a time limit, and casts are true", function()
    local pid = start()
    assert.same({"timeout", {"GenServer", "call", {pid, 1}}}, catch_exit(StateMachine.call, pid, "no answer", 1))
    local dead = helper.dead_pid()
    assert.same({"noproc", {"GenServer", "call", {dead, "infinity"}}}, catch_exit(StateMachine.call, dead, 1))
    assert.equal("calling_self", catch_exit(StateMachine.call, self(), 1)[1])
    assert.is_true(StateMachine.cast(dead, 1))
    assert.is_true(StateMachine.cast("nobody", 1))
    StateMachine.stop(pid)
  end)

  it("STM-16 shows state and data, and lets them be replaced", function()
    local pid = start()
    assert.same({"first", 0}, GenServer.get_state(pid))
    assert.same({"second", 9}, GenServer.replace_state(pid, function() return {"second", 9} end))
    assert.same({"second", 9}, GenServer.get_state(pid))
    assert.same({"second", 10}, GenServer.replace_state(pid, function(pair) pair[2] = 10 end))
    assert.error_matches(function() GenServer.replace_state(pid, function() return 1 end) end, "no {state, data}")
    assert.same({"second", 10}, GenServer.get_status(pid).state)
    StateMachine.stop(pid)
    pid = start{format_status = function(status) return {state = status.state, data = "hidden", message = "hidden"} end}
    StateMachine.cast(pid, "secret")
    local status = GenServer.get_status(pid)
    assert.same({"first", "hidden"}, status.state)
    assert.equal("hidden", status.last_message)
    StateMachine.stop(pid)
  end)

  it("STM-19 gets messages as info", function()
    local me = self()
    local pid = start{first = function(kind, event) send(me, {kind, event}) return "keep_state_and_data" end}
    send(pid, {"any", "message"})
    assert.same({"info", {"any", "message"}}, receive(helper.patience))
    StateMachine.stop(pid)
  end)

  it("STM-19 terminates with its parent when it traps exits", function()
    local me = self()
    local module = obedient{
      init = function() Process.flag("trap_exit", true) return "ok", "first", 0 end,
      terminate = function(reason) send(me, {"terminate", reason}) end,
    }
    local pid, ref = mb.spawn_monitor(function() StateMachine.start_link(module) mb.exit("gone") end)
    await{"DOWN", ref, "process", pid, "gone"}
    await{"terminate", "gone"}
  end)

  it("STM-20 hibernates", function()
    local pid = start()
    StateMachine.cast(pid, function() return "keep_state_and_data", "hibernate" end)
    assert.is_nil(GenServer.get_status(pid).last_message)
    StateMachine.cast(pid, "wake up")
    assert.equal("wake up", GenServer.get_status(pid).last_message)
    StateMachine.stop(pid)
  end)
end)

describe("the report of a state machine", function()
  helper.setup()
  logging.setup()

  it("STM-14 names the function and what it returns", function()
    local pid = start{name = "Lock"}
    pcall(StateMachine.call, pid, function() return "next_state", "second" end)
    local report = logging.next_report()
    assert.equal("StateMachine", report.behaviour)
    assert.equal('{"first", 0}', report.state)
    assert.matches('^bad return value: "next_state", "second", from Lock.first %(.*machine_spec.lua:%d+%)\n  It returns '
      .. '"next_state", state, data', report.explanation)
    StateMachine.start{init = function() return "ok", "first" end}
    report = logging.next_report()
    assert.same({"bad_return_from_init", {"ok", "first"}}, report.reason)
    assert.matches('^bad return value: "ok", "first", from init %(.*%): is the data missing%?\n  It returns "ok", state, data',
      report.explanation)
  end)
end)

local mb = require "moonbeam"
local helper = require "spec.helper"
local logging = require "spec.logging"
local self, spawn, any, Process, Task, GenServer = mb.self, mb.spawn, mb.any, mb.Process, mb.Task, mb.GenServer

-- "crash_spec.lua:<line of the caller>"
local function here() return "crash_spec.lua:" .. debug.getinfo(2, "l").currentline end

describe("the report of a crash", function()
  helper.setup()
  logging.setup()

  it("has the process, its name, the reason and where it was spawned", function()
    local pid, ref = mb.spawn_monitor(function() mb.receive() error("the error") end) local line = here()
    Process.register(pid, "crashing")
    mb.send(pid, "go on")
    local report, event = logging.next_report()
    local reason = helper.await{"DOWN", ref, "process", pid, any}
    assert.equal("error", event.level)
    assert.equal(pid, event.pid)
    assert.equal("crash", report.kind)
    assert.equal(pid, report.pid)
    assert.equal("crashing", report.name)
    assert.same(reason, report.reason)
    assert.matches("crash_spec.lua:%d+: the error$", report.error)
    assert.matches("^stack traceback:", report.traceback)
    assert.equal(self(), report.parent)
    assert.matches(line, report.spawned_at, 1, true)
    assert.matches('^Process #PID<[%d.]+> %(crashing%) terminating\n%*%* %(error%) [^\n]*the error\nstack traceback:',
      event.message)
    assert.matches("\nspawned at [^\n]*" .. line:gsub("%p", "%%%0") .. " by " .. tostring(self()):gsub("%p", "%%%0"),
      event.message)
  end)

  it("has the callers of a task, who caused it", function()
    local outer = spawn(function()
      mb.Process.flag("trap_exit", true)
      local task = Task.async(function() Task.start(function() error("inner") end) mb.receive() end)
      mb.receive()
      mb.Task.shutdown(task)
    end)
    local report, event = logging.next_report()
    assert.equal(2, #report.callers)
    assert.equal(outer, report.callers[2])
    assert.equal(report.parent, report.callers[1])
    assert.matches(("callers: %s, %s"):format(report.callers[1], outer), event.message, 1, true)
    mb.send(outer, "end")
    helper.reason_of(outer)
  end)

  it("keeps any value that was raised", function()
    for _, value in ipairs{12, true, {code = 5}} do
      spawn(function() error(value) end)
      assert.same(value, logging.next_report().error)
    end
    spawn(function() error(nil) end)
    assert.equal("nil", logging.next_report().error)
    spawn(function() error(io.open("/dev/null")) end)
    assert.matches("^file %(", logging.next_report().error)
    spawn(function() error(setmetatable({}, {__tostring = function() error("no text") end})) end)
    local _, event = logging.next_report()
    assert.matches("terminating\n%*%* %(error%) ", event.message)
  end)

  it("is not made for exits", function()
    local _, ref = mb.spawn_monitor(function() mb.exit("reason") end)
    helper.await{"DOWN", ref, "process", any, "reason"}
    spawn(function() error("the next") end)
    assert.matches("the next$", logging.next_report().error)
  end)

  it("is cut short when a value's own code does not return, and harms nobody", function()
    spawn(function() error(setmetatable({}, {__tostring = function() while true do end end})) end)
    local event = logging.next_event()
    assert.is_string(event.message)
  end)

  it("is cut short, too, when it is made while the main chunk is preempted", function()
    local output = helper.run_script([[
      local mb = require "moonbeam"
      mb.import()
      Logger.configure{handler = "default"}
      local _, ref = spawn_monitor(function()
        error(setmetatable({}, {__tostring = function() while true do end end}))
      end)
      while Process.info(self(), "message_queue_len") == 0 do -- computes; the others run when it is preempted
        for _ = 1, 1000 do end
      end
      print(receive()[2] == ref)
    ]], "2>/dev/null", "MOONBEAM_PREEMPT=100 MOONBEAM_SCHEDULERS=1")
    assert.matches("true\n$", output)
  end)
end)

describe("the report of a server's crash", function()
  helper.setup()
  logging.setup()

  local Server = {
    init = function(state) return "ok", state end,
    handle_call = function(_, _, state) return "stop", "a reason", state end,
    handle_cast = function() error("bad cast") end,
  }

  it("has its last message and its state beside the rest", function()
    local pid = assert(GenServer.start(Server, {secret = 1}, {name = "the server"})) local line = here()
    GenServer.cast(pid, {"do", 5})
    local report, event = logging.next_report()
    assert.equal("crash", report.kind)
    assert.equal("GenServer", report.behaviour)
    assert.equal(pid, report.pid)
    assert.equal("the server", report.name)
    assert.same({"do", 5}, report.last_message)
    assert.equal("{secret = 1}", report.state)
    assert.matches("bad cast$", report.error)
    assert.matches("^stack traceback:", report.traceback)
    assert.matches(line, report.spawned_at, 1, true)
    assert.same({self()}, report.ancestors)
    assert.matches('^GenServer #PID<[%d.]+> %("the server"%) terminating\n%*%* %(error%) [^\n]*bad cast\n'
      .. 'stack traceback:.*\nLast message: {"do", 5}\nState: {secret = 1}\nspawned at [^\n]+\nancestors: #PID',
      event.message)
  end)

  it("has a reason that is no error", function()
    local pid = assert(GenServer.start(Server, 1))
    helper.catch_exit(GenServer.call, pid, "stop")
    local report, event = logging.next_report()
    assert.equal("a reason", report.reason)
    assert.is_nil(report.error)
    assert.matches('terminating\n%*%* %(stop%) "a reason"\nLast message: "stop"\nState: 1\n', event.message)
  end)

  it("shows little of a state that is large", function()
    local state = {text = ("x"):rep(3000000), list = {}}
    for i = 1, 10000 do state.list[i] = {i, {i, {i}}} end
    local pid = assert(GenServer.start(Server, state))
    local before = os.clock()
    GenServer.cast(pid, ("y"):rep(100000))
    local report, event = logging.next_report()
    assert.is_true(#report.state <= 2100 and #event.message < 8000)
    assert.is_true(os.clock() - before < helper.scale)
  end)

  it("names the ancestors, by name where they have one", function()
    local me = self()
    Process.register(me, "the test")
    local parent = assert(GenServer.start({
      init = function() return "ok", 0 end,
      handle_call = function(module, _, state) return "reply", mb.GenServer.start(module, 1), state end,
    }, nil, {name = "the parent"}))
    local pid = GenServer.call(parent, Server)
    assert.same({"the parent", "the test"}, Process.info(pid, "dictionary")["$ancestors"])
    GenServer.cast(pid, 1)
    local report, event = logging.next_report()
    assert.same({"the parent", "the test"}, report.ancestors)
    assert.matches('\nancestors: the parent, the test$', event.message)
    GenServer.stop(parent)
    Process.unregister("the test")
  end)

  it("has what cannot travel as text", function()
    local pid = assert(GenServer.start({
      init = function() return "ok", {file = io.open("/dev/null")} end,
      handle_cast = function() error(io.open("/dev/null")) end,
    }))
    GenServer.cast(pid, 1)
    local report = logging.next_report()
    assert.matches("file %(", report.error)
    assert.matches("{file = file %(", report.state)
    assert.equal(1, report.last_message)
  end)

  it("is not made for an ordinary end", function()
    for _, reason in ipairs{"normal", "shutdown", {"shutdown", 1}} do
      local pid = assert(GenServer.start(Server, 1))
      GenServer.stop(pid, reason)
    end
    spawn(function() error("the next") end)
    assert.equal("Process", logging.next_report().behaviour or "Process")
  end)
end)

describe("format_status", function()
  helper.setup()
  logging.setup()

  local function start(format_status)
    return assert(GenServer.start({
      init = function(state) return "ok", state end,
      handle_cast = function(request, state) return "stop", request, state end,
      format_status = format_status,
    }, {password = "secret", user = "ann"}))
  end

  it("says what reports show of state, message and reason", function()
    local pid = start(function(status)
      return {state = {user = status.state.user}, message = "hidden", reason = status.reason}
    end)
    assert.same({user = "ann"}, GenServer.get_status(pid).state)
    GenServer.cast(pid, "secret reason")
    local report, event = logging.next_report()
    assert.equal('{user = "ann"}', report.state)
    assert.equal("hidden", report.last_message)
    assert.equal("secret reason", report.reason)
    assert.not_matches('"secret"', event.message)
  end)

  it("shows nothing when it fails", function()
    for _, format_status in ipairs{function() error("bad") end, function() return "no table" end} do
      local pid = start(format_status)
      GenServer.cast(pid, "reason")
      local report, event = logging.next_report()
      assert.equal("reason", report.reason)
      assert.matches("format_status failed", report.state)
      assert.not_matches("secret", event.message)
    end
  end)
end)

describe("the crash of a supervised process", function()
  helper.setup()
  logging.setup()

  local Worker = {
    init = function(arg) return "ok", arg end,
    handle_cast = function(request) if request == "exit" then mb.exit("an exit") end error("bad cast") end,
  }
  local name = "the worker"

  -- The process that has the name, another than `before`.
  local function holder(before)
    while true do
      local pid = Process.whereis(name)
      if pid and pid ~= before then return pid end
      mb.sleep(1) -- nobody tells when a name is taken
    end
  end

  -- A process that logs no crash of its own: it does what it is sent.
  local function plain()
    return mb.spawn_link(function()
      Process.register(self(), name)
      mb.exit(mb.receive())
    end)
  end

  local function start(child, options)
    options = options or {}
    options.strategy, options.name = "one_for_one", "the supervisor"
    return assert(mb.Supervisor.start_link({child}, options))
  end

  -- The next report is one of a process that dies now: nothing else was logged before it.
  local function nothing_else()
    spawn(function() error("the next", 0) end)
    assert.equal("the next", logging.next_report().error)
  end

  local server = {id = "worker", start = {GenServer.start_link, Worker, 1, {name = name}}}

  it("is reported once, by itself", function()
    local supervisor = start(server)
    for _, request in ipairs{"crash", "exit"} do
      local pid = holder()
      GenServer.cast(pid, request)
      holder(pid)
      local report = logging.next_report()
      assert.equal("crash", report.kind)
      assert.equal(pid, report.pid)
      assert.same({"the supervisor", self()}, report.ancestors)
    end
    nothing_else()
    mb.Supervisor.stop(supervisor)
  end)

  it("is reported once when it takes a linked server along, which dies of the same", function()
    local supervisor = start(server)
    local pid = holder()
    local other = spawn(function()
      mb.link(pid)
      error("the cause", 0)
    end)
    holder(pid)
    assert.equal(other, logging.next_report().pid)
    nothing_else()
    mb.Supervisor.stop(supervisor)
  end)

  it("is the supervisor's to report when nobody else does, in short", function()
    local supervisor = start{id = "worker", start = {plain}}
    local pid = holder()
    mb.send(pid, "boom")
    local report, event = logging.next_report()
    assert.equal("supervisor", report.kind)
    assert.equal("child_terminated", report.context)
    assert.equal(supervisor, report.supervisor)
    assert.equal("the supervisor", report.name)
    assert.equal("worker", report.id)
    assert.equal(pid, report.pid)
    assert.equal("boom", report.reason)
    assert.same({1, 3, 5}, {report.restarts, report.max_restarts, report.max_seconds})
    assert.matches('^Child "worker" of Supervisor #PID<[%d.]+> %(the supervisor%) terminated\n%*%* %(exit%) "boom"\n'
      .. "Pid: #PID<[%d.]+>\nStart: .*\nRestart: permanent, 1 of at most 3 within 5 s$", event.message)
    mb.Supervisor.stop(supervisor)
  end)

  it("is told of a server that was killed, which cannot do so itself", function()
    local supervisor = start(server)
    local pid = holder()
    Process.exit(pid, "kill")
    holder(pid)
    local report = logging.next_report()
    assert.same({"supervisor", "killed", pid}, {report.kind, report.reason, report.pid})
    nothing_else()
    mb.Supervisor.stop(supervisor)
  end)

  it("is followed by one line when the supervisor gives up, and by none of that one's own supervisor", function()
    local outer = assert(mb.Supervisor.start_link({
      {id = "inner", type = "supervisor", restart = "temporary",
        start = {mb.Supervisor.start_link, {server}, {strategy = "one_for_one", max_restarts = 0}}},
    }, {strategy = "one_for_one"}))
    local inner = mb.Supervisor.which_children(outer)[1][2]
    local ref = mb.monitor(inner)
    GenServer.cast(name, "crash")
    helper.await{"DOWN", ref, "process", inner, "shutdown"}
    assert.equal("crash", logging.next_report().kind)
    local report, event = logging.next_report()
    assert.same({"supervisor", "shutdown", inner}, {report.kind, report.context, report.supervisor})
    assert.matches("caused shutdown\n** (exit) \"reached_max_restart_intensity\"", event.message, 1, true)
    nothing_else()
    mb.Supervisor.stop(outer)
  end)

  it("is not mentioned where it cannot be started again because of an error of its own", function()
    local function failing(module, arg)
      if Process.get("again") then arg = "bad" end
      Process.put("again", true)
      return GenServer.start_link(module, arg, {name = name})
    end
    local supervisor = start({id = "worker", start = {failing, {
      init = function(arg) if arg == "bad" then error("bad init", 0) end return "ok", arg end,
      handle_cast = Worker.handle_cast,
    }, 1}}, {max_restarts = 1})
    Process.flag("trap_exit", true)
    GenServer.cast(name, "crash")
    helper.await{"EXIT", supervisor, "shutdown"}
    assert.matches("bad cast$", logging.next_report().error)
    assert.equal("bad init", logging.next_report().error)
    assert.equal("shutdown", logging.next_report().context)
    nothing_else()
  end)

  it("names what raised in the start function, and what was returned there", function()
    local function failing(how)
      local n = (Process.get("n") or 0) + 1
      Process.put("n", n)
      if n == 1 then return plain() end
      if how == "raise" then error("bad start", 0) end
      return nil, "no luck"
    end
    for how, text in pairs{raise = "bad start", ["return"] = "no luck"} do
      local supervisor = start({id = "worker", start = {failing, how}}, {max_restarts = 1})
      Process.flag("trap_exit", true)
      mb.send(holder(), "boom")
      helper.await{"EXIT", supervisor, "shutdown"}
      assert.equal("child_terminated", logging.next_report().context)
      local report, event = logging.next_report()
      assert.equal("start_error", report.context)
      assert.matches('Child "worker" of Supervisor .* failed to start\n.*' .. text, event.message)
      assert.equal("shutdown", logging.next_report().context)
    end
  end)

  it("shows what a start function has raised as an error, and takes no other reason for a call", function()
    Process.flag("trap_exit", true)
    for raised, text in pairs{
      ["bad start"] = "%*%* %(exit%) an exception was raised:\n    %*%* %(error%) bad start\n    stack traceback:",
      [{"late", {"one", "two", "three"}}] = '%*%* %(exit%) {"late", {"one", "two", "three"}}\n',
    } do
      local function failing(reason)
        if type(reason) == "string" then error(reason, 0) end
        return nil, reason
      end
      assert.is_nil((mb.Supervisor.start_link({{id = "worker", start = {failing, raised}}},
        {strategy = "one_for_one"})))
      local report, event = logging.next_report()
      assert.equal("start_error", report.context)
      assert.matches(text, event.message)
    end
    while mb.receive(0) do end
  end)

  it("of a dynamic supervisor's child names it by its pid, with all arguments of its start", function()
    local supervisor = assert(mb.DynamicSupervisor.start_link{extra_arguments = {"an extra one"}})
    local pid = assert(mb.DynamicSupervisor.start_child(supervisor,
      {id = 1, start = {plain, "its own"}, restart = "transient"}))
    mb.send(holder(), "boom")
    holder(pid)
    local report, event = logging.next_report()
    assert.equal(pid, report.pid)
    assert.matches(("Child %s of Supervisor"):format(pid), event.message, 1, true)
    assert.matches('\nStart: {function<[^>]*>, "an extra one", "its own"}\n', event.message)
    mb.DynamicSupervisor.stop(supervisor)
  end)

  it("of a temporary child names the function that started it, whose arguments are not kept", function()
    local supervisor = assert(mb.DynamicSupervisor.start_link{})
    assert(mb.DynamicSupervisor.start_child(supervisor, {id = 1, start = {plain}, restart = "temporary"}))
    mb.send(holder(), "boom")
    local _, event = logging.next_report()
    assert.matches("\nStart: {function<[^>]*>, ...}\n", event.message)
    local pid = assert(mb.DynamicSupervisor.start_child(supervisor, {id = 1, start = {plain}, restart = "temporary"}))
    Process.exit(pid, "kill") -- as somebody wanted
    helper.reason_of(pid)
    nothing_else()
    mb.DynamicSupervisor.stop(supervisor)
  end)
end)

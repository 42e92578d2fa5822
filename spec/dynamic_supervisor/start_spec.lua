local mb = require "moonbeam"
local helper = require "spec.helper"
local worker = require "spec.worker"
local any, exit, DynamicSupervisor, Process, GenServer = mb.any, mb.exit, mb.DynamicSupervisor, mb.Process, mb.GenServer
local await = helper.await

local function of_start(fn) return {id = "w", start = {fn}} end

describe("a dynamic supervisor that is asked as a static one", function()
  helper.setup()

  it("starts what it can, refuses the rest, and lives on", function()
    local Supervisor, Agent = mb.Supervisor, mb.Agent
    local sup = DynamicSupervisor.start_link()
    local pid = Supervisor.start_child(sup, {Agent, function() return 42 end})
    assert.equal(42, Agent.get(pid))
    mb.Process.exit(pid, "kill") -- it is permanent, as any child is by default
    helper.reason_of(pid)
    assert.equal(1, Supervisor.count_children(sup).specs)
    local new = Supervisor.which_children(sup)[1][2]
    assert.is_true(new ~= pid and Agent.get(new) == 42)
    for _, name in ipairs{"restart_child", "delete_child", "terminate_child"} do
      assert.same({nil, "not_found"}, {Supervisor[name](sup, "an id")})
    end
    for _, spec in ipairs{5, {}, {id = 1}, {id = 1, start = 5}, {restart = "permanent", shutdown = 1}} do
      assert.same({nil, {"invalid_child_spec", spec}}, {Supervisor.start_child(sup, spec)})
    end
    assert.same({nil, {"invalid_mfa", {5}}}, {Supervisor.start_child(sup, {id = 1, start = {5}})})
    assert.is_true(mb.Process.alive(sup))
    DynamicSupervisor.stop(sup)
  end)
end)

describe("DynamicSupervisor", function()
  helper.setup()

  it("DSUP-01 starts empty; the same id may be used many times, and is not shown", function()
    local sup = DynamicSupervisor.start_link()
    assert.same({}, DynamicSupervisor.which_children(sup))
    local a = DynamicSupervisor.start_child(sup, worker.spec("w"))
    local b = DynamicSupervisor.start_child(sup, worker.spec("w", {type = "supervisor"}))
    assert.equal("pid", mb.type(a))
    assert.are_not.equal(a, b)
    assert.same({{"undefined", b, "supervisor", {}}, {"undefined", a, "worker", {}}},
      DynamicSupervisor.which_children(sup))
    assert.same({specs = 2, active = 2, supervisors = 1, workers = 1}, DynamicSupervisor.count_children(sup))
    DynamicSupervisor.stop(sup)
  end)

  it("DSUP-01 takes modules and {module, argument} as well", function()
    local sup = DynamicSupervisor.start_link()
    local agent = DynamicSupervisor.start_child(sup, {mb.Agent, function() return 42 end})
    assert.equal(42, mb.Agent.get(agent))
    local echo = {init = function(arg) return "ok", arg end}
    function echo.handle_call(_, _, arg) return "reply", arg, arg end
    assert.equal(7, GenServer.call(DynamicSupervisor.start_child(sup, {echo, 7}), "arg"))
    assert.is_nil(GenServer.call(DynamicSupervisor.start_child(sup, echo), "arg"))
    DynamicSupervisor.stop(sup)
  end)

  it("DSUP-02 gives what a start function that fails gave, and keeps no child", function()
    local sup = DynamicSupervisor.start_link()
    local function start(fn)
      local first, second = DynamicSupervisor.start_child(sup, of_start(fn))
      assert.is_nil(first)
      return second
    end
    assert.equal("r", start(function() return nil, "r" end))
    assert.equal("weird", start(function() return "weird" end))
    assert.same({"ok", 1}, start(function() return "ok", 1 end))
    local nothing = "its start function returned nothing; a pid is expected (return Agent.start_link(...))"
    assert.equal(nothing, start(function() end))
    assert.equal(nothing, start(function() return nil end))
    local _, why = DynamicSupervisor.start_child(sup, worker.spec("w", {init = function() return "stop", "why" end}))
    assert.equal("why", why)
    assert.equal("bye", start(function() exit("bye") end))
    local raised = start(function() error("oops", 0) end)
    assert.same({"error", "oops"}, {raised[1], raised[2]})
    assert.matches("traceback", raised[3])
    assert.equal("ignore", DynamicSupervisor.start_child(sup, of_start(function() return "ignore" end)))
    assert.equal(0, DynamicSupervisor.count_children(sup).specs)
    DynamicSupervisor.stop(sup)
  end)

  it("DSUP-02 passes on what a start function gives beside the pid", function()
    local sup = DynamicSupervisor.start_link()
    local pid, info = DynamicSupervisor.start_child(sup, of_start(function()
      return mb.spawn_link(function() mb.receive() end), {"info"}
    end))
    assert.equal("pid", mb.type(pid))
    assert.same({"info"}, info)
    DynamicSupervisor.stop(sup)
  end)

  it("DSUP-01 counts a process once, however often start functions give it", function()
    local sup = DynamicSupervisor.start_link()
    local first = DynamicSupervisor.start_child(sup, worker.spec("w", {name = "dsup-1"}))
    local again = of_start(function() return mb.Process.whereis("dsup-1") end)
    again.restart = "temporary"
    assert.equal(first, DynamicSupervisor.start_child(sup, again))
    assert.equal(1, DynamicSupervisor.count_children(sup).specs)
    worker.kill(first, "kill")
    assert.equal(0, DynamicSupervisor.count_children(sup).specs)
    DynamicSupervisor.stop(sup)
  end)

  it("DSUP-03 a child whose name is taken is not added", function()
    local sup = DynamicSupervisor.start_link()
    local pid = DynamicSupervisor.start_child(sup, worker.spec("w", {name = "dsup-3"}))
    local _, reason = DynamicSupervisor.start_child(sup, worker.spec("w", {name = "dsup-3"}))
    assert.same({"already_started", pid}, reason)
    assert.equal(1, DynamicSupervisor.count_children(sup).specs)
    DynamicSupervisor.stop(sup)
  end)

  it("DSUP-04 stops at max_children, where children that wait for a restart count", function()
    local sup = DynamicSupervisor.start_link{max_children = 1, max_restarts = 10000000}
    local pid = DynamicSupervisor.start_child(sup, {id = "w", start = worker.flaky(function(n) return n == 1 end)})
    assert.same({nil, "max_children"}, {DynamicSupervisor.start_child(sup, worker.spec("w"))})
    Process.exit(pid, "boom")
    await{"try", 2}
    assert.same({nil, "max_children"}, {DynamicSupervisor.start_child(sup, worker.spec("w"))})
    assert.is_true(DynamicSupervisor.terminate_child(sup, pid))
    assert.equal("pid", mb.type((DynamicSupervisor.start_child(sup, worker.spec("w")))))
    DynamicSupervisor.stop(sup)
  end)

  it("DSUP-07 is one_for_one and nothing else", function()
    assert.same({nil, {"supervisor_data", {"invalid_strategy", "one_for_all"}}},
      {DynamicSupervisor.start_link{strategy = "one_for_all"}})
    DynamicSupervisor.stop((DynamicSupervisor.start_link{strategy = "one_for_one"}))
  end)

  it("DSUP-07 names other options that are wrong, too", function()
    local function reason(options) return select(2, DynamicSupervisor.start_link(options)) end
    assert.same({"supervisor_data", {"invalid_intensity", -1}}, reason{max_restarts = -1})
    assert.same({"supervisor_data", {"invalid_period", 0}}, reason{max_seconds = 0})
    assert.same({"supervisor_data", {"invalid_max_children", "two"}}, reason{max_children = "two"})
    assert.same({"supervisor_data", {"invalid_extra_arguments", 1}}, reason{extra_arguments = 1})
    assert.has_error(function() DynamicSupervisor.start_link(5) end,
      "bad argument #1 to 'DynamicSupervisor.start_link' (table of options expected, got number)")
    assert.is_nil(mb.receive(0))
  end)

  it("DSUP-11 puts extra_arguments before the specification's, on a restart as well", function()
    local me = mb.self()
    local sup = DynamicSupervisor.start_link{extra_arguments = {me, "x"}}
    local pid = DynamicSupervisor.start_child(sup, {id = "w", start = {function(to, ...)
      mb.send(to, {"start", select("#", ...), ...})
      return mb.spawn_link(function() mb.receive() end)
    end, 1, 2}})
    await{"start", 3, "x", 1, 2}
    Process.exit(pid, "boom")
    await{"start", 3, "x", 1, 2}
    DynamicSupervisor.stop(sup)
  end)

  it("DSUP-12 says what is wrong with a specification before anything is sent", function()
    local start = {function() end}
    local function reason(spec) return select(2, DynamicSupervisor.start_child("nobody", spec)) end
    assert.same({"invalid_child_spec", {}}, reason{})
    assert.same({"invalid_child_spec", 5}, reason(5))
    assert.same({"invalid_child_spec", {id = "w", start = 5}}, reason{id = "w", start = 5})
    assert.same({"invalid_mfa", {5}}, reason{id = "w", start = {5}})
    assert.same({"invalid_restart_type", "zz"}, reason{id = "w", start = start, restart = "zz"})
    assert.same({"invalid_shutdown", -1}, reason{id = "w", start = start, shutdown = -1})
    assert.same({"invalid_child_type", "zz"}, reason{id = "w", start = start, type = "zz"})
    assert.same({"invalid_modules", 1}, reason{id = "w", start = start, modules = 1})
  end)

  it("DSUP-12 exits noproc for a supervisor that is not there", function()
    assert.equal("noproc", helper.catch_exit(DynamicSupervisor.which_children, "nobody")[1])
    local sup = DynamicSupervisor.start_link()
    DynamicSupervisor.stop(sup)
    assert.same({"noproc", {"GenServer", "call", {sup, "infinity"}}},
      helper.catch_exit(DynamicSupervisor.start_child, sup, worker.spec("w")))
  end)

  it("takes its options from a module's init", function()
    local rooms = {init = function(most) return DynamicSupervisor.init{max_children = most} end}
    local sup = DynamicSupervisor.start_link(rooms, 0, {name = "dsup-rooms"})
    assert.equal(sup, Process.whereis("dsup-rooms"))
    assert.same({nil, "max_children"}, {DynamicSupervisor.start_child("dsup-rooms", worker.spec("w"))})
    assert.same({nil, {"already_started", sup}}, {DynamicSupervisor.start_link(rooms, 0, {name = "dsup-rooms"})})
    DynamicSupervisor.stop(sup)
    assert.equal("ignore", DynamicSupervisor.start_link{init = function() return "ignore" end})
    Process.flag("trap_exit", true)
    local _, reason = DynamicSupervisor.start_link{init = function() return "junk" end}
    assert.same({"bad_return", "init", "junk"}, {reason[1], reason[2][2], reason[2][3]})
  end)

  it("is itself a child of a supervisor", function()
    local outer = DynamicSupervisor.start_link()
    local inner = DynamicSupervisor.start_child(outer, {DynamicSupervisor, {max_children = 0}})
    assert.same({nil, "max_children"}, {DynamicSupervisor.start_child(inner, worker.spec("w"))})
    assert.same({"undefined", inner, "supervisor", {}}, DynamicSupervisor.which_children(outer)[1])
    DynamicSupervisor.stop(outer)
    assert.is_false(Process.alive(inner))
  end)

  it("ignores messages and exits that are not its children's", function()
    local sup = DynamicSupervisor.start_link()
    mb.send(sup, "stray")
    mb.spawn(function() Process.exit(sup, "shutdown") end)
    local pid, ref = mb.spawn_monitor(function()
      mb.link(sup)
      exit("bad")
    end)
    await{"DOWN", ref, "process", pid, any}
    assert.equal(0, DynamicSupervisor.count_children(sup).specs)
    DynamicSupervisor.stop(sup)
  end)
end)

-- Children that are given as Module or {Module, argument}.
local mb = require "moonbeam"
local helper = require "spec.helper"
local worker = require "spec.worker"
local Supervisor, DynamicSupervisor, GenServer, Process = mb.Supervisor, mb.DynamicSupervisor, mb.GenServer, mb.Process
local Agent = mb.Agent

local function start(children) return Supervisor.start_link(children, {strategy = "one_for_one"}) end

-- A module of GenServer callbacks that keeps its argument.
local function keeper()
  local Keeper = {}
  function Keeper.init(arg) return "ok", arg end
  function Keeper.handle_call(_, _, state) return "reply", state, state end
  return Keeper
end

local function states(sup)
  local found = {}
  for _, child in ipairs(Supervisor.which_children(sup)) do found[child[1]] = GenServer.call(child[2], "state") end
  return found
end

describe("a module as a child", function()
  helper.setup()

  it("is started by its own start_link", function()
    local Named = keeper()
    function Named.start_link(arg) return GenServer.start_link(Named, arg * 10, {name = "named"}) end
    assert.same({id = "GenServer", start = {Named.start_link, 4}}, Supervisor.child_spec{Named, 4})
    local sup = start{{Named, 4}}
    assert.equal(40, GenServer.call("named", "state"))
    assert.equal(Process.whereis("named"), Supervisor.which_children(sup)[1][2])
    Supervisor.stop(sup)
    sup = DynamicSupervisor.start_link()
    local pid = DynamicSupervisor.start_child(sup, {Named, 5})
    assert.equal(50, GenServer.call("named", "state"))
    assert.equal(pid, Process.whereis("named"))
    DynamicSupervisor.stop(sup)
  end)

  it("is started by it without an argument, too, and need not be a server", function()
    local Plain = {name = "plain"}
    function Plain.start_link(arg)
      assert(arg == nil)
      return mb.spawn_link(mb.receive)
    end
    local sup = start{Plain}
    assert.same({"plain pid"}, worker.ids(sup))
    Supervisor.stop(sup)
  end)

  it("has the name of the module as its id: the field, or what require calls it", function()
    local Field = keeper()
    Field.name = "Field"
    local sup = start{{Field, 1}, {require "spec.supervisor.keeper", 2}}
    assert.same({["Field"] = 1, ["spec.supervisor.keeper"] = 2}, states(sup))
    Supervisor.stop(sup)
  end)

  it("without a name is told from others by a number, from itself not at all", function()
    local A, B = keeper(), keeper()
    local sup = start{{A, "a"}, {B, "b"}, {keeper(), "c"}}
    assert.same({["GenServer"] = "a", ["GenServer 2"] = "b", ["GenServer 3"] = "c"}, states(sup))
    assert.is_true(Supervisor.terminate_child(sup, "GenServer 2"))
    assert.equal("b", GenServer.call(Supervisor.restart_child(sup, "GenServer 2"), "state"))
    Supervisor.stop(sup)
    assert.same({nil, {"start_spec", {"duplicate_child_name", "GenServer"}}}, {start{{A, 1}, {A, 2}}})
    local Group = {init = function() return Supervisor.init({{A, "a"}, {B, "b"}}, {strategy = "one_for_all"}) end}
    sup = Supervisor.start_link(Group)
    assert.same({["GenServer"] = "a", ["GenServer 2"] = "b"}, states(sup))
    Supervisor.stop(sup)
  end)

  it("without a name is told from others when it comes later", function()
    local A = {init = function(arg) return "ok", arg end, handle_call = function(_, _, s) return "reply", s, s end}
    local B = {init = function(arg) return "ok", arg end, handle_call = function(_, _, s) return "reply", s, s end}
    local sup = start{}
    local first = Supervisor.start_child(sup, {A, "a"})
    assert.same({nil, {"already_started", first}}, {Supervisor.start_child(sup, {A, "again"})})
    local second = Supervisor.start_child(sup, {B, "b"})
    assert.same({nil, {"already_started", second}}, {Supervisor.start_child(sup, {B, "again"})})
    assert.same({["GenServer"] = "a", ["GenServer 2"] = "b"}, states(sup))
    Supervisor.stop(sup)
  end)
end)

describe("a module whose init is that of a supervisor, as a child,", function()
  helper.setup()

  local child = {Agent, function() return 1 end}

  local function group() return {init = function(n)
    local children = {}
    for i = 1, n do children[i] = Supervisor.child_spec(child, {id = i}) end
    return Supervisor.init(children, {strategy = "one_for_all"})
  end} end

  local function pool() return {init = function(most) return DynamicSupervisor.init{max_children = most} end} end

  it("is a supervisor", function()
    local sup = start{{group(), 2}, {pool(), 1}}
    assert.same({specs = 2, active = 2, supervisors = 2, workers = 0}, Supervisor.count_children(sup))
    local dynamic, static = table.unpack(Supervisor.which_children(sup))
    assert.same({"supervisor", "supervisor"}, {dynamic[3], static[3]})
    assert.same({"1 pid", "2 pid"}, worker.ids(static[2]))
    assert.equal(1, Agent.get(DynamicSupervisor.start_child(dynamic[2], child)))
    assert.same({nil, "max_children"}, {DynamicSupervisor.start_child(dynamic[2], child)})
    local last = Supervisor.which_children(static[2])[1][2]
    local ref = mb.monitor(last)
    Supervisor.stop(sup)
    assert.equal("shutdown", helper.await{"DOWN", ref, "process", last, mb.any})
  end)

  it("restarts its children by its strategy, and is started anew itself", function()
    local sup = start{{group(), 2}}
    local function members() return Supervisor.which_children(Supervisor.which_children(sup)[1][2]) end
    local before, refs = members(), {}
    for i = 1, 2 do refs[i] = mb.monitor(before[i][2]) end
    Process.exit(before[1][2], "kill")
    for i = 1, 2 do helper.await{"DOWN", refs[i], "process", mb.any, mb.any} end
    assert.equal(1, Agent.get(members()[2][2]))
    local inner = Supervisor.which_children(sup)[1][2]
    local ref = mb.monitor(inner)
    Process.exit(inner, "kill")
    helper.await{"DOWN", ref, "process", inner, "killed"}
    assert.equal(2, #members())
    assert.equal("supervisor", Supervisor.which_children(sup)[1][3])
    Supervisor.stop(sup)
  end)

  it("has the time of a supervisor to stop, unless its specification says otherwise", function()
    local Slow = group()
    function Slow.start_link(n) return Supervisor.start_link(Slow, n) end
    local sup = start{{Slow, 1}, Supervisor.child_spec({group(), 1}, {id = "b", shutdown = 50}),
      Supervisor.child_spec({group(), 1}, {id = "c", type = "worker"}), {keeper(), 1}}
    local function said(record) return {record.type or "worker", record.shutdown} end
    local by_id = GenServer.get_state(sup).by_id
    assert.same({"supervisor", "infinity"}, said(by_id.GenServer))
    assert.same({"supervisor", 50}, said(by_id.b))
    assert.same({"worker", 5000}, said(by_id.c))
    assert.same({"worker", 5000}, said(by_id["GenServer 2"]))
    Supervisor.stop(sup)
  end)

  it("says what is wrong with its options and children", function()
    Process.flag("trap_exit", true)
    local Wrong = {init = function() return Supervisor.init({}, {strategy = "none"}) end}
    local function reason(...) return select(2, GenServer.start_link(...)) end
    assert.same({"supervisor_data", {"invalid_strategy", "none"}}, reason(Wrong))
    assert.same({"start_spec", "missing_id"}, reason({init = function()
      return Supervisor.init({{}}, {strategy = "one_for_one"})
    end}))
    local why = reason{init = function() return "ok", (select(2, DynamicSupervisor.init{})), 5 end}
    assert.same({"bad_return", "init"}, {why[1], why[2][2]})
  end)
end)

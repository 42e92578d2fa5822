local mb = require "moonbeam"
local helper = require "spec.helper"
local logging = require "spec.logging"
local Supervisor, DynamicSupervisor, Agent = mb.Supervisor, mb.DynamicSupervisor, mb.Agent

local one_for_one = {strategy = "one_for_one"}

local function zero() return 0 end

local function child(fields)
  local spec = {id = "a", start = {Agent.start_link, zero}}
  for name, value in pairs(fields) do spec[name] = value end
  return spec
end

local function message(fn, ...)
  local ok, text = pcall(fn, ...)
  assert.is_false(ok)
  local line, said = text:match("^spec/supervisor/misuse_spec.lua(:%d+:) (.*)$")
  assert(line, text)
  return said
end

describe("a child that cannot be meant", function()
  helper.setup()

  it("SUP-14 has a field that is misspelt", function()
    local those = "; the fields of a child are id, start, restart, shutdown, type, modules, significant, backoff)"
    assert.equal("bad argument #1 to 'Supervisor.start_link' " ..
      '(child "a": unknown field restarts = "transient", perhaps restart' .. those,
      message(Supervisor.start_link, {child{restarts = "transient"}}, one_for_one))
    assert.equal("bad argument #1 to 'Supervisor.init' " ..
      '(child "a": unknown field shut_down = 5, perhaps shutdown' .. those,
      message(Supervisor.init, {child{shut_down = 5}}, one_for_one))
    local sup = Supervisor.start_link({}, one_for_one)
    assert.equal("bad argument #2 to 'Supervisor.start_child' " ..
      '(child "a": unknown field Restart = a table, perhaps restart' .. those,
      message(Supervisor.start_child, sup, child{Restart = {}}))
    Supervisor.stop(sup)
    sup = DynamicSupervisor.start_link()
    assert.equal("bad argument #2 to 'DynamicSupervisor.start_child' " ..
      '(child "a": unknown field restrat = 1, perhaps restart' .. those,
      message(DynamicSupervisor.start_child, sup, child{restrat = 1}))
    DynamicSupervisor.stop(sup)
    assert.equal("bad argument #1 to 'PartitionSupervisor.start_link' " ..
      '(child "a": unknown field typ = 1, perhaps type' .. those,
      message(mb.PartitionSupervisor.start_link, {name = "sup-14", child_spec = child{typ = 1}}))
    assert.equal("bad argument #2 to 'Supervisor.child_spec' (unknown field strat = 1, perhaps start" .. those,
      message(Supervisor.child_spec, child{}, {strat = 1}))
  end)

  it("SUP-14 but for what looks like none", function()
    local sup = Supervisor.start_link({
      child{colour = "red", note = 1, [5] = 2, [{}] = true, x = 1, state = 1, description = "the counter"},
    }, one_for_one)
    assert.equal(1, Supervisor.count_children(sup).active)
    Supervisor.stop(sup)
  end)

  it("SUP-14 has a pid where a function is to be named", function()
    local pid = Agent.start_link(zero)
    assert.equal("bad argument #1 to 'Supervisor.start_link' (child \"a\": field start: a table " ..
      "{function, arguments...} expected, got a pid: name the function, do not call it)",
      message(Supervisor.start_link, {child{start = pid}}, one_for_one))
    Agent.stop(pid)
  end)

  it("SUP-14 stands where a sequence of them is expected", function()
    assert.equal("bad argument #1 to 'Supervisor.start_link' (child \"a\": a sequence of children expected, " ..
      "got one child: put it into braces)", message(Supervisor.start_link, child{}, one_for_one))
    assert.equal("bad argument #1 to 'Supervisor.start_link' (the options stand beside the children: " ..
      "({...}, {strategy = ...}))", message(Supervisor.start_link, {child{}, strategy = "one_for_one"}))
  end)

  it("SUP-16 says as text what is expected", function()
    local function said(...) return tostring((select(2, ...))) end
    assert.equal('bad child specification, invalid mfa: {"Agent.start_link"}; expected is start = {function, arguments...}',
      said(Supervisor.start_link({child{start = {"Agent.start_link"}}}, one_for_one)))
    assert.equal("bad child specification, missing start; expected is start = {function, arguments...}",
      said(Supervisor.start_link({{id = "a"}}, one_for_one)))
    assert.equal('bad supervisor configuration, invalid strategy: "all"; expected is strategy = "one_for_one", ' ..
      '"one_for_all" or "rest_for_one"; a DynamicSupervisor has the first only',
      said(Supervisor.start_link({}, {strategy = "all"})))
    local sup = Supervisor.start_link({}, one_for_one)
    assert.equal('bad child specification, invalid shutdown: "soon"; expected is shutdown = ms, "infinity" or ' ..
      '"brutal_kill"', said(Supervisor.start_child(sup, child{shutdown = "soon"})))
    Supervisor.stop(sup)
    sup = DynamicSupervisor.start_link()
    assert.equal("bad child specification, invalid child spec: 5; expected is a module, {module, argument} or " ..
      "{id =, start = {function, arguments...}}", said(DynamicSupervisor.start_child(sup, 5)))
    DynamicSupervisor.stop(sup)
    assert.equal('an application that has not been started: "db"', said(mb.Application.stop("db")))
  end)

  it("SUP-15 returns nothing from its start function", function()
    mb.Process.flag("trap_exit", true)
    local nothing = "its start function returned nothing; a pid is expected (return Agent.start_link(...))"
    assert.same({nil, {"shutdown", {"failed_to_start_child", "a", nothing}}},
      {Supervisor.start_link({child{start = {function() end}}}, one_for_one)})
  end)
end)

describe("a child that is not linked to its supervisor", function()
  helper.setup()
  logging.setup()

  it("SUP-15 is told of, once", function()
    local sup = Supervisor.start_link({
      {id = "a", start = {Agent.start, zero}}, {id = "b", start = {Agent.start, zero}},
    }, {strategy = "one_for_one", name = "sup-15"})
    local event = logging.next_event()
    assert.equal("warning", event.level)
    assert.matches('^Child "a" of Supervisor #PID<[%d.]+> %(sup%-15%) is not linked to it: when it ends, the ' ..
      "supervisor does not hear of it and does not restart it%. Its start function is to link it, as start_link does, " ..
      "not start$", event.message)
    Supervisor.stop(sup)
    assert.is_nil((mb.receive(0)))
    sup = DynamicSupervisor.start_link()
    local pid = DynamicSupervisor.start_child(sup, {id = "a", start = {Agent.start, zero}})
    assert.matches("^Child " .. tostring(pid) .. " of Supervisor ", logging.next_event().message)
    DynamicSupervisor.stop(sup)
  end)

  it("SUP-15 but for one that has ended already", function()
    local sup = DynamicSupervisor.start_link()
    DynamicSupervisor.start_child(sup, {id = "a", restart = "temporary", start = {function()
      local pid, ref = mb.spawn_monitor(function() end)
      mb.receive{ {{"DOWN", ref, "process", pid, mb.any}} }
      return pid
    end}})
    DynamicSupervisor.stop(sup)
    assert.matches("shut down abnormally", logging.next_event().message)
    assert.is_nil((mb.receive(0)))
  end)
end)

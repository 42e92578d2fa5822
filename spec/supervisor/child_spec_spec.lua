local mb = require "moonbeam"
local helper = require "spec.helper"
local worker = require "spec.worker"
local Supervisor, GenServer = mb.Supervisor, mb.GenServer

local function start(child, options)
  return Supervisor.start_link({child}, options or {strategy = "one_for_one"})
end

describe("child specifications", function()
  helper.setup()

  it("SUP-09 need an id and a start function", function()
    local begin = {function() end}
    assert.same({nil, {"start_spec", "missing_id"}}, {start{start = begin}})
    assert.same({nil, {"start_spec", "missing_start"}}, {start{id = 1}})
    local sup = Supervisor.start_link({}, {strategy = "one_for_one"})
    assert.same({nil, "missing_id"}, {Supervisor.start_child(sup, {start = begin})})
    assert.same({nil, "missing_id"}, {Supervisor.start_child(sup, {})})
    assert.same({nil, "missing_start"}, {Supervisor.start_child(sup, {id = 1})})
    assert.same({nil, {"invalid_child_spec", 5}}, {Supervisor.start_child(sup, 5)})
    Supervisor.stop(sup)
  end)

  it("SUP-09 are permanent workers, that get 5000 ms, unless they say otherwise", function()
    local check = require("moonbeam.supervisor.child_spec").check
    local begin = {function() end}
    local child = check({id = "a", start = begin}, "never")
    assert.same({id = "a", start = begin, restart = "permanent", shutdown = 5000}, child)
    child = check({id = "a", start = begin, type = "supervisor"}, "never")
    assert.same({id = "a", start = begin, restart = "permanent", shutdown = "infinity", type = "supervisor"}, child)
    local sup = start(worker.spec("a"))
    assert.same({"a", "worker", {}}, {Supervisor.which_children(sup)[1][1], select(3,
      table.unpack(Supervisor.which_children(sup)[1]))})
    Supervisor.stop(sup)
  end)

  it("SUP-10 are refused with the field that is wrong; unknown fields do not matter", function()
    local function reason(field, value)
      local spec = worker.spec("a")
      spec[field] = value
      local _, why = start(spec)
      assert.equal("start_spec", why[1])
      return why[2]
    end
    assert.same({"invalid_mfa", 5}, reason("start", 5))
    assert.same({"invalid_mfa", {}}, reason("start", {}))
    assert.same({"invalid_mfa", {"fn"}}, reason("start", {"fn"}))
    assert.same({"invalid_restart_type", "often"}, reason("restart", "often"))
    assert.same({"invalid_shutdown", -1}, reason("shutdown", -1))
    assert.same({"invalid_shutdown", 1.5}, reason("shutdown", 1.5))
    assert.same({"invalid_shutdown", "soon"}, reason("shutdown", "soon"))
    assert.same({"invalid_child_type", "x"}, reason("type", "x"))
    assert.same({"invalid_modules", "x"}, reason("modules", "x"))
    assert.same({"invalid_significant", 1}, reason("significant", 1))
    local spec = worker.spec("a")
    spec.colour = "red"
    Supervisor.stop((start(spec)))
  end)

  it("SUP-10 may have arguments that are nil", function()
    local me = mb.self()
    local sup = start{id = "a", start = {function(to, ...)
      mb.send(to, {"arguments", select("#", ...), (select(2, ...))})
      return mb.spawn_link(function() mb.receive() end)
    end, me, nil, 2}}
    helper.await{"arguments", 2, 2}
    Supervisor.stop(sup)
  end)

  it("SUP-11 come from a module's child_spec", function()
    local sup = Supervisor.start_link({
      {mb.Agent, function() return 1 end},
      mb.DynamicSupervisor,
      {Supervisor, {{worker.spec("a")}, {strategy = "one_for_one", name = "sup-11"}}},
    }, {strategy = "one_for_one"})
    assert.same({"Agent pid", "DynamicSupervisor pid", "sup-11 pid"}, worker.ids(sup))
    assert.equal("supervisor", Supervisor.which_children(sup)[1][3])
    assert.same({"a pid"}, worker.ids("sup-11"))
    Supervisor.stop(sup)
  end)

  it("SUP-11 are made for a table of GenServer callbacks", function()
    local echo = {init = function(arg) return "ok", arg end}
    function echo.handle_call(_, _, arg) return "reply", arg, arg end
    assert.same({id = "GenServer", start = {GenServer.start_link, echo, 7}}, Supervisor.child_spec{echo, 7})
    echo.name = "Echo"
    assert.same({id = "Echo", start = {GenServer.start_link, echo}}, Supervisor.child_spec(echo))
    local sup = start{echo, 7}
    assert.equal(7, GenServer.call(worker.pid(sup, "Echo"), "arg"))
    Supervisor.stop(sup)
    sup = start(echo)
    assert.is_nil(GenServer.call(worker.pid(sup, "Echo"), "arg"))
    Supervisor.stop(sup)
  end)

  it("SUP-11 may be changed in some fields, known ones", function()
    local fn = function() return 1 end
    local spec = Supervisor.child_spec({mb.Agent, fn}, {id = "one", restart = "temporary"})
    assert.same({id = "one", restart = "temporary", start = {mb.Agent.start_link, fn}}, spec)
    local other = Supervisor.child_spec(spec, {shutdown = 1})
    assert.same({nil, 1, "one"}, {spec.shutdown, other.shutdown, other.id})
    assert.has_error(function() Supervisor.child_spec(spec, {foo = 1}) end,
      "bad argument #2 to 'Supervisor.child_spec' (unknown field foo = 1; the fields of a child are id, start, " ..
      "restart, shutdown, type, modules, significant, backoff)")
    assert.has_error(function() Supervisor.child_spec(5) end, "bad argument #1 to 'Supervisor.child_spec' " ..
      "(child specification, module or {module, argument} expected, got number)")
  end)
end)

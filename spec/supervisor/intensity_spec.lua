local mb = require "moonbeam"
local helper = require "spec.helper"
local worker = require "spec.worker"
local restarts = require "moonbeam.supervisor.restarts"
local any, Supervisor, Process = mb.any, mb.Supervisor, mb.Process
local await, spec, events = helper.await, worker.spec, worker.events

local function first_only(n) return n == 1 end

local function start(children, options)
  options.strategy = options.strategy or "one_for_one"
  return Supervisor.start_link(children, options)
end

-- Let a child die: the next one's pid.
local function restart(pid, reason)
  worker.kill(pid, reason or "boom")
  return (select(2, await{"start", any, any}))
end

describe("the intensity of restarts", function()
  helper.setup()

  it("SUPI-01 is three within five seconds; the fourth failure ends the supervisor", function()
    Process.flag("trap_exit", true)
    local sup = start({spec("x", {trap = true}), spec("y", {trap = true}), spec("a")}, {})
    local pid = worker.pid(sup, "a")
    assert.same({"start x", "start y", "start a"}, events(3))
    for _ = 1, 3 do pid = restart(pid) end
    assert.is_true(Process.alive(sup))
    worker.kill(pid, "boom")
    assert.same({"term y shutdown", "term x shutdown", "EXIT shutdown"}, events(3))
  end)

  it("SUPI-02 of 0 allows no restart, but ends that need none", function()
    Process.flag("trap_exit", true)
    local sup = start({spec("a", {restart = "transient"}), spec("b")}, {max_restarts = 0})
    assert.same({"start a", "start b"}, events(2))
    worker.stop(worker.pid(sup, "a"), "normal")
    assert.same({"a undefined", "b pid"}, worker.ids(sup))
    worker.kill(worker.pid(sup, "b"), "boom")
    await{"EXIT", sup, "shutdown"}
  end)

  it("SUPI-03 counts the restarts of the last seconds only", function()
    local sup = start({spec("a")}, {max_restarts = 1, max_seconds = 1})
    local _, pid = await{"start", any, any}
    for _ = 1, 2 do
      pid = restart(pid)
      mb.sleep(1050) -- a second is the least there is
    end
    Process.flag("trap_exit", true)
    pid = restart(pid)
    repeat -- until two come within a second
      worker.kill(pid, "boom")
      local kind
      kind, pid = mb.receive{
        {{"start", any, any}, function(_, new) return "start", new end}, {{"EXIT", sup, "shutdown"}},
        after = helper.patience,
      }
      assert.is_not_nil(kind)
    until kind ~= "start"
  end)

  it("SUPI-03 slides by the millisecond, and forgets what is old", function()
    local window = restarts.new{max_restarts = 2, max_seconds = 1}
    local function at(ms) return restarts.add(window, ms + 0.5) end
    assert.is_true(at(0))
    assert.is_true(at(600))
    assert.is_false(at(1000)) -- 0 is a second ago
    assert.is_false(at(1600))
    assert.is_false(at(1601))
    assert.is_true(at(2602))
    for ms = 10000, 20000 do
      at(ms)
      at(ms)
    end
    assert.equal(2002, window.total)
    local kept = 0
    for _ in pairs(window.times) do kept = kept + 1 end
    assert.equal(1001, kept)
  end)

  it("SUPI-04 counts the restart of a group as one", function()
    for _, strategy in ipairs{"one_for_all", "rest_for_one"} do
      local sup = start({spec("a"), spec("b"), spec("c")}, {max_restarts = 1, strategy = strategy})
      assert.same({"start a", "start b", "start c"}, events(3))
      worker.kill(worker.pid(sup, "a"), "boom")
      assert.same({"start a", "start b", "start c"}, events(3))
      assert.same({"a pid", "b pid", "c pid"}, worker.ids(sup))
      Supervisor.stop(sup)
    end
  end)

  it("SUPI-05 counts each attempt to restart, until one works", function()
    local sup = start({{id = "a", start = worker.flaky(function(n) return n == 1 or n == 6 end)}}, {max_restarts = 5})
    worker.kill(worker.pid(sup, "a"), "boom")
    assert.same({"try 1", "try 2", "try 3", "try 4", "try 5", "try 6"}, events(6))
    assert.same({"a pid"}, worker.ids(sup))
    Supervisor.stop(sup)
  end)

  it("SUPI-05 gives up when the attempts are used up", function()
    Process.flag("trap_exit", true)
    local sup = start({{id = "a", start = worker.flaky(first_only)}}, {max_restarts = 5})
    worker.kill(worker.pid(sup, "a"), "boom")
    assert.same({"try 1", "try 2", "try 3", "try 4", "try 5", "try 6", "EXIT shutdown"}, events(7))
    assert.is_false(Process.alive(sup))
  end)

  it("SUPI-06 serves requests between attempts; terminate_child ends them", function()
    local sup = start({{id = "a", start = worker.flaky(first_only)}}, {max_restarts = 10000000})
    worker.kill(worker.pid(sup, "a"), "boom")
    await{"try", 3}
    assert.same({"a restarting"}, worker.ids(sup))
    assert.same({specs = 1, active = 0, supervisors = 0, workers = 1}, Supervisor.count_children(sup))
    assert.equal("pid", mb.type((Supervisor.start_child(sup, spec("b")))))
    assert.same({nil, "already_present"}, {Supervisor.start_child(sup, {id = "a", start = {print}})})
    assert.is_true(Supervisor.terminate_child(sup, "a"))
    assert.same({"a undefined", "b pid"}, worker.ids(sup))
    while mb.receive(0) do end
    Supervisor.count_children(sup)
    assert.is_nil(mb.receive(0))
    Supervisor.stop(sup)
  end)

  it("SUPI-06 can be stopped between attempts", function()
    local sup = start({{id = "a", start = worker.flaky(first_only)}}, {max_restarts = 10000000})
    worker.kill(worker.pid(sup, "a"), "boom")
    await{"try", 2}
    assert.is_true(Supervisor.stop(sup))
  end)

  it("SUPI-07 a supervisor that gives up ends its parent", function()
    assert.equal("shutdown", helper.exit_reason(function(child)
      local sup = mb.Supervisor.start_link({child}, {strategy = "one_for_one", max_restarts = 0})
      mb.Process.exit(mb.Supervisor.which_children(sup)[1][2], "boom")
      mb.receive{ {"never"} }
    end, spec("a")))
  end)

  it("SUPI-07 one that is permanent is restarted by its supervisor, with fresh children; one that is transient is not",
    function()
      for restart_type, then_there in pairs{permanent = "inner pid", transient = "inner undefined"} do
        local inner = Supervisor.child_spec({Supervisor, {{spec("w")}, {strategy = "one_for_one", max_restarts = 0}}},
          {id = "inner", restart = restart_type})
        local outer = start({inner}, {})
        local inner_pid = worker.pid(outer, "inner")
        local _, pid = await{"start", any, any}
        local ref = mb.monitor(inner_pid)
        Process.exit(pid, "boom")
        await{"DOWN", ref, "process", inner_pid, "shutdown"}
        if restart_type == "permanent" then
          assert.are_not.equal(pid, (select(2, await{"start", any, any})))
        end
        assert.same({then_there}, worker.ids(outer))
        assert.are_not.equal(inner_pid, worker.pid(outer, "inner"))
        Supervisor.stop(outer)
      end
    end)
end)

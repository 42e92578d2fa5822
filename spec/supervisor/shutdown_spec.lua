local mb = require "moonbeam"
local helper = require "spec.helper"
local worker = require "spec.worker"
local any, Supervisor, Process = mb.any, mb.Supervisor, mb.Process
local await, spec, events = helper.await, worker.spec, worker.events

local function start(...) return Supervisor.start_link({...}, {strategy = "one_for_one"}) end

-- Stop a supervisor of one child: what the child ended with.
local function reason_of_child(options)
  options.trap = options.trap == nil and true
  local sup = start(spec("a", options))
  local pid = await{"start", "a", any}
  local ref = mb.monitor(pid)
  assert.is_true(Supervisor.stop(sup))
  return await{"DOWN", ref, "process", pid, any}
end

describe("a supervisor that stops", function()
  helper.setup()

  it("SUPT-01 stops its children newest first, each gone before the next is told", function()
    local sup = start(spec("a", {trap = true, hold = true}), spec("b", {trap = true, hold = true}), spec("c"))
    local a, b = await{"start", "a", any}, await{"start", "b", any}
    await{"start", "c", any}
    local ref = mb.monitor(sup)
    mb.spawn(Supervisor.stop, sup)
    await{"term", "b", "shutdown", b}
    assert.is_true(Process.alive(a))
    assert.is_nil(mb.receive(0))
    mb.send(b, "go")
    await{"term", "a", "shutdown", a}
    assert.is_false(Process.alive(b))
    assert.is_true(Process.alive(sup))
    mb.send(a, "go")
    await{"DOWN", ref, "process", sup, "normal"}
  end)

  it("SUPT-01 does so for its parent's signal", function()
    Process.flag("trap_exit", true)
    local sup = start(spec("a", {trap = true}), spec("b", {trap = true}))
    Process.exit(sup, "shutdown")
    assert.same({"start a", "start b", "term b shutdown", "term a shutdown", "EXIT shutdown"}, events(5))
  end)

  it("SUPT-02 ends children that do not trap without their terminate", function()
    assert.equal("shutdown", reason_of_child{trap = false})
    assert.is_nil(mb.receive(0))
  end)

  it("SUPT-03 lets children that trap terminate", function()
    assert.equal("shutdown", reason_of_child{})
    assert.same({"term a shutdown"}, events(1))
  end)

  it("SUPT-04 kills a child that takes longer than its shutdown, and goes on", function()
    local sup = start(spec("b", {trap = true}), spec("a", {trap = true, hold = true, shutdown = 10}))
    assert.same({"start b", "start a"}, events(2))
    local ref = mb.monitor(worker.pid(sup, "a"))
    assert.is_true(Supervisor.stop(sup))
    await{"DOWN", ref, "process", any, "killed"}
    mb.receive{ {{"term", "a", "shutdown", any}}, after = 0 } -- it may have had no time for that
    assert.same({"term b shutdown"}, events(1))
  end)

  it("SUPT-05 kills for brutal_kill, at once for 0, and waits without limit for infinity", function()
    assert.equal("killed", reason_of_child{shutdown = "brutal_kill"})
    assert.is_nil(mb.receive(0))
    assert.equal("killed", reason_of_child{shutdown = 0, hold = true})
    while mb.receive(0) do end
    assert.equal("shutdown", reason_of_child{shutdown = 0, trap = false})
    local sup = start(spec("a", {trap = true, hold = true, shutdown = "infinity"}))
    local pid, ref = await{"start", "a", any}, mb.monitor(sup)
    mb.spawn(Supervisor.stop, sup)
    await{"term", "a", "shutdown", pid}
    assert.is_nil(mb.receive(20))
    assert.is_true(Process.alive(pid))
    mb.send(pid, "go")
    await{"DOWN", ref, "process", sup, "normal"}
  end)

  it("SUPT-06 tells its children shutdown, whatever its own reason is", function()
    Process.flag("trap_exit", true)
    local sup = start(spec("a", {trap = true}))
    assert.is_true(Supervisor.stop(sup, "custom"))
    assert.same({"start a", "term a shutdown", "EXIT custom"}, events(3))
  end)

  it("SUPT-06 exits timeout and goes on stopping, when that takes too long", function()
    local sup = start(spec("a", {trap = true, hold = true}))
    local pid, ref = await{"start", "a", any}, mb.monitor(sup)
    assert.equal("timeout", helper.catch_exit(Supervisor.stop, sup, "normal", 1)[1])
    mb.send(pid, "go")
    await{"DOWN", ref, "process", sup, "normal"}
  end)

  it("SUPT-07 that is killed takes its children along", function()
    Process.flag("trap_exit", true)
    local sup = start(spec("a", {trap = true}), spec("b"))
    local a, b = await{"start", "a", any}, await{"start", "b", any}
    local ref_a, ref_b = mb.monitor(a), mb.monitor(b)
    Process.exit(sup, "kill")
    await{"term", "a", "killed", a}
    await{"DOWN", ref_a, "process", a, "killed"}
    await{"DOWN", ref_b, "process", b, "killed"}
    await{"EXIT", sup, "killed"}
  end)

  it("SUPT-01 does not wait for children that have died by themselves, and finds what they died of", function()
    local sup = start(spec("a"), spec("b", {trap = true, hold = true}), spec("c", {trap = true, hold = true}))
    local a, b, c = await{"start", "a", any}, await{"start", "b", any}, await{"start", "c", any}
    local ref = mb.monitor(sup)
    mb.spawn(Supervisor.stop, sup)
    await{"term", "c", "shutdown", c}
    worker.kill(a, "boom")
    worker.kill(b, "kill")
    mb.send(c, "go")
    await{"DOWN", ref, "process", sup, "normal"}
    assert.is_nil(mb.receive(0))
  end)
end)

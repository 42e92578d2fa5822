local mb = require "moonbeam"
local helper = require "spec.helper"
local worker = require "spec.worker"
local any, DynamicSupervisor, Process = mb.any, mb.DynamicSupervisor, mb.Process
local await = helper.await

-- Stop a supervisor from a process of its own.
local function stop(sup) return mb.spawn(DynamicSupervisor.stop, sup) end

describe("DynamicSupervisor.terminate_child", function()
  helper.setup()

  it("DSUP-05 returns when the child is gone", function()
    local sup = DynamicSupervisor.start_link()
    local pid = DynamicSupervisor.start_child(sup, worker.spec("w", {trap = true}))
    assert.is_true(DynamicSupervisor.terminate_child(sup, pid))
    assert.is_false(Process.alive(pid))
    await{"term", "w", "shutdown", pid}
    assert.same({nil, "not_found"}, {DynamicSupervisor.terminate_child(sup, pid)})
    assert.same({nil, "not_found"}, {DynamicSupervisor.terminate_child(sup, mb.self())})
    assert.equal(0, DynamicSupervisor.count_children(sup).specs)
    DynamicSupervisor.stop(sup)
  end)

  it("DSUP-05 follows the child's shutdown option", function()
    local sup = DynamicSupervisor.start_link()
    for shutdown, reason in pairs{[0] = "killed", [10] = "killed", brutal_kill = "killed", infinity = "shutdown"} do
      local pid = DynamicSupervisor.start_child(sup, worker.spec("w",
        {trap = true, hold = reason == "killed", shutdown = shutdown}))
      local ref = mb.monitor(pid)
      assert.is_true(DynamicSupervisor.terminate_child(sup, pid))
      await{"DOWN", ref, "process", pid, reason}
    end
    DynamicSupervisor.stop(sup)
  end)

  it("DSUP-05 ends the attempts to restart a child, by its last pid", function()
    local sup = DynamicSupervisor.start_link{max_restarts = 10000000}
    local pid = DynamicSupervisor.start_child(sup, {id = "w", start = worker.flaky(function(n) return n == 1 end)})
    Process.exit(pid, "boom")
    await{"try", 2}
    assert.is_true(DynamicSupervisor.terminate_child(sup, pid))
    assert.same({nil, "not_found"}, {DynamicSupervisor.terminate_child(sup, pid)})
    assert.equal(0, DynamicSupervisor.count_children(sup).specs)
    while mb.receive(0) do end
    DynamicSupervisor.count_children(sup)
    assert.is_nil(mb.receive(0))
    DynamicSupervisor.stop(sup)
  end)

  it("DSUP-05 wants a pid", function()
    assert.has_error(function() DynamicSupervisor.terminate_child("nobody", "w") end,
      "bad argument #2 to 'DynamicSupervisor.terminate_child' (pid expected, got string)")
  end)
end)

describe("DynamicSupervisor.stop", function()
  helper.setup()

  it("DSUP-08 tells all children before any is gone, and waits for all", function()
    local sup = DynamicSupervisor.start_link()
    for i = 1, 3 do DynamicSupervisor.start_child(sup, worker.spec(i, {trap = true, hold = true})) end
    stop(sup)
    local pids = {}
    for i = 1, 3 do
      local _, pid = await{"term", any, "shutdown", any}
      pids[i] = pid
    end
    local ref = mb.monitor(sup)
    for i = 1, 3 do assert.is_true(Process.alive(pids[i])) end
    for i = 1, 3 do mb.send(pids[i], "go") end
    await{"DOWN", ref, "process", sup, "normal"}
  end)

  it("DSUP-13 treats each child as its shutdown option says", function()
    local sup = DynamicSupervisor.start_link()
    local refs = {}
    for _, shutdown in ipairs{"infinity", "brutal_kill", 60000, 20, 10} do
      local hold = shutdown == 20 or shutdown == 10
      local pid = DynamicSupervisor.start_child(sup, worker.spec("w", {trap = true, hold = hold, shutdown = shutdown}))
      refs[shutdown] = mb.monitor(pid)
    end
    DynamicSupervisor.stop(sup)
    await{"DOWN", refs.infinity, "process", any, "shutdown"}
    await{"DOWN", refs.brutal_kill, "process", any, "killed"}
    await{"DOWN", refs[60000], "process", any, "shutdown"}
    await{"DOWN", refs[20], "process", any, "killed"}
    await{"DOWN", refs[10], "process", any, "killed"}
  end)

  it("stops with its parent, and with the reason it is given", function()
    local me = mb.self()
    mb.spawn(function()
      local sup = DynamicSupervisor.start_link()
      DynamicSupervisor.start_child(sup, {id = "w", start = {mb.GenServer.start_link, worker,
        {to = me, id = "w", trap = true}}})
      mb.send(me, {"sup", sup})
    end)
    local sup = await{"sup", any}
    await{"term", "w", "shutdown", any}
    assert.is_true(helper.reason_of(sup) == "normal" or not Process.alive(sup))
    Process.flag("trap_exit", true)
    sup = DynamicSupervisor.start_link()
    assert.is_true(DynamicSupervisor.stop(sup, "custom"))
    await{"EXIT", sup, "custom"}
  end)
end)

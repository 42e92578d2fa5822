local mb = require "moonbeam"
local helper = require "spec.helper"
local worker = require "spec.worker"
local any, DynamicSupervisor, Process = mb.any, mb.DynamicSupervisor, mb.Process
local await = helper.await

local function counts(sup)
  local c = DynamicSupervisor.count_children(sup)
  return {c.specs, c.active}
end

describe("a dynamic supervisor's restarts", function()
  helper.setup()

  it("DSUP-06 restarts a permanent child, with a new pid and the same specification", function()
    for _, reason in ipairs{"normal", "shutdown", {"shutdown", 1}, "bad"} do
      local sup = DynamicSupervisor.start_link()
      local pid = DynamicSupervisor.start_child(sup, worker.spec("w", {name = "dsup-6"}))
      await{"start", "w", pid}
      worker.stop(pid, reason)
      local new = await{"start", "w", any}
      assert.are_not.equal(pid, new)
      assert.equal(new, Process.whereis("dsup-6"))
      assert.same({1, 1}, counts(sup))
      DynamicSupervisor.stop(sup)
    end
  end)

  it("DSUP-06 restarts a transient child when it ends abnormally, else forgets it", function()
    local sup = DynamicSupervisor.start_link()
    local pid = DynamicSupervisor.start_child(sup, worker.spec("w", {restart = "transient"}))
    await{"start", "w", pid}
    worker.kill(pid, "kill")
    pid = await{"start", "w", any}
    worker.stop(pid, {"shutdown", "x"})
    assert.same({0, 0}, counts(sup))
    assert.same({}, DynamicSupervisor.which_children(sup))
    DynamicSupervisor.stop(sup)
  end)

  it("DSUP-06 never restarts a temporary child", function()
    local sup = DynamicSupervisor.start_link{max_restarts = 0}
    worker.kill(DynamicSupervisor.start_child(sup, worker.spec("w", {restart = "temporary"})), "boom")
    assert.same({0, 0}, counts(sup))
    DynamicSupervisor.stop(sup)
  end)

  it("DSUP-06 forgets a child whose start function says ignore at a restart", function()
    local sup = DynamicSupervisor.start_link()
    local start = worker.flaky(function(n) return n == 1 end, function() return "ignore" end)
    local pid = DynamicSupervisor.start_child(sup, {id = "w", start = start})
    Process.exit(pid, "boom")
    await{"try", 2}
    assert.same({0, 0}, counts(sup))
    DynamicSupervisor.stop(sup)
  end)

  it("DSUP-09 stops with shutdown when there are too many", function()
    Process.flag("trap_exit", true)
    local sup = DynamicSupervisor.start_link{max_restarts = 1}
    local pid = DynamicSupervisor.start_child(sup, worker.spec("w"))
    local other = DynamicSupervisor.start_child(sup, worker.spec("other", {trap = true}))
    await{"start", "w", pid}
    worker.kill(pid, "boom")
    worker.kill(await{"start", "w", any}, "boom")
    await{"term", "other", "shutdown", other}
    await{"EXIT", sup, "shutdown"}
  end)

  it("DSUP-10 tries again and again, and serves requests in between", function()
    local sup = DynamicSupervisor.start_link{max_restarts = 10000000}
    local start = worker.flaky(function(n) return n == 1 or n == 50 end)
    local pid = DynamicSupervisor.start_child(sup, {id = "w", start = start})
    Process.exit(pid, "boom")
    await{"try", 2}
    -- what is seen in between: an attempt that is going on, or the child after it
    local entry = DynamicSupervisor.which_children(sup)[1]
    local now = DynamicSupervisor.count_children(sup)
    assert.equal(1, now.specs)
    assert.is_true(entry[2] == "restarting" or now.active == 1)
    await{"try", 50}
    assert.same({1, 1}, counts(sup))
    DynamicSupervisor.stop(sup)
  end)

  it("DSUP-10 shows a child that waits for its restart as restarting", function()
    local sup = DynamicSupervisor.start_link{max_restarts = 10000000}
    local pid = DynamicSupervisor.start_child(sup, {id = "w", start = worker.flaky(function(n) return n == 1 end)})
    Process.exit(pid, "boom")
    await{"try", 2}
    assert.same({{"undefined", "restarting", "worker", {}}}, DynamicSupervisor.which_children(sup))
    assert.same({specs = 1, active = 0, supervisors = 0, workers = 1}, DynamicSupervisor.count_children(sup))
    DynamicSupervisor.stop(sup)
  end)

  it("DSUP-10 gives up after as many attempts as it may make restarts", function()
    Process.flag("trap_exit", true)
    local sup = DynamicSupervisor.start_link{max_restarts = 5}
    local pid = DynamicSupervisor.start_child(sup, {id = "w", start = worker.flaky(function(n) return n == 1 end)})
    Process.exit(pid, "boom")
    await{"EXIT", sup, "shutdown"}
    for n = 1, 6 do await{"try", n} end
    assert.is_nil(mb.receive(0))
  end)
end)

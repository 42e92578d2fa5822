local mb = require "moonbeam"
local helper = require "spec.helper"
local worker = require "spec.worker"
local backoff = require "moonbeam.supervisor.backoff"
local any, Supervisor, DynamicSupervisor, Process = mb.any, mb.Supervisor, mb.DynamicSupervisor, mb.Process
local await, events = helper.await, worker.events

local NEVER = 1000000000 -- ms: a wait whose end no test sees

local function spec(id, bounds, options)
  local child = worker.spec(id, options)
  child.backoff = bounds
  return child
end

local function start(children, options)
  options = options or {}
  options.strategy = options.strategy or "one_for_one"
  return Supervisor.start_link(children, options)
end

-- Wait until a child's restart waits.
local function until_restarting(sup)
  local deadline = mb.monotonic_time() + helper.patience
  repeat
    for _, child in ipairs(Supervisor.which_children(sup)) do
      if child[2] == "restarting" then return end
    end
    mb.sleep(1)
  until mb.monotonic_time() > deadline
  error("no child waits")
end

describe("the back-off of a child", function()
  helper.setup()

  it("BACK-01 doubles from the first wait to the longest, and begins anew after a long run", function()
    local waits, last = {}, nil
    for i = 1, 6 do
      last = backoff.next({100, 1000}, last, 0)
      waits[i] = last
    end
    assert.same({100, 200, 400, 800, 1000, 1000}, waits)
    assert.equal(1000, backoff.next({100, 1000}, 1000, 1000))
    assert.equal(100, backoff.next({100, 1000}, 1000, 1001))
  end)

  it("BACK-01 is waited for before a child is restarted", function()
    local sup = start({spec("a", {20, 100})})
    local pid = await{"start", "a", any}
    for _, least in ipairs{20, 40} do
      local before = mb.monotonic_time()
      worker.kill(pid, "boom")
      pid = await{"start", "a", any}
      assert.is_true(mb.monotonic_time() - before >= least)
    end
    Supervisor.stop(sup)
  end)

  it("BACK-01 is not longer than its maximum", function()
    local sup = start({spec("a", {1, 2})}, {max_restarts = 30})
    for _ = 1, 25 do worker.kill(await{"start", "a", any}, "boom") end -- doubled each time it would take for ever
    await{"start", "a", any}
    Supervisor.stop(sup)
  end)

  it("BACK-02 goes on while the restart fails", function()
    local flaky = worker.flaky(function(n) return n == 1 or n == 4 end)
    local child = {id = "a", start = flaky, backoff = {5, 100}}
    local sup = start({child}, {max_restarts = 10})
    await{"try", 1}
    local before = mb.monotonic_time()
    worker.kill(worker.pid(sup, "a"), "boom")
    assert.same({"try 2", "try 3", "try 4"}, events(3))
    assert.is_true(mb.monotonic_time() - before >= 5 + 10 + 20)
    assert.same({"a pid"}, worker.ids(sup))
    Supervisor.stop(sup)
  end)

  it("BACK-03 shows the child as restarting, which can be terminated, deleted and started at once", function()
    local sup = start({spec("a", {NEVER, NEVER})})
    worker.kill(await{"start", "a", any}, "boom")
    until_restarting(sup)
    assert.same({specs = 1, active = 0, supervisors = 0, workers = 1}, Supervisor.count_children(sup))
    assert.same({nil, "restarting"}, {Supervisor.restart_child(sup, "a")})
    assert.same({nil, "restarting"}, {Supervisor.delete_child(sup, "a")})
    local timers = mb.census().timers
    assert.is_true(Supervisor.terminate_child(sup, "a"))
    assert.equal(timers - 1, mb.census().timers)
    assert.same({"a undefined"}, worker.ids(sup))
    assert.equal("pid", mb.type(Supervisor.restart_child(sup, "a")))
    await{"start", "a", any}
    assert.is_true(Supervisor.terminate_child(sup, "a"))
    assert.is_true(Supervisor.delete_child(sup, "a"))
    Supervisor.stop(sup)
  end)

  it("BACK-03 ends with the supervisor", function()
    local sup = start({spec("a", {NEVER, NEVER}), spec("b")})
    worker.kill(await{"start", "a", any}, "boom")
    until_restarting(sup)
    assert.is_true(Supervisor.stop(sup))
  end)

  it("BACK-04 counts for the intensity", function()
    Process.flag("trap_exit", true)
    local sup = start({spec("a", {1, 1})}, {max_restarts = 2})
    for _ = 1, 3 do worker.kill(await{"start", "a", any}, "boom") end
    await{"EXIT", sup, "shutdown"}
    assert.is_nil(mb.receive(0))
  end)

  it("BACK-04 counts the attempts that fail", function()
    Process.flag("trap_exit", true)
    local sup = start({{id = "a", start = worker.flaky(function(n) return n == 1 end), backoff = {1, 1}}})
    await{"try", 1}
    worker.kill(worker.pid(sup, "a"), "boom")
    assert.same({"try 2", "try 3", "try 4", "EXIT shutdown"}, events(4))
  end)

  it("BACK-05 stops the siblings first, and starts them with the child", function()
    local sup = start({spec("a"), spec("b", {1, 1}), spec("c", nil, {trap = true})}, {strategy = "rest_for_one"})
    assert.same({"start a", "start b", "start c"}, events(3))
    worker.kill(worker.pid(sup, "b"), "boom")
    assert.same({"term c shutdown", "start b", "start c"}, events(3))
    Supervisor.stop(sup)
    await{"term", "c", any, any}
    sup = start({spec("a", nil, {trap = true}), spec("b", {NEVER, NEVER})}, {strategy = "one_for_all"})
    assert.same({"start a", "start b"}, events(2))
    worker.kill(worker.pid(sup, "b"), "boom")
    assert.same({"term a shutdown"}, events(1))
    until_restarting(sup)
    assert.same({"a undefined", "b restarting"}, worker.ids(sup))
    Supervisor.stop(sup)
  end)

  it("BACK-06 is that of a DynamicSupervisor's child, too", function()
    local sup = DynamicSupervisor.start_link()
    local pid = DynamicSupervisor.start_child(sup, spec("a", {1, NEVER}))
    worker.kill(await{"start", "a", any}, "boom")
    local second = await{"start", "a", any}
    assert.are_not.equal(pid, second)
    assert.is_true(DynamicSupervisor.terminate_child(sup, second))
    pid = DynamicSupervisor.start_child(sup, spec("a", {NEVER, NEVER}))
    worker.kill(await{"start", "a", any}, "boom")
    until_restarting(sup)
    assert.same({specs = 1, active = 0, supervisors = 0, workers = 1}, DynamicSupervisor.count_children(sup))
    assert.is_true(DynamicSupervisor.terminate_child(sup, pid))
    assert.equal(0, DynamicSupervisor.count_children(sup).specs)
    DynamicSupervisor.start_child(sup, spec("a", {NEVER, NEVER}))
    worker.kill(await{"start", "a", any}, "boom")
    until_restarting(sup)
    DynamicSupervisor.stop(sup)
  end)

  it("BACK-07 is two integers, the first not above the second", function()
    for _, bounds in ipairs{5, {5}, {0, 5}, {6, 5}, {1.5, 5}, {1, math.huge}, {1, "infinity"}, {1, 2, 3}} do
      assert.same({nil, {"start_spec", {"invalid_backoff", bounds}}}, {start({spec("a", bounds)})})
    end
    Supervisor.stop((start({spec("a", {5, 5})})))
  end)
end)

local mb = require "moonbeam"
local helper = require "spec.helper"
local worker = require "spec.worker"
local any, Supervisor, Process = mb.any, mb.Supervisor, mb.Process
local await, spec, ids, events = helper.await, worker.spec, worker.ids, worker.events

-- A supervisor of trapping workers, one for each letter, some with options: it, and the workers' pids.
local function start(strategy, letters, options)
  local children, pids = {}, {}
  for id in letters:gmatch(".") do
    local own = {trap = true}
    for k, v in pairs(options and options[id] or {}) do own[k] = v end
    children[#children + 1] = spec(id, own)
  end
  local sup = Supervisor.start_link(children, {strategy = strategy})
  for _, child in ipairs(children) do pids[child.id] = await{"start", child.id, any} end
  return sup, pids
end

describe("one_for_one", function()
  helper.setup()

  it("SUPS-01 restarts the child that died and no other", function()
    local sup, pids = start("one_for_one", "abc")
    worker.stop(pids.b, "boom")
    assert.same({"term b boom", "start b"}, events(2))
    assert.same({"a pid", "b pid", "c pid"}, ids(sup))
    assert.equal(pids.a, worker.pid(sup, "a"))
    assert.are_not.equal(pids.b, worker.pid(sup, "b"))
    assert.equal(pids.c, worker.pid(sup, "c"))
    Supervisor.stop(sup)
  end)
end)

describe("one_for_all", function()
  helper.setup()

  it("SUPS-02 stops the others, the newest first, and starts all in order", function()
    local sup, pids = start("one_for_all", "abc")
    worker.stop(pids.b, "boom")
    assert.same({"term b boom", "term c shutdown", "term a shutdown", "start a", "start b", "start c"}, events(6))
    assert.same({"a pid", "b pid", "c pid"}, ids(sup))
    Supervisor.stop(sup)
  end)

  it("SUPS-04 leaves the others alone when the child is not restarted", function()
    local sup, pids = start("one_for_all", "atx", {t = {restart = "temporary"}, x = {restart = "transient"}})
    worker.stop(pids.t, "boom")
    worker.stop(pids.x, "normal")
    assert.same({"a pid", "x undefined"}, ids(sup))
    assert.equal(pids.a, worker.pid(sup, "a"))
    assert.same({"term t boom", "term x normal"}, events(2))
    assert.is_nil(mb.receive(0))
    Supervisor.stop(sup)
  end)

  it("SUPS-05 forgets temporary siblings", function()
    local sup, pids = start("one_for_all", "tax", {t = {restart = "temporary"}, x = {restart = "transient"}})
    worker.stop(pids.a, "boom")
    assert.same({"term a boom", "term x shutdown", "term t shutdown", "start a", "start x"}, events(5))
    assert.same({"a pid", "x pid"}, ids(sup))
    Supervisor.stop(sup)
  end)

  it("SUPS-06 starts siblings that had finished or were terminated, too", function()
    local sup, pids = start("one_for_all", "axy", {x = {restart = "transient"}})
    worker.stop(pids.x, "normal")
    Supervisor.terminate_child(sup, "y")
    assert.same({"a pid", "x undefined", "y undefined"}, ids(sup))
    worker.stop(pids.a, "boom")
    assert.same({"term x normal", "term y shutdown", "term a boom", "start a", "start x", "start y"}, events(6))
    assert.same({"a pid", "x pid", "y pid"}, ids(sup))
    Supervisor.stop(sup)
  end)

  it("SUPS-07 terminate_child stops that child and no other", function()
    local sup, pids = start("one_for_all", "ab")
    assert.is_true(Supervisor.terminate_child(sup, "a"))
    assert.same({"a undefined", "b pid"}, ids(sup))
    assert.equal(pids.b, worker.pid(sup, "b"))
    assert.same({"term a shutdown"}, events(1))
    assert.is_nil(mb.receive(0))
    Supervisor.stop(sup)
  end)

  it("SUPS-08 tries the whole group again when a child fails in the middle", function()
    local flaky = {id = "b", start = worker.flaky(function(n) return n ~= 2 end)}
    local sup = Supervisor.start_link({spec("a", {trap = true}), flaky, spec("c", {trap = true})},
      {strategy = "one_for_all", max_restarts = 2})
    assert.same({"start a", "try 1", "start c"}, events(3))
    worker.stop(worker.pid(sup, "a"), "boom")
    assert.same({"term a boom", "term c shutdown", "start a", "try 2"}, events(4))
    assert.same({"term a shutdown", "start a", "try 3", "start c"}, events(4))
    assert.same({"a pid", "b pid", "c pid"}, ids(sup))
    -- two restarts have been counted
    Process.flag("trap_exit", true)
    worker.kill(worker.pid(sup, "a"), "kill")
    await{"term", "c", "shutdown", any}
    await{"EXIT", sup, "shutdown"}
  end)

  it("SUPS-10 stops siblings as their shutdown options say", function()
    local sup, pids = start("one_for_all", "abcd", {
      b = {shutdown = "brutal_kill"}, c = {shutdown = 1, hold = true}, d = {shutdown = "infinity"},
    })
    local refs = {}
    for id, pid in pairs(pids) do refs[id] = mb.monitor(pid) end
    Process.exit(pids.a, "kill")
    await{"DOWN", refs.b, "process", any, "killed"}
    await{"DOWN", refs.c, "process", any, "killed"}
    await{"DOWN", refs.d, "process", any, "shutdown"}
    await{"DOWN", refs.a, "process", any, "killed"}
    await{"term", "d", "shutdown", any}
    mb.receive{ {{"term", "c", "shutdown", any}}, after = 0 } -- it may have had no time for that
    assert.same({"start a", "start b", "start c", "start d"}, events(4))
    local newest = worker.pid(sup, "c")
    Supervisor.stop(sup)
    assert.is_false(Process.alive(newest))
  end)

  it("SUPS-02 copes with several that die at once", function()
    local sup, pids = start("one_for_all", "abcd")
    local ref = mb.monitor(pids.d)
    for _, id in ipairs{"b", "c", "d"} do Process.exit(pids[id], "kill") end
    await{"DOWN", ref, "process", any, "killed"}
    await{"term", "a", "shutdown", any}
    for _, id in ipairs{"a", "b", "c", "d"} do await{"start", id, any} end
    assert.same({"a pid", "b pid", "c pid", "d pid"}, ids(sup))
    Supervisor.stop(sup)
  end)
end)

describe("rest_for_one", function()
  helper.setup()

  it("SUPS-03 restarts the child that died and those started after it", function()
    local sup, pids = start("rest_for_one", "abcd")
    worker.stop(pids.b, "boom")
    assert.same({"term b boom", "term d shutdown", "term c shutdown", "start b", "start c", "start d"}, events(6))
    assert.equal(pids.a, worker.pid(sup, "a"))
    assert.same({"a pid", "b pid", "c pid", "d pid"}, ids(sup))
    Supervisor.stop(sup)
  end)

  it("SUPS-03 restarts the last child alone, and all for the first", function()
    local sup, pids = start("rest_for_one", "ab")
    worker.stop(pids.b, "boom")
    assert.same({"term b boom", "start b"}, events(2))
    worker.stop(pids.a, "boom")
    assert.same({"term a boom", "term b shutdown", "start a", "start b"}, events(4))
    Supervisor.stop(sup)
  end)

  it("SUPS-04 leaves the others alone when the child is not restarted", function()
    local sup, pids = start("rest_for_one", "tb", {t = {restart = "temporary"}})
    worker.stop(pids.t, "boom")
    assert.same({"b pid"}, ids(sup))
    assert.equal(pids.b, worker.pid(sup, "b"))
    Supervisor.stop(sup)
  end)

  it("SUPS-05 forgets temporary children that were started after it", function()
    local sup, pids = start("rest_for_one", "satb", {s = {restart = "temporary"}, t = {restart = "temporary"}})
    worker.stop(pids.a, "boom")
    assert.same({"term a boom", "term b shutdown", "term t shutdown", "start a", "start b"}, events(5))
    assert.same({"s pid", "a pid", "b pid"}, ids(sup))
    Supervisor.stop(sup)
  end)

  it("SUPS-08 tries again from the child that failed on", function()
    local flaky = {id = "b", start = worker.flaky(function(n) return n ~= 2 end)}
    local sup = Supervisor.start_link({spec("a", {trap = true}), flaky, spec("c", {trap = true})},
      {strategy = "rest_for_one", max_restarts = 2})
    assert.same({"start a", "try 1", "start c"}, events(3))
    worker.stop(worker.pid(sup, "a"), "boom")
    assert.same({"term a boom", "term c shutdown", "start a", "try 2", "try 3", "start c"}, events(6))
    assert.same({"a pid", "b pid", "c pid"}, ids(sup))
    Supervisor.stop(sup)
  end)

  it("SUPS-09 children that were added take part, at the end of the order", function()
    local sup, pids = start("rest_for_one", "a")
    local b = Supervisor.start_child(sup, spec("b", {trap = true}))
    local c = Supervisor.start_child(sup, spec("c", {trap = true}))
    assert.same({"start b", "start c"}, events(2))
    worker.stop(pids.a, "boom")
    assert.same({"term a boom", "term c shutdown", "term b shutdown", "start a", "start b", "start c"}, events(6))
    assert.are_not.equal(b, worker.pid(sup, "b"))
    assert.are_not.equal(c, worker.pid(sup, "c"))
    Supervisor.stop(sup)
    assert.same({"term c shutdown", "term b shutdown", "term a shutdown"}, events(3))
  end)
end)

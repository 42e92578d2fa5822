local mb = require "moonbeam"
local helper = require "spec.helper"
local worker = require "spec.worker"
local any, Supervisor, Process, GenServer = mb.any, mb.Supervisor, mb.Process, mb.GenServer
local await, spec, ids = helper.await, worker.spec, worker.ids

local function start(child, options)
  options = options or {}
  options.strategy = "one_for_one"
  local sup = Supervisor.start_link({child}, options)
  return sup, await{"start", "a", any}
end

local ordinary = {"normal", "shutdown", {"shutdown", "x"}}

describe("a supervisor's child", function()
  helper.setup()

  it("SUPR-01 that is permanent is restarted, whatever it ended with", function()
    for _, reason in ipairs{"normal", "shutdown", {"shutdown", "x"}, "bad"} do
      local sup, pid = start(spec("a"))
      worker.stop(pid, reason)
      assert.are_not.equal(pid, await{"start", "a", any})
      assert.same({"a pid"}, ids(sup))
      Supervisor.stop(sup)
    end
  end)

  it("SUPR-02 that is transient is restarted when it ended abnormally", function()
    local sup, pid = start(spec("a", {restart = "transient"}))
    worker.stop(pid, "bad")
    pid = await{"start", "a", any}
    worker.kill(pid, "kill")
    pid = await{"start", "a", any}
    GenServer.cast(pid, {"raise", "shutdown"}) -- an error is one, whatever it says
    await{"start", "a", any}
    Supervisor.stop(sup)
  end)

  it("SUPR-02 that is transient stays without a process when it ended normally", function()
    for _, reason in ipairs(ordinary) do
      local sup, pid = start(spec("a", {restart = "transient"}), {max_restarts = 0})
      worker.stop(pid, reason)
      assert.same({"a undefined"}, ids(sup))
      assert.same({specs = 1, active = 0, supervisors = 0, workers = 1}, Supervisor.count_children(sup))
      Supervisor.stop(sup)
    end
  end)

  it("SUPR-03 that is temporary is forgotten when it ends", function()
    for _, reason in ipairs{"normal", "shutdown", {"shutdown", "x"}, "bad"} do
      local sup, pid = start(spec("a", {restart = "temporary"}), {max_restarts = 0})
      worker.stop(pid, reason)
      assert.same({}, ids(sup))
      assert.equal(0, Supervisor.count_children(sup).specs)
      Supervisor.stop(sup)
    end
  end)

  it("SUPR-04 is started by the same function with the same arguments, and takes its name again", function()
    local sup, pid = start(spec("a", {name = "supr-4"}))
    assert.equal(pid, Process.whereis("supr-4"))
    worker.kill(pid, "boom")
    local new = await{"start", "a", any}
    assert.are_not.equal(pid, new)
    assert.equal(new, GenServer.call("supr-4", "pid"))
    Supervisor.stop(sup)
  end)

  it("NAME-13 can always take its name again", function()
    local sup, pid = start(spec("a", {name = "name-13"}), {max_restarts = 1000})
    for _ = 1, 300 do
      Process.exit(pid, "kill")
      pid = await{"start", "a", any}
      assert.equal(pid, Process.whereis("name-13"))
    end
    assert.is_nil(mb.receive(0))
    Supervisor.stop(sup)
  end)

  it("SUPR-05 that gets the exit normal from outside goes on", function()
    local sup, pid = start(spec("a"), {max_restarts = 0})
    Process.exit(pid, "normal")
    assert.equal(pid, GenServer.call(pid, "pid"))
    assert.equal(pid, worker.pid(sup, "a"))
    Supervisor.stop(sup)
  end)

  it("SUPR-06 is not there, for who calls it by name, until it has restarted", function()
    local me = mb.self()
    local child = {id = "a", start = {function()
      if Process.put("started", true) then
        mb.send(me, "gap")
        mb.receive{ {"go"} }
      end
      return GenServer.start_link(worker, {to = me, id = "a"}, {name = "supr-6"})
    end}}
    local sup, pid = start(child)
    worker.kill(pid, "boom")
    await("gap")
    assert.equal("noproc", helper.catch_exit(GenServer.call, "supr-6", "pid")[1])
    mb.send(sup, "go")
    assert.equal(await{"start", "a", any}, GenServer.call("supr-6", "pid"))
    Supervisor.stop(sup)
  end)

  it("SUPR-07 that unlinked itself and died is not noticed, until it is terminated", function()
    local me = mb.self()
    local sup = Supervisor.start_link({{id = "a", start = {function()
      return mb.spawn_link(function()
        mb.unlink(mb.Process.info(mb.self(), "parent"))
        mb.send(me, {"start", "a", mb.self()})
        mb.receive{ {"go"} }
      end)
    end}}}, {strategy = "one_for_one"})
    local pid = await{"start", "a", any}
    local ref = mb.monitor(pid)
    mb.send(pid, "go")
    await{"DOWN", ref, "process", pid, "normal"}
    assert.equal(pid, worker.pid(sup, "a"))
    assert.same({specs = 1, active = 0, supervisors = 0, workers = 1}, Supervisor.count_children(sup))
    assert.is_true(Supervisor.terminate_child(sup, "a"))
    assert.same({"a undefined"}, ids(sup))
    Supervisor.stop(sup)
  end)

  it("SUPR-08 that says ignore at a restart stays without a process, and is not tried again", function()
    local sup = Supervisor.start_link({{id = "a", start = worker.flaky(function(n) return n == 1 end,
      function() return "ignore" end)}}, {strategy = "one_for_one", max_restarts = 1})
    await{"try", 1}
    worker.kill(worker.pid(sup, "a"), "boom")
    await{"try", 2}
    assert.same({"a undefined"}, ids(sup))
    assert.is_nil(mb.receive(0))
    Supervisor.stop(sup)
  end)
end)

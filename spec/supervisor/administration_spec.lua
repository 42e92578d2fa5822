local mb = require "moonbeam"
local helper = require "spec.helper"
local worker = require "spec.worker"
local any, Supervisor, Process = mb.any, mb.Supervisor, mb.Process
local await, spec, ids = helper.await, worker.spec, worker.ids

local function start(...) return Supervisor.start_link({...}, {strategy = "one_for_one"}) end

local function idle_with_info() return mb.spawn_link(function() mb.receive() end), {"info"} end

describe("Supervisor", function()
  helper.setup()

  it("SUPA-01 start_child refuses an id that is there", function()
    local sup = start(spec("a"))
    local pid = worker.pid(sup, "a")
    assert.same({nil, {"already_started", pid}}, {Supervisor.start_child(sup, spec("a"))})
    Supervisor.terminate_child(sup, "a")
    assert.same({nil, "already_present"}, {Supervisor.start_child(sup, spec("a"))})
    assert.same({"a undefined"}, ids(sup))
    Supervisor.stop(sup)
  end)

  it("names function and argument for what is no supervisor", function()
    local child = spec("a")
    for module, names in pairs{
      Supervisor = {"start_child", "terminate_child", "restart_child", "delete_child", "which_children",
        "count_children", "stop"},
      DynamicSupervisor = {"start_child", "which_children", "count_children", "stop"},
    } do
      for _, name in ipairs(names) do
        local ok, message = pcall(mb[module][name], 5, name == "start_child" and child or "a")
        assert.is_false(ok)
        assert.matches(("administration_spec.lua:%%d+: bad argument #1 to '%s.%s'"):format(module, name), message)
      end
    end
  end)

  it("SUPA-02 start_child gives what the start function gives", function()
    local sup = start()
    local function why(id, fn, ...)
      local first, reason = Supervisor.start_child(sup, {id = id, start = {fn, ...}})
      assert.is_nil(first)
      assert.equal(id, reason[2].id)
      return reason[1]
    end
    assert.equal("r", why("a", function() return nil, "r" end))
    assert.equal("weird", why("b", function() return "weird" end))
    assert.same({"EXIT", "bye"}, why("c", mb.exit, "bye"))
    assert.same({}, ids(sup))
    assert.equal("undefined", Supervisor.start_child(sup, {id = "i", start = {function() return "ignore" end}}))
    assert.equal("undefined", Supervisor.start_child(sup,
      {id = "t", start = {function() return "ignore" end}, restart = "temporary"}))
    assert.same({"i undefined"}, ids(sup))
    local pid, info = Supervisor.start_child(sup, {id = "x", start = {idle_with_info}})
    assert.equal(pid, worker.pid(sup, "x"))
    assert.same({"info"}, info)
    Supervisor.stop(sup)
  end)

  it("SUPA-03 terminate_child keeps the specification, but a temporary child's", function()
    local sup = start(spec("a", {trap = true}), spec("t", {restart = "temporary"}))
    assert.same({"start a", "start t"}, worker.events(2))
    assert.is_true(Supervisor.terminate_child(sup, "a"))
    assert.same({"term a shutdown"}, worker.events(1))
    assert.is_true(Supervisor.terminate_child(sup, "a"))
    assert.same({nil, "not_found"}, {Supervisor.terminate_child(sup, "zz")})
    assert.same({nil, "not_found"}, {Supervisor.terminate_child(sup, nil)})
    assert.is_true(Supervisor.terminate_child(sup, "t"))
    assert.same({"a undefined"}, ids(sup))
    assert.is_nil(mb.receive(0))
    Supervisor.stop(sup)
  end)

  it("SUPA-04 restart_child starts a child that is stopped", function()
    local sup = start(spec("a"))
    await{"start", "a", any}
    assert.same({nil, "running"}, {Supervisor.restart_child(sup, "a")})
    assert.same({nil, "not_found"}, {Supervisor.restart_child(sup, "zz")})
    Supervisor.terminate_child(sup, "a")
    local pid = Supervisor.restart_child(sup, "a")
    await{"start", "a", pid}
    assert.equal(pid, worker.pid(sup, "a"))
    Supervisor.stop(sup)
  end)

  it("SUPA-04 restart_child gives what the start function gives", function()
    local sup = start({id = "a", start = worker.flaky(function(n) return n == 1 end, function(n)
      if n == 2 then return "ignore" end
      return nil, "no"
    end)}, {id = "x", start = {idle_with_info}})
    Supervisor.terminate_child(sup, "a")
    Supervisor.terminate_child(sup, "x")
    assert.equal("undefined", Supervisor.restart_child(sup, "a"))
    assert.same({nil, "no"}, {Supervisor.restart_child(sup, "a")})
    assert.same({"info"}, select(2, Supervisor.restart_child(sup, "x")))
    assert.same({"a undefined", "x pid"}, ids(sup))
    Supervisor.stop(sup)
  end)

  it("SUPA-05 delete_child forgets a child that is stopped", function()
    local sup = start(spec("a"), spec("b"), spec("c"))
    assert.same({nil, "running"}, {Supervisor.delete_child(sup, "b")})
    assert.same({nil, "not_found"}, {Supervisor.delete_child(sup, "zz")})
    Supervisor.terminate_child(sup, "b")
    assert.is_true(Supervisor.delete_child(sup, "b"))
    assert.same({nil, "not_found"}, {Supervisor.delete_child(sup, "b")})
    assert.same({"a pid", "c pid"}, ids(sup))
    Supervisor.start_child(sup, spec("b"))
    assert.same({"a pid", "c pid", "b pid"}, ids(sup))
    Supervisor.stop(sup)
  end)

  it("SUPA-06 refuses restart_child and delete_child while attempts to restart go on", function()
    local sup = Supervisor.start_link({{id = "a", start = worker.flaky(function(n) return n == 1 end)}},
      {strategy = "one_for_one", max_restarts = 10000000})
    worker.kill(worker.pid(sup, "a"), "boom")
    await{"try", 2}
    assert.same({nil, "restarting"}, {Supervisor.restart_child(sup, "a")})
    assert.same({nil, "restarting"}, {Supervisor.delete_child(sup, "a")})
    Supervisor.stop(sup)
  end)

  it("SUPA-07 exits noproc for a supervisor that is not there", function()
    local sup = start()
    Supervisor.stop(sup)
    for _, name in ipairs{"start_child", "terminate_child", "restart_child", "delete_child", "which_children",
      "count_children"} do
      local argument = name == "start_child" and spec("a") or "a"
      assert.same({"noproc", {"GenServer", "call", {sup, "infinity"}}},
        helper.catch_exit(Supervisor[name], sup, argument))
      assert.equal("noproc", helper.catch_exit(Supervisor[name], "nobody", argument)[1])
    end
    assert.equal("noproc", helper.catch_exit(Supervisor.stop, sup)[1])
  end)

  it("ends with an error that shows the request, when it does not know it", function()
    Process.flag("trap_exit", true)
    for _, request in ipairs{"junk", {"junk", 1}} do
      local sup = start()
      local reason = helper.catch_exit(mb.GenServer.call, sup, request)
      assert.equal("unknown request to a supervisor: " .. mb.inspect(request), reason[1][2])
    end
  end)

  it("reports what happens to children", function()
    local output = helper.run_script([[
      require("moonbeam").import()
      local function start(name)
        local n = Process.put("n", (Process.get("n") or 0) + 1) or 0
        if n == 1 then return nil, "no luck" end
        return Agent.start_link(function() return 0 end, {name = name})
      end
      local sup = Supervisor.start_link({{id = "counter", start = {start, "counter"}}},
        {strategy = "one_for_one", name = "boss"})
      local first = Process.whereis("counter")
      Process.exit(first, "boom")
      local now = first
      while not now or now == first or Supervisor.count_children(sup).active == 0 do
        sleep(1)
        now = Process.whereis("counter")
      end
      send(sup, "stray")
      Supervisor.stop(sup)
    ]])
    local child = 'Child "counter" of Supervisor #PID<[%d.]+> %(boss%) '
    assert.matches(child .. 'terminated\n%*%* %(exit%) "boom"\nPid: #PID', output)
    assert.matches("Restart: permanent, 1 of at most 3 within 5 s", output)
    assert.matches(child .. 'failed to start\n%*%* %(exit%) "no luck"', output)
    assert.matches('Supervisor #PID<[%d.]+> %(boss%) received an unexpected message: "stray"', output)
  end)

  it("reports its own end, when that is not an ordinary one, and not by all its children", function()
    local output = helper.run_script([[
      require("moonbeam").import()
      Process.flag("trap_exit", true)
      for _, reason in ipairs{"shutdown", "normal", {"shutdown", "why"}, "custom"} do
        Supervisor.stop(Supervisor.start_link({}, {strategy = "one_for_one"}), reason)
      end
    ]])
    local _, reports = output:gsub("terminating", "")
    assert.equal(1, reports)
    assert.matches("custom", output)
    local status = {state = {children = {count = 7}, restarts = {total = 1}}, message = "last", reason = "custom"}
    assert.same({state = {children = 7, restarts = 1}, message = "last", reason = "custom"},
      require("moonbeam.supervisor.server").format_status(status))
  end)
end)

local mb = require "moonbeam"
local helper = require "spec.helper"
local worker = require "spec.worker"
local any, exit, Supervisor, Process, GenServer = mb.any, mb.exit, mb.Supervisor, mb.Process, mb.GenServer
local await, spec = helper.await, worker.spec

local function start(children, options)
  options = options or {}
  options.strategy = options.strategy or "one_for_one"
  return Supervisor.start_link(children, options)
end

-- A child whose start function is fn.
local function of_start(id, fn) return {id = id, start = {fn}} end

describe("Supervisor.start_link", function()
  helper.setup()

  it("SUP-01 starts the children in order, each initialised before the next", function()
    local me = mb.self()
    local slow = {init = function()
      mb.send(me, {"start", "slow init"})
      mb.sleep(5) -- the next child would be faster
      mb.send(me, {"start", "slow done"})
      return "ok", 0
    end}
    local sup = start{spec("a"), {id = "s", start = {GenServer.start_link, slow}}, spec("b"), spec("c")}
    assert.equal("pid", mb.type(sup))
    assert.equal(5, Process.info(mb.self(), "message_queue_len"))
    assert.same({"start a", "start slow init", "start slow done", "start b", "start c"}, worker.events(5))
    Supervisor.stop(sup)
  end)

  it("SUP-02 lists the newest child first, and counts", function()
    local sup = start{spec("a"), spec("b", {type = "supervisor"}), spec("c")}
    local children = Supervisor.which_children(sup)
    local pids = {}
    for i = 1, 3 do pids[i] = await{"start", ("abc"):sub(i, i), any} end
    assert.same({{"c", pids[3], "worker", {}}, {"b", pids[2], "supervisor", {}}, {"a", pids[1], "worker", {}}},
      children)
    assert.same({specs = 3, active = 3, supervisors = 1, workers = 2}, Supervisor.count_children(sup))
    Supervisor.stop(sup)
  end)

  it("SUP-03 stops what it has started, newest first, when a child fails", function()
    Process.flag("trap_exit", true)
    local function failing() return "stop", "why" end
    assert.same({nil, {"shutdown", {"failed_to_start_child", "c", "why"}}},
      {start{spec("a", {trap = true}), spec("b", {trap = true}), spec("c", {init = failing}), spec("d")}})
    assert.same({"start a", "start b", "term b shutdown", "term a shutdown"}, worker.events(4))
    assert.is_nil(mb.receive(0))
  end)

  it("SUP-04 that ends a starter that does not trap exits", function()
    local reason = helper.exit_reason(function(children)
      mb.Supervisor.start_link(children, {strategy = "one_for_one"})
    end, {spec("a"), spec("b", {init = function() return "stop", "why" end})})
    assert.same({"shutdown", {"failed_to_start_child", "b", "why"}}, reason)
  end)

  it("SUP-05 says why a child failed", function()
    Process.flag("trap_exit", true)
    local function reason(child)
      local _, why = start{child}
      assert.same({"shutdown", "failed_to_start_child", "b"}, {why[1], why[2][1], why[2][2]})
      return why[2][3]
    end
    assert.equal("weird", reason(of_start("b", function() return "weird" end)))
    assert.equal("r", reason(of_start("b", function() return nil, "r" end)))
    local raised = reason(spec("b", {init = function() error("in init", 0) end}))
    assert.same({"error", "in init"}, {raised[1], raised[2]})
    raised = reason(of_start("b", function() error("in start", 0) end))
    assert.same({"EXIT", "error", "in start"}, {raised[1], raised[2][1], raised[2][2]})
    assert.matches("traceback", raised[2][3])
    assert.same({"EXIT", "bye"}, reason(of_start("b", function() exit("bye") end)))
  end)

  it("SUP-05 keeps a child that says ignore, unless it is temporary, and goes on", function()
    local function ignore() return "ignore" end
    local sup = start{spec("a", {init = ignore}), spec("t", {init = ignore, restart = "temporary"}), spec("b")}
    assert.same({"a undefined", "b pid"}, worker.ids(sup))
    assert.same({specs = 2, active = 1, supervisors = 0, workers = 2}, Supervisor.count_children(sup))
    Supervisor.stop(sup)
  end)

  it("SUP-06 refuses two children with one id", function()
    assert.same({nil, {"start_spec", {"duplicate_child_name", "a"}}}, {start{spec("a"), spec("b"), spec("a")}})
    assert.same({nil, {"start_spec", {"duplicate_child_name", {"w", 1}}}}, {start{spec{"w", 1}, spec{"w", 1}}})
    assert.is_nil(mb.receive(0))
    local sup = start{spec{"w", 1}, spec{"w", 2}}
    assert.is_true(Supervisor.terminate_child(sup, {"w", 2}))
    assert.same({nil, "not_found"}, {Supervisor.terminate_child(sup, {"w", 3})})
    assert.equal("undefined", Supervisor.which_children(sup)[1][2])
    Supervisor.stop(sup)
  end)

  it("SUP-07 wants a strategy, and says what is wrong with options", function()
    for _, options in ipairs{{{}}, {nil}} do
      assert.has_error(function() Supervisor.start_link({}, options[1]) end, "bad argument #2 to " ..
        "'Supervisor.start_link' (the option strategy is missing: " ..
        '{strategy = "one_for_one"}, or "one_for_all" or "rest_for_one")')
    end
    assert.has_error(function() Supervisor.start_link({}, 5) end,
      "bad argument #2 to 'Supervisor.start_link' (table of options expected, got number)")
    assert.has_error(function() Supervisor.start_link(5, {}) end,
      "bad argument #1 to 'Supervisor.start_link' (sequence of children expected, got number)")
    assert.has_error(function() start({}, {name = ""}) end,
      "bad argument #2 to 'Supervisor.start_link' ('' cannot be a name)")
    local function reason(options) return select(2, start({}, options)) end
    assert.same({"supervisor_data", {"invalid_strategy", "bogus"}}, reason{strategy = "bogus"})
    assert.same({"supervisor_data", {"invalid_intensity", -1}}, reason{max_restarts = -1})
    assert.same({"supervisor_data", {"invalid_intensity", "x"}}, reason{max_restarts = "x"})
    assert.same({"supervisor_data", {"invalid_period", 0}}, reason{max_seconds = 0})
    assert.same({"supervisor_data", {"invalid_auto_shutdown", 1}}, reason{auto_shutdown = 1})
    assert.is_nil(mb.receive(0))
  end)

  it("SUP-08 says who has the name", function()
    local sup = start({}, {name = "sup-8"})
    assert.equal(sup, Process.whereis("sup-8"))
    assert.same({nil, {"already_started", sup}}, {start({spec("a")}, {name = "sup-8"})})
    assert.is_nil(mb.receive(0))
    Supervisor.stop("sup-8")
    assert.is_nil(Process.whereis("sup-8"))
  end)

  it("SUP-08 takes children and options from a module's init, which may say ignore", function()
    local pair = {init = function(children) return Supervisor.init(children, {strategy = "one_for_all"}) end}
    local sup = Supervisor.start_link(pair, {spec("a"), spec("b")}, {name = "sup-8"})
    assert.equal(sup, Process.whereis("sup-8"))
    assert.same({"a pid", "b pid"}, worker.ids("sup-8"))
    Supervisor.stop(sup)
    assert.equal("ignore", Supervisor.start_link{init = function() return "ignore" end})
    assert.same({nil, {"start_spec", "missing_id"}}, {Supervisor.start_link(pair, {{}})})
    Process.flag("trap_exit", true)
    local _, reason = Supervisor.start_link{init = function() return "foo" end}
    assert.same({"bad_return", "init", "foo"}, {reason[1], reason[2][2], reason[2][3]})
  end)

  it("SUP-12 ignores messages, other links' ends and exits from anyone but its parent", function()
    local sup = start{spec("a")}
    mb.send(sup, "stray")
    helper.in_process(function(s)
      for _, reason in ipairs{"normal", "shutdown", "foo"} do mb.Process.exit(s, reason) end
    end, sup)
    helper.exit_reason(function(s)
      mb.link(s)
      mb.exit("bad")
    end, sup)
    assert.same({"a pid"}, worker.ids(sup))
    Supervisor.stop(sup)
  end)

  it("SUP-12 a kill ends it", function()
    Process.flag("trap_exit", true)
    local sup = start{}
    mb.spawn(Process.exit, sup, "kill")
    await{"EXIT", sup, "killed"}
  end)

  it("SUP-13 stops its children and itself when its parent exits or says so", function()
    Process.flag("trap_exit", true)
    for _, reason in ipairs{"normal", "shutdown", "x"} do
      local sup = start{spec("a", {trap = true})}
      Process.exit(sup, reason)
      assert.same({"start a", "term a shutdown", "EXIT " .. reason}, worker.events(3))
    end
    local me, child = mb.self(), spec("a", {trap = true})
    mb.spawn(function()
      mb.send(me, {"sup", mb.Supervisor.start_link({child}, {strategy = "one_for_one"})})
      mb.receive{ {"go"} }
    end)
    await{"start", "a", any}
    local sup = await{"sup", any}
    local ref = mb.monitor(sup)
    mb.send(Process.info(sup, "parent"), "go")
    await{"term", "a", "shutdown", any}
    await{"DOWN", ref, "process", sup, "normal"}
  end)
end)

local mb = require "moonbeam"
local helper = require "spec.helper"
local worker = require "spec.worker"
local any, Supervisor, Process = mb.any, mb.Supervisor, mb.Process
local await, spec, events = helper.await, worker.spec, worker.events

local function start(auto_shutdown, ...)
  Process.flag("trap_exit", true)
  local sup, reason = Supervisor.start_link({...}, {strategy = "one_for_one", auto_shutdown = auto_shutdown})
  if sup then events(select("#", ...)) end
  return sup, reason
end

local function significant(id, restart) return spec(id, {restart = restart, significant = true, trap = true}) end

describe("auto_shutdown", function()
  helper.setup()

  it("AUTO-01 any_significant: the end of one significant child ends the supervisor", function()
    for restart, reason in pairs{transient = "normal", temporary = "bad"} do
      local sup = start("any_significant", spec("a", {trap = true}), significant("x", restart),
        significant("y", restart))
      worker.stop(worker.pid(sup, "x"), reason)
      assert.same({"term x " .. reason, "term y shutdown", "term a shutdown", "EXIT shutdown"}, events(4))
    end
  end)

  it("AUTO-01 all_significant: the end of the last one does", function()
    local sup = start("all_significant", spec("a", {trap = true}), significant("x", "transient"),
      significant("y", "temporary"))
    worker.stop(worker.pid(sup, "x"), "normal")
    assert.same({"a pid", "x undefined", "y pid"}, worker.ids(sup))
    worker.stop(worker.pid(sup, "y"), "bad")
    assert.same({"term x normal", "term y bad", "term a shutdown", "EXIT shutdown"}, events(4))
  end)

  it("AUTO-01 the end of other children does not", function()
    local sup = start("any_significant", spec("a", {restart = "transient"}), significant("x", "transient"))
    worker.stop(worker.pid(sup, "a"), "normal")
    assert.same({"a undefined", "x pid"}, worker.ids(sup))
    Supervisor.stop(sup)
  end)

  it("AUTO-02 a significant child that crashes is restarted", function()
    local sup = start("any_significant", significant("x", "transient"))
    worker.stop(worker.pid(sup, "x"), "bad")
    assert.same({"term x bad", "start x"}, events(2))
    assert.same({"x pid"}, worker.ids(sup))
    Supervisor.stop(sup)
  end)

  it("AUTO-02 terminate_child on it ends nothing else", function()
    for _, auto_shutdown in ipairs{"any_significant", "all_significant"} do
      local sup = start(auto_shutdown, spec("a"), significant("x", "transient"))
      assert.is_true(Supervisor.terminate_child(sup, "x"))
      await{"term", "x", "shutdown", any}
      assert.same({"a pid", "x undefined"}, worker.ids(sup))
      Supervisor.stop(sup)
      await{"EXIT", sup, "normal"}
    end
  end)

  it("AUTO-03 refuses significant children where they mean nothing, or are permanent", function()
    local never = {"bad_combination", {auto_shutdown = "never", significant = true}}
    assert.same({nil, {"start_spec", never}}, {start(nil, significant("x", "transient"))})
    assert.same({nil, {"start_spec", {"bad_combination", {restart = "permanent", significant = true}}}},
      {start("any_significant", significant("x"))})
    local sup = start("never")
    assert.same({nil, never}, {Supervisor.start_child(sup, significant("x", "transient"))})
    Supervisor.stop(sup)
  end)
end)

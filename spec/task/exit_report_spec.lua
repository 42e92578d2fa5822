local mb = require "moonbeam"
local helper = require "spec.helper"
local logging = require "spec.logging"
local self, Task, Process = mb.self, mb.Task, mb.Process

-- A call of a server that is not there, in a task.
local function call_nobody() mb.GenServer.call("nobody at all", "request") end

describe("a task that ends by an exit", function()
  helper.setup()
  logging.setup()

  -- The task's report, and what else there is of the event.
  local function report_of(pid)
    local report, event = logging.next_report()
    assert.equal("crash", report.kind)
    assert.equal("Task", report.behaviour)
    if pid then assert.equal(pid, report.pid) end
    return report, event
  end

  it("says so, with who started it and what it waited for", function()
    local pid = Task.start(call_nobody)
    local report, event = report_of(pid)
    assert.equal("noproc", report.reason[1])
    assert.is_nil(report.error)
    assert.same({self()}, report.callers)
    assert.matches(("^Task %s started from %s terminating\n"):format(pid, self()):gsub("[.#<>]", "%%%0"), event.message)
    assert.matches("\n** (stop) exited in: GenServer.call(\"nobody at all\"", event.message, 1, true)
    assert.matches("\n    %*%* %(EXIT%) no process: [^\n]*\nstack traceback:\n.*exit_report_spec.lua:7:", event.message)
    assert.matches("\nspawned at [^\n]*exit_report_spec.lua:%d+ by #PID<", event.message)
  end)

  it("is reported in whatever way it was started", function()
    Process.flag("trap_exit", true)
    local supervisor = assert(Task.Supervisor.start_link())
    local function fail(reason) mb.exit(reason) end
    for name, start in pairs{
      start = function(r) return Task.start(fail, r) end,
      start_link = function(r) return Task.start_link(fail, r) end,
      async = function(r) return Task.async(fail, r).pid end,
      child = function(r) return (Task.Supervisor.start_child(supervisor, fail, r)) end,
      nolink = function(r) return Task.Supervisor.async_nolink(supervisor, fail, r).pid end,
    } do
      local pid = start(name)
      assert.equal(name, report_of(pid).reason)
    end
    for ok, reason in Task.Supervisor.async_stream_nolink(supervisor, {"stream"}, fail) do
      assert.same({false, "stream"}, {ok, reason})
    end
    assert.equal("stream", report_of().reason)
    Task.Supervisor.stop(supervisor)
  end)

  it("is reported once, with a supervisor and without", function()
    local supervisor = assert(mb.Supervisor.start_link({{Task, call_nobody}}, {strategy = "one_for_one"}))
    report_of()
    mb.spawn(function() error("the next", 0) end)
    assert.equal("the next", logging.next_report().error)
    mb.Supervisor.stop(supervisor)
  end)

  it("is silent about an ordinary end, and about one that comes from outside", function()
    Process.flag("trap_exit", true)
    for _, reason in ipairs{"normal", "shutdown", {"shutdown", "why"}} do
      helper.reason_of(Task.start(mb.exit, reason))
    end
    for _, reason in ipairs{"kill", "from outside"} do
      local pid = Task.start(mb.receive)
      Process.exit(pid, reason)
      helper.reason_of(pid)
    end
    helper.exit_reason(mb.exit, "of no task")
    mb.spawn(function() error("the next", 0) end)
    assert.equal("the next", logging.next_report().error)
  end)

  it("is a task in the report of its error, too", function()
    local pid = Task.start(function() error("an error", 0) end)
    local report, event = report_of(pid)
    assert.equal("an error", report.error)
    assert.matches("^Task #PID<[%d.]+> started from #PID<[%d.]+> terminating\n%*%* %(error%) an error\nstack",
      event.message)
  end)

  it("that waits too long for another one shows how", function()
    local pid = Task.start(function() Task.await(Task.async(mb.sleep, "infinity"), 1) end)
    local _, event = report_of(pid)
    assert.matches("%*%* %(stop%) exited in: Task.await%(.*, 1%)\n    %*%* %(EXIT%) time out\n", event.message)
  end)
end)

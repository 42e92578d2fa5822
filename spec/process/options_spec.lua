-- Options, flags and clauses: what is not known, or has a value that does not fit, is refused where it is given.
local mb = require "moonbeam"
local helper = require "spec.helper"
local self, Process, Task, GenServer, Agent = mb.self, mb.Process, mb.Task, mb.GenServer, mb.Agent
local Supervisor, DynamicSupervisor, Registry, Logger = mb.Supervisor, mb.DynamicSupervisor, mb.Registry, mb.Logger

local module = {init = function(arg) return "ok", arg end}

local function f() end

local function refused(fn, index, name, text, ...)
  local before = mb.census().processes
  local ok, message = pcall(fn, ...)
  assert.is_false(ok, name .. " was not refused: " .. text)
  assert.equal(("bad argument #%d to '%s' (%s)"):format(index, name, text),
    message:match("^[^:]*options_spec%.lua:%d+: (.*)$"))
  assert.equal(before, mb.census().processes)
end

describe("an option that is not known", function()
  helper.setup()

  it("is refused with the value and the names there are", function()
    local start, child = "options: name, timeout, hibernate_after", {id = "a", start = {Agent.start_link, f}}
    for _, case in ipairs{
      {GenServer.start, 3, "GenServer.start", "unknown option timout = 5; " .. start, module, 1, {timout = 5}},
      {GenServer.start_link, 3, "GenServer.start_link", "unknown option debug = table; " .. start, module, 1,
        {debug = {}}},
      {GenServer.start, 3, "GenServer.start", 'unknown option spawn_opt = "link"; ' .. start, module, 1,
        {spawn_opt = "link"}},
      {Agent.start, 2, "Agent.start", "unknown option hibernate = 10; " .. start, f, {hibernate = 10}},
      {Agent.start_link, 2, "Agent.start_link", 'unknown option 1 = "name"; ' .. start, f, {"name"}},
      {Supervisor.start_link, 2, "Supervisor.start_link",
        "unknown option max_restart = 1; options: strategy, max_restarts, max_seconds, auto_shutdown, name",
        {child}, {strategy = "one_for_one", max_restart = 1}},
      {Supervisor.start_link, 3, "Supervisor.start_link", 'unknown option strategy = "one_for_all"; options: name',
        module, 1,
        {strategy = "one_for_all"}},
      {Supervisor.init, 2, "Supervisor.init",
        'unknown option name = "x"; options: strategy, max_restarts, max_seconds, auto_shutdown', {},
        {strategy = "one_for_one", name = "x"}},
      {DynamicSupervisor.start_link, 1, "DynamicSupervisor.start_link",
        "unknown option restarts = 1; options: " ..
        "name, max_children, max_restarts, max_seconds, extra_arguments, strategy",
        {restarts = 1}},
      {DynamicSupervisor.init, 1, "DynamicSupervisor.init",
        'unknown option name = "x"; options: max_children, max_restarts, max_seconds, extra_arguments, strategy',
        {name = "x"}},
      {DynamicSupervisor.child_spec, 1, "DynamicSupervisor.child_spec",
        "unknown option max = 1; options: name, max_children, max_restarts, max_seconds, extra_arguments, strategy",
        {max = 1}},
      {Task.Supervisor.start_link, 1, "Task.Supervisor.start_link",
        'unknown option restart = "transient"; options: name, max_children, max_restarts, max_seconds',
        {restart = "transient"}},
      {Task.Supervisor.child_spec, 1, "Task.Supervisor.child_spec",
        'unknown option nam = "x"; options: name, max_children, max_restarts, max_seconds', {nam = "x"}},
      {Task.Supervisor.start_child, 2, "Task.Supervisor.start_child",
        'unknown option restrat = "transient"; options: start, restart, shutdown', self(),
        {start = {f}, restrat = "transient"}},
      {Task.async_stream, 3, "Task.async_stream",
        "unknown option max = 2; options: max_concurrency, ordered, timeout, on_timeout, zip_input_on_exit", {}, f,
        {max = 2}},
      {Task.yield_many, 2, "Task.yield_many", "unknown option time = 2; options: timeout, on_timeout, limit", {},
        {time = 2}},
      {Registry.start_link, 1, "Registry.start_link",
        "unknown option shards = 4; options: keys, name, partitions, listeners, meta",
        {keys = "unique", name = "x", shards = 4}},
      {Registry.dispatch, 4, "Registry.dispatch", "unknown option paralell = true; options: parallel", "x", 1,
        f, {paralell = true}},
      {mb.PartitionSupervisor.start_link, 1, "PartitionSupervisor.start_link",
        "unknown option partition = 4; options: " ..
        "name, partitions, with_arguments, child_spec, strategy, max_restarts, max_seconds",
        {name = "x", child_spec = child, partition = 4}},
      {Logger.configure, 1, "Logger.configure",
        'unknown option formt = "$message"; options: level, handler, format, metadata, truncate, location, colors',
        {formt = "$message"}},
      {Process.spawn, 2, "Process.spawn", "unknown option lnk = true; options: link, monitor, scheduler, priority", f,
        {lnk = true}},
      {Process.spawn, 2, "Process.spawn", 'unknown option 1 = "link"; options: link, monitor, scheduler, priority', f,
        {"link"}},
      {Process.send_after, 4, "Process.send_after", "unknown option absolute = true; options: abs", self(), 1,
        5, {absolute = true}},
      {Process.start_timer, 4, "Process.start_timer", "unknown option absolute = true; options: abs", self(), 1, 5,
        {absolute = true}},
      {Process.send, 3, "Process.send", "unknown option noconnect = true; there are none", self(), 1,
        {noconnect = true}},
      {Process.cancel_timer, 2, "Process.cancel_timer", "unknown option asinc = true; options: async, info",
        mb.make_ref(), {asinc = true}},
      {Process.read_timer, 2, "Process.read_timer", "unknown option async = true; there are none", mb.make_ref(),
        {async = true}},
      {mb.monitor, 2, "monitor", 'unknown option alas = "demonitor"; options: alias', self(), {alas = "demonitor"}},
      {mb.start, 1, "start", "unknown option scheduler = 1; options: schedulers", {scheduler = 1}},
      {mb.inspect, 2, "inspect", "unknown option widht = 9; options: width, depth, limit, budget, printable_limit", 1,
        {limit = 5, widht = 9}},
    } do
      refused(table.unpack(case))
    end
    assert.is_nil(mb.receive(0))
  end)
end)

describe("the value of an option", function()
  helper.setup()

  it("is refused when it does not fit, with what would", function()
    local timeout = 'timeout_value: a timeout is an integer >= 0 in ms or "infinity", got '
    for _, case in ipairs{
      {GenServer.start, 3, "GenServer.start", "the name is a string or a via table, got number", module, 1, {name = 5}},
      {GenServer.start, 3, "GenServer.start", timeout .. "-1: math.max(0, ms), or time_left(deadline)", module, 1,
        {timeout = -1}},
      {GenServer.start, 3, "GenServer.start", "table of options expected, got number", module, 1, 5},
      {Task.async_stream, 3, "Task.async_stream", 'max_concurrency is an integer >= 1, got "2"', {}, f,
        {max_concurrency = "2"}},
      {Task.async_stream, 3, "Task.async_stream", 'on_timeout is "exit" or "kill_task", got ignore', {}, f,
        {on_timeout = "ignore"}},
      {Task.async_stream, 3, "Task.async_stream", "ordered is true or false, got 1", {}, f, {ordered = 1}},
      {Task.yield_many, 2, "Task.yield_many", "limit is an integer >= 1, got 0", {}, {limit = 0}},
      {Task.yield_many, 2, "Task.yield_many", timeout .. "soon", {}, {timeout = "soon"}},
      {Registry.start_link, 1, "Registry.start_link", 'the option keys is "unique" or "duplicate", got both',
        {keys = "both", name = "x"}},
      {Registry.start_link, 1, "Registry.start_link",
        "the option listeners is a sequence of names, got a table with other fields",
        {keys = "unique", name = "x", listeners = {me = true}}},
      {Logger.configure, 1, "Logger.configure",
        "format has $bad, which stands for nothing (there are $date, $level, " ..
        "$message, $metadata, $node, $pid, $time)", {format = "$time $bad $message"}},
      {Logger.configure, 1, "Logger.configure",
        'metadata is a sequence of keys or "all", got a table with other fields', {metadata = {user = true}}},
      {Process.spawn, 2, "Process.spawn", 'priority is "low", "normal", "high" or "max", got "bogus"', f,
        {priority = "bogus"}},
      {Process.spawn, 2, "Process.spawn", 'priority is "low", "normal", "high" or "max", got 5', f, {priority = 5}},
      {Process.spawn, 2, "Process.spawn", "link is true or false, got 1", f, {link = 1}},
      {Process.spawn, 2, "Process.spawn", "monitor is true or false, got table", f, {monitor = {}}},
      {Process.spawn, 2, "Process.spawn", "table of options expected, got function", f, f},
      {mb.start, 1, "start", 'schedulers is an integer >= 1, got "two"', {schedulers = "two"}},
      {mb.inspect, 2, "inspect", "limit is a number, got string", 1, {limit = "all"}},
      {mb.demonitor, 2, "demonitor", 'the only option is "flush", got "info"', mb.make_ref(), "info"},
      {Process.flag, 1, "Process.flag", 'the only flag is "trap_exit", got "priority"', "priority", "high"},
      {mb.receive, 1, "receive", "after is ms or {ms, function}", {{"x"}, after = {0, f, 1}}},
      {mb.receive, 1, "receive", "after is ms or {ms, function}", {{"x"}, after = {0, body = f}}},
      {mb.matcher, 1, "matcher", "after is ms or {ms, function}", {{"x"}, after = {0, fn = f}}},
    } do
      refused(table.unpack(case))
    end
  end)

  it("may be any that is documented", function()
    for _, priority in ipairs{"low", "normal", "high", "max"} do
      local pid, ref = Process.spawn(f, {priority = priority, link = false, monitor = true, scheduler = "here"})
      helper.await{"DOWN", ref, "process", pid, "normal"}
    end
    Logger.configure{format = "$date $time [$level] $pid $metadata$message $$ $5", metadata = {"user", 5}}
    Logger.configure{format = "default", metadata = {}}
    assert.equal("{...}", mb.inspect({1}, {depth = 0, limit = 1, width = 80, budget = 5, printable_limit = 3}))
    assert.equal("5", mb.inspect(5, {"not", options = true}))
    assert.is_true(Process.cancel_timer(Process.send_after(self(), 1, 60000, {}), {}) > 0)
  end)
end)

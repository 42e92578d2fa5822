--- A process that computes one thing. See Elixir's `Task`.
--
--    local task = Task.async(function(text) return #text end, "some text")
--    print(Task.await(task))
--
-- The function, its arguments and its results are copied. Only the process that has started a task, its owner, may wait
-- for it. A task of `async` is linked to its owner: whoever fails of them takes the other along. Where that must not
-- be, there are the tasks of a `Task.Supervisor`. `{Task, {fn, arguments...}}` is a child that runs once and is not
-- restarted.
-- @module moonbeam.task

local core = require "moonbeam.core"
local check = require "moonbeam.internal.check"
local deadline = require "moonbeam.internal.deadline"
local options = require "moonbeam.internal.options"
local owned = require "moonbeam.internal.owned"
local process = require "moonbeam.task.process"
local stream = require "moonbeam.task.stream"

local core_await, demonitor, exit, self = core.await, core.demonitor, core.exit, core.self
local pack, unpack, type = table.pack, table.unpack, type

local Task = {}

--- Run a function in a process nobody waits for. See Elixir's `Task.start/1`.
-- @param fn function; copied
-- @param ... its arguments
-- @return pid
-- @usage Task.start(print, "from a task")
function Task.start(fn, ...)
  check.func(fn, "Task.start", 1)
  return core.spawn_for("Task.start", false, process.run, self(), false, process.family(), fn, ...)
end

--- As `start`, linked to the caller. See Elixir's `Task.start_link/1`.
-- @param fn function; copied
-- @param ... its arguments
-- @return pid
-- @usage
-- Task.start_link(print, "from a linked task")
-- sleep(1)
function Task.start_link(fn, ...)
  check.func(fn, "Task.start_link", 1)
  return core.spawn_for("Task.start_link", true, process.run, self(), false, process.family(), fn, ...)
end

--- Start computing; `await` gives the results. See Elixir's `Task.async/1`.
-- The task is linked to the caller, its owner. An owner that does not await gets the message
-- {ref, results...} and then the task's DOWN.
-- @param fn function; copied
-- @param ... its arguments
-- @return task: a table with pid, ref and owner
-- @usage
-- local task = Task.async(function(a, b) return a + b end, 1, 2)
-- assert(Task.await(task) == 3)
function Task.async(fn, ...)
  check.func(fn, "Task.async", 1)
  local pid, ref = core.spawn_async("Task.async", true, process.reply, 2, process.family(), fn, ...)
  return {pid = pid, ref = ref, owner = self()}
end

--- A task that is done already. See Elixir's `Task.completed/1`.
-- @param value what await gives
-- @return task without a process
-- @usage assert(Task.await(Task.completed(5)) == 5)
function Task.completed(value)
  return {owner = self(), completed = true, value = value}
end

local function check_task(task, fname)
  if type(task) ~= "table" or task.owner == nil or not (task.ref or task.completed) then
    core.argument_error(fname, 1, "task expected, got " .. core.type(task))
  end
  if task.owner ~= self() then
    core.argument_error(fname, 1, string.format("task %s belongs to %s and can only be used by it, not by %s",
      tostring(task.pid), tostring(task.owner), tostring(self())))
  end
end

-- Nothing of the task reaches the mailbox from here on.
local function let_go(task)
  demonitor(task.ref, "flush")
  task.let_go = true -- tells shutdown that it may still run
end

local function awaited(task, ms, ref, kind, ...)
  if kind == "reply" then
    demonitor(ref, "flush")
    return ...
  end
  if ref == nil then
    task.taken = not task.let_go and not core.monitoring(task.ref) or nil -- its reply: what the exit's text says
    let_go(task)
    return exit(core.reason{"timeout", {"Task", "await", {task, ms}}})
  end
  return exit(core.reason{(...), {"Task", "await", {task, ms}}})
end

--- Wait for a task's results. See Elixir's `Task.await/2`.
-- Exits {"timeout", {"Task", "await", {task, ms}}} when they do not come in time (the task goes on, what it
-- replies is dropped), {reason, {"Task", "await", ...}} when the task dies without. Raises in another
-- process than the owner.
-- @param task
-- @param[opt=5000] ms integer >= 0 or "infinity"
-- @return the function's results
-- @usage assert(Task.await(Task.async(string.upper, "text"), 1000) == "TEXT")
function Task.await(task, ms)
  check_task(task, "Task.await")
  ms = check.timeout(ms, 5000, "Task.await", 2)
  if task.completed then return task.value end
  return awaited(task, ms, core_await(task.ref, ms))
end

local function check_list(tasks, fname)
  if type(tasks) ~= "table" then
    core.argument_error(fname, 1, "sequence of tasks expected, got " .. core.type(tasks))
  end
  for i = 1, #tasks do check_task(tasks[i], fname) end
end

--- Wait for many tasks. See Elixir's `Task.await_many/2`.
-- Exits as `await` does, {"Task", "await_many", ...}, at the first task that fails or when the time
-- for all of them is up.
-- @param tasks sequence
-- @param[opt=5000] ms for all together
-- @return sequence of each task's first result, with n
-- @usage
-- local tasks = {Task.async(function() return 1 end), Task.async(function() return 2 end)}
-- local results = Task.await_many(tasks)
-- assert(results[1] == 1 and results[2] == 2)
function Task.await_many(tasks, ms)
  check_list(tasks, "Task.await_many")
  ms = check.timeout(ms, 5000, "Task.await_many", 2)
  local waiting, open, values = {}, 0, {}
  for _, task in ipairs(tasks) do
    if not task.completed and not waiting[task.ref] then
      waiting[task.ref] = task
      open = open + 1
    end
  end
  local last, going_on = deadline.after(ms), false
  while open > 0 do
    local ref, kind, value = core_await(waiting, deadline.left(last), going_on)
    going_on = true
    if kind ~= "reply" then
      for _, task in next, waiting do let_go(task) end
      if kind == nil then value = "timeout" end
      return exit(core.reason{value, {"Task", "await_many", {tasks, ms}}})
    end
    demonitor(ref, "flush")
    waiting[ref] = nil
    values[ref] = value
    open = open - 1
  end
  local results = {n = #tasks}
  for i, task in ipairs(tasks) do
    if task.completed then results[i] = task.value else results[i] = values[task.ref] end
  end
  return results
end

local function yielded(ref, kind, ...)
  if kind == "reply" then
    demonitor(ref, "flush")
    return true, ...
  elseif kind == "down" then
    return false, (...)
  end
  return nil
end

--- Look whether a task is done, waiting up to ms. See Elixir's `Task.yield/2`.
-- @param task
-- @param[opt=5000] ms
-- @return true, results... | false, reason it died of | nil while it runs
-- @usage
-- local task = Task.async(function() return "done" end)
-- assert(select(2, Task.yield(task)) == "done")
function Task.yield(task, ms)
  check_task(task, "Task.yield")
  ms = check.timeout(ms, 5000, "Task.yield", 2)
  if task.completed then return true, task.value end
  return yielded(core_await(task.ref, ms))
end

local yield_options = options.of{
  {"timeout", options.timeout}, {"on_timeout", options.one_of("nothing", "ignore", "kill_task")},
  {"limit", options.integer(1)},
}

local function check_yield(opts)
  if type(opts) ~= "table" then return check.timeout(opts, 5000, "Task.yield_many", 2), "nothing", nil end
  options.check(opts, yield_options, "Task.yield_many", 2)
  return check.timeout(opts.timeout, 5000, "Task.yield_many", 2), opts.on_timeout or "nothing", opts.limit
end

--- Look which of many tasks are done. See Elixir's `Task.yield_many/2`.
-- @param tasks sequence
-- @param[opt=5000] opts ms for all together, or a table: timeout, on_timeout ("nothing", "ignore",
-- "kill_task": what happens to the late ones), limit (return when so many are done)
-- @return sequence of {task, true, results...} | {task, false, reason} | {task}
-- @usage
-- local quick, slow = Task.async(function() return 1 end), Task.async(sleep, 60000)
-- local results = Task.yield_many({quick, slow}, {timeout = 500, on_timeout = "kill_task"})
-- assert(results[1][3] == 1 and results[2][2] == nil)
function Task.yield_many(tasks, opts)
  check_list(tasks, "Task.yield_many")
  local ms, on_timeout, limit = check_yield(opts)
  local waiting, open, done, answers = {}, 0, 0, {}
  for _, task in ipairs(tasks) do
    if task.completed then
      done = done + 1
    elseif not waiting[task.ref] then
      waiting[task.ref] = task
      open = open + 1
    end
  end
  local last, going_on = deadline.after(ms), false
  while open > 0 and not (limit and done >= limit) do
    local answer = pack(core_await(waiting, deadline.left(last), going_on))
    going_on = true
    local ref = answer[1]
    if ref == nil then break end
    answers[ref] = pack(yielded(unpack(answer, 1, answer.n)))
    waiting[ref] = nil
    open, done = open - 1, done + 1
  end
  if on_timeout ~= "nothing" and not (limit and done >= limit) then
    for ref, task in next, waiting do
      if on_timeout == "ignore" then
        answers[ref] = pack(Task.ignore(task))
      else
        answers[ref] = pack(Task.shutdown(task, "brutal_kill"))
      end
    end
  end
  local results = {}
  for i, task in ipairs(tasks) do
    local answer = answers[task.ref]
    if task.completed then
      results[i] = {task, true, task.value}
    elseif answer and answer[1] ~= nil then
      results[i] = {task, unpack(answer, 1, answer.n)}
    else
      results[i] = {task}
    end
  end
  return results
end

-- End the process, with force when ms have passed: the reason it died of, "noproc" when it was dead.
local function end_process(pid, brutal, ms)
  local watch = core.monitor(pid)
  local _ <close> = owned(watch)
  core.unlink(pid)
  core.process_exit(pid, brutal and "kill" or "shutdown")
  local _, kind, reason = core_await(watch, brutal and "infinity" or ms)
  if kind == nil then
    core.process_exit(pid, "kill")
    _, _, reason = core_await(watch)
  end
  return reason
end

-- What shutdown says of a task that died without a reply.
local function ended(reason, brutal)
  if reason == (brutal and "killed" or "shutdown") then return nil end
  return false, reason
end

--- End a task: tell it to shut down, kill it when it has not ended in time. See Elixir's
-- `Task.shutdown/2`. No reply or DOWN of it is left in the mailbox, and no EXIT of a task that was running.
-- @param task
-- @param[opt=5000] ms or "brutal_kill"
-- @return true, results... when it had replied | false, reason when it died on its own ("noproc": its end was known
-- already) | nil
-- @usage
-- local task = Task.async(sleep, "infinity")
-- assert(Task.shutdown(task) == nil and not Process.alive(task.pid))
function Task.shutdown(task, ms)
  check_task(task, "Task.shutdown")
  local brutal = ms == "brutal_kill"
  if not brutal then ms = check.timeout(ms, 5000, "Task.shutdown", 2) end
  if task.completed then return true, task.value end
  local ref = task.ref
  local active = core.monitoring(ref) -- asked first: its DOWN may come at any moment
  local answer = pack(core_await(ref, 0))
  if answer[2] == "down" then return ended(answer[3], brutal) end
  if answer[1] == nil and not active and not task.let_go then return false, "noproc" end
  local reason = end_process(task.pid, brutal, ms)
  if answer[1] == nil then
    -- an active monitor of a dead process is about to tell of it
    answer = pack(core_await(ref, core.monitoring(ref) and "infinity" or 0))
  end
  demonitor(ref, "flush")
  if answer[2] == "reply" then return true, unpack(answer, 3, answer.n) end
  if answer[2] == "down" then reason = answer[3] end
  return ended(reason, brutal)
end

--- Let a task go: unlink it and drop whatever it still sends. See Elixir's `Task.ignore/1`.
-- @param task
-- @return as `yield`
-- @usage
-- local task = Task.async(sleep, 10)
-- assert(Task.ignore(task) == nil)
function Task.ignore(task)
  check_task(task, "Task.ignore")
  if task.completed then return true, task.value end
  local answer = pack(core_await(task.ref, 0))
  if answer[2] ~= "down" then core.unlink(task.pid) end
  if answer[1] ~= nil then return yielded(unpack(answer, 1, answer.n)) end
  core.flush_exit(task.pid)
  let_go(task)
  return nil
end

--- Apply a function to each item of a source, several at once, each in a task of its own. See Elixir's
-- `Task.async_stream/3`.
-- Nothing starts before the first result is asked for. Whenever one of the places is free an item is read, by the
-- consumer, and a task started. Tasks are linked to the consumer, though not directly: the failure of one takes a
-- consumer along that does not trap exits, and the other tasks. Leaving the loop, by whatever way, kills the tasks that
-- still run. Meanwhile results come into the consumer's mailbox: the loop should take messages by pattern only.
-- @param source sequence, or iterator function: called without arguments until it gives nil
-- @param fn function of an item (of all values the iterator gave)
-- @param[opt] opts table: max_concurrency (at first the cores), ordered (true: results in the order of the source,
-- else of finishing), timeout (of each task, 5000 ms), on_timeout ("exit": the consumer exits {"timeout",
-- {"Task.Supervised", "stream", {ms}}}; "kill_task": it goes on with false, "timeout"), zip_input_on_exit (false)
-- @return iterator for the generic for: true, fn's results... | false, reason the task died of, or
-- {input, reason} with zip_input_on_exit
-- @usage
-- local sum = 0
-- for ok, square in Task.async_stream({1, 2, 3}, function(n) return n * n end) do
--   assert(ok)
--   sum = sum + square
-- end
-- assert(sum == 14)
function Task.async_stream(source, fn, opts)
  return stream.new("Task.async_stream", 1, false, true, source, fn, opts)
end

Task.Supervisor = require "moonbeam.task.supervisor"

--- How a supervisor starts a task. It is not restarted. See Elixir's `Task.child_spec/1`.
-- @param work function, or {function, arguments...}
-- @return child specification
-- @usage
-- local sup = Supervisor.start_link({{Task, {print, "from", "a task"}}}, {strategy = "one_for_one"})
-- assert(Task.child_spec(print).restart == "temporary")
function Task.child_spec(work)
  if type(work) ~= "table" or work[1] == nil then work = {work} end
  check.func(work[1], "Task.child_spec", 1)
  return {id = "Task", start = table.move(work, 1, #work, 2, {Task.start_link}), restart = "temporary"}
end

return Task

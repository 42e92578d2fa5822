--- A supervisor of tasks, which are started as they are needed. See Elixir's `Task.Supervisor`.
--
-- Its tasks have an end when it stops, and a place where they are seen; those of `async_nolink` may fail without harm
-- to their owners. It is a DynamicSupervisor, and may itself be the child of a supervisor:
-- `{Task.Supervisor, {name = "tasks"}}`.
-- @module moonbeam.task.supervisor

local core = require "moonbeam.core"
local check = require "moonbeam.internal.check"
local DynamicSupervisor = require "moonbeam.dynamic_supervisor"
local client = require "moonbeam.dynamic_supervisor.client"
local gen_client = require "moonbeam.gen_server.client"
local options = require "moonbeam.internal.options"
local process = require "moonbeam.task.process"
local stream = require "moonbeam.task.stream"

local self, type, unpack = core.self, type, table.unpack

local TaskSupervisor = {}

-- The values of all but the name are checked by the supervisor itself, which stops with what is wrong.
local start_options = options.of{{"name", options.name}, "max_children", "max_restarts", "max_seconds"}
-- Those of restart and shutdown are as in child specifications.
local child_options = options.of{"start", "restart", "shutdown"}
local async_options = options.of{"start", "shutdown"}

--- Start a supervisor of tasks, linked to the caller. See Elixir's `Task.Supervisor.start_link/1`.
-- @param[opt] opts table: name, max_children ("infinity"), max_restarts (3) within max_seconds (5), which count only
-- for tasks that are restarted
-- @return pid | nil, reason
-- @usage
-- local sup = Task.Supervisor.start_link{name = "tasks"}
-- assert(Task.await(Task.Supervisor.async("tasks", function() return 42 end)) == 42)
function TaskSupervisor.start_link(opts)
  return DynamicSupervisor.start_link(options.check(opts, start_options, "Task.Supervisor.start_link", 1))
end

--- How a supervisor starts a supervisor of tasks.
-- @param[opt] opts as for start_link
-- @return child specification
-- @usage assert(Task.Supervisor.child_spec{name = "tasks"}.type == "supervisor")
function TaskSupervisor.child_spec(opts)
  opts = options.check(opts, start_options, "Task.Supervisor.child_spec", 1)
  return {id = opts.name or "Task.Supervisor", start = {TaskSupervisor.start_link, opts}, type = "supervisor"}
end

-- What was given as argument 2: the options of the child, the function, its arguments packed.
local function work_of(fname, known, what, ...)
  if type(what) ~= "table" or what.start == nil then
    check.func(what, fname, 2)
    return {}, what, table.pack(...)
  end
  options.check(what, known, fname, 2)
  local start = what.start
  if type(start) ~= "table" then
    core.argument_error(fname, 2, "start is {function, arguments...}, got " .. core.type(start))
  end
  check.func(start[1], fname, 2)
  return what, start[1], table.pack(table.unpack(start, 2, start.n))
end

local function begin(fname, linked, supervisor, shutdown, work)
  local pid, reason = process.start_in(supervisor, shutdown, fname)
  if pid == nil then return process.refused(supervisor, reason) end
  if linked then core.link(pid) end
  return {pid = pid, ref = process.hand_over(pid, work), owner = self()}
end

-- What a refusal says of the work of {start = {fn, arguments...}}: it counts these as arguments from 2 on.
local in_start = {"argument #(%d+)( of .-: )(.*)$", function(n, of, rest)
  local step = string.format('field "start[%d]', n - 1)
  if string.find(rest, "^it ") then
    rest = step .. '"' .. string.sub(rest, 3)
  elseif string.find(rest, '^field "') then
    rest = step .. (string.sub(rest, 8, 8) == "[" and "" or ".") .. string.sub(rest, 8)
  else
    rest = step .. '", ' .. rest
  end
  return "argument #2" .. of .. rest
end}

-- The work of a function and its arguments, or of opts.start.
local function work_for(fname, opts, entry, fn, arguments)
  if not opts.start then return process.work(fname, entry, process.family(), fn, unpack(arguments, 1, arguments.n)) end
  return check.renaming(in_start, pcall(process.work, fname, entry, process.family(), fn,
    unpack(arguments, 1, arguments.n)))
end

local function async(fname, linked, supervisor, fn, ...)
  if type(fn) == "function" then
    return begin(fname, linked, supervisor, nil, process.work(fname, process.reply, process.family(), fn, ...))
  end
  local opts, called, arguments = work_of(fname, async_options, fn, ...)
  return begin(fname, linked, supervisor, opts.shutdown, work_for(fname, opts, process.reply, called, arguments))
end

--- Start computing in a task of the supervisor, linked to the caller as `Task.async` does. See Elixir's
-- `Task.Supervisor.async/2`.
-- Raises when the supervisor has its max_children; exits as GenServer.call does when there is no supervisor.
-- @param supervisor pid, name or via table
-- @param fn function, which is copied, or a table: start = {fn, arguments...}, shutdown (5000 ms, "brutal_kill" or
-- "infinity": what the task gets when the supervisor stops)
-- @param ... arguments of a function
-- @return task, for Task.await and the like
-- @usage
-- local sup = Task.Supervisor.start_link()
-- assert(Task.await(Task.Supervisor.async(sup, math.max, 3, 4)) == 4)
function TaskSupervisor.async(supervisor, fn, ...)
  return async("Task.Supervisor.async", true, supervisor, fn, ...)
end

--- As `async`, without a link: the caller hears of the task's failure by `Task.yield` or `Task.await`, or by its DOWN.
-- See Elixir's `Task.Supervisor.async_nolink/2`.
-- @param supervisor pid, name or via table
-- @param fn function or table, as for `async`
-- @param ... arguments of a function
-- @return task
-- @usage
-- local sup = Task.Supervisor.start_link()
-- local ok, reason = Task.yield(Task.Supervisor.async_nolink(sup, exit, "failed"))
-- assert(ok == false and reason == "failed")
function TaskSupervisor.async_nolink(supervisor, fn, ...)
  return async("Task.Supervisor.async_nolink", false, supervisor, fn, ...)
end

--- Start a task that nobody awaits, as a child of the supervisor. See Elixir's `Task.Supervisor.start_child/3`.
-- @param supervisor pid, name or via table
-- @param fn function, which is copied, or a table: start = {fn, arguments...}, restart ("temporary": it is not
-- restarted; "transient", "permanent"), shutdown (5000 ms, "brutal_kill" or "infinity")
-- @param ... arguments of a function
-- @return pid | nil, reason: "max_children"
-- @usage
-- local sup = Task.Supervisor.start_link()
-- local pid = Task.Supervisor.start_child(sup, {start = {sleep, "infinity"}, restart = "transient"})
-- assert(Task.Supervisor.children(sup)[1] == pid)
function TaskSupervisor.start_child(supervisor, fn, ...)
  local fname = "Task.Supervisor.start_child"
  local opts, called, arguments = work_of(fname, child_options, fn, ...)
  local work = work_for(fname, opts, process.run, called, arguments)
  if opts.restart ~= nil and opts.restart ~= "temporary" then -- it can be copied
    return client.start_child(supervisor, {
      id = "Task", start = {process.start_running, self(), process.family(), called, arguments},
      restart = opts.restart, shutdown = opts.shutdown,
    }, fname)
  end
  local pid, reason = process.start_in(supervisor, opts.shutdown, fname)
  if pid == nil then return nil, reason end
  local ref = process.hand_over(pid, work)
  core.demonitor(ref, "flush")
  return pid
end

--- The pids of the tasks that are not waiting for a restart. See Elixir's `Task.Supervisor.children/1`.
-- @param supervisor pid, name or via table
-- @return sequence of pids
-- @usage assert(#Task.Supervisor.children(Task.Supervisor.start_link()) == 0)
function TaskSupervisor.children(supervisor)
  local pids = {}
  local children = client.request(supervisor, "which_children", nil, "Task.Supervisor.children")
  for _, child in ipairs(children) do
    if core.type(child[2]) == "pid" then pids[#pids + 1] = child[2] end
  end
  return pids
end

--- Stop a task. See Elixir's `Task.Supervisor.terminate_child/2`.
-- @param supervisor pid, name or via table
-- @param pid the task's
-- @return true when it is gone | nil, "not_found"
-- @usage
-- local sup = Task.Supervisor.start_link()
-- assert(Task.Supervisor.terminate_child(sup, Task.Supervisor.start_child(sup, sleep, "infinity")))
function TaskSupervisor.terminate_child(supervisor, pid)
  return client.terminate_child(supervisor, pid, "Task.Supervisor.terminate_child")
end

--- Stop a supervisor and its tasks, which are told "shutdown". See `DynamicSupervisor.stop`.
-- @param supervisor pid, name or via table
-- @param[opt="normal"] reason
-- @param[opt="infinity"] ms
-- @return true when it is gone
-- @usage assert(Task.Supervisor.stop(Task.Supervisor.start_link()))
function TaskSupervisor.stop(supervisor, reason, ms)
  return gen_client.stop(supervisor, reason, ms, "Task.Supervisor.stop")
end

--- As `Task.async_stream`, with tasks that are children of the supervisor. See Elixir's
-- `Task.Supervisor.async_stream/4`.
-- Raises, when a result is asked for, if the supervisor has its max_children.
-- @param supervisor pid, name or via table
-- @param source sequence or iterator function
-- @param fn function of an item
-- @param[opt] opts as for Task.async_stream; and shutdown, as for `async`
-- @return iterator for the generic for
-- @usage
-- local sup = Task.Supervisor.start_link()
-- for ok, square in Task.Supervisor.async_stream(sup, {3}, function(n) return n * n end) do assert(square == 9) end
function TaskSupervisor.async_stream(supervisor, source, fn, opts)
  return stream.new("Task.Supervisor.async_stream", 2, supervisor, true, source, fn, opts)
end

--- As `async_stream`, with tasks that are not linked to the caller: their failures are results, whether it traps exits
-- or not. See Elixir's `Task.Supervisor.async_stream_nolink/4`.
-- @param supervisor pid, name or via table
-- @param source sequence or iterator function
-- @param fn function of an item
-- @param[opt] opts as for `async_stream`
-- @return iterator for the generic for
-- @usage
-- local sup = Task.Supervisor.start_link()
-- for ok, reason in Task.Supervisor.async_stream_nolink(sup, {"failed"}, exit) do
--   assert(not ok and reason == "failed")
-- end
function TaskSupervisor.async_stream_nolink(supervisor, source, fn, opts)
  return stream.new("Task.Supervisor.async_stream_nolink", 2, supervisor, false, source, fn, opts)
end

return TaskSupervisor

--- What runs in the processes of tasks. See Elixir's `Task.Supervised`.
--
-- A task of a supervisor is started empty and waits for its work, which its owner hands over: the work is copied once,
-- past the supervisor, and the owner's link and monitor are there before it begins.
-- @module moonbeam.task.process

local core = require "moonbeam.core"
local dynamic_supervisor = require "moonbeam.dynamic_supervisor.client"
local inspect = require "moonbeam.internal.inspect"

local unpack = table.unpack

local process = {}

--- What tasks of the calling process have of it, ancestors and callers; false when that is only its pid.
process.family = core.family

local enter = core.enter_task

--- A task that its owner awaits: replies with what fn returns.
function process.reply(owner, ref, family, fn, ...)
  enter(owner, family)
  core.reply(owner, ref, fn(...))
end

--- A task that answers nobody. The arguments stand in the same places for all of these; `_` is the reference, which
-- nobody waits for.
function process.run(owner, _, family, fn, ...)
  enter(owner, family)
  fn(...)
end

--- A task of a stream, started by the stream's monitor process: replies to the stream's own reference.
function process.stream(_, _, family, owner, ref, position, fn, ...)
  enter(owner, family)
  core.reply(owner, ref, position, "reply", fn(...))
end

local function owner_gone(_, reason) return core.exit({"shutdown", reason}) end

--- A task that waits for its owner to hand it work: one of the functions above, called with owner, a reference and what
-- else was handed over. Other messages stay for the work to receive. Work that cannot be made here is its end.
-- @param owner pid
-- @param ancestors the supervisor's and itself; from the owner it has callers
function process.wait(owner, ancestors)
  local watch = core.monitor(owner)
  core.await_work()
  local ref, work, _, body = core.select{
    {{"$gen_call", {owner, core.any}, core.any}},
    {{"DOWN", watch, "process", core.any, core.any}, owner_gone},
  }
  if body then return body(ref, work) end
  core.demonitor(watch, "flush")
  local family = work[2]
  return work[1](owner, ref, {ancestors, family and family[2]}, unpack(work, 3, work.n))
end

--- Work for a task of a supervisor's, made before anything is started: what cannot be copied raises.
-- @param fname the user's function, for errors
-- @param ... entry (a function above) and what follows the reference in its arguments
function process.work(fname, ...) return core.encode_work(table.pack(...), fname) end

--- Hand work to a task of the calling process that waits.
-- @function hand_over
-- @param pid the task
-- @param work from `work`
-- @return reference of a reply and of the end
process.hand_over = core.send_work

--- The start functions of a supervisor's tasks.
function process.start_waiting(owner) return core.spawn_link(process.wait, owner, core.ancestors()) end

function process.start_running(owner, family, fn, arguments)
  return core.spawn_link(process.run, owner, false, {core.ancestors(), family and family[2]}, fn,
    unpack(arguments, 1, arguments.n))
end

--- Let a supervisor start a task of the calling process that waits.
-- @param supervisor pid, name or via table
-- @param[opt] shutdown as in child specifications
-- @param[opt] fname the user's function, for errors
-- @return pid | nil, reason
function process.start_in(supervisor, shutdown, fname)
  return dynamic_supervisor.start_child(supervisor, {
    id = "Task", start = {process.start_waiting, core.self()}, restart = "temporary", shutdown = shutdown,
  }, fname)
end

--- The supervisor did not start a task: raises, at the user's line.
function process.refused(supervisor, reason)
  if core.type(supervisor) ~= "pid" then supervisor = inspect(supervisor) end
  if reason == "max_children" then
    return core.raise_at_caller(string.format("the supervisor %s has its max_children tasks; start it with more, or " ..
      "run fewer at a time (in a stream: max_concurrency)", supervisor))
  end
  return core.raise_at_caller(
    string.format("the supervisor %s has not started a task: %s", supervisor, inspect(reason)))
end

return process

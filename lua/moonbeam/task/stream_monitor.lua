--- The monitor process of Task.async_stream: starts the tasks, kills those whose time is up, and tells the consumer
-- of every end. See `stream` for the whole.
--
-- It always traps exits, so that nothing comes between unlinking a late task and killing it. What a consumer that does
-- not trap would die of ends the monitor, and over its link the consumer and the other tasks.
-- @module moonbeam.task.stream_monitor

local core = require "moonbeam.core"
local deadline = require "moonbeam.internal.deadline"
local process = require "moonbeam.task.process"

local next_event, reply, exit = core.next_event, core.reply, core.exit
local unpack, type = table.unpack, type

local monitor = {}

-- Start the task of an item, a packed sequence: pid, ref | nil, why the supervisor has refused.
local function start(m, position, item)
  if not m.supervisor then
    return core.spawn_async(false, true, process.stream, 0, m.family, m.consumer, m.ref, position, m.fn,
      unpack(item, 1, item.n))
  end
  local work = process.work("Task.Supervisor.async_stream", process.stream, m.family, m.consumer, m.ref, position, m.fn,
    unpack(item, 1, item.n))
  local pid, reason = process.start_in(m.supervisor, m.shutdown)
  if pid == nil then return nil, reason end
  if m.linked then core.link(pid) end
  return pid, process.hand_over(pid, work)
end

local function begin(m, item)
  m.count = m.count + 1
  local pid, ref = start(m, m.count, item)
  if pid == nil then return reply(m.consumer, m.ref, m.count, "refused", ref) end
  local task = {pid = pid, position = m.count, late = false}
  m.running[ref] = task
  if m.timeout ~= "infinity" then
    task.deadline = deadline.after(m.timeout)
    m.last = m.last + 1
    m.line[m.last] = ref
  end
end

-- Kill the tasks whose time is up; how long to wait for the next one's, "infinity" without one. Deadlines pass in the
-- order of the starts, in which m.line has the tasks, those that have ended too.
local function kill_the_late(m)
  local line = m.line
  while m.first <= m.last do
    local task = m.running[line[m.first]]
    if task then
      local left = deadline.left(task.deadline)
      if left > 0 then return left end
      task.late = true
      core.unlink(task.pid)
      core.process_exit(task.pid, "kill")
    end
    line[m.first] = nil
    m.first = m.first + 1
  end
  return "infinity"
end

local function ended(m, ref, reason)
  local task = m.running[ref]
  if not task then return end
  m.running[ref] = nil
  reply(m.consumer, m.ref, task.position, task.late and "late" or "down", reason)
end

-- The ref and the reason of a DOWN; nil for anything else that came.
local function down(kind, message)
  if kind == "info" and type(message) == "table" and message[1] == "DOWN" then return message[2], message[5] end
end

-- The consumer wants no more.
local function stop(m)
  for _, task in next, m.running do core.process_exit(task.pid, "kill") end
  while next(m.running) do
    local ref = down(next_event())
    if ref then m.running[ref] = nil end
  end
end

--- The process, linked to the consumer; ref is the consumer's monitor of it.
-- @param consumer pid
-- @param ref under which the consumer is told of each task: its position among the items, and "reply", results... by
-- the task itself, or "down", reason, "late", or "refused", reason by the monitor process
-- @param trapping whether the consumer traps exits
-- @param timeout for each task
-- @param family of the consumer, for the tasks
-- @param fn what the tasks run
-- @param supervisor of the tasks, or false
-- @param linked whether tasks of a supervisor are linked
-- @param shutdown of tasks of a supervisor, as in child specifications
function monitor.run(consumer, ref, trapping, timeout, family, fn, supervisor, linked, shutdown)
  core.process_flag("trap_exit", true)
  local m = {
    consumer = consumer, ref = ref, timeout = timeout, family = family, fn = fn, supervisor = supervisor,
    linked = linked, shutdown = shutdown, count = 0, -- of items
    running = {}, -- ref -> {pid =, position =, late =, deadline =}
    line = {}, first = 1, last = 0, -- refs
  }
  local consumer_ref = core.monitor(consumer)
  while true do
    local kind, a, b = next_event(kill_the_late(m))
    if kind == "cast" then
      if a == "stop" then return stop(m) end
      begin(m, a)
    elseif kind == "exit" then
      -- Of the consumer's end its DOWN tells, which is there as well.
      if a ~= consumer and b ~= "normal" and not trapping then return exit(b) end
    else
      local gone, reason = down(kind, a)
      if gone == consumer_ref then return exit(reason) end
      if gone then ended(m, gone, reason) end
    end
  end
end

return monitor

--- Starting and stopping the processes of a supervisor's children, in the supervisor's process.
--
-- A supervisor stays linked to what it stops, until it is gone. The EXIT messages of such children are left in the
-- mailbox, where they mean nothing any more: looking for each of them would cost a pass over the mailbox.
-- @module moonbeam.supervisor.child_process

local core = require "moonbeam.core"
local deadline = require "moonbeam.internal.deadline"
local reasons = require "moonbeam.internal.reasons"
local child_spec = require "moonbeam.supervisor.child_spec"
local report = require "moonbeam.supervisor.report"

local monitor, exit_signal, await, core_type = core.monitor, core.process_exit, core.await, core.type
local type, unpack, select = type, table.unpack, select

local child_process = {}

-- The reason of a child whose start function says nothing.
local NOTHING = "its start function returned nothing; a pid is expected (return Agent.start_link(...))"

local function outcome(ok, ...)
  local first, second = ...
  if not ok then return "raised", reasons.caught(first) end
  if core_type(first) == "pid" then return "ok", first, second end
  local count = select("#", ...)
  if first == "ignore" and count == 1 then return "ignore" end
  if first == nil and count >= 2 then
    first = second
  elseif count > 1 then
    first = {...}
  end
  return "error", first == nil and NOTHING or first
end

-- A child that is not linked is stopped as others are, but its end is not seen.
local function check_link(state, child, pid)
  if core.is_linked(pid) or state.warned or not core.process_alive(pid) then return end
  state.warned = true
  report.not_linked(child, pid)
end

local function started(state, child, kind, pid, info)
  if kind == "ok" then
    if child.open then child_spec.decide(child, pid) end
    if child.backoff then child.since = core.monotonic_time() end
    check_link(state, child, pid)
  end
  return kind, pid, info
end

--- Call a child's start function.
-- @param state the supervisor's
-- @param child record, whose start is {function, arguments...}
-- @param[opt] extra sequence of arguments to put before those
-- @return "ok", pid [, info] | "ignore" | "error", reason (a junk result is one) | "raised", reason
function child_process.start(state, child, extra)
  local start = child.start
  if extra == nil or #extra == 0 then
    return started(state, child, outcome(xpcall(start[1], reasons.of_raised, unpack(start, 2))))
  end
  local arguments = table.move(start, 2, #start, #extra + 1, table.move(extra, 1, #extra, 1, {}))
  return started(state, child, outcome(xpcall(start[1], reasons.of_raised, unpack(arguments, 1, #extra + #start - 1))))
end

-- Whether a child that was told to stop ended as it should.
local function is_expected(child, reason)
  if reason == (child.shutdown == "brutal_kill" and "killed" or "shutdown") then return true end
  return child.restart ~= "permanent" and reasons.is_ordinary(reason)
end

local function check_reason(state, child, reason, reported)
  if not is_expected(child, reason) then report.ended(state, "shutdown_error", child, reason, reported) end
end

local function tell(pid, shutdown) exit_signal(pid, shutdown == "brutal_kill" and "kill" or "shutdown") end

-- Stop a process and wait until it is gone: its reason.
local function stop(pid, shutdown)
  local ref = monitor(pid)
  tell(pid, shutdown)
  local answer, _, reason = await(ref, type(shutdown) == "number" and shutdown or "infinity")
  if answer == nil then
    exit_signal(pid, "kill")
    _, _, reason = await(ref)
  end
  return reason
end

-- What a child that was gone before it was told to stop had died of: its EXIT says so, unless it had unlinked itself.
-- `ended` keeps what is found: one pass over the mailbox takes the EXITs of all pids in `mine`.
local function earlier_reason(ended, mine, pid)
  if ended[pid] == nil then
    for other, reason in next, core.take_exits(mine) do ended[other] = reason end
  end
  return ended[pid] or "noproc"
end

local function pids_of(batch)
  local pids = {}
  for i = 1, #batch do
    local pid = batch[i].pid
    if pid ~= nil then pids[pid] = true end
  end
  return pids
end

--- Stop children one after the other, each gone before the next is told. The caller forgets their pids.
-- @param state the supervisor's, for reports
-- @param batch sequence of children in the order of stopping; those without a process are passed over
function child_process.stop_in_order(state, batch)
  local ended, mine = {}, nil
  for i = 1, #batch do
    local child = batch[i]
    local pid = child.pid
    if pid ~= nil then
      local reason = ended[pid]
      local reported = false
      if reason == nil then
        reason = stop(pid, child.shutdown)
        reported = core.is_reported()
      end
      if reason == "noproc" then
        mine = mine or pids_of(batch)
        reason = earlier_reason(ended, mine, pid)
      end
      check_reason(state, child, reason, reported)
    end
  end
end

-- The groups of what is left: by their shutdown time, in ms.
local function next_time(groups)
  local least
  for ms in next, groups do
    if not least or ms < least then least = ms end
  end
  return least
end

local function kill_late(group, waiting)
  for i = 1, #group do
    local child = waiting[group[i]]
    if child then exit_signal(child.pid, "kill") end
  end
end

--- Stop children all at once and wait until they are gone. The caller forgets their pids.
-- @param state the supervisor's, for reports
-- @param by_pid the children
function child_process.stop_together(state, by_pid)
  local waiting, open, groups = {}, 0, {}
  for pid, child in next, by_pid do
    if not child.retry then
      local ref, shutdown = monitor(pid), child.shutdown
      waiting[ref], open = child, open + 1
      tell(pid, shutdown)
      if type(shutdown) == "number" then
        local group = groups[shutdown] or {}
        groups[shutdown] = group
        group[#group + 1] = ref
      end
    end
  end
  local started, time, ended, again = core.monotonic_time(), next_time(groups), {}, false
  while open > 0 do
    local ref, _, reason = await(waiting, deadline.left(time and started + time), again)
    local reported = core.is_reported()
    again = true
    if ref ~= nil then
      local child = waiting[ref]
      waiting[ref], open = nil, open - 1
      if reason == "noproc" then reason = earlier_reason(ended, by_pid, child.pid) end
      check_reason(state, child, reason, reported)
    else
      kill_late(groups[time], waiting)
      groups[time] = nil
      time = next_time(groups)
    end
  end
end

return child_process

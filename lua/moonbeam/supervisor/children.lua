--- The children of a supervisor in the order of their start, found by pid in constant time.
--
-- A child is a record of supervisor/child_spec.lua. Here it gains prev and next, its neighbours; pid, while it runs;
-- retry, the number of the next attempt to restart it, while attempts go on; and timer, while it
-- waits for that one's time.
-- @module moonbeam.supervisor.children

local core = require "moonbeam.core"

local children = {}

local no_modules = {}

--- An empty collection: first and last child, by_pid, by_retry, count.
function children.new() return {first = nil, last = nil, by_pid = {}, by_retry = {}, count = 0} end

--- Append a child; pid may be nil.
function children.add(list, child, pid)
  local last = list.last
  child.prev = last
  if last then last.next = child else list.first = child end
  list.last = child
  list.count = list.count + 1
  children.set_pid(list, child, pid)
end

-- No attempt to restart the child is to be made any more.
local function forget_retry(list, child)
  list.by_retry[child.retry] = nil
  if child.timer then core.process_cancel_timer(child.timer) end
  child.retry, child.timer = nil, nil
end

--- The child waits for an attempt to restart it.
function children.set_retry(list, child, number, timer)
  if child.retry then forget_retry(list, child) end
  list.by_retry[number], child.retry, child.timer = child, number, timer
end

--- The child runs as pid from now on, or, nil, not at all.
function children.set_pid(list, child, pid)
  local by_pid, old = list.by_pid, child.pid
  if old ~= nil and by_pid[old] == child then by_pid[old] = nil end
  child.pid = pid
  if child.retry then forget_retry(list, child) end
  if pid ~= nil then by_pid[pid] = child end
end

--- Take a child out.
function children.remove(list, child)
  local before, after = child.prev, child.next
  if before then before.next = after else list.first = after end
  if after then after.prev = before else list.last = before end
  list.count = list.count - 1
  children.set_pid(list, child, nil)
end

--- The children from the newest to the oldest, or to `oldest`, as a sequence.
function children.newest_first(list, oldest)
  local sequence, child = {}, list.last
  while child do
    sequence[#sequence + 1] = child
    if child == oldest then break end
    child = child.prev
  end
  return sequence
end

--- What which_children says: {id, pid | "undefined" | "restarting", type, modules}, newest first.
function children.entries(list)
  local entries = children.newest_first(list)
  for i = 1, #entries do
    local child = entries[i]
    local id, pid = child.id, child.retry and "restarting" or child.pid or "undefined"
    if id == nil then id = "undefined" end
    entries[i] = {id, pid, child.type or "worker", child.modules or no_modules}
  end
  return entries
end

--- What count_children says, where is_active(child) tells which of the children have a process.
function children.counts(list, is_active)
  local counts = {specs = list.count, active = 0, supervisors = 0, workers = 0}
  local child = list.first
  while child do
    local kind = child.type and "supervisors" or "workers"
    counts[kind] = counts[kind] + 1
    if is_active(child) then counts.active = counts.active + 1 end
    child = child.next
  end
  return counts
end

return children

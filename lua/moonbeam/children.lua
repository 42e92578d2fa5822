--- The children of a supervisor in the order of their start, found by pid in constant time.
--
-- A child is a record of moonbeam.child_spec. Here it gains prev and next, its neighbours; pid, while it runs; and
-- retry, the number of the next attempt to restart it, while attempts go on.
-- @module moonbeam.children

local children = {}

--- An empty collection: first and last child, by_pid, count.
function children.new() return {first = nil, last = nil, by_pid = {}, count = 0} end

--- Append a child; pid may be nil.
function children.add(list, child, pid)
  local last = list.last
  child.prev = last
  if last then last.next = child else list.first = child end
  list.last = child
  list.count = list.count + 1
  children.set_pid(list, child, pid)
end

--- The child runs as pid from now on, or, nil, not at all.
function children.set_pid(list, child, pid)
  local by_pid, old = list.by_pid, child.pid
  if old ~= nil and by_pid[old] == child then by_pid[old] = nil end
  child.pid, child.retry = pid, nil
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

return children

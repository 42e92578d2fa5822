--- The timeouts of a state machine: one of its state, one for the next event, and any number with names.
--
-- Each is an entry {type, content, timer, number}. A timer of the runtime's sends {mark, number}; an entry whose time is
-- zero has no timer but a place in a list, which is taken before anything is received. One that has been cancelled is in
-- no slot any more, whatever of it is still on its way.
-- @module moonbeam.state_machine.timeouts

local core = require "moonbeam.core"
local check = require "moonbeam.internal.check"

local send_after, cancel_timer, self, type = core.process_send_after, core.process_cancel_timer, core.self, type

local timeouts = {}

--- An empty set.
function timeouts.new() return {mark = core.make_ref(), count = 0, by_number = {}, fixed = {}, named = {}, due = {}} end

--- Whether an event's type is that of a timeout: "timeout", "state_timeout" or {"timeout", name}.
function timeouts.is_type(kind)
  if type(kind) ~= "table" then return kind == "timeout" or kind == "state_timeout" end
  local name = kind[2]
  return kind[1] == "timeout" and name ~= nil and name == name and #kind == 2
end

--- Whether a value is a time.
function timeouts.is_time(time) return time == "infinity" or time == math.huge or check.is_natural(time) end

-- Where the entry of a type stands: a table and its key.
local function slot(set, kind)
  if type(kind) == "table" then return set.named, kind[2] end
  return set.fixed, kind
end

local function drop(set, entry)
  entry.over = true
  if not entry.timer then return end
  cancel_timer(entry.timer)
  set.by_number[entry.number] = nil
end

--- Cancel the timeout of a type, if there is one.
function timeouts.cancel(set, kind)
  local place, key = slot(set, kind)
  local entry = place[key]
  if not entry then return end
  place[key] = nil
  drop(set, entry)
end

--- Begin a timeout, in the place of one of its type.
function timeouts.start(set, kind, time, content)
  timeouts.cancel(set, kind)
  if time == "infinity" or time == math.huge then return end
  local place, key = slot(set, kind)
  local entry = {type = kind, content = content}
  place[key] = entry
  if time == 0 then
    set.due[#set.due + 1] = entry
    return
  end
  set.count = set.count + 1
  entry.number = set.count
  entry.timer = send_after(self(), {set.mark, set.count}, time)
  set.by_number[set.count] = entry
end

--- Give a timeout another content; without one it comes at once.
function timeouts.update(set, kind, content)
  local place, key = slot(set, kind)
  if not place[key] then return timeouts.start(set, kind, 0, content) end
  place[key].content = content
end

-- A timeout comes: its type and content.
local function taken(set, entry)
  local place, key = slot(set, entry.type)
  place[key] = nil
  entry.over = true
  return entry.type, entry.content
end

--- The next timeout whose time was zero: type, content; nil when there is none.
function timeouts.take_due(set)
  local due = set.due
  while due[1] do
    local entry = table.remove(due, 1)
    if not entry.over then return taken(set, entry) end
  end
end

--- Whether a message is a timer's.
function timeouts.is_message(set, message) return type(message) == "table" and message[1] == set.mark end

--- The timeout that a timer's message tells of: type, content; nil when it has been cancelled.
function timeouts.take(set, message)
  local entry = set.by_number[message[2]]
  if not entry then return nil end
  set.by_number[message[2]] = nil
  return taken(set, entry)
end

return timeouts

--- What the callbacks of a state machine ask for beside the next state: see StateMachine for the actions there are.
-- @module moonbeam.state_machine.actions

local core = require "moonbeam.core"
local timeouts = require "moonbeam.state_machine.timeouts"

local core_type, reply, type = core.type, core.reply, type

local actions = {}

local function is_from(from)
  return type(from) == "table" and core_type(from[1]) == "pid" and core_type(from[2]) == "reference"
end

local plain_types = {internal = true, cast = true, info = true}

local function is_event_type(kind)
  if plain_types[kind] or timeouts.is_type(kind) then return true end
  return type(kind) == "table" and kind[1] == "call" and is_from(kind[2])
end

--- What actions add up to: next_events in order, timeouts in order, postpone, hibernate.
function actions.none() return {next_events = {}, timeouts = {}, postpone = false, hibernate = false} end

local function refuse(action, reason) return core.exit({reason, action}) end

-- {type, time, content} | {type, "cancel"} | {type, "update", content}
local function add_timeout(all, action, reason)
  local time, n = action[2], rawlen(action)
  if not (timeouts.is_time(time) and n <= 3 or time == "update" and n <= 3 or time == "cancel" and n == 2) then
    return refuse(action, reason)
  end
  all.timeouts[#all.timeouts + 1] = action
end

-- A flag's value: true for the name alone.
local function flag(action, reason)
  if type(action) == "string" then return true end
  if type(action[2]) ~= "boolean" then return refuse(action, reason) end
  return action[2]
end

-- What does only what the call of a new state may do.
local everywhere = {}

function everywhere.reply(_, action, reason)
  if type(action) ~= "table" or not is_from(action[2]) then return refuse(action, reason) end
  return reply(action[2][1], action[2][2], action[3])
end

function everywhere.hibernate(all, action, reason) all.hibernate = flag(action, reason) end

function everywhere.timeout(all, action, reason)
  if type(action) == "string" then return refuse(action, reason) end
  return add_timeout(all, action, reason)
end

everywhere.state_timeout = everywhere.timeout

local for_events = {}

function for_events.postpone(all, action, reason) all.postpone = flag(action, reason) end

function for_events.next_event(all, action, reason)
  if type(action) ~= "table" or not is_event_type(action[2]) then return refuse(action, reason) end
  all.next_events[#all.next_events + 1] = {action[2], action[3]}
end

local function add(all, action, entering, reason)
  if timeouts.is_time(action) then action = {"timeout", action, action} end
  local name = action
  if type(action) == "table" then
    name = action[1]
    if type(name) == "table" and timeouts.is_type(name) then return add_timeout(all, action, reason) end
  end
  local handler = everywhere[name] or not entering and for_events[name]
  if not handler then return refuse(action, reason) end
  return handler(all, action, reason)
end

-- Whether a table is one action, not a sequence of them: a word stands first, or the type of a timeout with a name, and
-- a time behind it.
local function is_one(list)
  local first, second = list[1], list[2]
  if type(first) == "string" then return first ~= "postpone" and first ~= "hibernate" or type(second) == "boolean" end
  return timeouts.is_type(first) and type(first) == "table" and
    (timeouts.is_time(second) or second == "cancel" or second == "update")
end

--- Add up actions; replies are sent at once.
-- @param all what there is so far
-- @param list nil, one action or a sequence
-- @param entering whether these are of a call for a new state
function actions.add(all, list, entering)
  local reason = entering and "bad_state_enter_action_from_state_function" or "bad_action_from_state_function"
  if list == nil then return end
  if type(list) ~= "table" or is_one(list) then return add(all, list, entering, reason) end
  for i = 1, rawlen(list) do add(all, list[i], entering, reason) end
end

--- Send the replies of a sequence of actions, or of one, that are nothing else.
function actions.reply(list)
  if type(list) == "table" and is_one(list) then list = {list} end
  for _, action in ipairs(type(list) == "table" and list or {list}) do
    if type(action) ~= "table" or action[1] ~= "reply" then refuse(action, "bad_reply_action_from_state_function") end
    everywhere.reply(nil, action, "bad_reply_action_from_state_function")
  end
end

return actions

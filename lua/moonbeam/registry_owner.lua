--- The process that those registered are linked to, a server. It outlives each of them, for their exits do not reach
-- it, and ends with the registry. Besides it keeps the locks of `Registry.lock`.
--
-- Whoever wants a lock is a client and stands in the lock's queue, the first of which holds it. All are monitored: a
-- client that dies leaves the queue wherever it stands.
-- @module moonbeam.registry_owner

local core = require "moonbeam.core"

local type = type

local owner = {}

function owner.init()
  core.registry_anchor()
  return "ok", {queues = {}, clients = {}} -- by key, and by reference
end

local function join(queue, client)
  client.before = queue.last
  if queue.last then queue.last.after = client else queue.first = client end
  queue.last = client
end

local function leave(state, client)
  local queue, held = client.queue, client.before == nil
  state.clients[client.ref] = nil
  if client.after then client.after.before = client.before else queue.last = client.before end
  if client.before then client.before.after = client.after else queue.first = client.after end
  local first = queue.first
  if not first then
    state.queues[queue.key] = nil
  elseif held then
    core.reply(first.from[1], first.from[2], first.ref)
  end
end

function owner.handle_call(key, from, state)
  if type(key) ~= "string" then -- not from `Registry.lock`
    core.reply(from[1], from[2], nil, {"unknown_request", key})
    return "noreply", state
  end
  local queue = state.queues[key] or {key = key}
  if queue.first and queue.first.from[1] == from[1] then return "reply", false, state end
  local client = {from = from, ref = core.monitor(from[1]), queue = queue}
  state.queues[key] = queue
  state.clients[client.ref] = client
  join(queue, client)
  if queue.first == client then return "reply", client.ref, state end
  return "noreply", state
end

function owner.handle_cast(ref, state)
  local client = state.clients[ref]
  if client then
    core.demonitor(ref, "flush")
    leave(state, client)
  end
  return "noreply", state
end

function owner.handle_info(message, state)
  local client = type(message) == "table" and message[1] == "DOWN" and state.clients[message[2]]
  if client then leave(state, client) end
  return "noreply", state
end

return owner

--- The process that those registered are linked to, a server. It outlives each of them, for their exits do not reach
-- it, and ends with the registry. Besides it keeps the locks of `Registry.lock`.
--
-- Whoever wants a lock is a client and stands in the lock's queue, the first of which holds it. A client leaves the
-- queue, wherever it stands, when it says so by the token it came with, or dies: all are monitored.
-- @module moonbeam.registry.owner

local core = require "moonbeam.core"

local type = type

local owner = {}

function owner.init()
  core.registry_ignore_links()
  return "ok", {queues = {}, clients = {}, tokens = {}} -- by key; clients by reference, and by token
end

local function join(queue, client)
  client.before = queue.last
  if queue.last then queue.last.after = client else queue.first = client end
  queue.last = client
end

local function leave(state, client)
  local queue, held = client.queue, client.before == nil
  state.clients[client.ref], state.tokens[client.token] = nil, nil
  if client.after then client.after.before = client.before else queue.last = client.before end
  if client.before then client.before.after = client.after else queue.first = client.after end
  local first = queue.first
  if not first then
    state.queues[queue.key] = nil
  elseif held then
    core.reply(first.from[1], first.from[2], true)
  end
end

function owner.handle_call(request, from, state)
  local key, token
  if type(request) == "table" then key, token = request[1], request[2] end
  if type(key) ~= "string" or core.type(token) ~= "reference" then -- not from `Registry.lock`
    core.reply(from[1], from[2], nil, {"unknown_request", request})
    return "noreply", state
  end
  local queue = state.queues[key] or {key = key}
  if queue.first and queue.first.from[1] == from[1] then return "reply", false, state end
  local client = {from = from, ref = core.monitor(from[1]), token = token, queue = queue}
  state.queues[key] = queue
  state.clients[client.ref], state.tokens[token] = client, client
  join(queue, client)
  if queue.first == client then return "reply", true, state end
  return "noreply", state
end

function owner.handle_cast(token, state)
  local client = state.tokens[token]
  if client then
    core.demonitor(client.ref, "flush")
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

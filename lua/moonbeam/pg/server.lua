--- The server of a scope of process groups.
--
-- Each process that has something here, memberships or monitors of groups, is monitored once, and what it has goes with
-- it. Groups are found by the bytes of their names (core.registry_key).
-- @module moonbeam.pg.server

local core = require "moonbeam.core"
local inspect = require "moonbeam.internal.inspect"

local next, type = next, type

local callbacks = {}

function callbacks.init()
  return "ok", {
    groups = {},    -- key -> {group =, counts = {[pid] = how often it has joined}}
    processes = {}, -- pid -> {ref = of its monitor, uses =, joined = {[key] = true}, watches = {[reference] = true}}
    watches = {},   -- reference -> {pid =, key = of a group; nil: of all}
    of_group = {},  -- key -> {[reference] = pid}
    of_scope = {},  -- [reference] = pid
  }
end

local function use(state, pid)
  local p = state.processes[pid]
  if not p then
    p = {ref = core.monitor(pid), uses = 0, joined = {}, watches = {}}
    state.processes[pid] = p
  end
  p.uses = p.uses + 1
  return p
end

local function drop(state, pid)
  local p = state.processes[pid]
  p.uses = p.uses - 1
  if p.uses > 0 then return end
  core.demonitor(p.ref, "flush")
  state.processes[pid] = nil
end

local function tell(state, key, what, group, pids)
  for ref, pid in next, state.of_group[key] or {} do core.send(pid, {ref, what, group, pids}) end
  for ref, pid in next, state.of_scope do core.send(pid, {ref, what, group, pids}) end
end

local function members(group)
  local pids = {}
  for pid, count in next, group and group.counts or {} do
    for _ = 1, count do pids[#pids + 1] = pid end
  end
  return pids
end

-- One membership less; whether there was one.
local function leave(state, key, pid)
  local group = state.groups[key]
  local count = group and group.counts[pid]
  if not count then return false end
  if count > 1 then
    group.counts[pid] = count - 1
  else
    group.counts[pid] = nil
    state.processes[pid].joined[key] = nil
    if not next(group.counts) then state.groups[key] = nil end
  end
  drop(state, pid)
  return true
end

local function watch(state, pid, key)
  local ref = core.make_ref()
  use(state, pid).watches[ref] = true
  state.watches[ref] = {pid = pid, key = key}
  if key then
    state.of_group[key] = state.of_group[key] or {}
    state.of_group[key][ref] = pid
  else
    state.of_scope[ref] = pid
  end
  return ref
end

local function unwatch(state, ref)
  local w = state.watches[ref]
  if not w then return false end
  local others = w.key and state.of_group[w.key]
  state.watches[ref], state.of_scope[ref] = nil, nil
  if others then
    others[ref] = nil
    if not next(others) then state.of_group[w.key] = nil end
  end
  state.processes[w.pid].watches[ref] = nil
  drop(state, w.pid)
  return true
end

-- Answers by request: functions of (state, caller, ...), whose results are the caller's.
local answers = {}

function answers.join(state, _, key, name, pids)
  local group = state.groups[key]
  if not pids[1] then return true end
  if not group then
    group = {group = name, counts = {}}
    state.groups[key] = group
  end
  for i = 1, #pids do
    local pid = pids[i]
    use(state, pid).joined[key] = true
    group.counts[pid] = (group.counts[pid] or 0) + 1
  end
  tell(state, key, "join", name, pids)
  return true
end

function answers.leave(state, _, key, name, pids)
  local left = {}
  for i = 1, #pids do
    if leave(state, key, pids[i]) then left[#left + 1] = pids[i] end
  end
  if not left[1] then return nil, "not_joined" end
  tell(state, key, "leave", name, left)
  return true
end

function answers.members(state, _, key) return members(state.groups[key]) end

function answers.processes(state, _, key)
  local pids = {}
  for pid in next, state.groups[key] and state.groups[key].counts or {} do pids[#pids + 1] = pid end
  return pids
end

function answers.which_groups(state)
  local names = {}
  for _, group in next, state.groups do names[#names + 1] = group.group end
  return names
end

function answers.monitor(state, caller, key) return watch(state, caller, key), members(state.groups[key]) end

function answers.monitor_scope(state, caller)
  local all = {}
  for _, group in next, state.groups do all[#all + 1] = {group.group, members(group)} end
  return watch(state, caller), all
end

function answers.demonitor(state, _, ref) return unwatch(state, ref) end

function callbacks.handle_call(request, from, state)
  local answer = type(request) == "table" and answers[request[1]]
  if answer then
    core.reply(from[1], from[2], answer(state, from[1], table.unpack(request, 2, 4)))
  else
    core.reply(from[1], from[2], nil, {"unknown_request", request})
  end
  return "noreply", state
end

local function ended(state, pid, p)
  for ref in next, p.watches do unwatch(state, ref) end
  for key in next, p.joined do
    local name = state.groups[key].group
    for _ = 1, state.groups[key].counts[pid] do
      leave(state, key, pid)
      tell(state, key, "leave", name, {pid})
    end
  end
end

function callbacks.handle_info(message, state)
  local p = type(message) == "table" and message[1] == "DOWN" and state.processes[message[4]]
  if p and p.ref == message[2] then
    ended(state, message[4], p)
  else
    core.log("error", string.format("PG received an unexpected message: %s", inspect(message)))
  end
  return "noreply", state
end

return callbacks

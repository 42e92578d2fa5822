--- The server behind moonbeam.supervisor: GenServer callbacks.
-- @module moonbeam.supervisor.server

local core = require "moonbeam.core"
local child_spec = require "moonbeam.supervisor.child_spec"
local child_process = require "moonbeam.supervisor.child_process"
local children = require "moonbeam.supervisor.children"
local inspect = require "moonbeam.internal.inspect"
local report = require "moonbeam.supervisor.report"
local supervision = require "moonbeam.supervisor.supervision"

local reply = core.reply

local callbacks = {}

local strategies = {one_for_one = true, one_for_all = true, rest_for_one = true}
local auto_shutdowns = {never = true, any_significant = true, all_significant = true}

-- The state for a supervisor's options, without children | nil, reason.
local function first_state(options)
  local strategy, auto_shutdown = options.strategy, options.auto_shutdown
  if not strategies[strategy] then return nil, {"invalid_strategy", strategy} end
  local state, reason = supervision.state(options)
  if state == nil then return nil, reason end
  if auto_shutdown == nil then auto_shutdown = "never" end
  if not auto_shutdowns[auto_shutdown] then return nil, {"invalid_auto_shutdown", auto_shutdown} end
  state.by_id, state.strategy, state.auto_shutdown = {}, strategy, auto_shutdown
  return state
end

-- What finds an id in by_id: ids that are tables are the same when they look the same.
local function key_of(id)
  if type(id) == "table" or id ~= id then return "\0" .. inspect(id) end
  return id
end

local function add(state, child, pid)
  state.by_id[key_of(child.id)] = child
  children.add(state.children, child, pid)
  if child.restart == "temporary" and pid ~= nil then child_spec.let_go(child) end
end

local function remove(state, child)
  state.by_id[key_of(child.id)] = nil
  children.remove(state.children, child)
end

-- A child whose process is no more: a temporary one is forgotten.
local function without_process(state, child)
  if child.restart == "temporary" then
    remove(state, child)
  else
    children.set_pid(state.children, child, nil)
  end
end

-- As child_process.start, but what a start function raises is told from what it returns.
local function run(state, child)
  local kind, result, info = child_process.start(state, child)
  if kind == "raised" then return "error", {"EXIT", result} end
  return kind, result, info
end

-- Start a child that is among the children: true | false, reason.
local function start(state, child)
  local kind, result = run(state, child)
  if kind == "error" then
    report.not_started(state, child, result)
    return false, result
  elseif kind == "ignore" then
    without_process(state, child)
  else
    children.set_pid(state.children, child, result)
    if child.restart == "temporary" then child_spec.let_go(child) end
  end
  return true
end

-- Start the children from `child` on, up to one that fails: nil | that child, reason.
local function start_from(state, child)
  while child do
    local following = child.next
    local ok, reason = start(state, child)
    if not ok then return child, reason end
    child = following
  end
end

-- Take over the specifications of the first children: nil | reason.
local function add_specs(state, specs)
  for i = 1, #specs do
    local child, reason = child_spec.check(specs[i], state.auto_shutdown)
    if child == nil then return reason end
    if state.by_id[key_of(child.id)] then return {"duplicate_child_name", child.id} end
    add(state, child, nil)
  end
end

local function stop_all(state) child_process.stop_in_order(state, children.newest_first(state.children)) end

-- The results of init.
local function start_children(state, specs)
  local reason = add_specs(state, specs)
  if reason ~= nil then return "error", {"start_spec", reason} end
  local failed, why = start_from(state, state.children.first)
  if failed then
    stop_all(state)
    return "stop", {"shutdown", {"failed_to_start_child", failed.id, why}}
  end
  return "ok", state
end

supervision.define_start(callbacks, 2, first_state, start_children)

local requests = {}

function requests.start_child(state, from, spec)
  local child, reason = child_spec.check(spec, state.auto_shutdown)
  if child == nil then return reply(from[1], from[2], nil, reason) end
  child.id = child_spec.free_id(child, function(id) return state.by_id[id] end)
  local present = state.by_id[key_of(child.id)]
  if present and present.pid then return reply(from[1], from[2], nil, {"already_started", present.pid}) end
  if present then return reply(from[1], from[2], nil, "already_present") end
  local kind, result, info = run(state, child)
  if kind == "error" then return reply(from[1], from[2], nil, {result, spec}) end
  if kind == "ignore" then
    if child.restart ~= "temporary" then add(state, child, nil) end
    return reply(from[1], from[2], "undefined")
  end
  add(state, child, result)
  return supervision.reply_started(from, result, info)
end

function requests.terminate_child(state, from, id)
  local child = state.by_id[key_of(id)]
  if child == nil then return reply(from[1], from[2], nil, "not_found") end
  child_process.stop_in_order(state, {child})
  without_process(state, child)
  return reply(from[1], from[2], true)
end

-- The child with an id when it has no process and gets none by itself | nil, reason.
local function stopped_child(state, id)
  local child = state.by_id[key_of(id)]
  if child == nil then return nil, "not_found" end
  if child.retry then return nil, "restarting" end
  if child.pid then return nil, "running" end
  return child
end

function requests.restart_child(state, from, id)
  local child, reason = stopped_child(state, id)
  if child == nil then return reply(from[1], from[2], nil, reason) end
  local kind, result, info = run(state, child)
  if kind == "error" then return reply(from[1], from[2], nil, result) end
  if kind == "ignore" then return reply(from[1], from[2], "undefined") end
  children.set_pid(state.children, child, result)
  return supervision.reply_started(from, result, info)
end

function requests.delete_child(state, from, id)
  local child, reason = stopped_child(state, id)
  if child == nil then return reply(from[1], from[2], nil, reason) end
  remove(state, child)
  return reply(from[1], from[2], true)
end

function requests.which_children(state, from) return reply(from[1], from[2], children.entries(state.children)) end

-- A child that is linked has not been seen to end. One that is not may have unlinked itself: it is asked after.
function requests.count_children(state, from)
  local linked, links = {}, core.process_info(core.self(), "links")
  for i = 1, #links do linked[links[i]] = true end
  return reply(from[1], from[2], children.counts(state.children, function(child)
    local pid = child.pid
    return pid ~= nil and (linked[pid] or core.process_alive(pid))
  end))
end

-- Stop a child that has ended, and whom else the strategy says, from the newest to the oldest; the child before them.
local function stop_group(state, child)
  local oldest = state.strategy == "one_for_all" and state.children.first or child
  local before = oldest.prev
  local group = children.newest_first(state.children, oldest)
  child_process.stop_in_order(state, group)
  for i = 1, #group do without_process(state, group[i]) end
  return before
end

-- A child has ended and is to be restarted; those who are restarted with it stop at once.
local function lay_aside(state, child)
  children.set_pid(state.children, child, nil)
  if state.strategy ~= "one_for_one" then stop_group(state, child) end
end

-- Restart a child, and whom else the strategy says: nil, or the child that could not start. That is to be tried again
-- later, the whole group with it; those after it stay without a process until then.
local function restart(state, child)
  children.set_pid(state.children, child, nil)
  if state.strategy == "one_for_one" then return not start(state, child) and child or nil end
  local before = stop_group(state, child)
  if before then return start_from(state, before.next) end
  return start_from(state, state.children.first)
end

-- A child has ended and is not restarted: whether that ends the supervisor.
local function forget(state, child)
  without_process(state, child)
  if not child.significant then return false end
  if state.auto_shutdown == "any_significant" then return true end
  local other = state.children.first
  while other do
    if other.significant and (other.pid or other.retry) then return false end
    other = other.next
  end
  return true
end

supervision.define(callbacks, requests, {restart = restart, lay_aside = lay_aside, forget = forget})

function callbacks.terminate(_, state) stop_all(state) end

return callbacks

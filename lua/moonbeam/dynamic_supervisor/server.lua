--- The server behind moonbeam.dynamic_supervisor: GenServer callbacks.
-- @module moonbeam.dynamic_supervisor.server

local core = require "moonbeam.core"
local check = require "moonbeam.internal.check"
local child_process = require "moonbeam.supervisor.child_process"
local child_spec = require "moonbeam.supervisor.child_spec"
local children = require "moonbeam.supervisor.children"
local report = require "moonbeam.supervisor.report"
local supervision = require "moonbeam.supervisor.supervision"

local reply = core.reply

local callbacks = {}

-- The state for a supervisor's options | nil, reason.
local function first_state(options)
  local strategy, max, extra = options.strategy, options.max_children, options.extra_arguments
  if strategy ~= nil and strategy ~= "one_for_one" then return nil, {"invalid_strategy", strategy} end
  local state, reason = supervision.state(options)
  if state == nil then return nil, reason end
  if max == nil or max == "infinity" then max = math.huge end
  if max ~= math.huge and not check.is_natural(max) then return nil, {"invalid_max_children", max} end
  if extra ~= nil and type(extra) ~= "table" then return nil, {"invalid_extra_arguments", extra} end
  state.max_children, state.extra_arguments = max, extra
  return state
end

supervision.define_start(callbacks, 1, first_state, function(state) return "ok", state end)

-- A process that a start function gives is one child, however often it is given.
local function forget_other(list, pid, child)
  local other = list.by_pid[pid]
  if other ~= nil and other ~= child then children.remove(list, other) end
end

local requests = {}

function requests.start_child(state, from, spec)
  local list, child, reason = state.children, child_spec.check_dynamic(spec)
  if child == nil then return reply(from[1], from[2], nil, reason) end
  if list.count >= state.max_children then return reply(from[1], from[2], nil, "max_children") end
  local kind, result, info = child_process.start(state, child, state.extra_arguments)
  if kind == "ignore" then return reply(from[1], from[2], "ignore") end
  if kind ~= "ok" then return reply(from[1], from[2], nil, result) end
  if child.restart == "temporary" then child_spec.let_go(child) end
  forget_other(list, result, child)
  children.add(list, child, result)
  return supervision.reply_started(from, result, info)
end

function requests.terminate_child(state, from, pid)
  local child = state.children.by_pid[pid]
  if child == nil then return reply(from[1], from[2], nil, "not_found") end
  if not child.retry then child_process.stop_in_order(state, {child}) end
  children.remove(state.children, child)
  return reply(from[1], from[2], true)
end

-- Children that have ended are forgotten; those that wait for a restart get one by themselves.
local function not_found(_, from) return reply(from[1], from[2], nil, "not_found") end

requests.restart_child, requests.delete_child = not_found, not_found

function requests.which_children(state, from) return reply(from[1], from[2], children.entries(state.children)) end

local function is_active(child) return not child.retry end

function requests.count_children(state, from)
  return reply(from[1], from[2], children.counts(state.children, is_active))
end

-- Start the child again: nil, or the child when that failed.
local function restart(state, child)
  local kind, result = child_process.start(state, child, state.extra_arguments)
  if kind == "ok" then
    forget_other(state.children, result, child)
    children.set_pid(state.children, child, result)
  elseif kind == "ignore" then
    children.remove(state.children, child)
  else
    report.not_started(state, child, result, kind == "raised")
    return child
  end
end

local function forget(state, child) children.remove(state.children, child) end

-- It is still found by its pid while it waits.
local function lay_aside() end

supervision.define(callbacks, requests, {restart = restart, lay_aside = lay_aside, forget = forget})

function callbacks.terminate(_, state) child_process.stop_together(state, state.children.by_pid) end

return callbacks

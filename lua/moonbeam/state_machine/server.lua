--- The server behind moonbeam.state_machine: GenServer callbacks around the user's module. A module, so that they travel
-- by name.
--
-- The server's state is a record of the machine. A request, a cast or a message is an event; it is handled with all that
-- comes of it (inserted events, postponed ones, timeouts of no time) before the callback returns, so that the server's
-- loop receives only when nothing is left to be done.
-- @module moonbeam.state_machine.server

local core = require "moonbeam.core"
local actions = require "moonbeam.state_machine.actions"
local blame = require "moonbeam.gen_server.blame"
local inspect = require "moonbeam.internal.inspect"
local reasons = require "moonbeam.internal.reasons"
local reload = require "moonbeam.gen_server.reload"
local timeouts = require "moonbeam.state_machine.timeouts"

local exit, select, type, rawlen = core.exit, select, type, rawlen

local callbacks = {__behaviour = "StateMachine"}

-- A traced server shows its state.
local machine = {__tostring = function(m) return inspect{m.state, m.data} end}

local STATE_RESULTS = [=["next_state", state, data [, actions] | "keep_state", data [, actions] |
  "keep_state_and_data" [, actions] | "repeat_state", data [, actions] | "repeat_state_and_data" [, actions] |
  "stop" [, reason [, data]] | "stop_and_reply", reason, replies [, data]]=]
local INIT_RESULTS = '"ok", state, data [, actions] | "ignore" | "stop", reason | "error", reason'

local PARAMETERS = {"event_type", "event", "data"}

-- The function that is called in a state, and its name.
local function state_function(m)
  local name = m.by_state and m.state or "handle_event"
  local fn = m.module[name]
  if m.known == fn and fn then return fn, name end
  if type(fn) ~= "function" then
    blame.missing("StateMachine", m.name or core.self(), m.module, m.by_state and "state function" or "callback", name)
  end
  local wrong = m.by_state and blame.colon(name, fn, PARAMETERS)
  if wrong then error(wrong, 0) end
  m.known = fn
  return fn, name
end

local function bad_results(m, entering, ...)
  local fn, name = state_function(m)
  return exit(blame.results(entering and "bad_state_enter_return_from_state_function" or "bad_return_from_state_function",
    blame.function_text(m.module, name, fn), STATE_RESULTS, "", ...))
end

local function same_state(a, b) return a == b or type(a) == "table" and reasons.same(a, b) end

-- Put a state's postponed events before those that wait, the oldest first. The next event is the last item.
local function requeue(m)
  local queue, postponed = m.queue, m.postponed
  for i = #postponed, 1, -1 do queue[#queue + 1] = postponed[i] end
  m.postponed = {}
end

local function stop(m, reason)
  m.stopped, m.reason = true, reason
  return "stop"
end

local function change(m, state)
  if same_state(state, m.state) then return "keep" end
  m.old_state, m.state = m.state, state
  return "changed"
end

-- What results say: each takes the machine, the sums of actions, whether a state is being entered, the number of results
-- and those. It sets state and data, and gives "keep", "changed", "repeat" or "stop"; nothing for wrong results.
local results = {}

function results.next_state(m, all, entering, n, state, data, list)
  if n < 3 or n > 4 or entering and not same_state(state, m.state) then return nil end
  m.data = data
  actions.add(all, list, entering)
  return change(m, state)
end

function results.keep_state(m, all, entering, n, data, list)
  if n < 2 or n > 3 then return nil end
  m.data = data
  actions.add(all, list, entering)
  return "keep"
end

function results.keep_state_and_data(_, all, entering, n, list)
  if n > 2 then return nil end
  actions.add(all, list, entering)
  return "keep"
end

function results.repeat_state(m, all, entering, n, data, list)
  return results.keep_state(m, all, entering, n, data, list) and "repeat"
end

function results.repeat_state_and_data(m, all, entering, n, list)
  return results.keep_state_and_data(m, all, entering, n, list) and "repeat"
end

function results.stop(m, _, _, n, reason, data)
  if n > 3 then return nil end
  if n == 3 then m.data = data end
  return stop(m, reason == nil and "normal" or reason)
end

function results.stop_and_reply(m, _, _, n, reason, replies, data)
  if n < 3 or n > 4 then return nil end
  if n == 4 then m.data = data end
  actions.reply(replies)
  return stop(m, reason == nil and "normal" or reason)
end

local function understood(m, all, entering, ...)
  local tag = ...
  local handler = type(tag) == "string" and results[tag]
  local what = handler and handler(m, all, entering, select("#", ...), select(2, ...))
  return what or bad_results(m, entering, ...)
end

-- Call the state's function: what its results say.
local function call(m, all, entering, kind, content)
  local fn = state_function(m)
  if m.by_state then return understood(m, all, entering, fn(kind, content, m.data)) end
  return understood(m, all, entering, fn(kind, content, m.state, m.data))
end

-- Tell the function of a state that it has been entered, anew as often as it says "repeat".
local function enter(m, all, old)
  while m.state_enter and call(m, all, true, "enter", old) == "repeat" do old = m.state end
end

-- Begin the timeouts of a transition, and queue its events.
local function settle(m, all)
  m.hibernate = all.hibernate
  for _, action in ipairs(all.timeouts) do
    local kind, time, content = action[1], action[2], action[3]
    if time == "cancel" then
      timeouts.cancel(m.timeouts, kind)
    elseif time == "update" then
      timeouts.update(m.timeouts, kind, content)
    else
      timeouts.start(m.timeouts, kind, time, content)
    end
  end
  local queue, events = m.queue, all.next_events
  for i = #events, 1, -1 do queue[#queue + 1] = events[i] end
end

local function handle(m, kind, content)
  timeouts.cancel(m.timeouts, "timeout") -- no event but its own leaves it
  local all = actions.none()
  local what = call(m, all, false, kind, content)
  if what == "stop" then return end
  if all.postpone then m.postponed[#m.postponed + 1] = {kind, content} end
  if what == "changed" then
    timeouts.cancel(m.timeouts, "state_timeout")
    requeue(m)
    enter(m, all, m.old_state)
  elseif what == "repeat" then
    enter(m, all, m.state)
  end
  if not m.stopped then settle(m, all) end
end

-- Handle what is left to be done, then wait: the results of a callback of the server.
local function wait(m)
  while not m.stopped do
    local event = table.remove(m.queue)
    if event then
      handle(m, event[1], event[2])
    else
      local kind, content = timeouts.take_due(m.timeouts)
      if kind == nil then break end
      handle(m, kind, content)
    end
  end
  if m.stopped then return "stop", m.reason, m end
  if m.hibernate then return "noreply", m, "hibernate" end
  return "noreply", m
end

-- Starting

-- callback_mode: a word, several, or a function that gives them. by_state, state_enter | nil: it is wrong.
local function read_mode(module)
  local mode = module.callback_mode
  if type(mode) == "function" then mode = {mode()} end
  if type(mode) == "table" and type(mode[1]) == "table" then mode = mode[1] end
  if type(mode) ~= "table" then mode = {mode} end
  local by_state, state_enter = module.handle_event == nil, false
  for i = 1, rawlen(mode) do
    if mode[i] == "state_enter" then
      state_enter = true
    elseif mode[i] == "state_functions" or mode[i] == "handle_event_function" then
      by_state = mode[i] == "state_functions"
    else
      return nil
    end
  end
  return by_state, state_enter
end

local function bad_mode(module)
  local mode = module.callback_mode
  return core.exit({"bad_return_from_callback_mode", type(mode) == "function" and {mode()} or mode})
end

local function begun(module, name, ...)
  local n, tag, state, data, list = select("#", ...), ...
  if tag ~= "ok" then
    if tag == "ignore" and n == 1 or (tag == "stop" or tag == "error") and n == 2 then return ... end
  elseif n == 3 or n == 4 then
    local by_state, state_enter = read_mode(module)
    if by_state == nil then return bad_mode(module) end
    local m = setmetatable({
      module = module, name = name, state = state, data = data, by_state = by_state, state_enter = state_enter,
      queue = {}, postponed = {}, timeouts = timeouts.new(), stopped = false, hibernate = false,
    }, machine)
    return "ok", m, {"continue", {list}}
  end
  return blame.BAD, blame.results("bad_return_from_init", blame.function_text(module, "init", module.init), INIT_RESULTS,
    tag == "ok" and n == 2 and ": is the data missing?" or "", ...)
end

--- argument: {module, arg, name}.
function callbacks.init(argument)
  local module = reload.enter(core.process_get("$ancestors"), argument[1])
  if type(module.init) ~= "function" then
    blame.missing("StateMachine", argument[3] or core.self(), module, "callback", "init")
  end
  return begun(module, argument[3], module.init(argument[2]))
end

--- The first state is entered, when whoever has started the machine knows of that.
function callbacks.handle_continue(first, m)
  local all = actions.none()
  enter(m, all, m.state)
  if m.stopped then return wait(m) end
  actions.add(all, first[1], false)
  settle(m, all)
  return wait(m)
end

-- Events

function callbacks.handle_call(request, from, m)
  handle(m, {"call", from}, request)
  return wait(m)
end

function callbacks.handle_cast(event, m)
  handle(m, "cast", event)
  return wait(m)
end

function callbacks.handle_info(message, m)
  local kind, content = "info", message
  if timeouts.is_message(m.timeouts, message) then
    kind, content = timeouts.take(m.timeouts, message)
    if kind == nil then return wait(m) end
  end
  handle(m, kind, content)
  return wait(m)
end

-- The end, and looking into machines

function callbacks.terminate(reason, m)
  local terminate = m.module.terminate
  if terminate then return terminate(reason, m.state, m.data) end
end

--- What reports show: {state, data}, as the module's format_status wants them.
function callbacks.format_status(status)
  local m = status.state
  local shown = {state = m.state, data = m.data, message = status.message, reason = status.reason}
  local format_status = m.module.format_status
  if format_status then
    shown = format_status(shown)
    if type(shown) ~= "table" then error("it returned a " .. type(shown) .. ", no table", 0) end
  end
  return {state = {shown.state, shown.data}, message = shown.message, reason = shown.reason}
end

--- See sys.lua for these.
function callbacks.system_get_state(m) return {m.state, m.data} end

function callbacks.system_replace_state(m, fn)
  local pair = {m.state, m.data}
  local new = fn(pair)
  if new == nil then new = pair end
  if type(new) ~= "table" then error("it returned a " .. core.type(new) .. ", no {state, data}", 0) end
  return new, function() m.state, m.data = new[1], new[2] end
end

local function changed(m, code, tag, ...)
  if tag == "ok" and select("#", ...) == 2 then
    m.module, m.state, m.data = code, ...
    m.by_state, m.state_enter = read_mode(code)
    if m.by_state == nil then return bad_mode(code) end
    return "ok", m
  end
  return tag, ...
end

function callbacks.system_code_change(m, code, extra)
  if code == m.module or not code.code_change then return changed(m, code, "ok", m.state, m.data) end
  return changed(m, code, code.code_change(m.module.vsn, m.state, m.data, extra))
end

return callbacks

--- What every supervisor's server does when it starts, and when its children end: it counts restarts, makes them, at
-- once or after the child's back-off, and tries those again that failed, without keeping other requests waiting.
--
-- A supervisor's state has the fields children (children.lua), restarts (restarts.lua), and those of `state`.
-- @module moonbeam.supervisor.supervision

local core = require "moonbeam.core"
local reasons = require "moonbeam.internal.reasons"
local backoff = require "moonbeam.supervisor.backoff"
local children = require "moonbeam.supervisor.children"
local inspect = require "moonbeam.internal.inspect"
local report = require "moonbeam.supervisor.report"
local restarts = require "moonbeam.supervisor.restarts"

local select, type = select, type

local supervision = {}

-- The calling process is a supervisor from now on; its dictionary tells others so.
local function enter()
  core.process_flag("trap_exit", true)
  core.process_put("$supervisor", true)
  core.enter_supervisor()
end

--- Give a server its beginning: init, of a table that has options and children, or module and arg, for whose init those
-- are; and take_over, for the server of a module whose init has returned them.
-- @param callbacks table to fill
-- @param count how many tables a module's init gives: options, and perhaps children
-- @param first_state function of options: a state | nil, reason
-- @param start function of (state, children): what init returns
function supervision.define_start(callbacks, count, first_state, start)
  local function start_by(options, specs)
    local state, reason = first_state(options)
    if state == nil then return "error", {"supervisor_data", reason} end
    return start(state, specs)
  end

  local function start_module(module, ...)
    local n, tag, options, specs = select("#", ...), ...
    if tag == "ignore" and n == 1 then return "ignore" end
    if tag ~= "ok" or n ~= 1 + count or type(options) ~= "table" or count == 2 and type(specs) ~= "table" then
      return "stop", {"bad_return", {module, "init", n > 1 and {...} or tag}}
    end
    return start_by(options, specs)
  end

  function callbacks.take_over(module, ...)
    enter()
    return start_module(module, ...)
  end

  function callbacks.init(arg)
    enter()
    if arg.module then return start_module(arg.module, arg.module.init(arg.arg)) end
    return start_by(arg.options, arg.children)
  end
end

--- A state to begin with: restarts as the options say, no children | nil, reason.
function supervision.state(options)
  local window, reason = restarts.new(options)
  if window == nil then return nil, reason end
  -- retry: the number of the last attempt to restart a child that had to wait
  return {children = children.new(), restarts = window, retry = 0}
end

-- Attempts are casts to oneself: what was asked before is served before. `counted`: whether the restart has been already.
local function retry_later(state, child, counted)
  local number, timer = state.retry + 1, nil
  state.retry, child.counted = number, counted
  if child.backoff then
    timer = core.process_send_after(core.self(), {"$retry", number}, child.delay)
  else
    core.cast(core.self(), {"retry", number})
  end
  children.set_retry(state.children, child, number, timer)
end

--- Answer a request with what a start function gave.
function supervision.reply_started(from, pid, info)
  if info == nil then return core.reply(from[1], from[2], pid) end
  return core.reply(from[1], from[2], pid, info)
end

--- Give a server its other callbacks.
-- @param callbacks table to fill
-- @param requests functions by name, of (state, from, argument): they reply themselves, for answers are several values
-- @param with functions of (state, child): restart starts it again, and whom else, and gives the child that could not be
-- or nil; lay_aside prepares for a restart that waits; forget is about one that has ended and is not restarted, and says
-- whether the supervisor ends
function supervision.define(callbacks, requests, with)
  local function give_up(state, child)
    report.gives_up(state, child)
    children.set_pid(state.children, child, nil)
    return "stop", "shutdown", state
  end

  local function restart(state, child)
    local failed = with.restart(state, child)
    if failed then
      if failed.backoff then failed.delay = backoff.next(failed.backoff, failed.delay, 0) end
      retry_later(state, failed, false)
    end
    return "noreply", state
  end

  local function restart_later(state, child)
    child.delay = backoff.next(child.backoff, child.delay, core.monotonic_time() - child.since)
    with.lay_aside(state, child)
    retry_later(state, child, true)
    return "noreply", state
  end

  local function count(state) return restarts.add(state.restarts, core.monotonic_time()) end

  local function ended(state, child, reason, reported)
    local ordinary = reasons.is_ordinary(reason)
    if child.restart == "permanent" or child.restart == "transient" and not ordinary then
      local allowed = count(state)
      report.ended(state, "child_terminated", child, reason, reported)
      if not allowed then return give_up(state, child) end
      return (child.backoff and restart_later or restart)(state, child)
    end
    if not ordinary then report.ended(state, "child_terminated", child, reason, reported) end
    if with.forget(state, child) then return "stop", "shutdown", state end
    return "noreply", state
  end

  local function try_again(state, number)
    local child = state.children.by_retry[number] -- nil when it is not to be restarted any more
    if child == nil then return "noreply", state end
    if not child.counted and not count(state) then return give_up(state, child) end
    return restart(state, child)
  end

  function callbacks.handle_call(request, from, state)
    local answer = type(request) == "table" and requests[request[1]]
    if not answer then error("unknown request to a supervisor: " .. inspect(request), 0) end
    answer(state, from, request[2])
    return "noreply", state
  end

  function callbacks.handle_cast(request, state)
    if type(request) == "table" and request[1] == "retry" then return try_again(state, request[2]) end
    return "noreply", state
  end

  -- For reports of the supervisor's own end: the children may be very many.
  function callbacks.format_status(status)
    local state = status.state
    return {
      state = {children = state.children.count, restarts = state.restarts.total}, message = status.message,
      reason = status.reason,
    }
  end

  function callbacks.handle_info(message, state)
    if type(message) == "table" and message[1] == "EXIT" then
      local child = state.children.by_pid[message[2]]
      if child and not child.retry then return ended(state, child, message[3], core.is_reported()) end
    elseif type(message) == "table" and message[1] == "$retry" then
      return try_again(state, message[2])
    else
      report.unexpected(message)
    end
    return "noreply", state
  end
end

return supervision

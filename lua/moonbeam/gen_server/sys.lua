--- System requests: looking into a server and holding it, for debugging. See Erlang's `sys`.
--
-- A server answers them between two messages, in the order in which they come. The first half runs in the server's
-- process; the functions of the second are GenServer's.
-- @module moonbeam.gen_server.sys

local core = require "moonbeam.core"
local blame = require "moonbeam.gen_server.blame"
local inspect = require "moonbeam.internal.inspect"
local log = require "moonbeam.logger.log"
local reload = require "moonbeam.gen_server.reload"
local report = require "moonbeam.logger.report"

local reply, exit = core.reply, core.exit
local select, type, pcall = select, type, pcall

local sys = {}

-- The server's side. s is its record, see gen_server/server.lua: module, callbacks (what its loop calls), name,
-- state, last (message).

-- Tracing: callbacks that tell what they get and what they return.

local function label(s) return s.name ~= nil and inspect(s.name) or tostring(core.self()) end

local function tell(s, event, text)
  log.emit("debug", {kind = "trace", pid = core.self(), name = s.name, event = event,
    text = string.format("*DBG* %s %s", label(s), text)}, nil, "trace")
end

local function tell_results(s, from, ...)
  local tag, first, second = ...
  if tag == "reply" then
    tell(s, "reply",
      string.format("sent %s to %s, new state %s", report.short(first), tostring(from[1]), report.short(second)))
  elseif tag == "noreply" then
    tell(s, "state", "new state " .. report.short(first))
  else
    tell(s, "other", "returned " .. report.short({...}))
  end
  return ...
end

-- What is told of the arguments of each.
local traced = {
  handle_call = function(s, request, from)
    tell(s, "call", string.format("got call %s from %s", report.short(request), tostring(from[1])))
    return from
  end,
  handle_cast = function(s, request) tell(s, "cast", "got cast " .. report.short(request)) end,
  handle_info = function(s, message) tell(s, "info", "got " .. report.short(message)) end,
  handle_continue = function(s, x) tell(s, "continue", "continues with " .. report.short(x)) end,
}

local function traced_callbacks(s)
  local callbacks = {}
  for name, tell_arguments in next, traced do
    local callback = s.module[name]
    callbacks[name] = callback and function(...)
      return tell_results(s, tell_arguments(s, ...), callback(...))
    end
  end
  return callbacks
end

-- Its module or whether it is traced has changed.
local function set_callbacks(s) s.callbacks = s.traced and traced_callbacks(s) or s.module end

--- What may be shown of a server: a table with state, message and reason, as its format_status wants it.
function sys.status(s, reason)
  local status = {state = s.state, message = s.last, reason = reason}
  local format_status = s.module.format_status
  if not format_status then return status end
  local ok, shown = pcall(format_status, status)
  if ok and type(shown) == "table" then return shown end
  local why = "format_status failed: " .. (ok and "it returned a " .. type(shown) .. ", no table" or tostring(shown))
  return {state = why, message = why, reason = reason}
end

-- Answer; a value that cannot travel is refused, and the server lives on. Whether it went.
local function answer(from, ok, value)
  local sent, message = pcall(reply, from[1], from[2], ok, value)
  if not sent then reply(from[1], from[2], false, tostring(message)) end
  return sent
end

local handlers = {}

function handlers.get_state(s, from)
  local get = s.module.system_get_state -- of a module whose state is not the user's
  if get then answer(from, true, get(s.state)) else answer(from, true, s.state) end
end

local function replaced(s, from, ok, ...)
  if not ok then return answer(from, false, "the function failed: " .. tostring((...))) end
  local state = s.state
  if select("#", ...) > 0 then state = ... end
  if answer(from, true, state) then s.state = state end
end

local function replaced_inside(from, ok, value, take)
  if not ok then return answer(from, false, "the function failed: " .. tostring(value)) end
  if answer(from, true, value) then take() end
end

function handlers.replace_state(s, from, fn)
  local replace = s.module.system_replace_state
  if replace then
    replaced_inside(from, pcall(replace, s.state, fn))
  else
    replaced(s, from, pcall(fn, s.state))
  end
end

function handlers.get_status(s, from)
  local status = sys.status(s)
  answer(from, true, {
    status = s.suspended and "suspended" or "running", traced = s.traced or false, pid = core.self(), name = s.name,
    module = core.process_get("$module"), parent = s.parent, state = status.state, last_message = status.message,
  })
end

function handlers.suspend(s, from)
  s.suspended = true
  answer(from, true, true)
end

function handlers.resume(s, from)
  s.suspended = nil
  answer(from, true, true)
end

function handlers.trace(s, from, on)
  s.traced = on or nil
  set_callbacks(s)
  answer(from, true, true)
end

local function changed(code, from, s, ...)
  local n, tag, value = select("#", ...), ...
  if tag == "error" and n == 2 then return "stop", {"code_change", value} end
  if tag ~= "ok" or n ~= 2 then return exit(blame.bad_return(code, "code_change", ...)) end
  s.module, s.state = code, value
  set_callbacks(s)
  answer(from, true, true)
end

-- The module has been loaded anew: go on with its new code, and the state that it makes of the old one.
function handlers.change_code(s, from, extra)
  if s.fixed then return answer(from, true, true) end -- of the module there was only its init
  local code = reload.code(require(core.process_get("$module")))
  local change = s.module.system_code_change
  if change then return changed(s.module, from, s, change(s.state, code, extra)) end
  if code == s.module or not code.code_change then return changed(code, from, s, "ok", s.state) end
  return changed(code, from, s, code.code_change(s.module.vsn, s.state, extra))
end

--- Handle a system request but "terminate". "stop", reason when the server is to stop.
function sys.handle(s, from, request)
  local handler = handlers[request[1]]
  if handler then return handler(s, from, request[2]) end
  answer(from, false, "unknown system request " .. inspect(request[1]))
end

return sys

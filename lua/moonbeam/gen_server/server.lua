--- The server's side of GenServer: one process's loop around a module of callbacks.
--
-- The loop runs in one protected call for the server's whole life; the state is kept where terminate finds
-- it after an error. What a callback returns is counted, so that nil states and nil replies work. System requests
-- (gen_server/sys.lua) leave the loop of messages, which costs nothing while there are none.
-- @module moonbeam.gen_server.server

local core = require "moonbeam.core"
local blame = require "moonbeam.gen_server.blame"
local check = require "moonbeam.internal.check"
local compact = require "moonbeam.internal.compact"
local reasons = require "moonbeam.internal.reasons"
local inspect = require "moonbeam.internal.inspect"
local reload = require "moonbeam.gen_server.reload"
local report = require "moonbeam.logger.report"
local sys = require "moonbeam.gen_server.sys"

local next_event, reply, exit = core.next_event, core.reply, core.exit
local getmetatable, select, type = getmetatable, select, type

local server = {}

local function bad_return(s, callback, ...) return exit(blame.bad_return(s.module, callback, ...)) end

-- The server is to leave its loop, and why.
local function stop(s, reason)
  s.stopped, s.reason = true, reason
end

local function missing(s, callback)
  return blame.missing("GenServer", s.name or core.self(), s.module, "callback", callback)
end

-- Whether a value may be the last part of a callback's results: ms, "hibernate" or {"continue", x}.
local function is_extra(extra)
  if extra == nil or extra == "hibernate" or extra == "infinity" then return true end
  if type(extra) == "number" then return extra == math.huge or check.is_natural(extra) end
  return type(extra) == "table" and extra[1] == "continue"
end

-- The timeout of a server that hibernates: it waits for ever, and sleeps again after a system request.
local HIBERNATE = math.huge

local function hibernate(s)
  s.last = nil -- it may be large
  compact()
  return HIBERNATE
end

local after

-- What a callback that answers nobody returned: the timeout of the next wait. Results of which the last ones are not nil
-- need not be counted.
local function handled(s, callback, ...)
  local tag, a, b, c = ...
  if tag == "noreply" and a ~= nil and b == nil and c == nil then
    s.state = a
    return nil
  end
  local n = select("#", ...)
  if tag == "noreply" and (n == 2 or n == 3 and is_extra(b)) then
    s.state = a
    if n == 2 then return nil end
    return after(s, b)
  elseif tag == "stop" and n == 3 then
    s.state = b
    return stop(s, a)
  end
  return bad_return(s, callback, ...)
end

local function called(s, from, ...)
  local tag, a, b, c, d = ...
  if tag == "reply" and b ~= nil and c == nil and d == nil then
    s.state = b
    reply(from[1], from[2], a)
    return nil
  end
  local n = select("#", ...)
  if tag == "reply" and (n == 3 or n == 4 and is_extra(c)) then
    s.state = b
    reply(from[1], from[2], a)
    if n == 3 then return nil end
    return after(s, c)
  elseif tag == "stop" and n == 4 then
    s.state = c
    s.last_reply, s.last_from = b, from -- sent when terminate has run
    return stop(s, a)
  end
  return handled(s, "handle_call", ...)
end

-- What the last part of a callback's results makes of the next wait.
function after(s, extra)
  if type(extra) == "number" then return extra < HIBERNATE and extra or nil end
  if extra == "hibernate" then return hibernate(s) end
  if type(extra) ~= "table" then return nil end
  local handle_continue = s.callbacks.handle_continue
  if not handle_continue then missing(s, "handle_continue") end
  s.last = {"continue", extra[2]}
  return handled(s, "handle_continue", handle_continue(extra[2], s.state))
end

local function informed(s, message)
  local handle_info = s.callbacks.handle_info
  if handle_info then return handled(s, "handle_info", handle_info(message, s.state)) end
  core.log("error", string.format("GenServer %s received an unexpected message and has no handle_info: %s",
    s.name and inspect(s.name) or inspect(core.self()), inspect(message)))
end

-- The next wait is as it was.
local function system_request(s, timeout, from, request)
  if request[1] == "terminate" then return stop(s, request[2]) end
  local stops, reason = sys.handle(s, from, request)
  if stops then return stop(s, reason) end
  if timeout == HIBERNATE then compact() end
  return timeout
end

-- Messages, until the server stops or gets a system request; what to wait for next.
local function serve(s, timeout)
  local callbacks, idle = s.callbacks, s.hibernate_after
  while not s.stopped do
    local kind, a, b = next_event(timeout or idle)
    if kind == "call" then
      s.last = b
      local handle_call = callbacks.handle_call
      if not handle_call then missing(s, "handle_call") end
      timeout = called(s, a, handle_call(b, a, s.state))
    elseif kind == "cast" then
      s.last = a
      local handle_cast = callbacks.handle_cast
      if not handle_cast then missing(s, "handle_cast") end
      timeout = handled(s, "handle_cast", handle_cast(a, s.state))
    elseif kind == "info" then
      s.last = a
      timeout = informed(s, a)
    elseif kind == "timeout" and timeout then
      s.last = "timeout"
      timeout = informed(s, "timeout")
    elseif kind == "timeout" then
      timeout = hibernate(s)
    elseif kind == "exit" then
      s.last = {"EXIT", a, b}
      if a == s.parent then
        timeout = stop(s, b)
      else
        timeout = informed(s, s.last)
      end
    else
      return system_request(s, timeout, a, b)
    end
  end
  return timeout
end

-- System requests and the parent's exit, until the server stops or is resumed.
local function wait_suspended(s, timeout)
  while not s.stopped and s.suspended do
    local kind, a, b = core.next_system_event(s.parent)
    if kind == "exit" then return stop(s, b) end
    timeout = system_request(s, timeout, a, b)
  end
  return timeout
end

local function live(s, timeout)
  while not s.stopped do
    timeout = serve(s, timeout)
    if s.suspended then timeout = wait_suspended(s, timeout) end
  end
end

local function log_crash(s, reason)
  if core.log_level() == "none" then return end
  local status = s.has_begun and sys.status(s, reason) or {reason = reason}
  local entry = core.crash_report(status.reason)
  entry.behaviour, entry.name = rawget(s.module, "__behaviour") or "GenServer", s.name
  entry.module = core.process_get("$module")
  entry.explanation = blame.explanation(status.reason)
  if s.has_begun then entry.last_message, entry.state = status.message, report.short(status.state) end
  core.log("error", entry)
end

-- A reply cannot be copied when its callback has returned already: the error says which one that was.
local function with_culprit(s, reason)
  local text = type(reason) == "table" and reason[1] == "error" and reason[2]
  if type(text) == "string" and string.find(text, "^cannot copy the reply: ") then
    reason[2] = string.format("cannot copy the reply of %s%s", blame.answering(s.module, s.last), string.sub(text, 22))
  end
  return reason
end

-- The end: terminate, the last reply, the report, and the exit itself.
local function finish(s, reason)
  local terminate = s.module.terminate
  if terminate then
    local ok, failure = xpcall(terminate, reasons.of_raised, reason, s.state)
    if not ok then reason = reasons.caught(failure) end
  end
  if s.last_from then
    local ok, failure = xpcall(reply, reasons.of_raised, s.last_from[1], s.last_from[2], s.last_reply)
    if not ok then reason = with_culprit(s, reasons.caught(failure)) end
  end
  if not reasons.is_ordinary(reason) then log_crash(s, reason) end
  return exit(reason)
end

local function run_loop(s, timeout)
  local ok, failure = xpcall(live, reasons.of_raised, s, timeout)
  if ok then return finish(s, s.reason) end
  return finish(s, with_culprit(s, reasons.caught(failure)))
end

-- Give the process its name. true, or nil and who has it.
local function take_name(name)
  if name == nil then return true end
  if type(name) == "table" then
    local module, term = name[2], name[3]
    local ok, holder = module.register_name(term, core.self())
    if ok == true or ok == "yes" then return true end -- "yes" and "no" are what Elixir's modules of names answer
    return nil, holder or module.whereis_name(term)
  end
  if pcall(core.process_register, core.self(), name) then return true end
  return nil, core.process_whereis(name)
end

--- A copy of a table with a mark: a server whose init returns it as its state goes on with another module of callbacks,
-- and the results of their `take_over(module, results of init...)`.
-- @param state table
-- @param behaviour name of the module
function server.become(state, behaviour)
  local copy = {}
  for k, v in next, state do copy[k] = v end
  return setmetatable(copy, {__behaviour = behaviour})
end

local function behaviour_of(state)
  local mt = getmetatable(state)
  local name = type(mt) == "table" and rawget(mt, "__behaviour")
  return name and require(name)
end

local function started(s, owner, ref, ...)
  local n, tag, a, b = select("#", ...), ...
  local behaviour = tag == "ok" and behaviour_of(a)
  if behaviour then
    local module = s.module
    s.module, s.callbacks, s.fixed = behaviour, behaviour, true
    return started(s, owner, ref, behaviour.take_over(module, ...))
  end
  if tag == "ok" and (n == 2 or n == 3 and is_extra(b)) then
    s.state, s.has_begun = a, true
    reply(owner, ref, "ok")
    if n == 2 then return run_loop(s, nil) end
    local ok, timeout = xpcall(after, reasons.of_raised, s, b)
    if not ok then return finish(s, reasons.caught(timeout)) end
    if s.stopped then return finish(s, s.reason) end
    return run_loop(s, timeout)
  elseif tag == "ignore" and n == 1 then
    return reply(owner, ref, "ignore")
  elseif tag == "error" and n == 2 then
    return reply(owner, ref, "error", a)
  elseif tag == "stop" and n == 2 then
    return exit(a)
  end
  local reason = tag == blame.BAD and a or blame.bad_return(s.module, "init", ...)
  log_crash(s, reason)
  return exit(reason)
end

--- The server's process, from its first instruction on.
-- @param owner pid of who starts it
-- @param ref reference to report to
-- @param module table of callbacks
-- @param arg for init
-- @param name nil, string or via table
-- @param linked whether owner is its parent
-- @param ancestors sequence of pids and names
-- @param hibernate_after nil, ms or "infinity"
function server.run(owner, ref, module, arg, name, linked, ancestors, hibernate_after)
  module = reload.enter(ancestors, module)
  local ok, holder = take_name(name)
  if not ok then return reply(owner, ref, "taken", holder) end
  local s = {
    module = module, callbacks = module, name = name, parent = linked and owner or nil, state = nil, last = nil,
    stopped = false, has_begun = false, hibernate_after = hibernate_after,
  }
  if type(module.init) ~= "function" then missing(s, "init") end
  return started(s, owner, ref, module.init(arg))
end

return server

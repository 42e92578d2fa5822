--- The way of an entry: it becomes an event, which goes to the processes of handlers or, as text, to the writer.
--
-- Everything here runs in the process that logs, but `serve`. Entries of C come in through `emit`, too; see
-- c_src/bind/log/log.h. What is configured is in the settings, see settings.lua; there are none before that.
-- @module moonbeam.logger.log

local core = require "moonbeam.core"
local inspect = require "moonbeam.internal.inspect"
local places = require "moonbeam.logger.places"
local report = require "moonbeam.logger.report"
local text = require "moonbeam.logger.text"

local type, tostring, pcall = type, tostring, pcall

local log = {}

local PATIENCE_MS = 1000 -- MB_LOG_PATIENCE_MS
local DEFAULT = 0 -- MB_LOG_DEFAULT

--- What is shown of a value whose size nobody knows, and of a reason.
log.short, log.reason = report.short, report.reason

--- The key of a process's metadata in its dictionary.
log.METADATA = "$logger_metadata"

--- Names of levels -> numbers.
log.levels = places.levels

--- The number of the level that the module of a chunk has, for C.
log.module_level = places.module_level

-- Text

-- An event as the text of a style, in its colour; nil when it is to be written as at first.
local function styled(event, style)
  if not style or next(style) == nil then return nil end
  return text.colored(text.of(event, style), event.level, style)
end

--- Write an event as text. A formatter that fails is told of, and does without; what it logs itself is written as it
-- is.
-- @param event
-- @param[opt] place of a report
-- @param[opt] style
function log.write(event, place, style)
  local entered = core.log_enter()
  local ok, line = pcall(styled, event, style)
  if entered then core.log_leave() end
  if ok and line then return core.log_write(line, place) end
  local message = event.message
  if not ok then message = message .. "\n" .. text.failure(line) end
  return core.log_write(message, place, event.level, event.time)
end

--- The same in the style of the default handler.
function log.write_default(event, place)
  local settings = core.log_settings()
  return log.write(event, place, settings and settings.style)
end

-- Handlers

-- A filter that fails says nothing, and is told of once by each scheduler.
local failed = setmetatable({}, {__mode = "k"})

local function tell_failed(handler, filter, why)
  if failed[filter] then return end
  failed[filter] = true
  core.log_write(string.format('a filter of Logger\'s handler "%s" failed, and counts as "ignore": %s', handler.name,
    tostring(why)), "Logger's filter", "error", core.system_time())
end

-- A copy that may be changed.
local function copy(event)
  local new, metadata = {}, {}
  for k, v in next, event do new[k] = v end
  for k, v in next, event.metadata do metadata[k] = v end
  new.metadata = metadata
  return new
end

local function is_event(t)
  return type(t.message) == "string" and type(t.metadata) == "table" and log.levels[t.level] and t.time
end

-- What the filters make of an event that is theirs: the event, or nil when it is not for the handler.
local function filtered(handler, event)
  local default = handler.filter_default ~= "stop" and event or nil
  for _, filter in ipairs(handler.filters) do
    local ok, answer = pcall(filter, event)
    if ok and type(answer) == "table" and not is_event(answer) then ok, answer = false, "it returned no event" end
    if not ok then
      tell_failed(handler, filter, answer)
    elseif answer == "stop" or answer == false then
      return nil
    elseif answer ~= nil and answer ~= "ignore" then
      if type(answer) == "table" then event = answer end
      default = event
    end
  end
  return default
end

-- The event as a handler wants it, or nil; where: see places.location.
local function seen_by(handler, event, where)
  local style = handler.style
  local cut = style.truncate and #event.message > style.truncate
  if not (handler.filters or cut or style.location) then return event end
  event = copy(event)
  if style.location then
    for k, v in next, where do
      if event.metadata[k] == nil then event.metadata[k] = v end
    end
  end
  if cut then event.message = text.truncate(event.message, style.truncate) end
  if handler.filters then return filtered(handler, event) end
  return event
end

-- Let the process of a handler have an event: whether there is one that takes it.
local function hand(number, event, place, is_copy)
  local ok, taken = pcall(core.log_event, number, event, place, is_copy)
  if ok then return taken end
  event = copy(event) -- something in it cannot travel
  event.metadata = report.plain(event.metadata)
  return core.log_event(number, event, place, is_copy)
end

-- Let all handlers that want it have an event. What nobody else shows is left to the default text when a handler is
-- not there any more, or logs itself.
local function deliver(settings, event, place, where)
  local level, shown, missed = log.levels[event.level], false, nil
  for _, handler in ipairs(settings.handlers) do
    local seen = level >= handler.least and seen_by(handler, event, where)
    if seen then
      if handler.kind == "default" then
        shown = true
        if not (handler.number and hand(handler.number, seen, place)) then log.write(seen, place, handler.style) end
      elseif not hand(handler.number, seen, place, shown) then
        missed = seen
      end
    end
  end
  if missed and not shown then log.write(missed, place, settings.style) end
end

-- Events

local function merge(into, from)
  if type(from) ~= "table" then return into end
  for k, v in next, from do into[k] = v end
  return into
end

-- Whether a table has no text of its own.
local function is_plain(value)
  local mt = debug.getmetatable(value)
  return mt == nil or rawget(mt, "__tostring") == nil
end

-- An event of a value, which goes to the handlers or to the writer. kind, message and place: see emit.
local function pass_on(level, value, metadata, kind, message, place, where)
  if kind == "crash" then
    metadata.report = value
    value = message
  elseif type(value) == "table" and is_plain(value) then
    metadata.report = value
    if kind then value, place = report.text(value, kind) else value = inspect(value) end
  elseif type(value) == "number" then
    value = tostring(value)
  elseif type(value) ~= "string" then
    value = inspect(value)
  end
  local event = {level = level, message = value, metadata = metadata, time = core.system_time(), pid = core.caller(),
    kind = kind}
  local settings = core.log_settings()
  if settings then return deliver(settings, event, place, where) end -- none, or false: they cannot be made here
  if not hand(DEFAULT, event, place) then log.write(event, place) end
end

-- What is logged while an entry is made: by a format function, by the __tostring of a value. No code of the user's runs
-- for it, so one entry cannot become very many.
local function write_plain(level, value)
  local kind = type(value)
  if kind == "number" or kind == "boolean" then
    value = tostring(value)
  elseif kind ~= "string" then
    value = "(a " .. kind .. ", logged while another entry was made)"
  end
  return core.log_write(value, nil, level, core.system_time())
end

--- Log a value: text, a report, another value, or a function that makes one.
-- @param level
-- @param value
-- @param metadata table or nil
-- @param[opt] kind of a report of the runtime's: the event has it, too, and nothing that a user logs
-- @param[opt] message the text of the report of a crash, which is made already
-- @param[opt] place of the report of a crash
function log.emit(level, value, metadata, kind, message, place)
  local more
  local settings = core.log_settings()
  local where = settings and settings.location and not kind and places.location()
  if type(value) == "function" then value, more = value() end
  if not core.log_enter() then return write_plain(level, message or value) end
  metadata = merge(merge(merge({}, core.caller() and core.process_get(log.METADATA)), metadata), more)
  local ok, failure = pcall(pass_on, level, value, metadata, kind, message, place, where or nil)
  core.log_leave()
  if not ok then error(failure, 0) end
end

-- The process of a handler

local function explain(e)
  if core.type(e) == "exit" then return tostring(e) end
  return debug.traceback(text.value(e), 2)
end

-- The handler of what nobody else handles: what is shown elsewhere is not written again.
local function write_left(event, place, is_copy)
  if not is_copy then log.write_default(event, place) end
  return true
end

-- What is set as a handler -> the function that handles events, what is called when nothing waits, and what when it has
-- had its time. A function gets the event, and its text when a format was asked for.
local function made_of(number, value)
  if number == DEFAULT then return value end
  if value.kind == "file" then return require("moonbeam.logger.file").handler(value) end
  local fn, style = value.handler, value.style
  if not style.format then return fn end
  return function(event) return fn(event, text.made(event, style)) end
end

-- Handle an event; a handler that fails is told of, and the default handles this one and those that wait: the new
-- handler.
local function handle(self, event, place, is_copy)
  if self.handler == write_left then return write_left(event, place, is_copy) end
  local ok, answer = xpcall(self.handler, explain, event)
  if ok then
    if answer == nil and self.on_idle then write_left(event, place, is_copy) end -- of a file that cannot be written
    return
  end
  local next_one = core.log_release(self.number) and "takes what is left for it" or "takes over"
  core.log_write(string.format("Logger's handler%s failed; the default handler %s\n** (error) %s",
    self.name and ' "' .. self.name .. '"' or "", next_one, answer), "Logger's handler", "error", core.system_time())
  write_left(event, place, is_copy)
  self.handler, self.on_idle, self.close = write_left, nil, nil
end

-- Handle events until there are no more to come.
local function serve(self)
  while true do
    local kind, value, place = core.log_take(self.number)
    if kind == "handler" then
      self.name = self.number ~= DEFAULT and value.name or nil
      if self.close then self.close() end
      self.handler, self.on_idle, self.close = made_of(self.number, value)
    elseif kind == "end" then
      return
    elseif kind == nil then
      if self.on_idle then self.on_idle() end
      core.take()
    else
      if kind == "dropped" then value.pid = core.self() end
      handle(self, value, place, kind == "copy")
    end
  end
end

--- The process that runs the handler of a number: field, so that it travels by name.
function log.serve(number)
  core.take() -- there is something: by then this process has become the handler's
  return serve{number = number}
end

--- The process that writes what another one has not handled; a handler that is set meanwhile comes after that.
function log.write_left(number) return serve{number = number, handler = write_left} end

--- Start that process: its pid.
function log.take_over(number) return core.process_spawn(log.write_left, {scheduler = "here"}, number) end

--- The process that ends a handler's which is at one entry too long while another handler waits.
function log.watch(number)
  local turn, late = core.log_overdue(number)
  while turn do
    core.sleep(PATIENCE_MS)
    turn, late = core.log_overdue(number, turn)
    if late then core.process_exit(late, "kill") end
  end
end

--- Let a handler's number stand for a function of events from now on, or for what made_of takes; nil: for nobody.
function log.set_handler(number, value)
  local runs, watch = core.log_handler(number, value)
  if watch then core.process_spawn(log.watch, {scheduler = "here"}, number) end
  if value == nil or runs then return end
  local pid = core.process_spawn(log.serve, {scheduler = "here"}, number)
  if core.log_handler(number, value, pid) ~= pid then core.process_exit(pid, "kill") end -- somebody else was faster
end

core.set_log(log)

return log

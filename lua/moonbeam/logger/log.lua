--- The way of an entry: it becomes an event, which goes to the handler's process or, as text, to the writer.
--
-- Everything here runs in the process that logs, but `serve`. Entries of C come in through `emit`, too; see
-- c_src/bind/log/log.h.
-- @module moonbeam.logger.log

local core = require "moonbeam.core"
local inspect = require "moonbeam.internal.inspect"
local report = require "moonbeam.logger.report"

local type, tostring, pcall = type, tostring, pcall

local log = {}

local PATIENCE_MS = 1000 -- MB_LOG_PATIENCE_MS
local DEFAULT_FORMAT = "$time $metadata[$level] $message"

--- What is shown of a value whose size nobody knows, and of a reason.
log.short, log.reason = report.short, report.reason

--- The key of a process's metadata in its dictionary.
log.METADATA = "$logger_metadata"

-- Text

local function value_text(v)
  if type(v) == "string" then return v end
  return inspect(v)
end

-- "key=value key=value ": of the keys in a sequence, or of "all".
local function metadata_text(metadata, keys)
  if keys == "all" then
    keys = {}
    for k in next, metadata do
      if type(k) == "string" and k ~= "report" then keys[#keys + 1] = k end
    end
    table.sort(keys)
  end
  local text = ""
  for _, key in ipairs(keys or {}) do
    local v = metadata[key]
    if v ~= nil then text = text .. tostring(key) .. "=" .. value_text(v) .. " " end
  end
  return text
end

-- Of the second that was asked for last: entries come in bursts.
local last_second, last_clock

local function clock(event)
  local second = event.time // 1000
  if second ~= last_second then last_second, last_clock = second, os.date("%H:%M:%S", second) end
  return string.format("%s.%03d", last_clock, event.time % 1000)
end

local parts = {
  time = clock,
  date = function(event) return os.date("%Y-%m-%d", event.time // 1000) end,
  level = function(event) return event.level end,
  message = function(event) return event.message end,
  pid = function(event) return event.pid and tostring(event.pid) or "" end, -- a finalizer's has none
  metadata = function(event, settings) return metadata_text(event.metadata, settings.metadata) end,
}

--- The first name in a format that stands for nothing, and the names there are; nil when all are known.
function log.unknown_part(template)
  for name in string.gmatch(template, "%$(%a+)") do
    if not parts[name] then
      local names = {}
      for known in next, parts do names[#names + 1] = "$" .. known end
      table.sort(names)
      return name, table.concat(names, ", ")
    end
  end
end

-- Settings -> their format as a sequence of texts and functions of an event and the settings.
local compiled = setmetatable({}, {__mode = "k"})

-- All names of the template are known.
local function compile(template)
  local sequence, from = {}, 1
  for before, name, after in string.gmatch(template, "()%$(%a+)()") do
    sequence[#sequence + 1] = string.sub(template, from, before - 1)
    sequence[#sequence + 1] = parts[name]
    from = after
  end
  sequence[#sequence + 1] = string.sub(template, from)
  return sequence
end

-- The text of an event as the settings want it; nil when there are none.
local function format(event)
  local settings = core.log_settings()
  if not settings then return nil end -- none, or false: they cannot be made here
  local how = settings.format or DEFAULT_FORMAT
  if type(how) ~= "string" then
    local text = how(event)
    if type(text) ~= "string" then error("it returned a " .. type(text) .. ", no string", 0) end
    return text
  end
  local sequence, texts = compiled[settings], {}
  if not sequence then
    sequence = compile(how)
    compiled[settings] = sequence
  end
  for i, part in ipairs(sequence) do texts[i] = type(part) == "string" and part or part(event, settings) end
  return table.concat(texts)
end

--- Write an event as text. A formatter that fails is told of, and does without; what it logs itself is written as it
-- is.
-- @param event
-- @param[opt] place of a report
function log.write(event, place)
  local entered = core.log_enter()
  local ok, text = pcall(format, event)
  if entered then core.log_leave() end
  if ok and text then return core.log_write(text, place) end
  local message = event.message
  if not ok then message = message .. "\n(Logger's formatter failed: " .. tostring(text) .. ")" end
  return core.log_write(message, place, event.level, event.time)
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

-- An event of a value, which goes to the handler or to the writer. kind, text and place: see emit.
local function pass_on(level, value, metadata, kind, text, place)
  if kind == "crash" then
    metadata.report = value
    value = text
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
  local ok, taken = pcall(core.log_event, event, place)
  if not ok then -- something in it cannot travel
    event.metadata = report.plain(metadata)
    taken = core.log_event(event, place)
  end
  if not taken then log.write(event, place) end
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
-- @param[opt] text of the report of a crash, which is made already
-- @param[opt] place of the report of a crash
function log.emit(level, value, metadata, kind, text, place)
  local more
  if type(value) == "function" then value, more = value() end
  if not core.log_enter() then return write_plain(level, text or value) end
  metadata = merge(merge(merge({}, core.caller() and core.process_get(log.METADATA)), metadata), more)
  local ok, failure = pcall(pass_on, level, value, metadata, kind, text, place)
  core.log_leave()
  if not ok then error(failure, 0) end
end

-- The process of a handler

local function explain(e)
  if core.type(e) == "exit" then return tostring(e) end
  return debug.traceback(value_text(e), 2)
end

-- Handle an event; a handler that fails is told of, and the default handles this one and those that wait: the new
-- handler.
local function handle(handler, event, place)
  local ok, failure = xpcall(handler, explain, event, handler == log.write and place or nil)
  if ok then return handler end
  local next_one = core.log_release() and "takes what is left for it" or "takes over"
  core.log_write("Logger's handler failed; the default handler " .. next_one .. "\n** (error) " .. failure,
    "Logger's handler", "error", core.system_time())
  log.write(event, place)
  return log.write
end

-- Handle events until there are no more to come.
local function serve(handler)
  while true do
    local kind, value, place = core.log_take()
    if kind == "handler" then
      handler = value
    elseif kind == "end" then
      return
    elseif kind == nil then
      core.take()
    else
      if kind == "dropped" then value.pid = core.self() end
      handler = handle(handler, value, place)
    end
  end
end

--- The process that runs the handler: field, so that it travels by name.
function log.serve()
  core.take() -- there is something: by then this process has become the handler's
  return serve()
end

--- The process that writes what another one has not handled; a handler that is set meanwhile comes after that.
function log.write_left() return serve(log.write) end

--- Start that process: its pid.
function log.take_over() return core.process_spawn(log.write_left, {scheduler = "here"}) end

--- The process that ends a handler's which is at one entry too long while another handler waits.
function log.watch()
  local turn, late = core.log_overdue()
  while turn do
    core.sleep(PATIENCE_MS)
    turn, late = core.log_overdue(turn)
    if late then core.process_exit(late, "kill") end
  end
end

--- Let fn handle events from now on; nil: the writer.
function log.set_handler(fn)
  local runs, watch = core.log_handler(fn)
  if watch then core.process_spawn(log.watch, {scheduler = "here"}) end
  if fn == nil or runs then return end
  local pid = core.process_spawn(log.serve, {scheduler = "here"})
  if core.log_handler(fn, pid) ~= pid then core.process_exit(pid, "kill") end -- somebody else was faster
end

core.set_log(log)

return log

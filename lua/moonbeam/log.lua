--- The way of an entry: it becomes an event, which goes to the handler's process or, as text, to the writer. Internal.
--
-- Everything here runs in the process that logs, but `serve`. Entries of C come in through `emit`, too; see
-- c_src/bind/log.h.
-- @module moonbeam.log

local core = require "moonbeam.core"
local inspect = require "moonbeam.inspect"
local report = require "moonbeam.report"

local type, tostring, pcall = type, tostring, pcall

local log = {}

local DEFAULT_FORMAT = "$time $metadata[$level] $message"

--- What is shown of a value whose size nobody knows.
log.short = report.short

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
  return ("%s.%03d"):format(last_clock, event.time % 1000)
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
  for name in template:gmatch("%$(%a+)") do
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
  for before, name, after in template:gmatch("()%$(%a+)()") do
    sequence[#sequence + 1] = template:sub(from, before - 1)
    sequence[#sequence + 1] = parts[name]
    from = after
  end
  sequence[#sequence + 1] = template:sub(from)
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

--- Write an event as text. A formatter that fails is told of, and does without.
function log.write(event, keep)
  local ok, text = pcall(format, event)
  if ok and text then return core.log_write(text, keep) end
  local message = event.message
  if not ok then message = message .. "\n(Logger's formatter failed: " .. tostring(text) .. ")" end
  return core.log_write(message, keep, event.level, event.time)
end

-- Events

local function merge(into, from)
  if type(from) ~= "table" then return into end
  for k, v in next, from do into[k] = v end
  return into
end

--- Log a value: text, a report, another value, or a function that makes one. text: of a report of a crash, made already.
function log.emit(level, value, metadata, text)
  local more, keep
  local pid = core.caller()
  if type(value) == "function" then value, more = value() end
  metadata = merge(merge(merge({}, pid and core.process_get(log.METADATA)), metadata), more)
  if text then
    metadata.report = value
    value, keep = text, true
  elseif type(value) == "table" and not (getmetatable(value) or {}).__tostring then
    metadata.report = value
    value, keep = report.text(value)
  elseif type(value) == "number" then
    value = tostring(value)
  elseif type(value) ~= "string" then
    value = inspect(value)
  end
  local event = {level = level, message = value, metadata = metadata, time = core.system_time(), pid = pid}
  local ok, taken = pcall(core.log_event, event, keep)
  if not ok then -- something in it cannot travel
    event.metadata = report.plain(metadata)
    taken = core.log_event(event, keep)
  end
  if not taken then log.write(event, keep) end
end

-- The process of a handler

local function missing(n)
  return {level = "warning", message = ("Logger dropped %d entries: the handler did not take them fast enough"):format(n),
    metadata = {dropped = n}, time = core.system_time(), pid = core.self()}
end

local function explain(e)
  if core.type(e) == "exit" then return tostring(e) end
  return debug.traceback(value_text(e), 2)
end

--- The process that runs the handler: field, so that it travels by name.
function log.serve()
  local handler
  core.take() -- there is something: by then this process has become the handler's
  while true do
    local kind, value = core.log_take()
    if kind == "handler" then
      handler = value
    elseif kind == "end" then
      return
    elseif kind == nil then
      core.take()
    else
      if kind == "missing" then value = missing(value) end
      local ok, failure = xpcall(handler, explain, value)
      if not ok then
        core.log_write("Logger's handler failed; the default handler takes over\n** (error) " .. failure, true, "error",
          core.system_time())
        return core.log_release()
      end
    end
  end
end

--- Let fn handle events from now on; nil: the writer.
function log.set_handler(fn)
  if fn == nil or core.log_handler(fn) then return fn or core.log_handler(nil) end
  local pid = core.process_spawn(log.serve, {scheduler = "here"})
  if core.log_handler(fn, pid) ~= pid then core.process_exit(pid, "kill") end -- somebody else was faster
end

core.set_log(log)

return log

--- Log entries, written to stderr as `12:01:02.345 [error] text`, or given to a handler. See Elixir's `Logger`.
--
-- An entry below the level costs next to nothing. A terminal or a pipe that is slow delays no other process: what it
-- does not take at once waits, up to 4 MB of it, and a process that logs faster than entries are taken waits a little,
-- too. What does not fit is dropped, and an entry says how much. Reports of crashes have 4 MB of their own; above that,
-- an entry says how many more came from which place. When the program ends, what is left is written, as long as
-- somebody takes it.
-- @module moonbeam.logger

local core = require "moonbeam.core"
local log = require "moonbeam.logger.log"

local Logger = {}

local RETRY_MS = 10 -- of a flush when very many wait

--- Log at a level. A function is called for its result (or results: a message and metadata) only when the level is on.
-- A table becomes a report: handlers find it in `event.metadata.report`. The event of a report of the runtime's own has
-- `kind` beside: "crash", "supervisor" or "trace". See Elixir's `Logger.debug/2`.
-- @function debug
-- @param message string, function, table, or another value
-- @param[opt] metadata table, beside the process's own
-- @return true
-- @usage Logger.debug(function() return "not built unless wanted" end)
Logger.debug = core.log_debug

--- As `debug`, at the level of its name. See Elixir's `Logger.info/2`.
-- @function info
-- @param message as for debug
-- @param[opt] metadata table
-- @return true
-- @usage Logger.info("something to know", {user = "ann"})
Logger.info = core.log_info

--- As `debug`, at the level of its name. See Elixir's `Logger.warning/2`.
-- @function warning
-- @param message as for debug
-- @param[opt] metadata table
-- @return true
-- @usage Logger.warning("something to know")
Logger.warning = core.log_warning

--- As `debug`, at the level of its name. See Elixir's `Logger.error/2`.
-- @function error
-- @param message as for debug
-- @param[opt] metadata table
-- @return true
-- @usage Logger.error("something to know")
Logger.error = core.log_error

-- The settings of the text with those of opts in place of their own; nil when all are as at first.
local function settings_with(opts)
  local now = core.log_settings() or {}
  local format, metadata = opts.format, opts.metadata
  if format == nil then format = now.format end
  if metadata == nil then metadata = now.metadata end
  if format == "default" then format = nil end
  if type(metadata) == "table" and #metadata == 0 then metadata = nil end
  if format == nil and metadata == nil then return nil end
  return {format = format, metadata = metadata}
end

--- Configure the log, for all processes. See Elixir's `Logger.configure/1`.
--
-- A handler is a function of one event, a table with level, message (text), metadata, time (ms since 1970) and pid (nil
-- when a finalizer has logged it); it runs in the logger's own process, one event at a time, and is copied there.
-- Crashes come as `metadata.report`, a table with kind = "crash", pid, reason and more. A handler that raises is
-- reported, and the default takes over; one that is at an event for a second while another handler waits for its place
-- is killed and reported.
--
-- A format is a text in which $time, $date, $level, $message, $metadata and $pid are replaced, or a function from an
-- event to text, which runs in the process that logs; "default" brings the first one back.
-- @param opts table: level = "debug" | "info" (at first) | "warning" | "error" | "none"; handler = function |
-- "default"; format = string | function; metadata = sequence of keys that $metadata shows | "all"
-- @return the level before
-- @usage
-- local before = Logger.configure{
--   level = "warning", format = "$date $time [$level] $metadata$message", metadata = {"user"},
-- }
-- assert(before == "info")
-- Logger.error("shown with the user", {user = "ann"})
-- @usage
-- Logger.configure{handler = function(event) io.stderr:write(event.level, ": ", event.message, "\n") end}
-- Logger.error("handled")
-- Logger.configure{handler = "default"}
function Logger.configure(opts)
  if type(opts) ~= "table" then
    core.argument_error("Logger.configure", 1, "table expected, got " .. core.type(opts))
  end
  require("moonbeam.internal.options").check(opts, require "moonbeam.logger.settings", "Logger.configure", 1)
  if opts.format ~= nil or opts.metadata ~= nil then core.log_configure(settings_with(opts)) end
  if opts.handler ~= nil then log.set_handler(opts.handler ~= "default" and opts.handler or nil) end
  return core.log_level(opts.level)
end

--- Metadata of the calling process, which all of its events have. See Elixir's `Logger.metadata/1`.
-- @param[opt] metadata table that is added to what there is
-- @return true; without an argument a table of what there is
-- @usage
-- Logger.metadata{request = 17}
-- assert(Logger.metadata().request == 17)
function Logger.metadata(metadata)
  local all = {}
  for k, v in next, core.process_get(log.METADATA) or {} do all[k] = v end
  if metadata == nil then return all end
  if type(metadata) ~= "table" then
    core.argument_error("Logger.metadata", 1, "table expected, got " .. core.type(metadata))
  end
  for k, v in next, metadata do all[k] = v end
  core.process_put(log.METADATA, all)
  return true
end

--- As `metadata`, in place of what there is. See Elixir's `Logger.reset_metadata/1`.
-- @param[opt] metadata table; none when left out
-- @return true
-- @usage
-- Logger.metadata{request = 17}
-- Logger.reset_metadata()
-- assert(next(Logger.metadata()) == nil)
function Logger.reset_metadata(metadata)
  core.process_delete(log.METADATA)
  return Logger.metadata(metadata or {})
end

--- Wait until everything logged so far has been handled, or written. See Elixir's `Logger.flush/0`.
-- @param[opt=5000] ms integer >= 0 or "infinity"
-- @return true | nil, "timeout"
-- @usage
-- Logger.error("on its way")
-- assert(Logger.flush())
function Logger.flush(ms)
  local deadline = require "moonbeam.internal.deadline"
  ms = require("moonbeam.internal.check").timeout(ms, 5000, "Logger.flush", 1)
  local last, ref = deadline.after(ms), nil
  repeat
    ref = core.log_flush()
    if not ref then -- very many wait already
      if deadline.left(last) == 0 then return nil, "timeout" end
      core.sleep(RETRY_MS)
    end
  until ref
  local _ <close> = require("moonbeam.internal.owned")(ref)
  if core.await(ref, deadline.left(last)) then return true end
  return nil, "timeout"
end

return Logger

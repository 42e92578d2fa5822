--- Log entries, written to stderr as `12:01:02.345 [error] text`. See Elixir's `Logger`.
-- @module moonbeam.logger

local core = require "moonbeam.core"

local Logger = {}

local order = {debug = 1, info = 2, warning = 3, error = 4, none = 5}

local function log(level, message)
  if order[level] < order[core.log_level()] then return true end
  if type(message) == "function" then message = message() end
  core.log(level, type(message) == "string" and message or require "moonbeam.inspect"(message))
  return true
end

--- Log at a level. A function is called for its result only when the level is on.
-- @param message string, function, or a value that is inspected
-- @return true
-- @usage Logger.debug(function() return "not built unless wanted" end)
function Logger.debug(message) return log("debug", message) end

--- As `debug`, at the level of its name.
-- @param message as for debug
-- @return true
-- @usage Logger.info("something to know")
function Logger.info(message) return log("info", message) end

--- As `debug`, at the level of its name.
-- @param message as for debug
-- @return true
-- @usage Logger.warning("something to know")
function Logger.warning(message) return log("warning", message) end

--- As `debug`, at the level of its name.
-- @param message as for debug
-- @return true
-- @usage Logger.error("something to know")
function Logger.error(message) return log("error", message) end

--- Configure the log.
-- @param options table: level = "debug" | "info" (at first) | "warning" | "error" | "none"
-- @return the level before
-- @usage Logger.configure{level = "warning"}
function Logger.configure(options)
  if type(options) ~= "table" then
    core.argument_error("Logger.configure", 1, "table expected, got " .. core.type(options))
  end
  if options.level ~= nil and not order[options.level] then
    core.argument_error("Logger.configure", 1, "unknown level " .. tostring(options.level))
  end
  return core.log_level(options.level)
end

return Logger

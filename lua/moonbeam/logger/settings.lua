--- The options of Logger.configure; loaded when it is first called.
-- @module moonbeam.logger.settings

local core = require "moonbeam.core"
local check = require "moonbeam.internal.check"
local log = require "moonbeam.logger.log"
local options = require "moonbeam.internal.options"

local levels = {debug = true, info = true, warning = true, error = true, none = true}

local function level_rule(v, fname, index)
  if not levels[v] then
    core.argument_error(fname, index,
      string.format('unknown level %s (levels: "debug", "info", "warning", "error", "none")', tostring(v)))
  end
end

local function handler_rule(v)
  if v ~= "default" and not check.is_callable(v) then return 'a function or "default"', core.type(v) end
end

local function format_rule(v, fname, index)
  if type(v) == "string" then
    local unknown, names = log.unknown_part(v)
    if unknown then
      core.argument_error(fname, index,
        string.format("format has $%s, which stands for nothing (there are %s)", unknown, names))
    end
  elseif not check.is_callable(v) then
    return "a string or a function", core.type(v)
  end
end

local is_keys = options.sequence 'a sequence of keys or "all"'

local function metadata_rule(v)
  if v ~= "all" then return is_keys(v) end
end

return options.of{
  {"level", level_rule}, {"handler", handler_rule}, {"format", format_rule}, {"metadata", metadata_rule},
}

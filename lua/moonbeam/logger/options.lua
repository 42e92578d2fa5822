--- The options of Logger.configure and of handlers; loaded when one of these is first given.
-- @module moonbeam.logger.options

local core = require "moonbeam.core"
local check = require "moonbeam.internal.check"
local log = require "moonbeam.logger.log"
local options = require "moonbeam.internal.options"
local text = require "moonbeam.logger.text"

local levels = log.levels

local level_names = {}
for name in next, levels do level_names[#level_names + 1] = name end
table.sort(level_names, function(a, b) return levels[a] < levels[b] end)

local function level_rule(v, fname, index)
  if not levels[v] then
    core.argument_error(fname, index, string.format('unknown level %s (levels: "%s")', core.short(tostring(v)),
      table.concat(level_names, '", "')))
  end
end

local function handler_rule(v)
  if v ~= "default" and not check.is_callable(v) then return 'a function or "default"', core.type(v) end
end

local function any_handler_rule(v)
  if v ~= "default" and v ~= "file" and not check.is_callable(v) then
    return 'a function, "default" or "file"', type(v) == "string" and '"' .. core.short(v) .. '"' or core.type(v)
  end
end

local function format_rule(v, fname, index)
  if type(v) == "string" then
    local unknown, names = text.unknown_part(v)
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

local function or_infinity(least)
  local is_integer = options.integer(least)
  return function(v)
    if v == "infinity" then return end
    local expected, got = is_integer(v)
    if expected then return expected .. ' or "infinity"', got end
  end
end

local function color_rule(v)
  if not text.is_color(v) then return 'a colour: "red", "light_red", "normal", ...' end
end

local known_colors = {{"enabled", options.boolean}}
for _, name in ipairs(level_names) do
  if name ~= "all" and name ~= "none" then known_colors[#known_colors + 1] = {name, color_rule} end
end
known_colors = options.of(known_colors, "colors.")

local function colors_rule(v, fname, index) options.check(v, known_colors, fname, index) end

local function path_rule(v)
  if type(v) ~= "string" or v == "" then return "a string", core.type(v) end
end

local is_filters = options.sequence "a sequence of functions"

local function filters_rule(v)
  local expected, got = is_filters(v)
  if expected then return expected, got end
  for _, filter in ipairs(v) do
    if not check.is_callable(filter) then return "a sequence of functions", "one with a " .. core.type(filter) end
  end
end

local texts = {
  {"format", format_rule}, {"metadata", metadata_rule}, {"truncate", or_infinity(0)}, {"location", options.boolean},
}
local of_handlers = {
  {"handler", any_handler_rule, required = true}, {"level", level_rule}, {"filters", filters_rule},
  {"filter_default", options.one_of("log", "stop")},
}
local colors = {{"colors", colors_rule}}
local of_files = {{"path", path_rule, required = true}, {"max_bytes", or_infinity(1)},
  {"max_files", options.integer(0)}}

local function joined(...)
  local all = {}
  for _, part in ipairs{...} do
    for _, option in ipairs(part) do all[#all + 1] = option end
  end
  return options.of(all)
end

return {
  levels = level_names,
  level = level_rule,
  configure = joined({{"level", level_rule}, {"handler", handler_rule}}, texts, colors),
  default = joined(of_handlers, texts, colors),
  ["function"] = joined(of_handlers, texts),
  file = joined(of_handlers, texts, of_files),
}

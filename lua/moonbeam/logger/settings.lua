--- What is configured: one value for all schedulers, which is changed as a whole.
--
-- It has handlers, a sequence of those that get events (see `record`), style (the text of the default handler, which
-- takes what others leave), location (whether one of them wants to know where the user's code logs), and modules: name
-- -> level. Without settings the default handler is alone, and all is as at first.
-- @module moonbeam.logger.settings

local core = require "moonbeam.core"
local log = require "moonbeam.logger.log"
local known = require "moonbeam.logger.options"
local options = require "moonbeam.internal.options"

local type, next = type, next

local settings = {}

local FILE_FORMAT = "$date $time $metadata[$level] $message"

local places = {file = true, line = true, ["function"] = true, module = true}

local function asks_for_place(metadata)
  if type(metadata) ~= "table" then return false end
  for _, key in ipairs(metadata) do
    if places[key] then return true end
  end
  return false
end

-- What a style has of some options: nothing where they say what is so at first.
local function style_of(opts)
  local colors, location = opts.colors, opts.location
  if location == nil then location = asks_for_place(opts.metadata) end
  return {
    format = opts.format ~= "default" and opts.format or nil,
    metadata = opts.metadata == "all" and "all" or opts.metadata and opts.metadata[1] ~= nil and opts.metadata or nil,
    truncate = opts.truncate ~= "infinity" and opts.truncate or nil,
    colors = colors and next(colors) ~= nil and colors or nil,
    location = location or nil,
  }
end

--- What kind of handler an option asks for.
function settings.kind_of(handler) return type(handler) == "string" and handler or "function" end

--- A handler: its name, kind ("default" writes text to stderr), the number that stands for its process, and by its
-- options what it wants (least: the number of its level) and in which style.
function settings.record(name, number, opts)
  local filters, kind = opts.filters, settings.kind_of(opts.handler)
  local style = style_of(opts)
  if kind == "file" and not style.format then style.format = FILE_FORMAT end
  return {
    name = name, number = number, kind = kind, options = opts, style = style,
    least = log.levels[opts.level or "all"], filters = filters and filters[1] ~= nil and filters or nil,
    filter_default = opts.filter_default,
  }
end

--- The default handler writes text, or lets number 0 have the events while somebody handles these.
function settings.default_record(opts)
  local made = settings.record("default", 0, opts)
  made.kind = "default"
  return made
end

--- The handler of a name among some, and its number there; nil.
function settings.find(handlers, name)
  for i, handler in ipairs(handlers) do
    if handler.name == name then return handler, i end
  end
end

-- A handler whose process has failed is there no more.
local function is_alive(handler)
  return handler.kind == "default" or core.log_handles(handler.number)
end

--- What is configured now, as a copy that may be changed, its version, and the numbers of handlers that are no more.
function settings.current()
  local now, version = core.log_settings()
  if not now then return {handlers = {settings.default_record{handler = "default"}}, style = {}, modules = {}}, version, {} end
  local new, gone = {handlers = {}, style = now.style, modules = {}}, {}
  for _, handler in ipairs(now.handlers) do
    if is_alive(handler) then
      new.handlers[#new.handlers + 1] = handler
    else
      gone[#gone + 1] = handler.number
    end
  end
  for name, level in next, now.modules do new.modules[name] = level end
  return new, version, gone
end

local function is_as_at_first(handlers)
  local only = handlers[1]
  return #handlers == 1 and only.kind == "default" and only.number == 0 and next(only.style) == nil and only.least == 0
    and not only.filters
end

-- The lowest of levels by their numbers, among those of a sequence; most when there are none.
local function lowest(numbers, most)
  for _, n in ipairs(numbers) do most = math.min(most, n) end
  return most
end

local function install(new, version)
  local leasts, of_modules = {}, {}
  for i, handler in ipairs(new.handlers) do
    leasts[i] = handler.least
    new.location = new.location or handler.style.location
  end
  for _, level in next, new.modules do of_modules[#of_modules + 1] = log.levels[level] end
  local names, none = known.levels, log.levels.none
  local plain, floor = is_as_at_first(new.handlers), names[lowest(leasts, none) + 1]
  local module_level = of_modules[1] and names[lowest(of_modules, none) + 1] or nil
  if plain and not module_level then new = nil end
  return core.log_configure(new, version, not plain, floor, module_level)
end

--- Change what is configured: change(new) may be called again when somebody else has been faster. What it returns beside
-- true is the result, and nothing is changed.
function settings.update(change)
  while true do
    local new, version, gone = settings.current()
    local ok, why = change(new)
    if not ok then return ok, why end
    if install(new, version) then
      for _, number in ipairs(gone) do core.log_give_back(number) end
      return true
    end
  end
end

--- Options with others in their place.
function settings.merged(old, opts)
  local all = {}
  for k, v in next, old do all[k] = v end
  for k, v in next, opts do all[k] = v end
  return all
end

-- The default handler

local function set_colors(opts)
  local colors = opts.colors
  if not colors then return opts end
  if next(colors) == nil then core.log_colors("terminal") end
  if colors.enabled == nil then return opts end
  core.log_colors(colors.enabled) -- for what is not made in Lua, too
  colors = settings.merged(colors, {})
  colors.enabled = nil
  return settings.merged(opts, {colors = colors})
end

--- Let the default handler have other options; it is brought back where it was removed.
function settings.set_default(opts, comes_back)
  local replaced
  opts = set_colors(opts)
  settings.update(function(new)
    local old, i = settings.find(new.handlers, "default")
    replaced = comes_back and old and old.number ~= 0 and old.number
    if not comes_back and not (old and old.number == 0) then
      new.style = style_of(settings.merged(new.style, opts)) -- of what others leave
      return true
    end
    local before = old and old.number == 0 and old.options or {handler = "default"}
    local made = settings.default_record(settings.merged(before, opts))
    new.handlers[i or #new.handlers + 1], new.style = made, made.style
    return true
  end)
  if replaced then -- by a name it was another one
    log.set_handler(replaced, nil)
    core.log_give_back(replaced)
  end
end

--- Logger.configure, but for the level.
function settings.configure(opts, fname)
  options.check(opts, known.configure, fname, 1)
  local style, any = {}, false
  for _, name in ipairs{"format", "metadata", "truncate", "location", "colors"} do
    style[name] = opts[name]
    any = any or opts[name] ~= nil
  end
  local removed = opts.handler ~= nil and core.log_settings()
  removed = removed and (settings.find(removed.handlers, "default") or {}).number ~= 0
  if any or removed then settings.set_default(style, removed) end
  if opts.handler ~= nil then log.set_handler(0, opts.handler ~= "default" and opts.handler or nil) end
end

-- Modules

local function module_name(module, fname)
  if type(module) == "string" and module ~= "" then return module end
  if type(module) == "table" then
    for name, loaded in next, package.loaded do
      if loaded == module then return name end
    end
  end
  return core.argument_error(fname, 1, "a module's name expected, as require takes it, or a loaded module, got " ..
    (type(module) == "table" and "another table" or core.type(module)))
end

local function module_names(modules, fname)
  if type(modules) ~= "table" or modules[1] == nil then return {module_name(modules, fname)} end
  local names = {}
  for i, module in ipairs(modules) do names[i] = module_name(module, fname) end
  return names
end

--- Let modules have a level of their own; nil: none.
function settings.put_module_level(modules, level, fname)
  local names = module_names(modules, fname)
  if level ~= nil then known.level(level, fname, 2) end
  return settings.update(function(new)
    for _, name in ipairs(names) do new.modules[name] = level end
    return true
  end)
end

--- The level of a module, or name -> level of several; all when modules is nil.
function settings.get_module_level(modules, fname)
  local now = settings.current().modules
  if modules == nil then return now end
  local names, some = module_names(modules, fname), {}
  for _, name in ipairs(names) do some[name] = now[name] end
  if type(modules) == "table" and modules[1] ~= nil then return some end
  return now[names[1]]
end

function settings.delete_all_module_levels()
  return settings.update(function(new)
    new.modules = {}
    return true
  end)
end

return settings

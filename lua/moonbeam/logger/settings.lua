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
local MAX_FILES = 5

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

local function kind_of(handler) return type(handler) == "string" and handler or "function" end

-- A handler: its name, kind ("default" writes text to stderr), the number that stands for its process, and by its
-- options what it wants (least: the number of its level) and in which style.
local function record(name, number, opts)
  local filters, kind = opts.filters, kind_of(opts.handler)
  local style = style_of(opts)
  if kind == "file" and not style.format then style.format = FILE_FORMAT end
  return {
    name = name, number = number, kind = kind, options = opts, style = style,
    least = log.levels[opts.level or "all"], filters = filters and filters[1] ~= nil and filters or nil,
    filter_default = opts.filter_default,
  }
end

-- The default handler writes text, or lets number 0 have the events while somebody handles these.
local function default_record(opts)
  local made = record("default", 0, opts)
  made.kind = "default"
  return made
end

local function find(handlers, name)
  for i, handler in ipairs(handlers) do
    if handler.name == name then return handler, i end
  end
end

-- A handler whose process has failed is there no more.
local function is_alive(handler)
  return handler.kind == "default" or core.log_handles(handler.number)
end

-- What is configured now, as a copy that may be changed, its version, and the numbers of handlers that are no more.
local function current()
  local now, version = core.log_settings()
  if not now then return {handlers = {default_record{handler = "default"}}, style = {}, modules = {}}, version, {} end
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

-- Change what is configured: change(new) may be called again when somebody else has been faster. What it returns beside
-- true is the result, and nothing is changed.
local function update(change)
  while true do
    local new, version, gone = current()
    local ok, why = change(new)
    if not ok then return ok, why end
    if install(new, version) then
      for _, number in ipairs(gone) do core.log_give_back(number) end
      return true
    end
  end
end

local function merged(old, opts)
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
  colors = merged(colors, {})
  colors.enabled = nil
  return merged(opts, {colors = colors})
end

-- Let the default handler have other options; it is brought back where it was removed.
local function set_default(opts, comes_back)
  opts = set_colors(opts)
  update(function(new)
    local old, i = find(new.handlers, "default")
    if not old and not comes_back then
      new.style = style_of(merged(new.style, opts)) -- of what others leave
      return true
    end
    local made = default_record(merged(old and old.number == 0 and old.options or {handler = "default"}, opts))
    if old and old.number and old.number > 0 then log.set_handler(old.number, nil) end
    new.handlers[i or #new.handlers + 1], new.style = made, made.style
    return true
  end)
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
  removed = removed and (find(removed.handlers, "default") or {}).number ~= 0
  if any or removed then set_default(style, removed) end
  if opts.handler ~= nil then log.set_handler(0, opts.handler ~= "default" and opts.handler or nil) end
end

-- Handlers

local function check_name(name, fname)
  if type(name) ~= "string" or name == "" then
    core.argument_error(fname, 1, "a handler's name expected, a string, got " ..
      (name == "" and "an empty one" or core.type(name)))
  end
end

local function check_options(opts, fname)
  if type(opts) ~= "table" then
    core.argument_error(fname, 2, "table of options expected, got " .. core.type(opts))
  end
  local rules = known[kind_of(opts.handler)] or known.default
  options.check(opts, rules, fname, 2)
  if rules == known["function"] and opts.metadata ~= nil and opts.format == nil then
    core.argument_error(fname, 2, "metadata selects what a text shows, and there is none without format: the function "
      .. "has all metadata in its event")
  end
end

-- What the process of a handler gets, see log.made_of.
local function given(handler)
  local opts = handler.options
  return {
    kind = handler.kind, name = handler.name, handler = handler.kind == "function" and opts.handler or nil,
    style = handler.style, path = opts.path,
    max_bytes = opts.max_bytes ~= "infinity" and opts.max_bytes or math.huge, max_files = opts.max_files or MAX_FILES,
  }
end

local function try_file(handler)
  if handler.kind ~= "file" then return true end
  return require("moonbeam.logger.file").try(handler.options.path)
end

--- Add a handler: true, or nil and why not.
function settings.add(name, opts, fname)
  check_name(name, fname)
  check_options(opts, fname)
  local handler = record(name, nil, opts)
  local ok, why, code = try_file(handler)
  if not ok then return nil, why, code end
  if find(current().handlers, name) then return nil, {"already_exist", name} end
  if handler.kind ~= "default" then
    handler.number = core.log_reserve(name)
    if not handler.number then return nil, "too many handlers" end
    ok, why = pcall(log.set_handler, handler.number, given(handler))
    if not ok then
      core.log_give_back(handler.number)
      error(why, 0)
    end
  elseif name == "default" then
    handler = default_record(opts)
  end
  ok, why = update(function(new)
    if find(new.handlers, name) then return nil, {"already_exist", name} end
    new.handlers[#new.handlers + 1] = handler
    if name == "default" then new.style = handler.style end
    return true
  end)
  if not ok and handler.kind ~= "default" then
    log.set_handler(handler.number, nil)
    core.log_give_back(handler.number)
  end
  return ok, why
end

--- Take a handler away: true, or nil and why not.
function settings.remove(name, fname)
  check_name(name, fname)
  local old
  local ok, why = update(function(new)
    local i
    old, i = find(new.handlers, name)
    if not old then return nil, {"not_found", name} end
    table.remove(new.handlers, i)
    return true
  end)
  if ok and old.number then
    log.set_handler(old.number, nil)
    if old.number > 0 then core.log_give_back(old.number) end
  end
  return ok, why
end

local function changes_process(opts)
  for name in next, opts do
    if name ~= "level" and name ~= "filters" and name ~= "filter_default" and name ~= "truncate" and name ~= "location"
    then return true end
  end
  return false
end

--- Change options of a handler: true, or nil and why not.
function settings.update(name, opts, fname)
  check_name(name, fname)
  if type(opts) ~= "table" then
    core.argument_error(fname, 2, "table of options expected, got " .. core.type(opts))
  end
  if opts.handler ~= nil then
    core.argument_error(fname, 2, "a handler stays what it is: remove it, and add another one")
  end
  local old = find(current().handlers, name)
  if not old then return nil, {"not_found", name} end
  check_options(merged(old.options, opts), fname)
  if name == "default" and old.number == 0 then
    set_default(opts, true)
    return true
  end
  local handler
  local ok, why, code = try_file(record(name, nil, merged(old.options, opts)))
  if not ok then return nil, why, code end
  ok, why = update(function(new)
    local now, i = find(new.handlers, name)
    if not now or now.number ~= old.number then return nil, {"not_found", name} end
    handler = record(name, now.number, merged(now.options, opts))
    new.handlers[i] = handler
    return true
  end)
  if ok and handler.number and changes_process(opts) then log.set_handler(handler.number, given(handler)) end
  return ok, why
end

--- Name -> options of the handlers there are.
function settings.handlers()
  local all = {}
  for _, handler in ipairs(current().handlers) do
    local opts = merged(handler.options, {})
    opts.level = opts.level or "all"
    if handler.name == "default" and handler.number == 0 and core.log_handles(0) then opts.handler = "function" end
    all[handler.name] = opts
  end
  return all
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
  return update(function(new)
    for _, name in ipairs(names) do new.modules[name] = level end
    return true
  end)
end

--- The level of a module, or name -> level of several; all when modules is nil.
function settings.get_module_level(modules, fname)
  local now = current().modules
  if modules == nil then return now end
  local names, some = module_names(modules, fname), {}
  for _, name in ipairs(names) do some[name] = now[name] end
  if type(modules) == "table" and modules[1] ~= nil then return some end
  return now[names[1]]
end

function settings.delete_all_module_levels()
  return update(function(new)
    new.modules = {}
    return true
  end)
end

return settings

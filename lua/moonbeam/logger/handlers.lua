--- Handlers that are added, changed and taken away; loaded when the first one is.
-- @module moonbeam.logger.handlers

local core = require "moonbeam.core"
local log = require "moonbeam.logger.log"
local known = require "moonbeam.logger.options"
local options = require "moonbeam.internal.options"
local settings = require "moonbeam.logger.settings"

local type, next = type, next

local handlers = {}

local MAX_FILES = 5

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
  local rules = known[settings.kind_of(opts.handler)] or known.default
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
function handlers.add(name, opts, fname)
  check_name(name, fname)
  check_options(opts, fname)
  local handler = settings.record(name, nil, opts)
  local ok, why, code = try_file(handler)
  if not ok then return nil, why, code end
  if settings.find(settings.current().handlers, name) then return nil, {"already_exist", name} end
  if handler.kind ~= "default" then
    handler.number = core.log_reserve(name)
    if not handler.number then return nil, "too many handlers" end
    ok, why = pcall(log.set_handler, handler.number, given(handler))
    if not ok then
      core.log_give_back(handler.number)
      error(why, 0)
    end
  elseif name == "default" then
    handler = settings.default_record(opts)
  end
  ok, why = settings.update(function(new)
    if settings.find(new.handlers, name) then return nil, {"already_exist", name} end
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
function handlers.remove(name, fname)
  check_name(name, fname)
  local old
  local ok, why = settings.update(function(new)
    local i
    old, i = settings.find(new.handlers, name)
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
function handlers.update(name, opts, fname)
  check_name(name, fname)
  if type(opts) ~= "table" then
    core.argument_error(fname, 2, "table of options expected, got " .. core.type(opts))
  end
  if opts.handler ~= nil then
    core.argument_error(fname, 2, "a handler stays what it is: remove it, and add another one")
  end
  local old = settings.find(settings.current().handlers, name)
  if not old then return nil, {"not_found", name} end
  check_options(settings.merged(old.options, opts), fname)
  if name == "default" and old.number == 0 then
    settings.set_default(opts, true)
    return true
  end
  local handler
  local ok, why, code = try_file(settings.record(name, nil, settings.merged(old.options, opts)))
  if not ok then return nil, why, code end
  ok, why = settings.update(function(new)
    local now, i = settings.find(new.handlers, name)
    if not now or now.number ~= old.number then return nil, {"not_found", name} end
    handler = settings.record(name, now.number, settings.merged(now.options, opts))
    new.handlers[i] = handler
    return true
  end)
  if ok and handler.number and changes_process(opts) then log.set_handler(handler.number, given(handler)) end
  return ok, why
end

--- Name -> options of the handlers there are.
function handlers.all()
  local all = {}
  for _, handler in ipairs(settings.current().handlers) do
    local opts = settings.merged(handler.options, {})
    opts.level = opts.level or "all"
    if handler.name == "default" and handler.number == 0 and core.log_handles(0) then opts.handler = "function" end
    all[handler.name] = opts
  end
  return all
end

return handlers

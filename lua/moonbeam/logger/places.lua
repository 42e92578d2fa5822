--- Where the user's code logs: the place of a call, and the level of the module that it stands in.
-- @module moonbeam.logger.places

local core = require "moonbeam.core"

local places = {}

--- Names of levels -> numbers.
places.levels = core.log_levels()

-- The path of a module on package.path's templates.
local function module_paths(name)
  local paths = {}
  local file = string.gsub(name, "%.", "/")
  for template in string.gmatch(package.path, "[^;]+") do
    paths[#paths + 1] = (string.gsub(template, "%?", (string.gsub(file, "%%", "%%%%"))))
  end
  return paths
end

-- Settings -> chunk name -> level of its module, or false.
local levels_of = setmetatable({}, {__mode = "k"})

--- The number of the level that the module of this chunk has; nil: it has none of its own.
function places.module_level(source)
  local settings = core.log_settings()
  local modules = settings and settings.modules
  if not modules then return nil end
  local known = levels_of[settings]
  if not known then
    known = {}
    levels_of[settings] = known
  end
  local level = known[source]
  if level == nil then
    level = false
    for name, its in next, modules do
      for _, path in ipairs(module_paths(name)) do
        if source == "@" .. path then level = places.levels[its] end
      end
    end
    known[source] = level
  end
  return level or nil
end

-- The name by which require finds the file of a chunk; nil: that is no module's.
local function module_of(source)
  for template in string.gmatch(package.path, "[^;]+") do
    local before, after = string.match(template, "^([^?]*)%?([^?]*)$")
    if before and #source > #before + #after + 1 and string.sub(source, 2, #before + 1) == before
        and string.sub(source, -#after) == after then
      local name = string.gsub(string.sub(source, #before + 2, -#after - 1), "/", ".")
      if package.loaded[name] ~= nil then return name end
    end
  end
end

--- Where the user's code logs, as metadata.
function places.location()
  local source, line, name = core.log_place()
  if not source then return {} end
  return {file = string.match(source, "^@(.*)$") or source, line = line, ["function"] = name, module = module_of(source)}
end

return places

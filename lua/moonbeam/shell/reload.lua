--- Loading a module's file again, in every heap that has it.
-- @module moonbeam.shell.reload

local core = require "moonbeam.core"

local reload = {}

--- In the calling process's heap. The module's table stays and holds what the new one does, so that whoever has it
-- calls the new functions. Raises, with the old one in place, when the file cannot be loaded.
-- @param name of the module
function reload.here(name)
  local old = package.loaded[name]
  if old == nil then return end
  package.loaded[name] = nil
  local ok, new = pcall(require, name)
  if not ok then
    package.loaded[name] = old
    error(new, 0)
  end
  if type(old) == "table" and type(new) == "table" and old ~= new then
    for key in next, old do old[key] = nil end
    for key, value in next, new do old[key] = value end
    setmetatable(old, getmetatable(new))
    package.loaded[name] = old
  end
end

--- In all heaps, the caller's first.
-- @param name of the module
-- @return the module
function reload.everywhere(name)
  reload.here(name)
  local mine = core.process_info(core.self(), "scheduler")
  for number, scheduler in ipairs(core.schedulers()) do
    local used = scheduler.processes + scheduler.steals + scheduler.wakeups > 0 -- else nothing has been loaded there
    if number ~= mine and used then
      local _, ref = core.process_spawn(reload.here, {scheduler = number, monitor = true}, name)
      local _, _, reason = core.await(ref)
      if reason ~= "normal" then
        error(("scheduler %d keeps the old module: %s"):format(number, tostring(reason[2] or reason)), 0)
      end
    end
  end
  return require(name)
end

return reload

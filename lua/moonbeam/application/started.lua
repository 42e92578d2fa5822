--- Which applications run: a setting of the program's that all schedulers see, a sequence in the order of their starts of
-- {name =, description =, version =, master = pid, root = pid}.
-- @module moonbeam.application.started

local core = require "moonbeam.core"
local deadline = require "moonbeam.internal.deadline"

local started = {}

local KEY = "applications"

--- All that run; the masters of those that were killed are left out.
function started.all()
  local _, list = core.setting(KEY)
  local running = {}
  for _, app in ipairs(list or {}) do
    if core.process_alive(app.master) then running[#running + 1] = app end
  end
  return running
end

--- One of them; nil when it does not run.
function started.find(name)
  for _, app in ipairs(started.all()) do
    if app.name == name then return app end
  end
end

local function update(change)
  repeat
    local ref, list = core.setting(KEY)
    list = change(list or {})
    if list[1] == nil then list = nil end
  until core.put_setting(KEY, list, ref or false, "Application.start", 1)
end

local function without(list, name)
  local others = {}
  for _, app in ipairs(list) do
    if app.name ~= name and core.process_alive(app.master) then others[#others + 1] = app end
  end
  return others
end

function started.add(app)
  update(function(list)
    list = without(list, app.name)
    list[#list + 1] = app
    return list
  end)
end

function started.remove(name)
  update(function(list) return without(list, name) end)
end

--- Stop all, the last one first, in the time that the end of the program has. After a signal internal/ending.lua does so.
function started.stop_all()
  local all, last = started.all(), deadline.after(core.shutdown_timeout())
  for i = #all, 1, -1 do core.system(all[i].master, {"terminate", "shutdown"}, deadline.left(last)) end
end

return started

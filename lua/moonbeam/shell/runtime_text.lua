--- What `runtime_info` of the prompt prints, by topic.
-- @module moonbeam.shell.runtime_text

local core = require "moonbeam.core"

local runtime_text = {}

local function size(bytes)
  if bytes < 1024 * 1024 then return string.format("%d KB", bytes // 1024) end
  return string.format("%d MB", bytes // (1024 * 1024))
end

local function duration(ms)
  local s = math.floor(ms / 1000)
  if s < 120 then return s .. " seconds" end
  if s < 7200 then return s // 60 .. " minutes" end
  if s < 2 * 86400 then return string.format("%d hours and %d minutes", s // 3600, s % 3600 // 60) end
  return string.format("%d days and %d hours", s // 86400, s % 86400 // 3600)
end

local function share(count, limit) return string.format("%d / %d (%d%% used)", count, limit, count * 100 // limit) end

local function sum(schedulers, field)
  local total = 0
  for _, scheduler in ipairs(schedulers) do total = total + scheduler[field] end
  return total
end

local topics = {}

function topics.system(say)
  local os_, schedulers = require("moonbeam.system").os(), core.schedulers()
  say("Moonbeam version", core.version)
  say("Lua version", _VERSION)
  say("System", string.format("%s %s, %s", os_.sysname, os_.release, os_.machine))
  say("Cores", core.cores())
  say("Schedulers", #schedulers)
  say("Schedulers running", core.runtime().started)
end

function topics.memory(say)
  local memory = require("moonbeam.system").memory()
  say("Resident", size(memory.resident))
  say("Lua, this scheduler", size(math.floor(collectgarbage("count") * 1024)))
  say("Machine", string.format("%s, %s free", size(memory.total), size(memory.free)))
end

function topics.limits(say)
  local census, runtime, schedulers = core.census(), core.runtime(), core.schedulers()
  say("Uptime", duration(runtime.uptime))
  say("Run queue", sum(schedulers, "run_queue"))
  say("Processes", share(census.processes, runtime.most_processes))
  say("Messages", census.messages)
  say("Timers", census.timers)
  say("Names", census.names)
  say("Registries", census.registries)
  say("Blocking threads", share(schedulers.blocking.busy, schedulers.blocking.limit))
end

local titles = {system = "System", memory = "Memory", limits = "Statistics / limits"}

--- The topics, in order.
runtime_text.topics = {"system", "memory", "limits"}

--- The text about a topic; nil when it is not known.
function runtime_text.about(topic)
  if not topics[topic] then return nil end
  local lines = {"## " .. titles[topic], ""}
  topics[topic](function(what, value) lines[#lines + 1] = string.format("%-21s%s", what .. ":", value) end)
  return table.concat(lines, "\n") .. "\n"
end

return runtime_text

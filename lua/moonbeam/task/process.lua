--- What runs in the processes of tasks; internal. See Elixir's `Task.Supervised`.
-- @module moonbeam.task.process

local core = require "moonbeam.core"

local process = {}

--- The callers of the calling process, for the tasks it starts; false when it has none.
function process.callers() return core.process_get("$callers") or false end

local function enter(owner, callers)
  local list = {owner}
  if callers then table.move(callers, 1, #callers, 2, list) end
  core.process_put("$callers", list)
end

--- A task that its owner awaits: replies with what fn returns.
function process.reply(owner, ref, callers, fn, ...)
  enter(owner, callers)
  core.reply(owner, ref, fn(...))
end

--- A task that answers nobody.
function process.run(owner, callers, fn, ...)
  enter(owner, callers)
  fn(...)
end

--- A task of a stream, started by the stream's monitor process: replies to the stream's own reference.
function process.stream(_, _, owner, ref, position, callers, fn, ...)
  enter(owner, callers)
  core.reply(owner, ref, position, "reply", fn(...))
end

return process

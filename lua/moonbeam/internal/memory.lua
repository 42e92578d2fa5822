--- How much memory a process takes of which the core has found the beginning only.
--
-- The rest is found by a walk in small steps (c_src/bind/process/memory.h). It needs the process's heap: where that is
-- another one, a process is spawned there for it.
-- @module moonbeam.internal.memory

local core = require "moonbeam.core"

-- One step; what has changed meanwhile and cannot be gone through any more is left out.
local function step(walk)
  local ok, bytes = pcall(core.memory_step, walk)
  if ok then return bytes end
  if not string.find(bytes, "'next'", 1, true) then return error(bytes, 0) end
  return core.memory_step(walk, true)
end

local function measure(pid)
  local walk, bytes = core.memory_walk(pid), nil
  while walk and not bytes do bytes = step(walk) end
  return bytes
end

local function measure_here(pid) return core.exit{"memory", measure(pid)} end

-- What a process that measures has found.
local function found(ref)
  local _, _, reason = core.await(ref)
  return type(reason) == "table" and reason[1] == "memory" and reason[2] or nil
end

-- The process lives on this scheduler.
local function measure_beside(pid)
  local _, ref = core.spawn_at(pid, true, measure_here, pid)
  return ref and found(ref)
end

local function measure_there(pid) return core.exit{"memory", measure_beside(pid)} end

--- The memory of a process.
-- @param pid
-- @param least what has been found
-- @return bytes | nil: it has ended
return function(pid, least)
  if not core.caller() then return math.tointeger(least) end -- nobody's time may be used for it
  local where = core.process_info(pid, "scheduler")
  if where == nil or where == core.process_info(core.self(), "scheduler") then
    return measure(pid) or measure_beside(pid)
  end
  local _, ref = core.process_spawn(measure_there, {scheduler = where, monitor = true}, pid)
  return found(ref)
end

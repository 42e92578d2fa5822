--- The process of an application: it starts the root supervisor, is linked to it, and ends with it. See Erlang's
-- application_master.
--
-- Whatever ends the application goes one way, `terminate`: prep_stop, the root supervisor, stop.
-- @module moonbeam.application.master

local core = require "moonbeam.core"
local exit_text = require "moonbeam.internal.exit_text".reason
local inspect = require "moonbeam.internal.inspect"
local reasons = require "moonbeam.internal.reasons"
local started = require "moonbeam.application.started"
local store = require "moonbeam.config.store"
local Supervisor = require "moonbeam.supervisor"

local unpack = table.unpack

local master = {}

local function tell(level, name, text) core.log(level, string.format("Application %s %s", name, text)) end

-- What the root's start function says, {pid, state} | nil, reason.
local function started_root(ok, first, second)
  if not ok then return nil, reasons.caught(first) end
  if core.type(first) == "pid" then return {first, second} end
  if first == nil and second ~= nil then return nil, second end
  return nil, {"bad_return", {"start", first == nil and "nil" or first}}
end

local function start_root(spec)
  local start = spec.start
  if start == nil then return started_root(true, Supervisor.start_link(spec.children, spec.options)) end
  if type(start) ~= "table" then start = {start} end
  return started_root(xpcall(start[1], reasons.of_raised, unpack(start, 2, start.n)))
end

-- Its environment is what was configured, and below that what it says itself.
local function set_environment(spec)
  if spec.env == nil then return end
  store.update(spec.name, function(configured)
    if configured == nil then return spec.env end
    return store.merged(spec.env, configured)
  end, "Application.start", 1)
end

function master.init(spec)
  core.process_flag("trap_exit", true)
  for _, needed in ipairs(spec.applications or {}) do
    if not started.find(needed) then return "error", {"not_started", needed} end
  end
  set_environment(spec)
  local root, reason = start_root(spec)
  if root == nil then
    tell("info", spec.name, "exited: its start failed: " .. exit_text(reason))
    return "error", reason
  end
  started.add{
    name = spec.name, description = spec.description, version = spec.version, master = core.self(), root = root[1],
  }
  return "ok", {
    name = spec.name, type = spec.type, root = root[1], state = root[2], prep_stop = spec.prep_stop, stop = spec.stop,
  }
end

-- The root has ended by itself.
function master.handle_info(message, state)
  if type(message) == "table" and message[1] == "EXIT" then
    if message[2] ~= state.root then return "noreply", state end
    state.ended = {message[3]}
    return "stop", "normal", state
  end
  tell("error", state.name, "received an unexpected message: " .. inspect(message))
  return "noreply", state
end

-- A function of the application's: what it returns; its failure is told, and does not keep the rest from happening.
local function call(state, what, fn)
  if fn == nil then return nil end
  local ok, result = xpcall(fn, reasons.of_raised, state.state)
  if ok then return result end
  tell("error", state.name, string.format("has failed in %s: %s", what, exit_text(reasons.caught(result))))
end

local function stop_root(root)
  local ref = core.monitor(root)
  core.unlink(root)
  core.process_exit(root, "shutdown")
  core.await(ref)
end

-- Whether the end of the application is that of the program.
local function ends_program(state)
  if not state.ended then return false end
  return state.type == "permanent" or state.type == "transient" and not reasons.is_ordinary(state.ended[1])
end

function master.terminate(reason, state)
  local prepared = call(state, "prep_stop", state.prep_stop)
  if prepared ~= nil then state.state = prepared end
  stop_root(state.root)
  call(state, "stop", state.stop)
  started.remove(state.name)
  if state.ended then
    local why = state.ended[1]
    tell(reasons.is_ordinary(why) and "info" or "error", state.name, "exited: " .. exit_text(why))
  elseif reason == "normal" then
    tell("info", state.name, "exited: stopped")
  end
  if ends_program(state) then
    tell("error", state.name, string.format("is %s: the program ends with it", state.type))
    started.stop_all() -- in stock Lua os.exit ends at once
    load("os.exit(1)")() -- the program's own: the host's calls the functions of at_exit
  end
end

return master

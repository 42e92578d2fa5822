--- The registry's own process: a server that the table belongs to, and that starts and stops the owner.
--
-- It stands in the tree as a supervisor whose one child is the owner, and answers what a supervisor is asked. Whatever
-- else it gets does not end it: everybody registered would end with it.
-- @module moonbeam.registry.server

local core = require "moonbeam.core"
local GenServer = require "moonbeam.gen_server"
local inspect = require "moonbeam.internal.inspect"
local owner_callbacks = require "moonbeam.registry.owner"

local type = type

local callbacks = {}

local function stop_owner(owner)
  local ref = core.monitor(owner)
  core.unlink(owner)
  core.process_exit(owner, "shutdown")
  core.await(ref)
end

function callbacks.init(options)
  local owner = GenServer.start_link(owner_callbacks)
  local ok, holder = core.registry_open(options.name, options.keys == "duplicate", owner, options.settings)
  if not ok then
    stop_owner(owner)
    return "error", {"already_started", holder}
  end
  for key, value in next, options.meta or {} do core.registry_put_meta(options.name, key, value) end
  return "ok", {name = options.name, owner = owner}
end

function callbacks.terminate(_, state) stop_owner(state.owner) end

-- The owner's id, as that of Elixir's only partition.
local function id_of(state) return state.name .. ".PIDPartition0" end

-- Answers by request: functions of (state, argument), whose results are the caller's.
local answers = {}

function answers.which_children(state) return {{id_of(state), state.owner, "worker", {"Registry.Partition"}}} end

function answers.count_children() return {specs = 1, active = 1, supervisors = 0, workers = 1} end

-- The owner ends with the registry only; there are no other children.
local function about_child(state, id) return nil, id == id_of(state) and "running" or "not_found" end

answers.terminate_child, answers.restart_child, answers.delete_child = about_child, about_child, about_child

function callbacks.handle_call(request, from, state)
  local answer = type(request) == "table" and answers[request[1]]
  if answer then
    core.reply(from[1], from[2], answer(state, request[2]))
  else
    core.reply(from[1], from[2], nil, {"unknown_request", request})
  end
  return "noreply", state
end

local function tell(state, kind, value)
  core.log("error", string.format("Registry %s received an unexpected %s: %s", state.name, kind, inspect(value)))
  return "noreply", state
end

function callbacks.handle_cast(request, state) return tell(state, "cast", request) end

function callbacks.handle_info(message, state) return tell(state, "message", message) end

return callbacks

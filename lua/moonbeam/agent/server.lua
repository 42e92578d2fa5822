--- The server behind moonbeam.agent: GenServer callbacks, a module so that they travel by name.
-- @module moonbeam.agent.server

local core = require "moonbeam.core"

local core_reply, select = core.reply, select

local callbacks = {}

function callbacks.init(fn) return "ok", (fn()) end

-- A function that returns nothing keeps the state it was given, with what it changed in place.
local function next_state(state, ...)
  if select("#", ...) == 0 then return state end
  return (...)
end

local function replied(state, ...)
  if select("#", ...) ~= 2 then
    local value = ...
    if select("#", ...) > 1 then value = {...} end
    return "stop", {"bad_return_value", value}, state
  end
  local reply, new = ...
  return "reply", reply, new
end

function callbacks.handle_call(request, from, state)
  local kind, fn = request[1], request[2]
  if kind == "get" then
    if fn then
      core_reply(from[1], from[2], fn(state))
    else
      core_reply(from[1], from[2], state)
    end
    return "noreply", state
  elseif kind == "update" then
    return "reply", true, next_state(state, fn(state))
  end
  return replied(state, fn(state))
end

function callbacks.handle_cast(fn, state) return "noreply", next_state(state, fn(state)) end

function callbacks.handle_info(_, state) return "noreply", state end

return callbacks

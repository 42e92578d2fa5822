--- The server behind moonbeam.agent: GenServer callbacks, a module so that they travel by name.
-- @module moonbeam.agent.server

local core = require "moonbeam.core"
local blame = require "moonbeam.gen_server.blame"

local core_reply, select, type = core.reply, select, type

local callbacks = {}

function callbacks.init(fn) return "ok", (fn()) end

-- What cannot have been changed in place.
local is_plain = {number = true, string = true, boolean = true}

-- Places of functions that a warning has told of, and how many.
local warned, count = {}, 0
local MOST_WARNED = 1000

-- A function has returned nothing, and has changed nothing either: it is told of once.
local function warn(fn, state)
  local place = blame.place(fn)
  if place == nil or warned[place] or count == MOST_WARNED then return end
  warned[place], count = true, count + 1
  core.log("warning", string.format("A function given to Agent.update (%s) returns nothing: the state, a %s, stays " ..
    "as it was. Is a return missing?", place, type(state)))
end

-- A function that returns nothing keeps the state it was given, with what it changed in place.
local function next_state(fn, state, ...)
  if select("#", ...) > 0 then return (...) end
  if is_plain[type(state)] then warn(fn, state) end
  return state
end

-- The function of a request, and what it is.
local function culprit(request)
  local what = "Agent." .. request[1]
  return request[2], request[2] and "the function given to " .. what or what
end

blame.culprits[callbacks] = culprit

local function replied(request, state, ...)
  if select("#", ...) ~= 2 then
    return "stop", blame.bad_results(blame.answering(callbacks, request), "a reply and the new state", "", ...), state
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
    return "reply", true, next_state(fn, state, fn(state))
  end
  return replied(request, state, fn(state))
end

function callbacks.handle_cast(fn, state) return "noreply", next_state(fn, state, fn(state)) end

function callbacks.handle_info(_, state) return "noreply", state end

return callbacks

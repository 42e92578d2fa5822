--- The process of the prompt: asks its session for lines, runs them and shows what comes of it.
-- @module moonbeam.shell.evaluator

local core = require "moonbeam.core"
local host = require "moonbeam.host"
local dot_file = require "moonbeam.shell.dot_file"
local helpers = require "moonbeam.shell.helpers"
local loop = require "moonbeam.shell.loop"
local results = require "moonbeam.shell.results"

local evaluator = {}

-- What outlives an evaluator, by session: globals and a state (see `loop`). A module's own tables are shared by the
-- processes of a heap, and all of these live in the first one of the first scheduler.
local kept = {}

--- The globals of a session.
function evaluator.globals(session) return kept[session] and kept[session].globals or {} end

--- The session is over.
function evaluator.forget(session) kept[session] = nil end

-- Put the helpers where they are not in the way.
local function install_helpers(globals)
  for name, helper in next, helpers do
    if rawget(globals, name) == nil then globals[name] = helper end
  end
end

-- Run the file that comes first; the prompt begins in any case, unless it calls exit().
local function run_dot_file(found, state)
  local chunk, why = dot_file.compile(found)
  if chunk then return loop.evaluate(state, false, chunk) end
  loop.refuse(state, why)
end

-- Let the library's modules have their fields: others load them when they use one, here they are shown.
local function load_modules()
  for _, value in next, require "moonbeam" do
    if type(value) == "table" then pairs(value) end
  end
end

-- What a session has of its evaluators so far, for the calling process; or what it begins with.
local function state_of(session)
  local state = kept[session]
  if state then
    host.use_globals(state.globals)
  else
    state = {globals = load("return _G")(), session = session, label = "mb", n = 1, results = {}, catch = host.catch}
    kept[session] = state
    install_helpers(state.globals)
  end
  return state
end

--- The evaluator's process; returns when the user leaves.
-- @param session pid
function evaluator.run(session)
  load_modules()
  local _, settings = core.call(session, {"settings"}, "infinity")
  local state = state_of(session)
  state.settings = settings
  function state.evaluating(begins) host.evaluating(begins, settings.foreground) end
  if settings.leads then core.lead(session) end
  state.evaluating(false)
  results.begin(state)
  local leaves = settings.dot_file and run_dot_file(settings.dot_file, state)
  while not leaves do
    local chunk, why, reason = loop.read(state)
    if chunk then
      leaves = loop.evaluate(state, true, chunk)
    elseif why == "end" then
      leaves = true
    elseif why == "gone" then
      core.exit(reason) -- without a session there is nobody to talk to
    elseif why == "error" then
      loop.refuse(state, reason)
    end
  end
  core.call(session, {"leave"}, "infinity")
end

return evaluator

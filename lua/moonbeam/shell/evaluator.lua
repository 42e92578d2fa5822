--- The process of the prompt: asks its session for lines, runs them and shows what comes of it.
-- @module moonbeam.shell.evaluator

local core = require "moonbeam.core"
local host = require "moonbeam.host"
local display = require "moonbeam.shell.display"
local dot_file = require "moonbeam.shell.dot_file"
local helpers = require "moonbeam.shell.helpers"
local input = require "moonbeam.shell.input"
local results = require "moonbeam.shell.results"

local evaluator = {}

-- What outlives an evaluator, by session: globals, results by number, the number of the next input. A module's own
-- tables are shared by the processes of a scheduler, and all of these live on the first.
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

-- The next line; or nil and "end" or "interrupt".
local function ask(session, prompt)
  local ok, answered, line, why = pcall(core.call, session, {"read", prompt}, "infinity")
  if not ok then return nil, "interrupt" end -- meant for the evaluation that has just ended
  if not answered then core.exit(line) end -- without a session there is nobody to talk to
  return line, why
end

-- A chunk out of as many lines as it takes; or nil and "end", "interrupt", or what is wrong with it.
local function read_chunk(session, n)
  local name, text, message = string.format("mb(%d)", n), nil, nil
  while true do
    local line, why = ask(session, text and name .. ".. " or name .. "> ")
    if not line then
      if why == "end" and text then
        return nil, (string.gsub(message, "^%S+ ", "%0unfinished at the end of the input: "))
      end
      return nil, why
    end
    if text or string.find(line, "%S") then
      local chunk, goes_on
      text = text and text .. "\n" .. line or line
      chunk, message, goes_on = input.compile(text, name)
      if not goes_on then return chunk, message end
    end
  end
end

local function handler(e)
  if core.type(e) == "exit" then return e end
  return {text = display.error(e, display.traceback(2))}
end

local function same(...) return ... end

local function run(chunk, foreground)
  host.evaluating(true, foreground)
  return table.pack(host.catch(chunk, handler))
end

local function succeed(state, settings, ...)
  local values = table.pack(...)
  if settings.terminal and settings.foreground then settings.rows, settings.columns = host.rows(), host.columns() end
  display.results(values, settings, state.n)
  state.results[state.n] = values
  state.results[state.n - results.MOST] = nil
  state.n = state.n + 1
end

local function fail(failure, settings)
  if core.type(failure) ~= "exit" then
    if settings.terminal and string.find(failure.text, "^[^\n]*interrupted!") then io.write("\n") end -- after the ^C
    display.complain(failure.text, settings)
  elseif not failure.bare then
    display.complain("** (exit) " .. display.reason(failure.reason), settings)
  end
  return failure.bare
end

-- Run a chunk and show its results or its failure: whether the user wants to leave.
local function evaluate(chunk, state, settings)
  local ok, outcome = host.catch(run, same, chunk, settings.foreground)
  host.evaluating(false, settings.foreground)
  if not ok then return fail({text = display.error(outcome)}, settings) end -- broken before it had begun
  if not outcome[1] then return fail(outcome[2], settings) end
  return succeed(state, settings, table.unpack(outcome, 2, outcome.n))
end

-- Let the library's modules have their fields: others load them when they use one, here they are shown.
local function load_modules()
  for _, value in next, require "moonbeam" do
    if type(value) == "table" then pairs(value) end
  end
end

-- Run the file that comes first; the prompt begins in any case, unless it calls exit().
local function run_dot_file(found, state, settings)
  local chunk, why = dot_file.compile(found)
  if not chunk then
    display.complain(display.error(why), settings)
    return false
  end
  local ok, outcome = host.catch(run, same, chunk, settings.foreground)
  host.evaluating(false, settings.foreground)
  if not ok then outcome = {false, {text = display.error(outcome)}} end
  return not outcome[1] and fail(outcome[2], settings)
end

--- The evaluator's process; returns when the user leaves.
-- @param session pid
function evaluator.run(session)
  load_modules()
  local _, settings = core.call(session, {"settings"}, "infinity")
  local state = kept[session]
  if state then
    host.use_globals(state.globals)
  else
    state = {globals = load("return _G")(), results = {}, n = 1}
    kept[session] = state
    install_helpers(state.globals)
  end
  state.settings = settings
  if settings.leads then host.lead(session) end
  host.evaluating(false, settings.foreground)
  results.begin(state)
  local leaves = settings.dot_file and run_dot_file(settings.dot_file, state, settings)
  while not leaves do
    local chunk, why = read_chunk(session, state.n)
    if chunk then
      leaves = evaluate(chunk, state, settings)
    elseif why == "end" then
      leaves = true
    elseif why ~= "interrupt" then
      display.complain(display.error(why), settings)
    end
  end
  core.call(session, {"leave"}, "infinity")
end

return evaluator

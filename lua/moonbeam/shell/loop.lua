--- Asking a session for lines, running them and showing what comes of it: what the prompt of an evaluator and that of
-- `pry` have in common.
--
-- A state is a table: session (its pid), settings (of the session), label ("mb" or "pry"), n (number of the next input),
-- results (by number, each packed), names (beside globals, for completion), catch (as xpcall) and evaluating (function
-- of whether a chunk begins or has ended).
-- @module moonbeam.shell.loop

local core = require "moonbeam.core"
local display = require "moonbeam.shell.display"
local input = require "moonbeam.shell.input"
local results = require "moonbeam.shell.results"

local loop = {}

-- The next line; or nil and "end", "interrupt", or "gone" with the reason.
local function ask(state, prompt)
  local ok, answered, line, why, rows, columns =
    pcall(core.call, state.session, {"read", prompt, state.names}, "infinity")
  if not ok then return nil, "interrupt" end -- meant for the evaluation that has just ended
  if not answered then return nil, "gone", line end
  state.settings.rows, state.settings.columns = rows, columns
  return line, why
end

--- Read a chunk, out of as many lines as it takes.
-- @param state
-- @param[opt] within see `input.compile`
-- @return function and its text | nil, "end" | nil, "interrupt" | nil, "gone", reason | nil, "error", what is wrong
function loop.read(state, within)
  local name, text, message = string.format("%s(%d)", state.label, state.n), nil, nil
  while true do
    local line, why, reason = ask(state, text and name .. ".. " or name .. "> ")
    if not line then
      if why ~= "end" or not text then return nil, why, reason end
      return nil, "error", (string.gsub(message, "^%S+ ", "%0unfinished at the end of the input: "))
    end
    if text or string.find(line, "%S") then
      local chunk, goes_on
      text = text and text .. "\n" .. line or line
      chunk, message, goes_on = input.compile(text, name, within)
      if chunk then return chunk, text end
      if not goes_on then return nil, "error", message end
    end
  end
end

local function succeed(state, ...)
  local values = table.pack(...)
  display.results(values, state.settings, state.n)
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

local function same(...) return ... end

local function run(state, chunk, ...)
  state.evaluating(true)
  return table.pack(state.catch(chunk, function(e)
    state.evaluating(false) -- it is leaving: what broke it need not be repeated while it cleans up
    if core.type(e) == "exit" then return e end
    return {text = display.error(e, display.traceback(2, chunk))}
  end, ...))
end

--- Run a chunk and show its results or its failure.
-- @param state
-- @param shows whether the results are shown and kept
-- @param chunk function
-- @param ... its arguments
-- @return whether it has called exit()
function loop.evaluate(state, shows, chunk, ...)
  local ok, outcome = state.catch(run, same, state, chunk, ...)
  state.evaluating(false)
  if not ok then return fail({text = display.error(outcome)}, state.settings) end -- broken before it had begun
  if not outcome[1] then return fail(outcome[2], state.settings) end
  if shows then succeed(state, table.unpack(outcome, 2, outcome.n)) end
end

--- Say that what was typed is no chunk.
function loop.refuse(state, message) display.complain(display.error(message), state.settings) end

return loop

--- How the prompt shows values, errors and exit reasons.
-- @module moonbeam.shell.display

local inspect = require "moonbeam.inspect"

local display = {}

local FRAMES = 8 -- of a traceback

local colors = {string = "32", number = "33", word = "35", id = "36", fault = "31"}

local function paint(kind, text)
  return colors[kind] and "\27[" .. colors[kind] .. "m" .. text .. "\27[0m" or text
end

local tokens = {
  {'^"[^"]*"', "string"}, {"^#%a+%b<>", "id"}, {"^function%b<>", "id"}, {"^[%a_][%w_]*", "name"},
  {"^%-?%d[%w.]*[+-]?%d*", "number"}, {'^[^"#%w_-]+', "other"}, {"^.", "other"},
}
local words = {["nil"] = true, ["true"] = true, ["false"] = true}

-- The text that inspect gives, in colours. Escaped backslashes and quotes are put aside, so that strings end at a
-- quote.
local function colorize(text)
  local out, at = {}, 1
  text = text:gsub("\\\\", "\1"):gsub('\\"', "\2")
  while at <= #text do
    for _, token in ipairs(tokens) do
      local found = text:match(token[1], at)
      if found then
        out[#out + 1] = paint(words[found] and "word" or token[2], found)
        at = at + #found
        break
      end
    end
  end
  return (table.concat(out):gsub("\1", "\\\\"):gsub("\2", '\\"'))
end

--- A result, as inspect shows it.
-- @param value any value
-- @param colored whether the terminal has colours
-- @return string
function display.value(value, colored)
  local text = inspect(value)
  if not colored or (type(value) == "table" and text:sub(1, 1) ~= "{") then return text end
  return colorize(text)
end

local own = debug.getinfo(1, "S").source:match("^(.*/)shell/[^/]*$")

-- Whether a level of the stack is the library's.
local function is_own(info, line)
  return info.source:sub(1, #own) == own or line:find("'moonbeam.core.", 1, true)
end

--- A short traceback: the innermost frames that are the user's, up to the line that was typed.
-- @param level of the caller's stack where it begins
-- @return string, empty when there are none
function display.traceback(level)
  local lines = {}
  for line in debug.traceback("", level + 1):gmatch("\n(\t[^\n]*)") do
    local info = debug.getinfo(level + 1, "S")
    if not info or #lines == FRAMES or line:find("^\t%.%.%.\t") then
      lines[#lines + 1] = "\t..."
      break
    end
    if not is_own(info, line) then lines[#lines + 1] = line end
    if info.what == "main" then break end
    level = level + 1
  end
  return #lines > 0 and "stack traceback:\n" .. table.concat(lines, "\n") or ""
end

--- An error with its traceback.
-- @param value what was raised
-- @param[opt] trace
-- @return string
function display.error(value, trace)
  local text = "** (error) " .. (type(value) == "string" and value or inspect(value))
  return trace and trace ~= "" and text .. "\n" .. trace or text
end

local known = {
  normal = "normal", shutdown = "shutdown", killed = "killed", timeout = "time out",
  noproc = "no process: the process is not alive or there's no process currently associated with the given name",
  noconnection = "no connection", calling_self = "process attempted to call itself",
}

local function indent(text) return "    " .. text:gsub("\n", "\n    ") end

--- An exit reason as Elixir's `Exception.format_exit` has it.
-- @param reason any value
-- @return string
function display.reason(reason)
  if type(reason) ~= "table" then return known[reason] or inspect(reason) end
  local first, second, trace = reason[1], reason[2], reason[3]
  if #reason == 3 and first == "error" and type(trace) == "string" then
    return "an exception was raised:\n" .. indent(display.error(second, trace))
  elseif #reason == 2 and first == "shutdown" then
    return "shutdown: " .. inspect(second)
  elseif #reason == 2 and first == "bad_return_value" then
    return "bad return value: " .. inspect(second)
  elseif #reason == 2 and type(second) == "table" and type(second[1]) == "string" and type(second[2]) == "string" then
    local arguments = {}
    for i, argument in ipairs(type(second[3]) == "table" and second[3] or {}) do arguments[i] = inspect(argument) end
    return ("exited in: %s.%s(%s)\n%s"):format(second[1], second[2], table.concat(arguments, ", "),
      indent("** (EXIT) " .. display.reason(first)))
  end
  return inspect(reason)
end

--- Report what went wrong with a line: to stderr, or to whoever gets the output.
-- @param text
-- @param settings of the session
function display.complain(text, settings)
  if settings.colors then text = paint("fault", text) end
  local to = settings.leads and io.stdout or io.stderr
  to:write(text, "\n")
end

return display

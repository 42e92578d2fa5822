--- How the prompt shows values, errors and exit reasons.
-- @module moonbeam.shell.display

local core = require "moonbeam.core"
local inspect = require "moonbeam.internal.inspect"

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
  text = string.gsub(string.gsub(text, "\\\\", "\1"), '\\"', "\2")
  while at <= #text do
    for _, token in ipairs(tokens) do
      local found = string.match(text, token[1], at)
      if found then
        out[#out + 1] = paint(words[found] and "word" or token[2], found)
        at = at + #found
        break
      end
    end
  end
  return (string.gsub(string.gsub(table.concat(out), "\1", "\\\\"), "\2", '\\"'))
end

--- A result, as inspect shows it.
-- @param value any value
-- @param colored whether the terminal has colours
-- @return string
function display.value(value, colored)
  local text = inspect(value)
  if not colored or (type(value) == "table" and string.sub(text, 1, 1) ~= "{") then return text end
  return colorize(text)
end

local own = string.match(debug.getinfo(1, "S").source, "^(.*/)shell/[^/]*$")

local own_functions = {}
for _, value in next, core do
  if type(value) == "function" then own_functions[value] = true end
end

-- Whether a level of the stack is the library's.
local function is_own(info) return string.sub(info.source, 1, #own) == own or own_functions[info.func] end

--- A short traceback: the innermost frames that are the user's, up to the line that was typed.
-- @param level of the caller's stack where it begins
-- @return string, empty when there are none
function display.traceback(level)
  local lines = {}
  for line in string.gmatch(debug.traceback("", level + 1), "\n(\t[^\n]*)") do
    local info = debug.getinfo(level + 1, "Sf")
    if not info or #lines == FRAMES or string.find(line, "^\t%.%.%.\t") then
      lines[#lines + 1] = "\t..."
      break
    end
    if not is_own(info) then lines[#lines + 1] = line end
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

--- An exit reason.
-- @function reason
-- @param reason any value
display.reason = require "moonbeam.internal.exit_text"

--- Report what went wrong with a line: to stderr, or to whoever gets the output.
-- @param text
-- @param settings of the session
function display.complain(text, settings)
  if settings.colors then text = paint("fault", text) end
  local to = settings.leads and io.stdout or io.stderr
  to:write(text, "\n")
end

return display

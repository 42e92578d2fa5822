--- How the prompt shows values, errors and exit reasons.
-- @module moonbeam.shell.display

local exit_text = require "moonbeam.internal.exit_text"
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

-- A value, as inspect shows it, and how it is painted.
local function shown(value, colored)
  local text = inspect(value)
  if not colored or (type(value) == "table" and string.sub(text, 1, 1) ~= "{") then return text, tostring end
  return text, colorize
end

-- Where a line has filled so many columns: its end, if it does not.
local function filled(line, columns)
  return (utf8.len(line) and utf8.offset(line, columns + 1) or columns + 1) - 1
end

-- What of a text fits into so many rows, what does not, and how many rows are left.
local function fitting(text, rows, columns)
  local at = 1
  while at <= #text do
    local last = string.find(text, "\n", at, true) or #text + 1
    local line = string.sub(text, at, last - 1)
    local takes = math.max(1, ((utf8.len(line) or #line) + columns - 1) // columns)
    if takes > rows then
      local fits = at == 1 and filled(line, rows * columns) or at - 2 -- without the newline
      return string.sub(text, 1, fits), string.sub(text, at == 1 and fits + 1 or at), 0
    end
    rows, at = rows - takes, last + 1
  end
  return text, "", rows
end

-- What of a text was left out.
local function left_out(rest)
  local _, lines = string.gsub(rest, "\n", "")
  return lines > 0 and lines + 1 .. " more lines" or #rest .. " more bytes"
end

--- Print results, as inspect shows them; on a terminal no more than fits on the screen, and how to see the rest.
-- @param values packed
-- @param settings of the session: colors, and rows and columns where it is a terminal
-- @param n number of the input
function display.results(values, settings, n)
  local rows = settings.rows and math.max(2, settings.rows - 3)
  for i = 1, values.n do
    local text, color = shown(values[i], settings.colors)
    if not rows then
      print(color(text))
    elseif rows == 0 then
      print(string.format("... %d more results; they are in v(%d)", values.n - i + 1, n))
      return
    else
      local rest
      text, rest, rows = fitting(text, rows, settings.columns)
      print(color(text))
      if rest ~= "" then
        local way = values.n == 1 and string.format("v(%d)", n) or string.format("(select(%d, v(%d)))", i, n)
        print(string.format("... %s; print(inspect(%s)) shows them", left_out(rest), way))
      end
    end
  end
end

--- A short traceback: the innermost frames, up to the line that was typed.
-- @param level of the caller's stack where it begins
-- @param[opt] last function: what called it is not shown
-- @return string, empty when there are none
function display.traceback(level, last)
  local lines, info = {}, debug.getinfo(last or 1, "S")
  local outermost = string.format(" in function <%s:%d>", info.short_src, info.linedefined)
  for line in string.gmatch(debug.traceback("", level + 1), "\n(\t[^\n]*)") do
    if #lines == FRAMES or string.find(line, "^\t%.%.%.\t") then
      lines[#lines + 1] = "\t..."
      break
    end
    lines[#lines + 1] = line
    if string.find(line, ": in main chunk$") or string.find(line, outermost, 1, true) then break end
  end
  return #lines > 0 and "stack traceback:\n" .. table.concat(lines, "\n") or ""
end

--- An error with its traceback.
-- @function error
-- @param value what was raised
-- @param[opt] trace
-- @return string
display.error = exit_text.error

--- An exit reason.
-- @function reason
-- @param reason any value
display.reason = exit_text.reason

--- Report what went wrong with a line: to stderr, or to whoever gets the output.
-- @param text
-- @param settings of the session
function display.complain(text, settings)
  if settings.colors then text = paint("fault", text) end
  local to = settings.leads and io.stdout or io.stderr
  to:write(text, "\n")
end

return display

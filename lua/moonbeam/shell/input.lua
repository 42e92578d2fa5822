--- What is typed at a prompt, made into a chunk.
-- @module moonbeam.shell.input

local input = {}

-- With a variable to be closed around it, what is returned is no tail call: the line that was typed stands in errors
-- and tracebacks. All of it stays on the line that it was typed on.
local EXPRESSION = "local _prompt <close> = nil return "

local function is_unfinished(message) return string.find(message, "near <eof>$") ~= nil end

local function line_of(message) return tonumber(string.match(message, ":(%d+):")) end

-- Of two errors in a text, that of whoever got further: as statements it may have gone wrong at its first token.
local function further(in_expression, in_statement, text)
  local one, other = line_of(in_expression), line_of(in_statement)
  if one ~= other then return one > other and in_expression or in_statement end
  local near = string.match(in_statement, " near '(.*)'$")
  local at_once = near and string.sub(string.match(text, "^%s*(.*)$"), 1, #near) == near
  return at_once and in_expression or in_statement
end

--- An expression, whose values the chunk returns, or statements; in front of an expression there may be "=".
-- @param text
-- @param name of the chunk
-- @param[opt] within function of the text that makes one to load of it, on the same lines; without it: the text itself
-- @return the chunk, or nil and what is wrong; for a text that may go on there is true, too
function input.compile(text, name, within)
  local expression = string.gsub(text, "^%s*=", "")
  local source = "=" .. name
  -- A string in quotes ends with its line, but for a backslash: so what is looked at is the whole line.
  local is_expression, in_expression = load(EXPRESSION .. expression .. "\n", source)
  local is_statement, in_statement = load(text .. "\n", source)
  if is_expression or is_statement then
    text = is_expression and EXPRESSION .. expression or text
    return load(within and within(text) or text, source)
  end
  if is_unfinished(in_expression) then return nil, select(2, load(EXPRESSION .. expression, source)), true end
  if is_unfinished(in_statement) then return nil, select(2, load(text, source)), true end
  return nil, further(in_expression, in_statement, text)
end

return input

--- The prompt of the interpreter: lines are evaluated in the script's process.
-- @module moonbeam.shell

local core = require "moonbeam.core"
local inspect = require "moonbeam.inspect"

local shell = {}

-- A chunk from the lines that come next, or nil and what is wrong with it; nothing at the end of the input.
local function read_chunk()
  local text
  while true do
    local line = io.read("L")
    if not line then return text and nil, text and "stdin: unfinished input" end
    text = (text or "") .. line
    local first = text:gsub("^%s*=", "return ")
    local chunk = load("return " .. first, "=stdin")
    if chunk then return chunk end
    local message
    chunk, message = load(first, "=stdin")
    if chunk or not message:find("<eof>", 1, true) then return chunk, message end
  end
end

local function handler(e)
  if core.type(e) == "exit" then return e end
  return {report = debug.traceback(type(e) == "string" and e or inspect(e), 2)}
end

local function show(ok, ...)
  if ok then
    for i = 1, select("#", ...) do print(inspect((select(i, ...)))) end
  elseif core.type(...) == "exit" then
    io.stderr:write("** (exit) ", inspect((...).reason), "\n")
  else
    io.stderr:write((...).report, "\n")
  end
end

--- Read, evaluate and print until the end of the input.
function shell.main()
  while true do
    local chunk, message = read_chunk()
    if chunk then
      show(xpcall(chunk, handler))
    elseif message then
      io.stderr:write(message, "\n")
    else
      return
    end
  end
end

return shell

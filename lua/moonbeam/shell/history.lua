--- The lines typed at the prompt, kept in a file: `moonbeam/history` in the XDG state directory.
-- @module moonbeam.shell.history

local host = require "moonbeam.host"

local history = {}

local MOST = 1000 -- lines that are kept, when the file has grown to twice as many

local function path()
  local state, home = os.getenv("XDG_STATE_HOME"), os.getenv("HOME")
  if state and string.sub(state, 1, 1) == "/" then return state .. "/moonbeam/history" end
  return home and home ~= "" and home .. "/.local/state/moonbeam/history" or nil
end

--- Read the file and hand over its lines, oldest first.
-- @param remember function of a line
function history.load(remember)
  local name = path()
  local file = name and io.open(name)
  if not file then return end
  local lines = {}
  for line in file:lines() do lines[#lines + 1] = line end
  file:close()
  if #lines > 2 * MOST then
    table.move(lines, #lines - MOST + 1, #lines, 1)
    for i = #lines, MOST + 1, -1 do lines[i] = nil end
    file = io.open(name, "w")
    if file then
      file:write(table.concat(lines, "\n"), "\n")
      file:close()
    end
  end
  for _, line in ipairs(lines) do remember(line) end
end

--- Add a line to the file, which is for this user's eyes alone. Without a place for it nothing is kept.
-- @param line
function history.append(line)
  local name = path()
  if not string.find(line, "%S") or not name or not host.private_file(name) then return end
  local file = io.open(name, "a")
  if file then
    file:write(line, "\n")
    file:close()
  end
end

return history

--- The handler that writes to a file, in the handler's own process: fs lets that one alone wait.
--
-- A file that would grow beyond max_bytes becomes path.0, what was path.0 becomes path.1, and so on, as Erlang's
-- logger_std_h does it; of the old ones max_files are kept. One that has been moved away or removed by others is made
-- anew. What cannot be written is the default handler's, which is told of it once, until something can.
-- @module moonbeam.logger.file

local core = require "moonbeam.core"
local fs = require "moonbeam.fs"
local text = require "moonbeam.logger.text"

local CHECK_AFTER = 100 -- entries of a burst that are written without a look at where the file is

local file = {}

local function same(a, b) return a and b and a.ino == b.ino and a.dev == b.dev end

-- Open the file, when that has not been done: whether it is open, and why not.
local function open(state)
  if state.file then return true end
  local opened, why = fs.open(state.path, "a")
  if not opened then return nil, why end
  local stat = opened:stat()
  state.file, state.stat, state.size, state.unchecked = opened, stat, stat and stat.size or 0, 0
  return true
end

local function close(state)
  if state.file then state.file:close() end
  state.file = nil
end

-- Let go of a file that is not at its path any more.
local function look(state)
  if not state.file or state.unchecked > 0 and state.unchecked < CHECK_AFTER then return end
  state.unchecked = 0
  if not same(fs.stat(state.path), state.stat) then close(state) end
end

-- Make room for another file at the path: whether that could be done, and why not.
local function rotate(state)
  close(state)
  if state.max_files == 0 then
    local ok, why, code = fs.remove(state.path)
    return ok or code == "ENOENT", why
  end
  for i = state.max_files - 2, 0, -1 do fs.rename(state.path .. "." .. i, state.path .. "." .. i + 1) end
  local ok, why, code = fs.rename(state.path, state.path .. ".0")
  return ok or code == "ENOENT", why
end

-- Write a text: true, or nil and why not.
local function write(state, line)
  look(state)
  local ok, why = open(state)
  if not ok then return nil, why end
  if state.size > 0 and state.size + #line > state.max_bytes then
    local rotated, failure = rotate(state)
    ok, why = open(state)
    if not ok then return nil, why end
    if not rotated then -- what comes is more than what would be lost
      state.size = 0
      core.log_write(string.format("Logger cannot rotate %s: %s", state.path, failure), nil, "error",
        core.system_time())
    end
  end
  ok, why = state.file:write(line)
  if not ok then
    close(state)
    return nil, why
  end
  state.size, state.unchecked = state.size + #line, state.unchecked + 1
  return true
end

--- Whether the file can be written to: true, or nil, text, code.
function file.try(path)
  local opened, why, code = fs.open(path, "a")
  if not opened then return nil, why, code end
  opened:close()
  return true
end

--- A handler of events.
-- @param settings path, max_bytes, max_files, style
-- @return function of an event: whether it has been written
-- @return function to be called when nothing waits
-- @return function that closes the file
function file.handler(settings)
  local state = {path = settings.path, max_bytes = settings.max_bytes, max_files = settings.max_files}
  local style, failing = settings.style, false
  local function handle(event)
    local ok, why = write(state, text.made(event, style) .. "\n")
    if not ok and not failing then
      core.log_write(string.format("Logger cannot write to %s: %s; the default handler takes what is for it", state.path,
        why), nil, "error", core.system_time())
    end
    failing = not ok
    return ok
  end
  return handle, function() state.unchecked = 0 end, function() close(state) end
end

return file

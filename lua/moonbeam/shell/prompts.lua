--- The sessions there are, for processes of every scheduler: each is registered by a name.
-- @module moonbeam.shell.prompts

local core = require "moonbeam.core"

local prompts = {}

local NAME = "moonbeam.prompt."

--- The calling process is a session. It is one until it ends.
function prompts.announce()
  local n = 1
  while not pcall(core.process_register, core.self(), NAME .. n) do n = n + 1 end
end

--- The session that the caller may ask for a prompt: the one that gets what it prints, or else the oldest.
-- @return pid, or nil
function prompts.find()
  local leader, first = core.lead(nil), nil
  core.lead(leader)
  for _, name in ipairs(core.process_registered()) do
    local n = tonumber(string.match(name, "^moonbeam%.prompt%.(%d+)$"))
    local pid = n and core.process_whereis(name)
    if pid and pid == leader then return pid end
    if pid and (not first or n < first) then first = n end
  end
  return first and core.process_whereis(NAME .. first)
end

return prompts

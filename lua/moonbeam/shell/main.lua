--- The interpreter's prompt. See Elixir's `IEx`.
--
-- Three parties: the evaluator, an ordinary process in which the lines run and whose pid is self() at the prompt; the
-- session, a process that reads lines for it, from a terminal or from an attached client, and replaces it when it dies;
-- and the terminal, which is `moonbeam.host`'s. The first evaluator of the local session is the script's process.
-- @module moonbeam.shell.main

local core = require "moonbeam.core"
local host = require "moonbeam.host"
local evaluator = require "moonbeam.shell.evaluator"
local remote = require "moonbeam.shell.remote"
local session = require "moonbeam.shell.session"

local main = {}

local opened -- the session, where a process has wanted one before the prompt began

--- Have the session of the prompt that will begin; for `pry`.
-- @return pid, or nil when there will be none
function main.open()
  if not host.prompt_comes() then return nil end
  if not opened then
    opened = core.spawn_at(core.self(), false, session.run_local, nil, nil, core.self())
    core.call(opened, {"settings"}, "infinity") -- until it serves
  end
  return opened
end

--- The prompt of the script's process. Returns when the user leaves.
-- @param[opt] file what is to be run first: see `dot_file.find`
function main.main(file)
  if opened then
    core.call(opened, {"adopt", file}, "infinity")
  else
    opened = core.spawn_at(core.self(), false, session.run_local, core.self(), file)
  end
  host.end_with(opened)
  evaluator.run(opened)
end

--- `--listen`.
main.listen = remote.listen

--- `--remote`.
main.attach = remote.attach

return main

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

--- The prompt of the script's process. Returns when the user leaves.
-- @param[opt] file what is to be run first: see `dot_file.find`
function main.main(file)
  local pid = core.process_spawn(session.run_local, {scheduler = "here"}, core.self(), file)
  host.end_with(pid)
  evaluator.run(pid)
end

--- `--listen`.
main.listen = remote.listen

--- `--remote`.
main.attach = remote.attach

return main

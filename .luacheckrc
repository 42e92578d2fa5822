-- luacheck lua spec examples
std = "lua54"
max_line_length = 138
ignore = {
  "21.*/_.*", -- names that begin with _ may stay unused
  "212",      -- so may arguments: callbacks take what they are given
  "211/guard", -- to be closed
  "511", "512", -- code that is not reached, and loops that end at once, are what some specs are about
  -- specs keep what must stay alive, set what is not read, and have strings as they are
  "231", "241", "311", "331", "431", "613",
  "581",      -- not (x > y) is meant: of NaN, too
}

-- What `moonbeam` makes global for scripts.
local kernel = {
  "alias", "unalias", "PG",
  "self", "spawn", "spawn_link", "spawn_monitor", "send", "receive", "any", "is", "match", "matcher", "case", "ignore",
  "rest", "maybe", "one_of", "time_left", "exit", "link",
  "unlink", "monitor", "demonitor", "make_ref", "sleep", "inspect", "flush", "monotonic_time", "Process", "Task", "Agent",
  "GenServer", "StateMachine", "Supervisor", "DynamicSupervisor", "PartitionSupervisor", "Application", "Config", "Registry",
  "Logger", "Node", "fs", "system", "net",
}
for _, directory in ipairs{"examples", "spec/bench", "spec/stress", "spec/conformance"} do
  files[directory] = {read_globals = kernel}
end
files["examples/tour.lua"] = {globals = {"loop", "_"}} -- it shows what is typed at the prompt
files["examples/application.conf.lua"] = {globals = {"counting"}, read_globals = {"env"}}
files["spec"] = {std = "+busted"}

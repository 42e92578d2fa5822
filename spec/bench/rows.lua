-- The rows of the benchmarks: name, what one of it is, and what is wanted of its ratio to the better of Elixir's with one
-- scheduler and with two, or, of those of plain.lua, to lua5.4's. The units are ns, but for names in _bytes.
local rows = {
  {"ping_pong", "a question and its answer", 0.4},
  {"ping_pong_clause", "the same, the answer found by a clause", 0.8},
  {"ping_pong_clauses", "the same, the question, too", 0.8},
  {"ping_pong_bare", "the same, of a pid and a string", 0.8},
  {"ring", "a message passed on round 1,000 processes", 0.45},
  {"spawn_die", "a process that ends", 0.5},
  {"spawn_monitor_down", "a process that ends, and its DOWN", 0.6},
  {"agent_update", "Agent.update", 0.5},
  {"agent_get", "Agent.get", 0.5},
  {"gen_server_call", "GenServer.call", 0.5},
  {"task", "Task.async and Task.await", 0.5},
  {"fan_in", "a message from one of 10 senders", 1.0},
  {"fan_in_one", "a message from one sender", 1.0},
  {"fan_in_100", "a message from one of 100 senders", 0.7},
  {"await_many_100", "a task of 100 in Task.await_many", 0.6},
  {"await_many_10000", "a task of 10,000", 0.6},
  {"await_many_100000", "a task of 100,000", 0.6},
  {"await_in_order", "a task of 10,000, each awaited in order", 0.6},
  {"await_backwards", "the same, the last one first", 0.6},
  {"receive_fresh", "an answer by a new reference, behind 10,000 messages", 0.8},
  {"chain_dies", "a process of a chain of 50,000 links that dies", 0.7},
  {"echo_pair", "a pair {integer, string} of a list of 1,000, each way", 4.5},
  {"echo_text", "a string of a list of 1,000, each way", 4.5},
  {"echo_64k", "a string of 64 KB, there and back", 0.35},
  {"beside_busy", "a question and its answer beside a busy process, median", 1.4},
  {"spawn_stay", "a process of 200,000 that stay", 0.5},
  {"idle_bytes", "memory of one that waits", 0.37},
  {"ping_pong_crowded", "a question and its answer among 200,000 idle ones", 0.52},
  {"crowd_p99", "the same beside one that allocates, 99 of 100", 2},
  {"crowd_p999", "the same, 999 of 1,000", 2},
  {"stop_all", "the end of one of 200,000", 0.28},
  {"coroutine_resume", "coroutine.resume and yield", 1.08, plain = true},
  {"coroutine_wrap", "the same by wrap", 1.08, plain = true},
  {"coroutine_create", "a coroutine that ends", 1.08, plain = true},
  {"io_write", "io.write of one byte", 1.1, plain = true},
  {"file_write", "file:write of one byte", 1.1, plain = true},
  {"peak_bytes", "memory after 2,000,000 small tables and then 100 MB of strings", 1.1, plain = true},
}

for _, row in ipairs(rows) do
  row.name, row.what, row.wanted = row[1], row[2], row[3]
  row.unit = row.name:find("_bytes$") and "bytes" or "ns"
end

return rows

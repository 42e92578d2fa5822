-- Runs bench.lua and bench.exs in turn, and prints the medians, their ratio and what is wanted of it.
--
--    lua5.4 spec/bench/compare.lua [rounds = 5] [interpreter = build/release/bin/moonbeam]
local rounds = tonumber(arg[1] or 5)
local interpreter = arg[2] or "build/release/bin/moonbeam"

local rows = {
  {"ping_pong", 0.8}, {"ping_pong_clause", 0.8}, {"ping_pong_clauses", 0.8}, {"ping_pong_bare", 0.8},
  {"spawn_die", 1.2}, {"spawn_monitor_down", 1.0}, {"agent_update", 1.0}, {"agent_get", 1.0}, {"task", 0.8}, {"fan_in"},
  {"fan_in_one", 1.0}, {"fan_in_100", 0.7}, {"await_many_100", 0.6}, {"await_many_10000", 0.6}, {"await_many_100000", 0.6},
  {"await_in_order", 0.6}, {"await_backwards", 0.6}, {"receive_fresh", 0.8}, {"chain_dies", 0.7},
  {"echo_pair", 4.5}, {"echo_text"},
  {"idle_bytes", nil, 2000}, {"ping_pong_crowded"},
}

local sides = {
  {name = "moonbeam", command = interpreter .. " --schedulers 1 spec/bench/bench.lua", values = {}},
  {name = "elixir", command = 'elixir --erl "+S 1:1 +P 2000000" spec/bench/bench.exs', values = {}},
}

for _ = 1, rounds do
  for _, side in ipairs(sides) do
    local pipe = assert(io.popen(side.command))
    for line in pipe:lines() do
      local name, value = line:match("^(%S+)%s+(%S+)$")
      if name then
        side.values[name] = side.values[name] or {}
        table.insert(side.values[name], tonumber(value))
      end
    end
    assert(pipe:close(), side.command .. " failed")
  end
end

local function median(values)
  table.sort(values)
  return values[(#values + 1) // 2]
end

print(("%-20s %10s %10s %7s  %s"):format("row", "moonbeam", "elixir", "ratio", "wanted"))
for _, row in ipairs(rows) do
  local ours, theirs = median(sides[1].values[row[1]]), median(sides[2].values[row[1]])
  local wanted = row[2] and ("<= %.1f"):format(row[2]) or row[3] and ("<= %d bytes"):format(row[3]) or ""
  local met = (not row[2] or ours / theirs <= row[2]) and (not row[3] or ours <= row[3])
  print(("%-20s %10.0f %10.0f %7.2f  %s%s"):format(row[1], ours, theirs, ours / theirs, wanted,
    met and "" or "  MISSED"))
end
local plain, crowded = median(sides[1].values.ping_pong), median(sides[1].values.ping_pong_crowded)
print(("ping_pong among 200000 idle processes: %.2f of ping_pong alone, wanted <= 1.3%s")
  :format(crowded / plain, crowded / plain <= 1.3 and "" or "  MISSED"))

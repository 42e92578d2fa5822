-- Runs the benchmarks here, in Elixir with one scheduler and with two, and, as far as they can do the work, with stock
-- Lua's coroutines, in turn; prints medians, spreads and ratios, and what is wanted of them (rows.lua).
--
--    lua5.4 spec/bench/compare.lua [rounds = 5] [interpreter = build/release/bin/moonbeam] [directory]
--
-- With SKYNET in the environment, the directory of a built checkout of github.com/cloudwu/skynet, that does its part,
-- too, with one thread and with two.
--
-- With a directory, results.json there has each figure, and results.svg the ratios as a plot. What stands under 1/10 and
-- 1/100 is measured with a tenth and a hundredth of each row's size: where it is much less, cost grows with size.
package.path = arg[0]:match("^(.-)[^/]*$") .. "?.lua;" .. package.path
local rows, plot = require "rows", require "plot"

local rounds = math.tointeger(tonumber(arg[1] or 5))
local interpreter = arg[2] or "build/release/bin/moonbeam"
local directory = arg[3]
assert(rounds and rounds >= 1, "usage: compare.lua [rounds] [interpreter] [directory]")

local here = "spec/bench/"
local function moonbeam(schedulers, what) return ("%s --schedulers %d %s%s"):format(interpreter, schedulers, here, what) end
local function elixir(schedulers, what)
  return ('elixir --erl "+S %d:%d +P 2000000" %s%s'):format(schedulers, schedulers, here, what)
end

-- name in results.json, heading, command
local sides = {
  {"moonbeam", "moonbeam", moonbeam(1, "bench.lua")},
  {"moonbeam_2", "2 sched.", moonbeam(2, "bench.lua")},
  {"moonbeam_tenth", "1/10", moonbeam(1, "bench.lua 10")},
  {"moonbeam_hundredth", "1/100", moonbeam(1, "bench.lua 100")},
  {"moonbeam_plain", nil, moonbeam(1, "plain.lua process")},
  {"elixir", "elixir", elixir(1, "bench.exs"), optional = "elixir"},
  {"elixir_2", "elixir 2", elixir(2, "bench.exs"), optional = "elixir"},
  {"lua_coroutines", "lua5.4", "lua5.4 " .. here .. "coroutines.lua"},
  {"lua_plain", nil, "lua5.4 " .. here .. "plain.lua"},
}

if os.getenv "SKYNET" then
  assert(os.execute 'test -x "$SKYNET/skynet"', "SKYNET: no program skynet in that directory: run make linux there")
  local command = 'SKYNET_THREADS=%d "$SKYNET/skynet" ' .. here .. "skynet/config"
  table.insert(sides, {"skynet", "skynet", command:format(1)})
  table.insert(sides, {"skynet_2", "skynet 2", command:format(2)})
end

local function run(side)
  local pipe = assert(io.popen(side[3]))
  for line in pipe:lines() do
    local name, value = line:match("^(%S+)%s+(%S+)$")
    if name then
      side.values[name] = side.values[name] or {}
      table.insert(side.values[name], tonumber(value))
    end
  end
  assert(pipe:close(), side[3] .. " failed")
end

local by_name = {}
for i = #sides, 1, -1 do
  local side = sides[i]
  if side.optional and not os.execute("command -v " .. side.optional .. " >/dev/null") then
    io.stderr:write(side[1], " is left out: there is no ", side.optional, " here\n")
    table.remove(sides, i)
  else
    side.values = {}
    by_name[side[1]] = side
  end
end
for round = 1, rounds do
  for i = 1, #sides do run(sides[(i + round) % #sides + 1]) end -- none is always the first
end

-- Median, least and most of a row's values on a side; nothing when it has none.
local function figures(side, name)
  local values = by_name[side] and by_name[side].values[name]
  if not values then return end
  table.sort(values)
  return values[(#values + 1) // 2], values[1], values[#values]
end

-- What a row is compared with: the better of Elixir's, or plain Lua's.
local function reference(row)
  if row.plain then return (figures("lua_plain", row.name)) end
  local one, two = figures("elixir", row.name), figures("elixir_2", row.name)
  return one and two and math.min(one, two) or one or two
end

local function number(value)
  return not value and "" or value < 100 and ("%.1f"):format(value) or ("%.0f"):format(value)
end

local columns = {"moonbeam_2", "moonbeam_hundredth", "moonbeam_tenth", "elixir", "elixir_2", "lua_coroutines", "skynet",
  "skynet_2"}
local head = {("%-20s %9s %19s"):format("row", "moonbeam", "least - most")}
for _, side in ipairs(columns) do
  if by_name[side] then table.insert(head, ("%9s"):format(by_name[side][2])) end
end
print(table.concat(head, " ") .. "   ratio wanted")

local results, missed = {}, 0
for _, row in ipairs(rows) do
  local own, least, most = figures(row.plain and "moonbeam_plain" or "moonbeam", row.name)
  local other = reference(row)
  local ratio = other and own / other
  local line = {("%-20s %9s %19s"):format(row.name, number(own), number(least) .. " - " .. number(most))}
  for _, side in ipairs(columns) do
    if by_name[side] then
      local value = figures(row.plain and side == "lua_coroutines" and "lua_plain" or side, row.name)
      table.insert(line, ("%9s"):format(number(value)))
    end
  end
  local is_missed = ratio and ratio > row.wanted
  missed = missed + (is_missed and 1 or 0)
  print(table.concat(line, " ") .. ("  %6s %6.2f%s"):format(ratio and ("%.2f"):format(ratio) or "", row.wanted,
    is_missed and " MISSED" or ""))
  table.insert(results, {name = row.name, what = row.what, unit = row.unit, wanted = row.wanted, ratio = ratio})
end
print(("%d of %d rows miss what is wanted; ns, but for bytes; medians of %d rounds"):format(missed, #rows, rounds))

-- JSON of strings without escapes, numbers, lists and tables.
local function json(value)
  if type(value) ~= "table" then return type(value) == "string" and '"' .. value .. '"' or ("%.17g"):format(value) end
  local parts, is_list = {}, #value > 0
  if is_list then
    for i, item in ipairs(value) do parts[i] = json(item) end
    return "[" .. table.concat(parts, ", ") .. "]"
  end
  for name, item in pairs(value) do table.insert(parts, json(name) .. ": " .. json(item)) end
  table.sort(parts)
  return "{" .. table.concat(parts, ", ") .. "}"
end

local function write(name, text)
  local file = assert(io.open(directory .. "/" .. name, "w"))
  assert(file:write(text, "\n"))
  assert(file:close())
end

if directory then
  for _, result in ipairs(results) do
    result.values = {}
    for name, side in pairs(by_name) do result.values[name] = side.values[result.name] end
  end
  write("results.json", json{rounds = rounds, rows = results})
  write("results.svg", plot(results))
end

-- CPU-bound code in a process against plain lua5.4: five programs, paired runs, medians.
--
--   lua5.4 spec/bench/cpu.lua [pairs = 9] [program = all] [moonbeam]
--
-- Each program runs in a process that was spawned beside an idle one, so that preemption is on.

local programs = {
  fib = function(scale)
    local function fib(n) return n < 2 and n or fib(n - 1) + fib(n - 2) end
    fib(29 + scale)
  end,
  nbody = function(scale)
    local sqrt, bodies = math.sqrt, {}
    for i = 1, 5 do
      bodies[i] = {x = i, y = i * 0.5, z = i * 0.25, vx = 0.01 * i, vy = -0.02 * i, vz = 0.005, mass = 1 / i}
    end
    for _ = 1, 60000 * 2 ^ scale do
      for i = 1, 5 do
        local a = bodies[i]
        for j = i + 1, 5 do
          local b = bodies[j]
          local dx, dy, dz = a.x - b.x, a.y - b.y, a.z - b.z
          local squared = dx * dx + dy * dy + dz * dz + 0.01
          local force = 0.001 / (squared * sqrt(squared))
          a.vx, a.vy, a.vz = a.vx - dx * b.mass * force, a.vy - dy * b.mass * force, a.vz - dz * b.mass * force
          b.vx, b.vy, b.vz = b.vx + dx * a.mass * force, b.vy + dy * a.mass * force, b.vz + dz * a.mass * force
        end
      end
      for i = 1, 5 do
        local a = bodies[i]
        a.x, a.y, a.z = a.x + 0.001 * a.vx, a.y + 0.001 * a.vy, a.z + 0.001 * a.vz
      end
    end
  end,
  binary_trees = function(scale)
    local function make(depth) return depth == 0 and {} or {make(depth - 1), make(depth - 1)} end
    local function count(tree) return tree[1] and 1 + count(tree[1]) + count(tree[2]) or 1 end
    for _ = 1, 16 * 2 ^ scale do assert(count(make(13)) == 2 ^ 14 - 1) end
  end,
  strings = function(scale)
    for _ = 1, 20 * 2 ^ scale do
      local parts = {}
      for i = 1, 10000 do parts[i] = ("%d:%s"):format(i, tostring(i * 7)):upper():sub(1, 12) end
      assert(#table.concat(parts, ",") > 10000)
    end
  end,
  sort = function(scale)
    local seed = 42
    for _ = 1, 4 * 2 ^ scale do
      local values = {}
      for i = 1, 30000 do
        seed = (seed * 1103515245 + 12345) % 2147483648
        values[i] = seed
      end
      table.sort(values, function(a, b) return a < b end)
    end
  end,
}

if arg[1] == "--run" then -- name [--process]: how long it took, in s
  local program = programs[arg[2]]
  local function timed()
    local started = os.clock()
    program(3)
    return os.clock() - started
  end
  if arg[3] then
    local me = self()
    spawn(function() receive{ {"never"} } end)
    spawn_link(function() send(me, timed()) end)
    print(receive())
  else
    print(timed())
  end
  return
end

local pairs_wanted, wanted, moonbeam = tonumber(arg[1]) or 9, arg[2] or "all", arg[3] or "build/release/bin/moonbeam"

local function run(command)
  local pipe = assert(io.popen(command))
  local seconds = tonumber(pipe:read("l"))
  pipe:close()
  return assert(seconds, command)
end

local function median(values)
  table.sort(values)
  return values[#values // 2 + 1]
end

print(("%-14s%10s%10s%9s"):format("program", "lua5.4", "process", "ratio"))
for _, name in ipairs{"fib", "nbody", "binary_trees", "strings", "sort"} do
  if wanted == "all" or wanted == name then
    local plain, process, ratios = {}, {}, {}
    for i = 1, pairs_wanted do
      local function in_lua() plain[i] = run(("lua5.4 %s --run %s"):format(arg[0], name)) end
      if i % 2 == 1 then in_lua() end -- each goes first as often: a machine is not as fast all the time
      process[i] = run(("%s %s --run %s --process"):format(moonbeam, arg[0], name))
      if i % 2 == 0 then in_lua() end
      ratios[i] = process[i] / plain[i]
    end
    local ratio = median(ratios)
    print(("%-14s%9.3fs%9.3fs%9.3f  %s"):format(name, median(plain), median(process), ratio,
      ratio <= 1.02 and "<= 1.02" or "<= 1.02 MISSED"))
  end
end

-- fs beside io in lua5.4: moonbeam spec/bench/files.lua [MB = 1000] [rounds = 5]
--
-- Each row is done by both in turn, in programs of their own; the ratios are medians, of the time and of the processor
-- time, and in brackets is the most memory that the program had. Each checks what it has read.
local here, script = arg[-1], arg[0]

local function work(name, path, size)
  local ours = fs ~= nil
  local start, used, count = monotonic_time and monotonic_time() or os.time() * 1000, os.clock(), 0
  if name == "lines" then
    for line in (ours and fs.lines or io.lines)(path) do count = count + #line + 1 end
  elseif name == "read" then
    for _ = 1, 5 do
      if ours then
        count = count + #fs.read(path)
      else
        local file = assert(io.open(path))
        count = count + #file:read("a")
        file:close()
      end
    end
    count = count // 5
  elseif name == "small" then -- 100 bytes of a file that is open, 20000 times
    local file = assert((ours and fs or io).open(path))
    for i = 1, 20000 do
      file:seek("set", i * 4096 % size)
      count = count + #file:read(100)
    end
    file:close()
    count = count == 2000000 and size
  elseif name == "stat" then -- opened, looked at and closed
    for _ = 1, 20000 do
      local file = assert((ours and fs or io).open(path))
      file:seek("end")
      file:close()
    end
    count = size
  end
  assert(count == size, name .. " is wrong")
  local most
  for line in io.lines("/proc/self/status") do most = line:match("VmHWM:%s*(%d+)") or most end
  print(os.clock() - used, most, monotonic_time and (monotonic_time() - start) / 1000 or "-")
end

if arg[1] == "work" then return work(arg[2], arg[3], tonumber(arg[4])) end

local megabytes, rounds = tonumber(arg[1]) or 1000, tonumber(arg[2]) or 5

local function median(values)
  table.sort(values)
  return values[(#values + 1) // 2]
end

local function measure(interpreter, name, path, size)
  local start = monotonic_time()
  local pipe = assert(io.popen(("%s %s work %s %s %d"):format(interpreter, script, name, path, size)))
  local used, most = pipe:read("l"):match("^(%S+)%s+(%S+)")
  assert(pipe:close())
  return monotonic_time() - start, tonumber(used), tonumber(most)
end

local function compare(name, path, size, wanted)
  local times, used, most, ours, theirs = {}, {}, {0, 0}, {}, {}
  for i = 1, rounds do
    local t1, u1, m1 = measure("lua5.4", name, path, size)
    local t2, u2, m2 = measure(here .. " --schedulers 1", name, path, size)
    times[i], used[i], theirs[i], ours[i] = t2 / t1, u2 / u1, t1, t2
    most[1], most[2] = math.max(most[1], m1), math.max(most[2], m2)
  end
  print(("%-6s io %8.1f ms (%7d KB)  fs %8.1f ms (%7d KB)  time %.2f, processor %.2f%s")
    :format(name, median(theirs), most[1],
    median(ours), most[2], median(times), median(used), wanted and ", wanted " .. wanted or ""))
end

local path = os.tmpname()
local file = assert(io.open(path, "w"))
local lines, size = {}, 0
for i = 1, 10000 do lines[i] = ("x"):rep(i % 140) .. "\n" end
local block = table.concat(lines)
while size < megabytes * 1000000 do
  file:write(block)
  size = size + #block
end
file:close()
compare("lines", path, size, 1.6)
os.remove(path)
local large = ("0123456789"):rep(10000000)
assert(fs.write(path, large))
compare("read", path, #large, 1.3)
compare("small", path, #large)
compare("stat", path, #large)
os.remove(path)

-- What plain Lua pays for being in a process: nanoseconds of processor time (bytes for memory), one `name value` a line.
--
--    lua5.4 spec/bench/plain.lua
--    moonbeam spec/bench/plain.lua process     in one, beside an idle one

local function time(name, n, fn)
  collectgarbage()
  local start = os.clock()
  fn(n)
  print(name, (os.clock() - start) * 1e9 / n)
end

local function resume(n)
  local co = coroutine.create(function()
    for i = 1, n do coroutine.yield(i) end
  end)
  for i = 1, n do
    local _, got = coroutine.resume(co)
    assert(got == i)
  end
end

local function wrap(n)
  local expected = 0
  for i in coroutine.wrap(function()
    for i = 1, n do coroutine.yield(i) end
  end) do
    expected = expected + 1
    assert(i == expected)
  end
  assert(expected == n)
end

local function create(n)
  local function body() return 1 end
  for _ = 1, n do
    local _, one = coroutine.resume(coroutine.create(body))
    assert(one == 1)
  end
end

local function in_file(n, write)
  local name = os.tmpname()
  local file = assert(io.open(name, "w"))
  write(file, n)
  assert(file:close())
  file = assert(io.open(name))
  assert(file:seek("end") == n)
  file:close()
  os.remove(name)
end

local function io_write(n)
  in_file(n, function(file)
    local before = io.output()
    io.output(file)
    for _ = 1, n do io.write("x") end
    io.output(before)
  end)
end

local function file_write(n)
  in_file(n, function(file)
    for _ = 1, n do file:write("x") end
  end)
end

-- Very many small objects, and then large strings.
local function peak()
  local objects = {}
  for i = 1, 2000000 do objects[i] = {i} end
  objects = nil
  collectgarbage()
  local strings = {}
  for i = 1, 100 do strings[i] = string.rep(string.char(i), 1000000) end
  local file = assert(io.open("/proc/self/statm"))
  local pages = file:read("a"):match("^%d+ (%d+)")
  file:close()
  assert(#strings[100] == 1000000)
  print("peak_bytes", tonumber(pages) * 4096)
end

local function all()
  time("coroutine_resume", 1000000, resume)
  time("coroutine_wrap", 1000000, wrap)
  time("coroutine_create", 300000, create)
  time("io_write", 1000000, io_write)
  time("file_write", 1000000, file_write)
  peak()
end

if arg[1] == "process" then
  spawn(function() receive{ {"never"} } end)
  local _, ref = spawn_monitor(all)
  local reason = receive{ {{"DOWN", ref, "process", any, any}, function(_, why) return why end} }
  assert(reason == "normal", reason)
else
  all()
end

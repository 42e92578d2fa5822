-- Open files.
local mb = require "moonbeam"
local fs, Process, Task = mb.fs, mb.Process, mb.Task
local helper = require "spec.helper"

describe("a file", function()
  helper.setup()
  local directory, path
  helper.with_directory(function(made) directory, path = made, made .. "/file" end)

  local function open(mode) return assert(fs.open(path, mode)) end

  it("FS-08 is read as io's are", function()
    local text = "one\ntwo\r\n\n" .. ("long"):rep(50000) .. "\nlast"
    fs.write(path, text)
    local theirs <close> = assert(io.open(path))
    local ours <close> = open()
    for _, what in ipairs{"l", "L", 0, "l", 5, "l", 100000, "L", 2, "l", "a", "a"} do
      local expected, got = theirs:read(what), ours:read(what)
      assert.equal(expected, got, what)
    end
    for _, what in ipairs{"l", "L", 1, 0} do
      assert.same({n = 3, nil, "EOF: end of file", "EOF"}, table.pack(ours:read(what)))
    end
    assert.equal("", ours:read("a"))
  end)

  it("reads a line when nothing else is said", function()
    fs.write(path, "one\ntwo")
    local file <close> = open()
    assert.equal("one", file:read())
    assert.equal("two", file:read("*line"))
  end)

  it("FS-08 has the modes of io.open, and one for new files", function()
    assert.equal("ENOENT", select(3, fs.open(path)))
    assert.equal("ENOENT", select(3, fs.open(path, "r+")))
    open("x"):close()
    assert.equal("EEXIST", select(3, fs.open(path, "x")))
    assert.equal("EEXIST", select(3, fs.open(path, "wx+")))
    local file <close> = open("w")
    file:write("abc")
    assert.equal("EBADF", select(3, file:read()))
    local reading <close> = open("rb")
    assert.equal("EBADF", select(3, reading:write("x")))
    local appending <close> = open("a+")
    assert.equal("a", appending:read(1))
    appending:write("d")
    assert.equal(4, appending:seek())
    local both <close> = open("r+")
    both:write("X")
    assert.equal("bcd", both:read("a"))
    open("w+"):close()
    assert.equal("", fs.read(path))
    assert.equal("EISDIR", select(3, fs.open(directory)))
    assert.equal("EISDIR", select(3, fs.open(directory, "w")))
    for _, mode in ipairs{"", "q", "rw", "r++", "+r", "r\0"} do
      assert.error_matches(function() fs.open(path, mode) end, "^bad argument #2 to 'fs.open'")
    end
  end)

  it("FS-04 has the permissions it was made with", function()
    assert(fs.open(path, "w", "600")):close()
    assert.equal(tonumber("600", 8), fs.stat(path).mode)
  end)

  it("FS-08 is read and written at its position", function()
    local file <close> = open("w+")
    assert.equal(file, file:write("abc", {"def", 1}, 2))
    assert.equal(8, file:seek())
    assert.equal(2, file:seek("set", 2))
    assert.equal("cd", file:read(2))
    file:write("XY")
    assert.equal("12", file:read("a"))
    assert.equal(0, file:seek("end", -8))
    assert.equal("abcdXY12", file:read("a"))
    assert.equal(3, file:seek("cur", -5))
    assert.equal("d", file:read(1))
    assert.equal("EINVAL", select(3, file:seek("set", -1)))
    assert.equal(4, file:seek())
    assert.equal(100, file:seek("set", 100))
    assert.equal("EOF", select(3, file:read()))
    file:write("!")
    assert.equal(101, fs.stat(path).size)
  end)

  it("FS-09 is read and written elsewhere, and the position stays", function()
    local file <close> = open("w+")
    file:write("0123456789")
    file:seek("set", 3)
    assert.equal("3", file:read(1))
    assert.equal("89", file:pread(5, 8))
    assert.equal("", file:pread(0, 8))
    assert.equal("EOF", select(3, file:pread(1, 10)))
    assert.equal(file, file:pwrite({"a", "b"}, 4))
    assert.equal("ab6789", file:read("a"))
  end)

  it("shows what was written in between", function()
    fs.write(path, ("x"):rep(10) .. "\n" .. ("y"):rep(10))
    local file <close> = open("r+")
    assert.equal(("x"):rep(10), file:read())
    file:pwrite("zz", 12)
    assert.equal("yzzyyyyyyy", file:read())
  end)

  it("can be read on when it has grown", function()
    local file <close> = open("w+")
    assert.equal("EOF", select(3, file:read()))
    fs.append(path, "more\n")
    assert.equal("more", file:read())
    assert.equal("EOF", select(3, file:read()))
    fs.append(path, "and more")
    assert.equal("and more", file:read(100))
  end)

  it("is truncated and synced", function()
    local file <close> = open("w+")
    file:write("abcdef")
    assert.is_true(file:truncate(3))
    assert.equal(3, file:stat().size)
    assert.equal("file", file:stat().type)
    assert.is_true(file:sync())
    assert.is_true(file:datasync())
    file:truncate(5)
    file:seek("set")
    assert.equal("abc\0\0", file:read("a"))
  end)

  it("says when the disk is full", function()
    local file <close> = assert(fs.open("/dev/full", "w"))
    assert.equal("ENOSPC", select(3, file:write("x")))
    assert.equal("ENOSPC", select(3, file:write(("x"):rep(100000))))
  end)

  it("FS-11 closes once, and is of no use then", function()
    local file = open("w")
    assert.equal("file (" .. path .. ")", tostring(file))
    assert.is_true(file:close())
    assert.is_true(file:close())
    assert.equal("file (closed)", tostring(file))
    for _, method in ipairs{"read", "write", "seek", "sync", "stat", "unlock", "lines"} do
      local _, text = pcall(file[method], file)
      assert.truthy(text:find(": the file " .. path .. " is closed", 1, true), text)
    end
  end)

  it("FS-10 closes with a variable, with its process and when it is collected", function()
    do
      local _file <close> = open("w")
      assert.equal(1, mb.census().file)
    end
    assert.equal(0, mb.census().file)
    helper.in_process(function()
      fs.open(path)
      local kept = assert(fs.open(path))
      assert(kept and mb.census().file >= 1)
    end)
    assert.equal(0, mb.census().file)
    fs.open(path)
    collectgarbage()
    collectgarbage()
    assert.equal(0, mb.census().file)
  end)

  it("FS-11 belongs to the process that opened it", function()
    local file <close> = open("w")
    assert.error_matches(function() mb.send(mb.self(), {f = {file}}) end,
      '^cannot send message: field "f%[1%]" is a userdata %(moonbeam.file%): a file belongs')
    assert.error_matches(function() mb.spawn(function() return file:read() end) end,
      "cannot spawn: .*upvalue \"file\" is a userdata")
  end)

  it("FS-11 raises in another process", function()
    local file <close> = open("w")
    local name = "spec.fs." .. tostring(file):gsub("%W", "")
    debug.getregistry()[name] = file
    local pid, ref = Process.spawn(function(key)
      local stranger = debug.getregistry()[key]
      local ok, text = pcall(stranger.write, stranger, "x")
      mb.exit{ok, text, pcall(stranger.close, stranger)}
    end, {monitor = true, scheduler = "here"}, name)
    local reason = helper.await_end(pid, ref)
    debug.getregistry()[name] = nil
    assert.is_false(reason[1])
    assert.truthy(reason[2]:find("file:write: the file " .. path .. " belongs to " .. tostring(mb.self()), 1, true),
      reason[2])
    assert.is_false(reason[3])
    assert.equal(file, file:write("still mine"))
  end)

  it("raises on wrong arguments at the caller", function()
    local file <close> = open("w+")
    local function raises(text, fn) assert.error_matches(fn, "^bad argument " .. text) end
    raises("#1 to 'file:read'", function() file:read("n") end)
    raises("#1 to 'file:read'", function() file:read(-1) end)
    raises("#1 to 'file:read'", function() file:read(1.5) end)
    raises("#1 to 'file:write' %(string or sequence of strings expected, got nil%)", function() file:write(nil) end)
    raises("#2 to 'file:write'", function() file:write("a", {{}}) end)
    raises("#2 to 'file:pread'", function() file:pread(1, -1) end)
    raises("#2 to 'file:pwrite'", function() file:pwrite("x") end)
    raises("#1 to 'file:seek'", function() file:seek("middle") end)
    raises("#2 to 'file:seek'", function() file:seek("set", "x") end)
    raises("#1 to 'file:truncate'", function() file:truncate(-1) end)
    raises("#1 to 'file:lock' %(\"exclusive\" or \"shared\" expected, got nil%)", function() file:lock() end)
    raises("#2 to 'file:lock' %(timeout_value", function() file:lock("shared", -1) end)
    raises("#0 to 'file:read' %(file expected, got string%)", function() file.read("x") end)
    assert.equal(0, file:stat().size)
  end)

  it("FS-12 is locked against others until it is unlocked or closed", function()
    local one <close> = open("w+")
    local two <close> = open("r+")
    assert.is_true(one:lock("shared"))
    assert.is_true(two:lock("shared"))
    assert.same({n = 3, nil, "ETIMEDOUT: connection timed out", "ETIMEDOUT"}, table.pack(one:lock("exclusive", 0)))
    two:unlock()
    assert.is_true(one:lock("exclusive"))
    assert.equal("ETIMEDOUT", select(3, two:lock("shared", 5)))
    one:close()
    assert.is_true(two:lock("exclusive"))
  end)

  it("FS-12 is waited for by many, and each has it alone", function()
    fs.write(path, "0")
    local tasks = {}
    for i = 1, 12 do
      tasks[i] = Task.async(function()
        for _ = 1, 3 do
          local file <close> = assert(fs.open(path, "r+"))
          assert(file:lock("exclusive"))
          local n = tonumber(file:read("a"))
          file:seek("set")
          file:write(n + 1)
          file:unlock()
        end
      end)
    end
    Task.await_many(tasks, helper.patience * 5)
    assert.equal("36", fs.read(path))
  end)

  it("FS-12 gives up its lock when the process that waits for it, or has it, is killed", function()
    local me = mb.self()
    local holder = mb.spawn(function()
      local file = assert(fs.open(path, "w"))
      file:lock("exclusive")
      mb.send(me, "locked")
      mb.receive()
    end)
    helper.await("locked")
    local waiting = mb.spawn(function() fs.open(path):lock("exclusive") end)
    helper.until_waiting(waiting)
    Process.exit(waiting, "kill")
    helper.reason_of(waiting)
    Process.exit(holder, "kill")
    local file <close> = open("r+")
    assert.is_true(file:lock("exclusive", helper.patience))
  end)

  it("FS-16 made by mkstemp is new, and the caller's alone", function()
    local file <close>, name = assert(fs.mkstemp(directory .. "/tXXXXXX"))
    assert.matches("^" .. directory:gsub("%p", "%%%0") .. "/t......$", name)
    assert.equal(tonumber("600", 8), fs.stat(name).mode)
    file:write("x")
    file:seek("set")
    assert.equal("x", file:read())
    assert.equal("EINVAL", select(3, fs.mkstemp(directory .. "/t")))
    local _default <close>, default_name = assert(fs.mkstemp())
    fs.remove(default_name)
  end)

  it("that is a pipe gives what comes", function()
    assert(os.execute("mkfifo '" .. path .. "'"))
    local task = Task.async(function()
      local file <close> = assert(fs.open(path, "w"))
      file:write("abc")
      file:write("de\nf", "g")
      mb.receive() -- the end comes when it is told
    end)
    local pipe <close> = open()
    assert.equal("ESPIPE", select(3, pipe:seek("set", 1)))
    assert.equal("ESPIPE", select(3, pipe:pread(1, 1)))
    assert.equal("ab", pipe:read(2, helper.patience))
    assert.equal("cde", pipe:read())
    assert.equal("fg", pipe:read(2))
    mb.send(task.pid, "end")
    assert.equal("EOF", select(3, pipe:read()))
    Task.await(task)
  end)

  it("FS-13 that is a pipe is waited for as long as is said", function()
    assert(os.execute("mkfifo '" .. path .. "'"))
    local unwritten <close> = open("r")
    assert.equal("ETIMEDOUT", select(3, unwritten:read("l", 0)))
    assert.equal("ETIMEDOUT", select(3, unwritten:read("l", 1)))
    local pipe <close> = open("r+")
    assert.same({n = 3, nil, "ETIMEDOUT: connection timed out", "ETIMEDOUT"}, table.pack(pipe:read("l", 0)))
    pipe:write("abc")
    assert.equal("ETIMEDOUT", select(3, pipe:read("l", 5)))
    assert.equal("ETIMEDOUT", select(3, pipe:read(4, 5)))
    pipe:write("d\ne")
    assert.equal("abcd", pipe:read("l", helper.patience))
    assert.equal("e", pipe:read(1, 0))
    assert.error_matches(function() pipe:read(1, "x") end, "bad argument #2 to 'file:read' %(timeout_value")
  end)

  it("FS-13 that is a pipe without a reader fails, and no signal comes", function()
    assert(os.execute("mkfifo '" .. path .. "'"))
    local reading = Task.async(function()
      local _file <close> = assert(fs.open(path))
      mb.receive()
    end)
    local pipe <close> = assert(fs.open(path, "w"))
    mb.send(reading.pid, "enough")
    Task.await(reading)
    local ok, _, code
    repeat ok, _, code = pipe:write("x") until not ok
    assert.equal("EPIPE", code)
  end)
end)

describe("the end of the program", function()
  -- A luv that was loaded before has the loop, which goes on when the runtime has ended.
  for _, before in ipairs{"", 'local has, uv = pcall(require, "luv")\n'} do
    local where = before == "" and "" or ", on the loop of a luv"
    it("comes while files are written, read and watched" .. where, function()
      local directory = assert(fs.mkdtemp())
      local output, code = helper.run_script(before .. [[
        local mb = require "moonbeam"
        mb.import()
        local directory = arg[1]
        local path = directory .. "/file"
        fs.write(path, ("x"):rep(1000000))
        os.execute("mkfifo " .. directory .. "/pipe")
        for i = 1, 8 do
          spawn(function() while true do fs.write(path .. i, ("x"):rep(1000000)) end end)
          spawn(function() while true do fs.open(path):read("a") end end)
          spawn(function() fs.watch(directory) receive() end)
          spawn(function() fs.read(directory .. "/pipe") end)
        end
        local mine = fs.open(path)
        mine:read(10)
        fs.watch(directory)
        sleep(20)
        print("over")
      ]], directory)
      fs.remove(directory, {recursive = true})
      assert.equal("over\n", output)
      assert.equal(0, code)
    end)
  end
end)

describe("a process that is killed in the middle", function()
  helper.setup()
  local path
  helper.with_directory(function(made)
    path = made .. "/file"
    fs.write(path, ("line\n"):rep(100000))
  end)

  -- Each is killed as soon as it waits, often before the pool has begun.
  local calls = {
    read = function(name) while true do mb.fs.read(name) end end,
    write = function(name) while true do mb.fs.write(name, ("x"):rep(100000), {atomic = true, sync = true}) end end,
    stat = function(name) while true do mb.fs.stat(name) end end,
    readdir = function() while true do mb.fs.readdir("/etc") end end,
    open = function(name) while true do mb.fs.open(name) end end,
    mkstemp = function(name) while true do mb.fs.mkstemp(name .. "XXXXXX") end end,
    lines = function(name) while true do for _ in mb.fs.lines(name) do end end end,
    file_read = function(name) local file = mb.fs.open(name) while true do file:read("a") file:seek("set") end end,
    file_write = function(name) local file = mb.fs.open(name, "r+") while true do file:write(("x"):rep(100000)) end end,
    file_sync = function(name) local file = mb.fs.open(name) while true do file:sync() end end,
    close = function(name) while true do mb.fs.open(name):close() end end,
  }

  for name, call in pairs(calls) do
    it("of " .. name .. " leaves nothing open", function()
      local pids = {}
      for i = 1, 8 do pids[i] = mb.spawn(call, path) end
      for _, pid in ipairs(pids) do helper.until_waiting(pid) end
      for i, pid in ipairs(pids) do
        Process.exit(pid, "kill")
        if i % 2 == 0 then mb.sleep(0) end
      end
      for _, pid in ipairs(pids) do helper.reason_of(pid) end
    end)
  end
end)

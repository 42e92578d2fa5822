-- Whole files: fs.read, fs.write, fs.append.
local mb = require "moonbeam"
local fs, Process = mb.fs, mb.Process
local helper = require "spec.helper"

describe("whole files", function()
  helper.setup()
  local directory, path
  helper.with_directory(function(made) directory, path = made, made .. "/file" end)

  it("FS-01 are read as they were written, whatever the bytes", function()
    local bytes = {}
    for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
    for _, data in ipairs{"", "x", "a\0b\r\n\0", table.concat(bytes), ("0123456789"):rep(100000)} do
      assert.is_true(fs.write(path, data))
      assert.equal(data, fs.read(path))
    end
  end)

  it("are written from sequences of strings and numbers", function()
    assert.is_true(fs.write(path, {"a", 1, "", 2.5, "\n"}))
    assert.equal("a12.5\n", fs.read(path))
    assert.is_true(fs.write(path, {}))
    assert.equal("", fs.read(path))
    assert.is_true(fs.write(path, 12))
    assert.equal("12", fs.read(path))
  end)

  it("FS-02 grow by append", function()
    assert.is_true(fs.append(path, "one\n"))
    assert.is_true(fs.append(path, {"two", "\n"}))
    assert.is_true(fs.write(path, "three\n", {append = true}))
    assert.equal("one\ntwo\nthree\n", fs.read(path))
  end)

  it("FS-04 have the permissions that were asked for", function()
    fs.write(path, "", {mode = 384})
    assert.equal(384, fs.stat(path).mode)
    fs.write(path .. "2", "", {mode = "640", sync = true})
    assert.equal(tonumber("640", 8), fs.stat(path .. "2").mode)
  end)

  it("FS-03 are replaced whole", function()
    fs.write(path, "old", {mode = "600"})
    local reader <close> = assert(fs.open(path))
    assert.is_true(fs.write(path, "new", {atomic = true, sync = true}))
    assert.equal("old", reader:read("a"))
    assert.equal("new", fs.read(path))
    assert.equal(tonumber("600", 8), fs.stat(path).mode)
    assert.is_true(fs.write(path, "newer", {atomic = true, mode = "644"}))
    assert.equal(tonumber("644", 8), fs.stat(path).mode)
    assert.same({"file"}, fs.readdir(directory))
  end)

  it("FS-03 are replaced where a link leads, and the link stays", function()
    fs.write(path, "old")
    fs.symlink("file", directory .. "/link")
    assert.is_true(fs.write(directory .. "/link", "new", {atomic = true}))
    assert.equal("link", fs.lstat(directory .. "/link").type)
    assert.equal("new", fs.read(path))
  end)

  it("FS-03 leave nothing behind when they cannot be replaced", function()
    fs.mkdir(path)
    assert.equal("EISDIR", select(3, fs.write(path, "x", {atomic = true})))
    assert.same({"file"}, fs.readdir(directory))
  end)

  it("FS-05 fail with text and code", function()
    local data, text, code = fs.read(path)
    assert.is_nil(data)
    assert.equal("ENOENT: no such file or directory: " .. path, text)
    assert.equal("ENOENT", code)
    assert.equal("EISDIR", select(3, fs.read(directory)))
    assert.equal("EISDIR", select(3, fs.write(directory, "")))
    assert.equal("ENOENT", select(3, fs.write(directory .. "/a/b", "", {atomic = true})))
    assert.equal("ENOTDIR", select(3, fs.read("/dev/null/x")))
    assert.equal("ENAMETOOLONG", select(3, fs.read(("x"):rep(5000))))
  end)

  it("say that the disk is full", function()
    assert.equal("ENOSPC", select(3, fs.write("/dev/full", "x")))
    assert.equal("ENOSPC", select(3, fs.append("/dev/full", ("x"):rep(1000000))))
  end)

  it("have names of any bytes but NUL", function()
    for _, name in ipairs{"\xff\xfe", " ", "a\nb", "-", "%s", "\u{20ac}"} do
      assert.is_true(fs.write(directory .. "/" .. name, name))
      assert.equal(name, fs.read(directory .. "/" .. name))
    end
    assert.error_matches(function() fs.read("a\0b") end, "^bad argument #1 to 'fs.read' %(a path has no NUL")
  end)

  it("FS-06 raise on wrong arguments at the caller", function()
    local function raises(text, fn) assert.error_matches(fn, "^bad argument " .. text) end
    raises("#1 to 'fs.read' %(path, a string, expected, got nil%)", function() fs.read() end)
    raises("#1 to 'fs.write' %(path, a string, expected, got table%)", function() fs.write({}, "") end)
    raises("#2 to 'fs.write' %(string or sequence of strings expected, got nil%)", function() fs.write(path) end)
    raises("#2 to 'fs.append' %(item 2: string expected, got table%)", function() fs.append(path, {"a", {}}) end)
    raises("#3 to 'fs.write' %(unknown option appends = true; options: append, atomic, sync, mode%)",
      function() fs.write(path, "", {appends = true}) end)
    raises("#3 to 'fs.write' %(permissions.*got \"999\"", function() fs.write(path, "", {mode = "999"}) end)
    raises("#3 to 'fs.write' %(append and atomic exclude each other",
      function() fs.write(path, "", {append = true, atomic = true}) end)
    assert.is_false(fs.exists(path))
  end)

  it("blame the line that is wrong", function()
    local _, text = pcall(function() fs.write(path) end)
    assert.matches("^spec/fs/contents_spec.lua:%d+: bad argument", text)
    _, text = pcall(function() fs.lines(path) end)
    assert.matches("^spec/fs/contents_spec.lua:%d+: fs.lines: ENOENT", text)
    local file = assert(fs.open(path, "w"))
    file:close()
    _, text = pcall(function() file:write("x") end)
    assert.matches("^spec/fs/contents_spec.lua:%d+: file:write: the file .* is closed", text)
  end)

  it("FS-07 let others run meanwhile", function()
    local data = ("x"):rep(10000000)
    local other = Process.spawn(function()
      while true do mb.sleep(0) end
    end, {scheduler = "here"})
    local function done() return Process.info(other, "reductions") end -- read at once: nobody runs meanwhile
    local before = done()
    fs.write(path, data)
    local between = done()
    assert.equal(#data, #fs.read(path))
    assert.is_true(between > before and done() > between)
    Process.exit(other, "kill")
  end)

  it("FS-07 come through pipes, and nobody is held up", function()
    local me = mb.self()
    local pipe = directory .. "/pipe"
    assert(os.execute("mkfifo '" .. pipe .. "'"))
    local readers = {}
    for i = 1, 10 do -- more than the pool has threads
      readers[i] = mb.spawn(function() mb.send(me, {"read", fs.read(pipe)}) end)
    end
    for _, reader in ipairs(readers) do helper.until_waiting(reader) end
    for i = 2, 10 do Process.exit(readers[i], "kill") end
    for i = 2, 10 do assert.equal("noproc", helper.reason_of(readers[i])) end
    assert.is_true(fs.write(pipe, ("y"):rep(200000)))
    assert.equal(200000, #helper.await{"read", mb.is.string})
  end)

  it("go to pipes that nobody reads, and nobody is held up but who writes, until that is killed", function()
    local pipe = directory .. "/pipe"
    assert(os.execute("mkfifo '" .. pipe .. "'"))
    local held <close> = assert(fs.open(pipe, "r+")) -- has it open, and does not read
    local writers = {}
    for i = 1, 10 do -- more than the pool has threads
      writers[i] = mb.spawn(function() fs.write(pipe, ("y"):rep(200000)) end)
    end
    for _, writer in ipairs(writers) do helper.until_waiting(writer) end
    assert.equal("fifo", fs.stat(pipe).type) -- the pool is free
    assert.equal("yyy", held:read(3))
    for _, writer in ipairs(writers) do
      local ref = mb.monitor(writer)
      Process.exit(writer, "kill")
      helper.await{"DOWN", ref, "process", writer, "killed"}
    end
  end)
end)

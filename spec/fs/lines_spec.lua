-- Lines: fs.lines and file:lines.
local mb = require "moonbeam"
local fs = mb.fs
local helper = require "spec.helper"

describe("lines", function()
  helper.setup()
  local directory, path
  helper.with_directory(function(made) directory, path = made, made .. "/file" end)

  local function all(iterator, ...)
    local found = {}
    for line in iterator, ... do found[#found + 1] = line end
    return found
  end

  it("FS-14 are those of io.lines", function()
    local long = {}
    for i = 1, 3000 do long[i] = ("x"):rep(i % 257) .. i end
    local texts = {
      "", "\n", "a", "a\n", "\n\n", "a\r\nb\0c\n", table.concat(long, "\n"), ("y"):rep(65536) .. "\n",
      ("y"):rep(65535) .. "\n" .. "z",
      ("z"):rep(300000) .. "\n" .. ("w"):rep(65537) .. "\nend", ("\n"):rep(70000),
      ("v"):rep(65536 * 2) .. "\n" .. ("u"):rep(65530) .. "\n12345\n6",
    }
    for i, text in ipairs(texts) do
      fs.write(path, text)
      for _, what in ipairs{"l", "L"} do
        local expected = all(io.lines(path, what))
        assert.is_true(#expected == #all(fs.lines(path, what)), "number " .. i)
        local n = 0
        for line in fs.lines(path, what) do
          n = n + 1
          assert.is_true(line == expected[n], ("line %d of %d"):format(n, i))
        end
      end
    end
  end)

  it("may be pieces of a number of bytes", function()
    fs.write(path, "abcdefg")
    assert.same({"abc", "def", "g"}, all(fs.lines(path, 3)))
  end)

  it("FS-14 leave the file closed at the end, at a break and at an error", function()
    fs.write(path, "a\nb\n")
    for _ in fs.lines(path) do end
    assert.equal(0, mb.census().file)
    for _ in fs.lines(path) do break end
    assert.equal(0, mb.census().file)
    pcall(function() for _ in fs.lines(path) do error("enough") end end)
    assert.equal(0, mb.census().file)
  end)

  it("of a file leave it open, at its position", function()
    fs.write(path, "a\nb\nc\n")
    local file <close> = assert(fs.open(path))
    for line in file:lines() do
      if line == "b" then break end
    end
    assert.equal(4, file:seek())
    assert.equal("c", file:read())
    assert.same({}, all(file:lines()))
  end)

  it("raise at the caller when there is no file", function()
    assert.error_matches(function() for _ in fs.lines(path) do end end,
      "^fs.lines: ENOENT: no such file or directory: /")
    assert.error_matches(function() for _ in fs.lines(directory) do end end, "^fs.lines: EISDIR")
    assert.error_matches(function() fs.lines(1) end, "^bad argument #1 to 'fs.lines'")
    assert.error_matches(function() fs.lines(path, "x") end, "^bad argument #2 to 'fs.lines' %(a number of bytes, ")
  end)

  it("FS-14 take no memory for what has been read", function()
    local file <close> = assert(fs.open(path, "w"))
    for _ = 1, 20 do file:write(("0123456789abcde\n"):rep(65536)) end
    collectgarbage()
    local count, most, before = 0, 0, collectgarbage("count")
    for _ in fs.lines(path) do
      count = count + 1
      if count % 10000 == 0 then most = math.max(most, collectgarbage("count") - before) end
    end
    assert.equal(20 * 65536, count)
    assert.is_true(most < 8192, most .. " KB")
  end)

  it("come from a pipe as they are written", function()
    assert(os.execute("mkfifo '" .. path .. "'"))
    local me = mb.self()
    local writer = mb.spawn(function()
      local pipe <close> = assert(fs.open(path, "w"))
      for i = 1, 3 do
        pipe:write(i, "\n")
        helper.await("next")
      end
    end)
    local expected = 0
    for line in fs.lines(path) do
      expected = expected + 1
      assert.equal(tostring(expected), line)
      mb.send(writer, "next")
    end
    assert.equal(3, expected)
    assert.equal(me, mb.self())
  end)
end)

local mb = require "moonbeam"
local helper = require "spec.helper"
local Logger, fs = mb.Logger, mb.fs

describe("a handler that writes to a file", function()
  local path
  helper.with_directory(function(made) path = made .. "/log" end)
  after_each(function() -- before the census, which knows of the file
    Logger.configure{level = "none", handler = "default"}
    Logger.remove_handler("file")
    assert.is_true(Logger.flush(helper.patience))
  end)
  helper.setup()
  before_each(function() Logger.configure{level = "info", handler = function() end} end)

  local function add(opts)
    opts.handler, opts.path = "file", path
    opts.format = opts.format or "$message"
    assert.is_true(Logger.add_handler("file", opts))
  end

  local function log(...)
    for _, message in ipairs{...} do Logger.info(message) end
    assert.is_true(Logger.flush(helper.patience))
  end

  it("LOG-70 appends entries, with date and time when no other format is given", function()
    assert(fs.write(path, "before\n"))
    assert.is_true(Logger.add_handler("file", {handler = "file", path = path, level = "notice"}))
    Logger.info("below the level")
    Logger.error("two\nlines")
    assert.is_true(Logger.flush(helper.patience))
    assert.matches("^before\n%d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d%.%d%d%d %[error%] two\nlines\n$", fs.read(path))
  end)

  it("LOG-71 keeps the order of each process, and loses none of a burst", function()
    add{format = "$metadata", metadata = {"i", "n"}}
    local refs = {}
    for i = 1, 4 do
      local _, ref = mb.spawn_monitor(function() for n = 1, 250 do mb.Logger.info("", {i = i, n = n}) end end)
      refs[i] = ref
    end
    for _, ref in ipairs(refs) do helper.await{"DOWN", ref, mb.any, mb.any, mb.any} end
    assert.is_true(Logger.flush(helper.patience))
    local last, count = {}, 0
    for i, n in fs.read(path):gmatch("i=(%d) n=(%d+) \n") do
      assert.equal((last[i] or 0) + 1, tonumber(n))
      last[i], count = tonumber(n), count + 1
    end
    assert.equal(1000, count)
  end)

  it("LOG-72 rotates before a file grows too large, and keeps so many", function()
    add{max_bytes = 10, max_files = 2}
    log("one", "two") -- 8 bytes
    assert.equal("one\ntwo\n", fs.read(path))
    log("three")
    assert.equal("three\n", fs.read(path))
    assert.equal("one\ntwo\n", fs.read(path .. ".0"))
    log("four and more than ten", "five", "six")
    assert.equal("six\n", fs.read(path):sub(-4))
    assert.equal("five\nsix\n", fs.read(path))
    assert.equal("four and more than ten\n", fs.read(path .. ".0"))
    assert.equal("three\n", fs.read(path .. ".1"))
    assert.is_nil((fs.read(path .. ".2")))
  end)

  it("LOG-73 without old files begins anew", function()
    add{max_bytes = 10, max_files = 0}
    log("one", "two", "three")
    assert.equal("three\n", fs.read(path))
    assert.is_nil((fs.read(path .. ".0")))
  end)

  it("LOG-74 makes a file anew that has been moved away or removed", function()
    add{}
    log("one")
    assert(fs.rename(path, path .. ".moved"))
    log("two")
    assert(fs.remove(path))
    log("three")
    assert.equal("one\n", fs.read(path .. ".moved"))
    assert.equal("three\n", fs.read(path))
  end)

  it("LOG-75 is refused when the file cannot be opened", function()
    local ok, text, code = Logger.add_handler("file", {handler = "file", path = path .. "/none/log"})
    assert.is_nil(ok)
    assert.equal("ENOENT", code)
    assert.matches("^ENOENT: .*/none/log", text)
    assert.is_nil(Logger.handlers().file)
  end)

  it("LOG-76 lets stderr have what cannot be written, says so once, and goes on when it can be", function()
    assert(fs.mkdir(path))
    local output, code = helper.run_script(([[
      local mb = require "moonbeam"
      local Logger, fs = mb.Logger, mb.fs
      Logger.add_handler("file", {handler = "file", path = "%s/log", format = "$message"})
      Logger.remove_handler("default")
      local function log(...)
        for _, message in ipairs{...} do Logger.info(message) end
        Logger.flush()
      end
      log("one")
      fs.remove("%s", {recursive = true})
      log("two", "three")
      fs.mkdir("%s")
      log("four")
      io.stdout:write(fs.read("%s/log"))
    ]]):format(path, path, path, path))
    assert.equal(0, code, output)
    output = output:gsub("%d%d:%d%d:%d%d%.%d%d%d", "TIME")
    local stderr = output:gsub("four\n", "")
    assert.matches("four\n", output)
    assert.matches("^TIME %[error%] Logger cannot write to [^\n]*/log: ENOENT[^\n]*\nTIME %[info%] two\nTIME %[info%] three\n$",
      stderr)
  end)

  it("LOG-77 may write JSON", function()
    add{format = "json", metadata = {"user"}}
    Logger.info("text", {user = "ann", other = 1})
    assert.is_true(Logger.flush(helper.patience))
    assert.matches('^{"time":"[^"]*","level":"info","message":"text","pid":"[^"]*","metadata":{"user":"ann"}}\n$',
      fs.read(path))
  end)

  it("LOG-78 can be given another file, and other bounds", function()
    add{}
    log("one")
    assert.is_true(Logger.update_handler("file", {path = path .. ".new", format = "<$message>"}))
    log("two")
    assert.equal("one\n", fs.read(path))
    assert.equal("<two>\n", fs.read(path .. ".new"))
    assert.equal("ENOTDIR", select(3, Logger.update_handler("file", {path = path .. "/none/log"})))
  end)

  it("LOG-79 has all when the program ends, in the host", function()
    if not helper.is_host then return end
    local output, code = helper.run_script(([[
      local mb = require "moonbeam"
      mb.Logger.add_handler("file", {handler = "file", path = "%s", format = "$message"})
      mb.Logger.remove_handler("default")
      for i = 1, 200 do mb.Logger.info(tostring(i)) end
    ]]):format(path))
    assert.equal(0, code)
    assert.equal("", output)
    local expected = {}
    for i = 1, 200 do expected[i] = i .. "\n" end
    assert.equal(table.concat(expected), fs.read(path))
  end)
end)

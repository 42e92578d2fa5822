-- fs.watch: messages about changes.
local mb = require "moonbeam"
local fs, Process = mb.fs, mb.Process
local helper = require "spec.helper"
local any = mb.any

describe("fs.watch", function()
  helper.setup()
  local directory
  helper.with_directory(function(made) directory = made end)

  it("FS-20 tells of what comes, changes and goes in a directory", function()
    local watcher = assert(fs.watch(directory))
    assert.equal("reference", mb.type(watcher))
    fs.write(directory .. "/file", "")
    helper.await{"fs", watcher, "rename", "file"}
    fs.append(directory .. "/file", "x")
    helper.await{"fs", watcher, "change", "file"}
    fs.rename(directory .. "/file", directory .. "/other \xff")
    helper.await{"fs", watcher, "rename", "other \xff"}
    fs.remove(directory .. "/other \xff")
    helper.await{"fs", watcher, "rename", "other \xff"}
    assert.is_true(fs.unwatch(watcher))
  end)

  it("tells of a file", function()
    fs.write(directory .. "/file", "")
    local watcher = assert(fs.watch(directory .. "/file"))
    fs.append(directory .. "/file", "x")
    helper.await{"fs", watcher, "change", "file"}
    fs.unwatch(watcher)
  end)

  it("tells nothing once it has ended", function()
    local first, second = fs.watch(directory), fs.watch(directory)
    assert.equal(2, mb.census().watcher)
    assert.is_true(fs.unwatch(first))
    assert.is_false(fs.unwatch(first))
    fs.write(directory .. "/file", "")
    helper.await{"fs", second, "rename", "file"}
    assert.equal("timeout", select(2, mb.receive{ {{"fs", first, any, any}}, after = 0 }))
    fs.unwatch(second)
    assert.equal(0, mb.census().watcher)
  end)

  it("FS-20 ends with its process", function()
    local me = mb.self()
    local pid = mb.spawn(function(path)
      local watcher = assert(mb.fs.watch(path))
      mb.send(me, {"watching", watcher})
      mb.receive{ {{"never"}} }
    end, directory)
    local watcher = helper.await{"watching", mb.is.ref}
    if Process.info(pid, "scheduler") == Process.info(me, "scheduler") then
      assert.error_matches(function() fs.unwatch(watcher) end, "the watcher belongs to another process")
    end
    fs.write(directory .. "/file", "")
    Process.exit(pid, "kill")
    helper.reason_of(pid)
    assert.equal(0, mb.census().watcher)
    assert.is_false(fs.unwatch(watcher))
  end)

  it("FS-21 is a reason to wait", function()
    local output, code = helper.run_script(([[
      local mb = require "moonbeam"
      mb.import()
      local watcher = fs.watch("%s")
      os.execute("(sleep 0.1; touch '%s/new') &")
      print(receive()[4])
      fs.unwatch(watcher)
    ]]):format(directory, directory))
    assert.equal("new\n", output)
    assert.equal(0, code)
  end)

  it("is refused to clean-up code of who has been killed", function()
    local me, send, receive, watch, path = mb.self(), mb.send, mb.receive, fs.watch, directory
    local pid = mb.spawn(function()
      local _ <close> = setmetatable({}, {__close = function() send(me, {"closing", watch(path)}) end})
      send(me, "ready")
      receive()
    end)
    helper.await("ready")
    mb.Process.exit(pid, "kill")
    helper.await{"closing", nil, mb.any, "ECANCELED"}
  end)

  it("fails for what is not there", function()
    assert.same({n = 3, nil, "ENOENT: no such file or directory: " .. directory .. "/no", "ENOENT"},
      table.pack(fs.watch(directory .. "/no")))
    assert.equal(0, mb.census().watcher)
    assert.error_matches(function() fs.watch() end, "^bad argument #1 to 'fs.watch'")
    assert.error_matches(function() fs.unwatch("x") end,
      "^bad argument #1 to 'fs.unwatch' %(reference that fs.watch gave expected")
    assert.is_false(fs.unwatch(mb.make_ref()))
  end)
end)

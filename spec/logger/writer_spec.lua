local mb = require "moonbeam"
local helper = require "spec.helper"

-- A program in a file: its name. Close to what it does to stderr stands in shell: who reads it, and when.
local function script(source)
  local name = os.tmpname()
  local file = assert(io.open(name, "w"))
  file:write('local mb = require "moonbeam"; local Logger = mb.Logger\n', source)
  file:close()
  return name
end

-- Run it with stderr in a pipe that is not read before the program opens the file it is given, and to its end then:
-- what was written there.
local function read_late(source, environment)
  local name, gate = script(source), os.tmpname()
  local text, code = helper.run(([[
    rm -f %s && mkfifo %s && { %s %s %s %s 2>&1 >/dev/null; } | { read line < %s; cat; }]]):format(
    gate, gate, environment or "", helper.interpreter(), name, gate, gate))
  os.remove(name)
  os.remove(gate)
  assert.equal(0, code)
  return text
end

describe("the log's writer", function()
  helper.setup()

  it("holds up nobody when its reader does not read, and tells what is missing", function()
    local text = read_late[[
      local longest = 0
      local watch = mb.spawn(function()
        local last = mb.monotonic_time()
        while mb.receive(0) ~= "end" do
          mb.sleep(1)
          local now = mb.monotonic_time()
          longest, last = math.max(longest, now - last), now
        end
        mb.Logger.error("longest " .. longest, {keep = true})
      end)
      local line = ("x"):rep(200)
      local _, ref = mb.spawn_monitor(function() for i = 1, 60000 do mb.Logger.info(line) end end)
      mb.receive()
      for i = 1, 3 do
        mb.spawn_monitor(function() error("crash " .. i .. ".") end)
        mb.receive()
      end
      local gate = io.open(arg[1], "w")
      gate:write("read\n")
      gate:close()
      Logger.flush("infinity")
      mb.send(watch, "end")
      mb.receive{ {{"DOWN", mb.monitor(watch), "process", watch, mb.any}} }
    ]]
    local written = select(2, text:gsub("%[info%] x+\n", ""))
    local dropped, notices = 0, 0
    for n in text:gmatch("%[warning%] Logger dropped (%d+) entries: stderr did not take them fast enough\n") do
      dropped, notices = dropped + tonumber(n), notices + 1
    end
    assert.equal(60000, written + dropped)
    assert.is_true(dropped > 0 and notices >= 1)
    for i = 1, 3 do assert.matches("crash " .. i .. "%.\n", text) end
    assert.is_true(tonumber(text:match("longest ([%d.]+)")) < 1000 * helper.scale)
  end)

  -- Who has taken nothing for half a second has stopped, and is not waited for: on a busy machine even a reader that
  -- reads may come to that, and what it misses is told in the place where it is missing.
  it("loses no entry of a burst to a reader that reads", function()
    local name = script[[
      for i = 1, 8 do
        mb.spawn_monitor(function()
          for n = 1, 5000 do mb.Logger.info(("entry %d %d of a burst "):format(i, n) .. ("."):rep(300)) end
        end)
      end
      for i = 1, 8 do mb.receive() end
    ]]
    local pipe = assert(io.popen(("%s %s 2>&1"):format(helper.interpreter(), name)))
    local next_of, entries, dropped = {}, 0, 0
    local last, longest = nil, 0
    for line in pipe:lines() do
      local now = mb.monotonic_time()
      longest, last = math.max(longest, now - (last or now)), now
      local missing = line:match("%[warning%] Logger dropped (%d+) entries: stderr did not take them fast enough$")
      if missing then
        dropped = dropped + tonumber(missing)
      else
        local i, n = line:match("^%d%d:%d%d:%d%d%.%d%d%d %[info%] entry (%d+) (%d+) of a burst %.+$")
        assert.is_truthy(i, line)
        n = tonumber(n)
        assert.is_true(n == (next_of[i] or 0) + 1 or dropped > 0 and n > next_of[i], line)
        next_of[i], entries = n, entries + 1
      end
    end
    assert.is_true(pipe:close())
    os.remove(name)
    assert.equal(40000, entries + dropped)
    assert.is_true(dropped == 0 or longest > 200, ("%d dropped, %.0f ms at most without one"):format(dropped, longest))
  end)

  it("writes at once, before what the process prints next", function()
    local output = helper.run_script[[
      local mb = require "moonbeam"
      io.stdout:setvbuf("no")
      for i = 1, 20 do
        mb.Logger.error("entry " .. i)
        print("printed " .. i)
        io.stderr:write("to stderr " .. i .. "\n")
      end
    ]]
    local expected = {}
    for i = 1, 20 do expected[i] = ("entry %d\nprinted %d\nto stderr %d\n"):format(i, i, i) end
    assert.equal(table.concat(expected), (output:gsub("%d+:%d+:%d+%.%d+ %[error%] ", "")))
  end)

  it("has written everything when the program ends, whichever way", function()
    for how, expected in pairs{
      ["return"] = 0, ["os.exit(3)"] = 3, ["os.exit(3, true)"] = 3, ["error('the end', 0)"] = 1,
      ["mb.exit('reason')"] = 1,
    } do
      local output, code = helper.run_script(([[
        local mb = require "moonbeam"
        for i = 1, 100 do mb.Logger.error("entry " .. i .. ".") end
        %s
      ]]):format(how))
      assert.equal(expected, code, how)
      for i = 1, 100 do assert.matches("entry " .. i .. "%.\n", output) end
    end
  end)

  it("writes before the host tells of the end", function()
    if not helper.is_host then return end
    local output = helper.run_script[[
      Logger.error("an entry")
      error("the end")
    ]]
    assert.matches("%[error%] an entry\n[^\n]*the end\nstack traceback", output)
  end)

  it("does not wait for ever for a reader that does not read", function()
    local name, pipe = script[[
      for i = 1, 2000 do Logger.error(("x"):rep(200)) end
      print("done")
    ]], os.tmpname()
    local text, code = helper.run(("rm -f %s; mkfifo %s; exec 9<>%s; %s %s 2>&9"):format(pipe, pipe, pipe,
      helper.interpreter(), name))
    os.remove(name)
    os.remove(pipe)
    assert.equal("done\n", text)
    assert.equal(0, code)
  end)

  it("is not stopped by a reader that has gone", function()
    local name = script[[
      for i = 1, 100 do
        Logger.error("entry " .. i)
        Logger.flush()
        mb.sleep(1) -- the reader goes some time, and there is nobody to send a message about it
      end
      print("done")
    ]]
    local text, code = helper.run(("{ %s %s 2>&1 1>&3 3>&- | true; } 3>&1"):format(helper.interpreter(), name))
    os.remove(name)
    assert.equal("done\n", text)
    assert.equal(0, code)
  end)
end)

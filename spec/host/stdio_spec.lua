-- Standard input and output: who waits for them is one process, not its scheduler.
local helper = require "spec.helper"

-- A script on one scheduler, with something else to do for its processes.
local function run(source, before, after)
  local name = os.tmpname()
  local file = assert(io.open(name, "w"))
  file:write(source)
  file:close()
  local output, code = helper.run(("%s MOONBEAM_SCHEDULERS=1 %s %s %s")
    :format(before, helper.interpreter(), name, after or ""))
  os.remove(name)
  return output, code
end

local reader = [[
  local mb = require "moonbeam"
  local me, send = mb.self(), mb.send
  local go = ...
  local pid = mb.spawn(function() send(me, {"read", %s}) end)
  mb.sleep(20)
  io.stderr:write(mb.Process.info(pid, "status"), "\n")
  local file = io.open(go, "w")
  file:write("go")
  file:close()
  local got = mb.receive()
  for i = 1, 2 do io.stdout:write(tostring(got[i]), "\n") end
]]

describe("standard input", function()
  -- the writer waits until another process of the reader's scheduler has run
  local function read(expression, input)
    local go = os.tmpname()
    local output = run(reader:format(expression),
      ("(while [ ! -s %s ]; do sleep 0.01; done; printf '%s') |"):format(go, input), go)
    os.remove(go)
    return output
  end

  for expression, expected in pairs{
    ["io.read()"] = "one", ["io.stdin:read('L')"] = "one\n", ["io.read('n')"] = "nil", ["io.read(2, 'l')"] = "on",
    ["io.lines()()"] = "one", ["io.stdin:lines('L')()"] = "one\n", ["io.read('a')"] = "one\ntwo\n",
    ["io.stdin:read(0)"] = "",
  } do
    it("lets the reader alone wait: " .. expression, function()
      assert.equal("waiting\nread\n" .. expected .. "\n", read(expression, "one\\ntwo\\n"))
    end)
  end

  it("ends", function()
    local output = run([[
      local mb = require "moonbeam"
      local me, send = mb.self(), mb.send
      mb.spawn(function()
        for line in io.lines() do send(me, line) end
        send(me, io.read() == nil)
      end)
      print(mb.receive(), mb.receive(), mb.receive())
    ]], "printf 'a\\nb' |")
    assert.equal("a\tb\ttrue\n", output)
  end)
end)

describe("standard output", function()
  for what, statement in pairs{print = "print(('x'):rep(1000))", ["io.write"] = "io.write(('x'):rep(1000), '\\n')"} do
    it("lets the writer alone wait for a slow reader: " .. what, function()
      local go = os.tmpname()
      local output = run(([[
        local mb = require "moonbeam"
        local go = ...
        local pid = mb.spawn(function() while true do %s end end)
        repeat mb.sleep(5) until mb.Process.info(pid, "status") == "waiting"
        local file = io.open(go, "w")
        file:write("go")
        file:close()
        mb.Process.exit(pid, "kill")
      ]]):format(statement), "", go .. (" | { while [ ! -s %s ]; do sleep 0.01; done; tr -d x | wc -w; }"):format(go))
      assert.matches("^%s*0", output)
      os.remove(go)
    end)
  end

  it("keeps the order of a process's lines", function()
    local output = run([[
      local mb = require "moonbeam"
      for i = 1, 2000 do print(i, ("x"):rep(50)) end
    ]], "", "| { sleep 0.1; awk '$1 != NR { bad = 1 } END { print NR, bad + 0 }'; }")
    assert.equal("2000 0\n", output)
  end)
end)

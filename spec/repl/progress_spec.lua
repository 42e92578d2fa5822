local helper = require "spec.helper"
local terminal = require "spec.repl.terminal"

describe("progress", function()
  it("shows a line on a terminal and takes it away", function()
    local t = terminal.start("stty -echo; " .. terminal.moonbeam .. [[ -e '
      local p
      repeat -- until the second step comes soon enough to be left out
        local started = monotonic_time()
        p = require("moonbeam").progress(4, "working")
        p:step() p:step()
      until monotonic_time() - started < 100
      io.read() sleep(110) p:step() io.read() p:done() print("ready")']])
    t:await("^working %[=======                       %]  25%%$")
    t:press("Enter")
    t:await("working %[======================        %]  75%%$")
    t:press("Enter")
    t:await("^ready\nstatus=0")
    t:stop()
  end)

  local function script(body)
    local name = os.tmpname()
    local file <close> = assert(io.open(name, "w"))
    file:write("local mb, me = require 'moonbeam', self()\n" .. body)
    return name
  end

  it("PROGRESS-01: what is printed meanwhile stands above it, whoever prints and logs", function()
    local name = script([[
      local p = mb.progress(4, "working")
      io.write("before ") print("it")
      p:step()
      for i = 1, 3 do
        Process.spawn(function() print("process " .. i) send(me, "done") end, {scheduler = i % 2 + 1})
        receive()
      end
      io.stderr:write("on stderr\n") io.write("in ", "one\n")
      io.read()
      io.write("not yet") io.read()
      print(" over")
      Logger.configure{format = "$message\n"} Logger.error("logged")
      io.read() p:done() print("ready")]])
    local t = terminal.start("stty -echo; " .. terminal.moonbeam .. " --schedulers 2 " .. name)
    local printed = "before it\nprocess 1\nprocess 2\nprocess 3\non stderr\nin one\n"
    t:await("^" .. printed .. "working %[=======                       %]  25%%$")
    t:press("Enter")
    t:await("^" .. printed .. "not yet$") -- it waits for the end of the line
    t:press("Enter")
    t:await("^" .. printed .. "not yet over\nlogged\nworking %[=======                       %]  25%%$")
    t:press("Enter")
    t:await("^" .. printed .. "not yet over\nlogged\nready\nstatus=0")
    t:stop()
    os.remove(name)
  end)

  it("PROGRESS-01: it goes with its process, and with the program; the one that was shown last is there", function()
    local name = script([[
      local function show(label)
        return spawn(function() mb.progress(4, label):step() send(me, "shown") receive() end)
      end
      local first = show("first") receive()
      local second = show("second") receive()
      io.read() Process.exit(first, "kill") print("first killed")
      io.read()
      local ref = monitor(second) Process.exit(second, "kill") receive()
      print("second killed") io.read()
      mb.progress(4, ("x"):rep(200)):step() io.read() error("e", 0)]])
    local t = terminal.start("stty -echo; " .. terminal.moonbeam .. " " .. name, {width = 60})
    t:await("^second %[[^\n]*25%%$")
    t:press("Enter")
    t:await("^first killed\nsecond %[[^\n]*25%%$")
    t:press("Enter")
    t:await("^first killed\nsecond killed$")
    t:press("Enter")
    t:await("^first killed\nsecond killed\n" .. ("x"):rep(59) .. "$") -- no more than a row
    t:press("Enter")
    local screen = t:await("^first killed\nsecond killed\n[^\n]+moonbeam: e\n.*status=1")
    assert.equal(nil, screen:find("xxx"))
    t:stop()
    os.remove(name)
  end)

  it("PROGRESS-01: at a prompt it is shown while an input runs", function()
    local t = terminal.prompt()
    t:enter("p = require('moonbeam').progress(4, 'working') p:step() print('printed') " ..
      "while not fs.stat('over') do sleep(10) end", "\nprinted\nworking %[[^\n]*25%%$")
    helper.run("touch " .. t.directory .. "/over")
    t:await("\nprinted\nmb%(2%)>$")
    t:enter("spawn(function() for i = 1, 3 do p:step() sleep(110) end print('shown') end)", "shown\nmb%(3%)>$")
    local screen = t:screen()
    assert.equal(1, select(2, screen:gsub("working", "")), screen) -- what was typed
    t:stop()
  end)

  it("is silent elsewhere", function()
    local output, code = helper.run(terminal.moonbeam ..
      [[ -e 'local p = require("moonbeam").progress(2) p:step():step(1) p:done() print("ready")']])
    assert.equal("ready\n", output)
    assert.equal(0, code)
  end)

  it("refuses what is no total", function()
    assert.matches("bad argument #1 to 'progress' %(number > 0 expected, got string%)",
      (helper.run(terminal.moonbeam .. [[ -e 'require("moonbeam").progress("many")']])))
  end)
end)

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

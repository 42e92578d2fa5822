local helper = require "spec.helper"

describe("the host", function()
  local moonbeam = (os.getenv("MOONBEAM_BUILD") or "build/release") .. "/bin/moonbeam"

  it("ends as its script's process does", function()
    local output, code = helper.run(moonbeam .. " -e 'exit(\"why\")'")
    assert.matches("moonbeam: %*%* %(EXIT%) why", output)
    assert.equal(1, code)
    output, code = helper.run(moonbeam .. " -e 'spawn_link(function() exit{\"a\", 1} end) receive()'")
    assert.matches('%*%* %(EXIT%) {"a", 1}', output)
    assert.equal(1, code)
    for _, silent in ipairs{"exit()", 'exit("normal")', "spawn(function() receive() end)"} do
      output, code = helper.run(moonbeam .. " -e '" .. silent .. "'")
      assert.equal("", output)
      assert.equal(0, code)
    end
    output, code = helper.run(moonbeam .. " -e 'Process.exit(self(), \"kill\")'")
    assert.matches("%*%* %(EXIT%) killed", output)
    assert.equal(1, code)
  end)

  it("prints the script's error once, with a traceback", function()
    local output, code = helper.run(moonbeam .. " -e 'spawn_link(print) error(\"once\")'")
    local _, count = output:gsub("once", "")
    assert.equal(1, count)
    assert.matches("stack traceback:\n\t%[C%]: in function 'error'", output)
    assert.not_matches("moonbeam%]", output)
    assert.equal(1, code)
  end)

  it("names the place of a deadlock", function()
    local output, code = helper.run(moonbeam .. " -e 'receive()'")
    assert.matches("deadlock: the script's process #PID<[%d.]+> waits at %(command line%):1", output)
    assert.equal(1, code)
  end)

  it("shows help and versions", function()
    assert.matches("%-%-schedulers N", (helper.run(moonbeam .. " --help")))
    assert.matches("^Moonbeam %d", (helper.run(moonbeam .. " --version")))
    local output, code = helper.run(moonbeam .. " --schedulers x -e ''")
    assert.matches("needs a number", output)
    assert.equal(1, code)
  end)

  it("goes on without its script with --no-halt", function()
    local output = helper.run("timeout 5 " .. moonbeam ..
      " --no-halt -e 'spawn(function() sleep(50) print(\"later\") os.exit(7) end)'; echo $?")
    assert.equal("later\n7\n", output)
  end)
end)

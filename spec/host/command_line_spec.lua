local helper = require "spec.helper"

-- The host's own name for itself, so that its output can be compared with lua5.4's.
local function outcome(interpreter, arguments, input)
  local output, code = helper.run(("printf '%%s' '%s' | %s %s"):format(input or "", interpreter, arguments))
  output = output:gsub("^%S+: ", "PROGRAM: "):gsub("usage: %S+", "usage: PROGRAM"):gsub("\n  %-%-.*$", "")
  return output:gsub("%s+$", ""), code
end

describe("the host", function()
  local moonbeam = (os.getenv("MOONBEAM_BUILD") or "build/release") .. "/bin/moonbeam"

  local cases = {
    "-v", "-e 'print(1)' -e 'print(2)'", "-e 'error(2)'", "-e 'error{}'", "-e", "-x", "-l", "--bad",
    "nofile.lua", "-e 'x ='", "-", "- a b", "", "-lm=math -e 'print(m.pi)'", "-l string -e 'print(string)' | cut -c1-5",
    "-W -e 'warn(\"w\")'", "-E -e 'print(package.path)'", "-e 'os.exit(3)'", "-e 'os.exit(false)'", "-e 'os.exit(true, true)'",
    "-e 'print(arg[0], arg[-1], #arg)' /dev/null a b", "-e 'local t = nil; t.x = 1'",
    "-e 'coroutine.wrap(function() error(\"in co\") end)()'", "-e 'io.write(...)'", "-- -", "-i -e 'print(1)' /dev/null a | head -2",
    "-e 'error(setmetatable({}, {__tostring = function() return \"text\" end}))'", "-l nomodule 2>&1 | head -2",
    "-e 'print(#arg, arg[0] ~= nil)' - x", "-e 'a = 1' -e 'print(a)'", "-e 'return 5'", "-e 'print(pcall(error))'",
  }

  for _, arguments in ipairs(cases) do
    it("does as lua5.4 does: " .. arguments, function()
      local theirs, their_code = outcome("lua5.4", arguments, 'print("stdin", ...)')
      local ours, our_code = outcome(moonbeam, arguments, 'print("stdin", ...)')
      assert.equal(theirs, ours)
      assert.equal(their_code, our_code)
    end)
  end

  it("runs LUA_INIT unless -E says no", function()
    assert.equal("init\n1\n", (helper.run("LUA_INIT='print(\"init\")' " .. moonbeam .. " -e 'print(1)'")))
    assert.equal("1\n", (helper.run("LUA_INIT='print(\"init\")' " .. moonbeam .. " -E -e 'print(1)'")))
  end)

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

  it("has a prompt that keeps globals and survives errors", function()
    local output = helper.run("printf 'x = 20\\nx + 1\\nerror(\"e\")\\nfunction f()\\nreturn x, nil end\\nf()\\nexit(\"r\")\\nself() == self()\\n' | "
      .. moonbeam .. " -i")
    assert.matches("\n21\n.*stdin:1: e\n.*\n20\nnil\n.*%*%* %(exit%) \"r\"\ntrue\n", (output:gsub("stdin:1: e", "\nstdin:1: e")))
  end)

  it("shows help and versions", function()
    assert.matches("%-%-schedulers N", (helper.run(moonbeam .. " --help")))
    assert.matches("^Moonbeam %d", (helper.run(moonbeam .. " --version")))
    local output, code = helper.run(moonbeam .. " --schedulers x -e ''")
    assert.matches("needs a number", output)
    assert.equal(1, code)
  end)

  it("goes on without its script with --no-halt", function()
    local output = helper.run("timeout 5 " .. moonbeam .. " --no-halt -e 'spawn(function() sleep(50) print(\"later\") os.exit(7) end)'; echo $?")
    assert.equal("later\n7\n", output)
  end)
end)

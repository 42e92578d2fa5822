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

  local function text_of(path)
    local file <close> = assert(io.open(path))
    return file:read("a")
  end

  it("HOST-01: --help tells every option and environment variable, and an option that is not known leads there",
      function()
    local help, code = helper.run(moonbeam .. " --help")
    assert.equal(0, code)
    local told = 0
    for option in text_of("c_src/host/options.c"):gmatch('"([%l-]+)"') do
      if #option > 1 then
        told = told + 1
        assert.is_truthy(help:find("--" .. option, 1, true), option)
      end
    end
    for variable in text_of("c_src/bind/heap/settings.c"):gmatch("MOONBEAM_[%u_]+") do
      told = told + 1
      assert.is_truthy(help:find("  " .. variable .. " ", 1, true), variable)
    end
    assert.is_true(told >= 16)
    for _, option in ipairs{"-q", "--scheduler=2", "-vv"} do
      local output, status = helper.run(moonbeam .. " " .. option)
      assert.matches("^%S+: unrecognized option '" .. option:gsub("%p", "%%%0") .. "'\nusage: ", output)
      assert.equal(1, status)
    end
    local output, status = helper.run(moonbeam .. " -h")
    assert.matches("^%S+: unrecognized option '%-h'\n", output) -- as lua does, which its tests want
    assert.equal(help, (output:gsub("^[^\n]*\n", "")))
    assert.equal(1, status)
  end)

  it("HOST-02: an environment variable with a value that it may not have ends the start", function()
    local stock = ("LUA_PATH='./lua/?.lua;./lua/?/init.lua;;' LUA_CPATH='./%s/lib/lua/5.4/?.so;;' lua5.4")
      :format(os.getenv("MOONBEAM_BUILD") or "build/release")
    for name, values in pairs{
        SCHEDULERS = {"abc", "0", "1025", "2x", " 1", "+1", "1.5"}, PROCESSES = {"many", "99999999999999999999"},
        PREEMPT = {"on", "0", "-1", "Off"}, LONG_SCHEDULE = {"5s", "off"}, CLEANUP_TIMEOUT = {"infinity"},
        SHUTDOWN_TIMEOUT = {"86400001"}, BLOCKING_THREADS = {"0", "513"}, BLOCKING_IDLE = {"0"}} do
      for _, value in ipairs(values) do
        local setting = ("MOONBEAM_%s='%s' "):format(name, value)
        local output, code = helper.run(setting .. moonbeam .. " -e 'print(1)'")
        assert.matches(("^%%S+: the environment variable MOONBEAM_%s is '%s': it may be .*%%d+ to %%d+, or empty\n$")
          :format(name, value:gsub("%p", "%%%0")), output)
        assert.equal(1, code)
      end
      if not (os.getenv("MOONBEAM_BUILD") or ""):find("san$") then
        local output = helper.run(("MOONBEAM_%s='%s' %s -e 'pcall(require, \"moonbeam\") require \"moonbeam\"'")
          :format(name, values[1], stock))
        assert.matches("lua5.4: the environment variable MOONBEAM_" .. name .. " is '" .. values[1] .. "': it may", output)
      end
      assert.equal("1\n", (helper.run(("MOONBEAM_%s= %s -e 'print(1)'"):format(name, moonbeam))))
    end
    assert.equal("1\n", (helper.run("MOONBEAM_PREEMPT=off MOONBEAM_SCHEDULERS=1024 " .. moonbeam .. " -e 'print(1)'")))
    local output, code = helper.run("MOONBEAM_SCHEDULERS=x " .. moonbeam .. " --schedulers 2 -e 'print(1)'")
    assert.matches("MOONBEAM_SCHEDULERS is 'x'", output)
    assert.equal(1, code)
  end)

  it("goes on without its script with --no-halt", function()
    local output = helper.run("timeout 5 " .. moonbeam ..
      " --no-halt -e 'spawn(function() sleep(50) print(\"later\") os.exit(7) end)'; echo $?")
    assert.equal("later\n7\n", output)
  end)
end)

-- system.run: a program to its end, waited for by one process alone.
local helper = require "spec.helper"
local mb = require "moonbeam"
local Process = mb.Process
local system = mb.system

local function sh(script, opts) return system.run("sh", {"-c", script}, opts) end

describe("system.run", function()
  helper.setup()

  it("SYS-01 gives the exit code and what was printed", function()
    assert.same({0, "out\n", ""}, {system.run("echo", {"out"})})
    assert.same({7, "out", "err"}, {sh("printf out; printf err >&2; exit 7")})
    assert.same({0, "", ""}, {system.run("true")})
  end)

  it("SYS-02 gives arguments as they are", function()
    assert.same({0, "[$HOME][a b][][5]", ""}, {system.run("printf", {"[%s]", "$HOME", "a b", "", 5})})
  end)

  it("SYS-03 joins errors to the output, or leaves them where this program's go", function()
    assert.same({0, "onetwo", ""}, {sh("printf one; printf two >&2", {stderr = "stdout"})})
    local output = helper.run_script([[
      local mb = require "moonbeam"
      local code, out, err = mb.system.run("sh", {"-c", "printf out; printf err >&2"}, {stderr = "inherit"})
      print(code, out, #err)
    ]])
    assert.equal("err0\tout\t0\n", output)
  end)

  it("SYS-03 feeds the input, also much of it, and one that is not read", function()
    assert.same({0, "HELLO", ""}, {sh("tr a-z A-Z", {stdin = "hello"})})
    local much = ("x"):rep(1000000)
    assert.equal(much, select(2, system.run("cat", {}, {stdin = much})))
    assert.same({0, "", ""}, {system.run("true", {}, {stdin = much})})
    assert.same({0, "", ""}, {system.run("cat")})
    assert.same({0, "", ""}, {system.run("cat", {}, {stdin = ""})})
  end)

  it("SYS-03 has a directory and an environment", function()
    assert.equal("/\n", select(2, system.run("pwd", {}, {cwd = "/"})))
    assert.equal("a:\n", select(2, sh("echo $ONE:$HOME", {env = {ONE = "a", HOME = false}})))
    assert.truthy(select(2, sh("echo $PATH", {env = {ONE = "a"}})):find("/"))
  end)

  it("SYS-04 says why it cannot start", function()
    local code, text, name = system.run("no such program")
    assert.same({nil, "ENOENT: no such file or directory: no such program", "ENOENT"}, {code, text, name})
    code, text, name = system.run("true", {}, {cwd = "/no such directory"})
    assert.same({nil, "ENOENT: no such file or directory: /no such directory", "ENOENT"}, {code, text, name})
    assert.equal("EACCES", select(3, system.run("/etc/passwd")))
  end)

  it("SYS-05 says which signal has ended it", function()
    assert.same({128 + 15, "", "", "SIGTERM"}, {sh("kill -TERM $$")})
    assert.same({128 + 9, "x", "", "SIGKILL"}, {sh("printf x; kill -KILL $$")})
  end)

  it("SYS-06 is killed with all that it has started when the time is over; what was printed is there", function()
    local ms, code, text, name, out, err = 300, nil
    repeat -- until that is time enough to begin
      code, text, name, out, err = sh("echo $$; echo err >&2; sleep 100 & wait", {timeout = ms})
      ms = 2 * ms
    until err ~= "" or ms > 20 * helper.patience
    assert.is_nil(code)
    assert.equal("ETIMEDOUT", name)
    assert.matches("^ETIMEDOUT: ", text)
    assert.matches("^%d+\n$", out)
    assert.equal("err\n", err)
    -- the group: the shell and its sleep
    while sh("kill -0 -" .. out) == 0 do mb.sleep(1) end -- init takes them; there is nobody to send a message
  end)

  it("SYS-08 stops nobody", function()
    local me, send = mb.self(), mb.send
    local name = os.tmpname()
    Process.spawn(function()
      local file = io.open(name, "w")
      file:write("go")
      file:close()
      send(me, "written")
    end, {scheduler = "here"})
    assert.equal(0, (sh("while [ ! -s " .. name .. " ]; do sleep 0.01; done")))
    helper.await("written")
    os.remove(name)
  end)

  it("SYS-07 is killed, with all that it has started, when its process is", function()
    local name = os.tmpname()
    local run = system.run
    local pid = mb.spawn(function() run("sh", {"-c", "sleep 100 & echo $$ > " .. name .. "; wait"}) end)
    local group
    while not group do
      mb.sleep(1) -- the program starts; it cannot send a message
      local file = assert(io.open(name))
      group = file:read("n")
      file:close()
    end
    assert.equal(1, mb.census().process)
    assert.matches("run_spec.lua:%d+", Process.info(pid, "current_location"))
    local ref = mb.monitor(pid)
    Process.exit(pid, "kill")
    helper.await{"DOWN", ref, "process", pid, "killed"}
    while sh("kill -0 -" .. group) == 0 do mb.sleep(1) end -- as above
    os.remove(name)
  end)

  it("SYS-09 leaves no zombies", function()
    for _ = 1, 20 do system.run("true") end
    local _, out = sh("ps -o stat= --ppid " .. system.pid())
    assert.is_nil(out:find("Z"))
  end)

  it("runs many at once", function()
    local me, send, run = mb.self(), mb.send, system.run
    for i = 1, 30 do mb.spawn(function() send(me, {"ran", tonumber((select(2, run("echo", {i}))))}) end) end
    local sum = 0
    for _ = 1, 30 do sum = sum + helper.await({"ran", mb.any}, 10 * helper.patience) end
    assert.equal(465, sum)
  end)

  it("SYS-10 raises at what means nothing", function()
    for text, arguments in pairs{
      ["#1 to 'system.run' %(a string expected, got nil%)"] = {},
      ["#1 to 'system.run' %(the name of a program"] = {""},
      ["#2 to 'system.run' %(sequence of strings expected, got string%)"] = {"echo", "x"},
      ["#2 to 'system.run' %(item 1: a string expected, got table%)"] = {"echo", {{}}},
      ["#3 to 'system.run' %(unknown option dir = \"x\"; options: stdin"] = {"echo", {}, {dir = "x"}},
      ["#3 to 'system.run' %(env is a table"] = {"echo", {}, {env = {A = 5}}},
      ["#3 to 'system.run' %(timeout_value"] = {"echo", {}, {timeout = -1}},
    } do
      local ok, e = pcall(system.run, table.unpack(arguments))
      assert.is_false(ok)
      assert.matches("run_spec.lua:%d+: bad argument " .. text, e)
    end
  end)

  it("SYS-07 ends the program with nothing left behind", function()
    local output, code = helper.run_script([[
      local mb = require "moonbeam"
      local run = mb.system.run
      for i = 1, 5 do mb.spawn(function() run("sh", {"-c", "exec sleep 77"}) end) end
      while mb.census().process < 5 do mb.sleep(1) end
      print(mb.census().process)
    ]])
    assert.equal("5\n", output)
    assert.equal(0, code)
  end)
end)

local helper = require "spec.helper"

local function run(example, arguments)
  return helper.run(helper.interpreter() .. " examples/" .. example .. " " .. (arguments or ""))
end

describe("examples", function()
  it("tour.lua walks from spawn to sockets", function()
    local output, code = run("tour.lua")
    assert.equal(0, code, output)
    for _, line in ipairs{"nothing after 1 second", "alive%?\tfalse", "got hello from another process:\ttrue",
        '"hello"\n', "it died of\terror\t[^\n]*oops", "EXIT from the linked process:\t[^\n]*oops",
        "await gives\t144", 'hello is\tnil\nhello is\t"world"',
        "client 2 reads\thello from 2\nclient 1 reads\thello from 1",
        "client 1 reads\tstill here", "client 4 reads\thello from a new one\nclient 3 reads\tstill here",
        "client 1 reads\tEOF"} do
      assert.matches(line, output)
    end
    local _, reports = output:gsub("%[error%] Process", "")
    assert.equal(2, reports)
  end)

  it("wordcount.lua counts as a plain sequential script does", function()
    local counts, sum, different, files = {}, 0, 0, 0
    local list = assert(io.popen("find /usr/share/common-licenses -type f"))
    for path in list:lines() do
      files = files + 1
      local file = assert(io.open(path))
      for word in file:read("a"):lower():gmatch("%w+") do
        if not counts[word] then different = different + 1 end
        counts[word] = (counts[word] or 0) + 1
        sum = sum + 1
      end
      file:close()
    end
    list:close()
    local output, code = run("wordcount.lua", "--all 2>/dev/null")
    assert.equal(0, code, output)
    assert.equal(("%d files, %d words, %d different"):format(files, sum, different), output:match("^[^\n]*"))
    local lines = 0
    for n, word in output:gmatch("\n *(%d+) (%w+)") do
      lines = lines + 1
      assert.equal(counts[word], tonumber(n), word)
    end
    assert.equal(different, lines)
  end)

  it("echo_server.lua sends lines back to any number of clients", function()
    local name = os.tmpname()
    local server = assert(io.popen(helper.interpreter() .. " examples/echo_server.lua 0 20 2>&1"))
    local port = server:read("l"):match("^listening on 127.0.0.1:(%d+)$")
    local clients = {}
    for i = 1, 20 do
      clients[i] = ("(exec 3<>/dev/tcp/127.0.0.1/%d; echo hello %d >&3; read -r line <&3; echo \"$line\") &")
        :format(port, i)
    end
    local script = assert(io.open(name, "w"))
    script:write(table.concat(clients, "\n"), "\nwait\n")
    script:close()
    local output = helper.run("bash " .. name)
    os.remove(name)
    for i = 1, 20 do assert.matches("hello " .. i .. "\n", output .. "\n") end
    assert.equal("served 20\n", server:read("a"))
    server:close()
  end)

  it("many.lua has all of its processes answer", function()
    local output, code = run("many.lua", "2000")
    assert.equal(0, code, output)
    assert.matches("2000 processes alive", output)
    assert.matches("messages: %d+ a second", output)
    output, code = run("many.lua", "none")
    assert.equal(1, code)
    assert.matches("usage", output)
  end)

  it("code_lock.lua opens for who knows the code", function()
    local output, code = run("code_lock.lua", "271")
    assert.equal(0, code, output)
    assert.equal("the door is locked\nit is locked\nthe door is open\nit is open\nthe door is locked\nwrong\nwrong\nwrong\n" ..
      "the lock is blocked\nthe door is locked\nit is locked\nthe door is open\nit is open\n", output)
    output, code = run("code_lock.lua", "open")
    assert.equal(1, code)
    assert.matches("usage", output)
  end)

  it("chat.lua loses a room's process, and nobody who is in it", function()
    local output, code = run("chat.lua")
    assert.equal(0, code, output)
    assert.equal([[
open a room twice:	already_started
in tea:	ann, bob, eve
in lua:	
a new process:	true
in tea:	ann, bob, eve
eve has heard
  tea: <ann> hello
  tea: (no answer to "/crash")
  tea: <bob> are you still there?
in tea without eve:	ann, bob
said in tea since the crash:	2
ann has heard
  tea: <ann> hello
  tea: <bob> are you still there?
  tea: <ann> poor eve
bob has heard
  tea: <ann> hello
  lua: <bob> is anybody here?
  tea: <bob> are you still there?
  tea: <ann> poor eve
]], output)
  end)

  it("pipeline.lua does every job once, or reports it, whoever is killed", function()
    local output, code = run("pipeline.lua", "300 200")
    assert.equal(0, code, output)
    local most = output:match("^300 jobs, 200 kills, at most (%d+) jobs in the pipeline\n")
    assert.is_true(tonumber(most) < 30, output)
    assert.matches("\n297 done exactly once, 3 reported\n0 lost, 0 done twice, 0 wrong\n$", output)
    output, code = run("pipeline.lua", "many")
    assert.equal(1, code)
    assert.matches("usage", output)
  end)

  it("tail.lua follows a file that grows, is cut short and is rotated", function()
    local mb = require "moonbeam"
    local fs = mb.fs
    local directory = assert(fs.mkdtemp())
    local log, out = directory .. "/log", directory .. "/out"
    local expected = ""

    local function await_output(more)
      expected = expected .. more
      local deadline = mb.monotonic_time() + helper.patience
      while fs.read(out) ~= expected do
        assert.is_true(mb.monotonic_time() < deadline, ("%q instead of %q"):format(fs.read(out), expected))
        mb.sleep(2)
      end
    end

    fs.write(log, "1\n2\n3\n4\n5")
    local command = "%s examples/tail.lua -n 2 %s >%s 2>&1 & echo $!"
    local pid = helper.run(command:format(helper.interpreter(), log, out)):match "%d+"
    await_output("3\n4\n")
    fs.append(log, "five\nsix")
    await_output("5five\n")
    fs.append(log, "\n")
    await_output("six\n")
    fs.rename(log, log .. ".1")
    fs.append(log .. ".1", "the last of the old one\n")
    fs.write(log, "the first of the new one\n")
    await_output("the last of the old one\nthe first of the new one\n")
    fs.remove(log)
    fs.write(log, "another\n")
    await_output("another\n")
    fs.write(log, "short\n")
    await_output("short\n")
    fs.append(log, ("long"):rep(50000) .. "\n")
    await_output(("long"):rep(50000) .. "\n")
    helper.run("kill " .. pid)
    fs.remove(directory, {recursive = true})
    local output, code = run("tail.lua")
    assert.equal(1, code)
    assert.matches("usage", output)
  end)

  it("application.lua answers by its configuration, and stops in order", function()
    local function answers(input, environment, file)
      return helper.run(("printf '%s' | %s %s examples/application.lua %s 2>/dev/null"):format(input, environment or "",
        helper.interpreter(), file or ""))
    end
    local output, code = answers("a\\nb\\ncrash\\nc\\n")
    assert.equal("line 1\nline 2\nno answer\nline 1\ncounted to 1\nthe counting has stopped\n", output)
    assert.equal(0, code)
    assert.equal("LINE 1\nno more\ncounted to 2\nthe counting has stopped\n",
      (answers("a\\nb\\n", "SHOUT=yes LIMIT=1")))
    assert.equal("number 1\ncounted to 1\nthe counting has stopped\n", (answers("a\\n", nil, "/dev/null")))
    output, code = helper.run("LIMIT=many " .. helper.interpreter() .. " examples/application.lua </dev/null")
    assert.equal(1, code)
    assert.equal("examples/application.conf.lua:5: environment variable LIMIT is \"many\"; expected is an integer, " ..
      "1 at least\n", output)
  end)
end)

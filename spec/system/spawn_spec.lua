-- system.spawn: programs that run beside a process, their pipes and their end.
local helper = require "spec.helper"
local mb = require "moonbeam"
local Process = mb.Process
local system = mb.system

local function sh(script, opts) return assert(system.spawn("sh", {"-c", script}, opts)) end

-- Whether a program, which leads the session of this number, or what it has started, lives. Zombies do not: those that
-- are init's now may be waited for at any time.
local function lives(session)
  local _, states = system.run("ps", {"-o", "stat=", "-s", session})
  for state in states:gmatch("%S+") do
    if not state:find("^Z") then return true end
  end
  return false
end

local function until_gone(session)
  while lives(session) do mb.sleep(1) end -- there is nobody to send a message
end

local function until_mailed()
  while Process.info(mb.self(), "message_queue_len") == 0 do mb.sleep(1) end -- looks, and takes nothing
end

local function fails(code, ...)
  local value, text, got = ...
  assert.is_nil(value)
  assert.equal(code, got)
  assert.matches("^" .. code .. ": ", text)
end

describe("system.spawn", function()
  helper.setup()

  it("SYS-16 gives a program with its number and sockets for its standard streams", function()
    local program <close> = sh("echo $$; read line; echo \"got $line\"; echo bad >&2")
    assert.matches("^#program<%d+>$", tostring(program))
    assert.equal(tostring(program.pid), program.stdout:recv("line"))
    assert.is_true(program.stdin:send("hello\n"))
    assert.equal("got hello", program.stdout:recv("line"))
    assert.equal("bad\n", program.stderr:recv("*a"))
    assert.equal(0, program:wait())
    assert.matches("^#socket<%d+>$", tostring(program.stdin))
    assert.equal(program.stdout, program.stdout)
    assert.is_nil(program.something)
  end)

  for _, how in ipairs{"shutdown", "close"} do
    it("reads the end of its input after " .. how .. ", behind all that was sent", function()
      local program <close> = assert(system.spawn("cat"))
      program.stdin:send("one\ntwo")
      assert.is_true(program.stdin[how](program.stdin))
      assert.equal("one\ntwo", program.stdout:recv("*a"))
      assert.equal(0, program:wait())
      assert.matches(how == "close" and "EBADF" or "E[BP][AI][DP][FE]", select(3, program.stdin:send("x")))
    end)
  end

  it("SYS-16 takes and gives a megabyte at once without loss, its input from a process of any scheduler", function()
    local lines = {}
    for i = 1, 200000 do lines[i] = i .. "\n" end
    local data = table.concat(lines)
    assert.is_true(#data > 1000000)
    local function feed()
      mb.receive{ {{"socket", mb.any, mb.any, mb.any}, function(input, _, text) input:send(text) end} }
    end
    local places = {"here"}
    for i = 1, #mb.schedulers() do places[#places + 1] = i end
    for _, place in ipairs(places) do
      local program <close> = assert(system.spawn("cat"))
      local feeder = Process.spawn(feed, {scheduler = place})
      assert.is_true(program.stdin:give_away(feeder, data))
      assert.is_true(program.stdout:recv("*a") == data)
      assert.equal(0, program:wait())
    end
  end)

  it("sends what it prints as messages, when asked to", function()
    local program <close> = assert(system.spawn("cat"))
    program.stdout:active("once")
    program.stdin:send("one")
    helper.await{"tcp", program.stdout, "one"}
    program.stdin:send("two")
    program.stdin:shutdown()
    assert.equal("two", program.stdout:recv("*a"))
    program.stdout:active(true)
    helper.await{"tcp_closed", program.stdout}
    helper.await{"program_exit", program, 0}
  end)

  it("has sockets of one direction each", function()
    local program <close> = assert(system.spawn("cat"))
    fails("ENOTCONN", program.stdin:recv())
    program.stdin:active(true)
    helper.await{"tcp_error", program.stdin, "ENOTCONN"}
    helper.await{"tcp_closed", program.stdin}
    fails("EPIPE", program.stdout:send("x"))
    fails("ENOTCONN", program.stdout:shutdown())
    assert.is_true(program.stdin:send("still\n"))
    assert.equal("still", program.stdout:recv("line"))
  end)

  it("fails to be written to when it does not read any more", function()
    local program <close> = sh("exec <&-; echo closed; exec sleep 100")
    assert.equal("closed", program.stdout:recv("line"))
    fails("EPIPE", program.stdin:send("x"))
    fails("EPIPE", program.stdin:send("x"))
  end)

  it("has no socket where its streams lead elsewhere", function()
    for _, null in ipairs{"null", false} do
      local program <close> = sh("cat; echo out; echo err >&2", {stdin = null, stdout = null, stderr = null})
      assert.same({}, {program.stdin, program.stdout, program.stderr})
      assert.equal(0, program:wait())
    end
    local program <close> = sh("printf one; printf two >&2", {stdin = true, stdout = "pipe", stderr = "stdout"})
    assert.is_nil(program.stderr)
    assert.equal("onetwo", program.stdout:recv("*a"))
    assert.equal(0, program:wait())
  end)

  it("may have this program's streams", function()
    local output = helper.run_script([[
      local mb = require "moonbeam"
      local options = {stdin = "inherit", stdout = "inherit", stderr = "inherit"}
      print(mb.system.spawn("sh", {"-c", "read line; echo \"$line out\"; echo err >&2; exit 4"}, options):wait())
    ]], "", "echo input |")
    assert.equal("input out\nerr\n4\n", output)
  end)

  it("has a directory and an environment", function()
    local program <close> = sh("pwd; echo $ONE:$HOME", {cwd = "/", env = {ONE = "a", HOME = false}})
    assert.equal("/\na:\n", program.stdout:recv("*a"))
    program:wait()
  end)

  it("is given its arguments as they are", function()
    local program <close> = assert(system.spawn("printf", {"[%s]", "$HOME", "a b", "", 5}))
    assert.equal("[$HOME][a b][][5]", program.stdout:recv("*a"))
    program:wait()
  end)

  it("may open its streams anew", function()
    local program <close> = sh("cat /dev/stdin > /dev/stdout")
    program.stdin:send("text")
    program.stdin:shutdown()
    assert.equal("text", program.stdout:recv("*a"))
    program:wait()
  end)

  it("says why it cannot start, and leaves nothing", function()
    local before = mb.census()
    assert.same({n = 3, nil, "ENOENT: no such file or directory: no such program", "ENOENT"},
      table.pack(system.spawn("no such program")))
    assert.same({n = 3, nil, "ENOENT: no such file or directory: /no such directory", "ENOENT"},
      table.pack(system.spawn("true", {}, {cwd = "/no such directory"})))
    fails("EACCES", system.spawn("/etc/passwd"))
    fails("ENOTDIR", system.spawn("true", {}, {cwd = "/etc/passwd"}))
    local after = mb.census()
    assert.same({before.process, before.pipe}, {after.process, after.pipe})
  end)

  it("raises at what means nothing", function()
    for text, arguments in pairs{
      ["#1 to 'system.spawn' %(a string expected, got nil%)"] = {},
      ["#1 to 'system.spawn' %(the name of a program"] = {""},
      ["#2 to 'system.spawn' %(sequence of strings expected, got string%)"] = {"echo", "x"},
      ["#2 to 'system.spawn' %(item 2: a string without NUL bytes expected, got one with some%)"] = {"echo", {1, "\0"}},
      ["#2 to 'system.spawn' %(item 1: a string expected, got table%)"] = {"echo", {{}}},
      ["#3 to 'system.spawn' %(unknown option timeout = 5; options: stdin, stdout, stderr, cwd, env"] =
        {"echo", {}, {timeout = 5}},
      ["#3 to 'system.spawn' %(stdin is true, false, \"pipe\", \"null\" or \"inherit\", got text"] =
        {"echo", {}, {stdin = "text"}},
      ["#3 to 'system.spawn' %(stdout is true, false, \"pipe\", \"null\" or \"inherit\", got stdout"] =
        {"echo", {}, {stdout = "stdout"}},
      ["#3 to 'system.spawn' %(stderr is true, false, \"pipe\", \"null\", \"stdout\" or \"inherit\", got table"] =
        {"echo", {}, {stderr = {}}},
      ["#3 to 'system.spawn' %(env is a table"] = {"echo", {}, {env = {A = 5}}},
    } do
      local ok, e = pcall(system.spawn, table.unpack(arguments))
      assert.is_false(ok)
      assert.matches("spawn_spec.lua:%d+: bad argument " .. text, e)
    end
  end)

  it("is counted, and does not travel", function()
    local program <close> = assert(system.spawn("cat"))
    assert.equal(1, mb.census().process)
    assert.equal(3, mb.census().pipe)
    local ok, e = pcall(mb.send, mb.self(), program)
    assert.is_false(ok)
    assert.matches("a program belongs to the process that has started it", e)
    program:close()
    assert.equal(0, mb.census().process)
    assert.equal(0, mb.census().pipe)
  end)

  it("is waited for by its process alone; others may end it", function()
    local shared = require "spec.net.shared" -- within one scheduler a module's table reaches it
    local me, send = mb.self(), mb.send
    local program <close> = assert(system.spawn("cat"))
    shared.socket = program
    local other = Process.spawn(function()
      local p = require("spec.net.shared").socket
      send(me, {"refused", select(2, pcall(p.wait, p))})
      mb.receive{ {"close"} }
      p:close()
    end, {scheduler = "here"})
    assert.matches("wait: the program belongs to #PID<", helper.await{"refused", mb.any})
    mb.send(other, "close")
    local _, _, code = program:wait()
    shared.socket = nil
    assert.matches(code, "ECANCELED EBADF") -- as that was sooner or later
  end)

  it("SYS-16 waits with what nobody reads", function()
    -- Each line of 1 KiB is counted on standard error.
    local script = [[i=0; while [ $i -lt %d ]; do printf '%%1023s\n' x; i=$((i+1)); echo $i >&2; done]]
    local program <close> = sh(script:format(100000))
    program.stderr:active(true)
    program.stdout:set{line_limit = 2000} -- so much is read ahead for a line, if the process is not there to take it
    assert.equal(1023, #program.stdout:recv("line"))
    -- Meanwhile another one that is read prints ten times what the pipe and the socket may have taken of the first.
    local other <close> = sh(script:format(3000), {stderr = "null"})
    assert.equal(3000 * 1024, #other.stdout:recv("*a"))
    other:wait()
    local counted = 0
    while counted < 64 do -- what the pipe alone takes
      for n in helper.await{"tcp", program.stderr, mb.any}:gmatch("%d+") do counted = tonumber(n) end
    end
    program.stderr:active(false)
    local rest = program.stderr:recv(nil, 0)
    for n in (rest or ""):gmatch("%d+") do counted = tonumber(n) end
    assert.is_true(counted < 300, counted)
  end)
end)

describe("the end of a program", function()
  helper.setup()

  it("SYS-17 is a message with its code", function()
    local program <close> = sh("exit 7")
    assert.equal(7, helper.await{"program_exit", program, mb.any})
  end)

  it("SYS-17 is a message with the signal's name", function()
    local program <close> = sh("kill -TERM $$")
    assert.equal("SIGTERM", helper.await{"program_exit", program, 128 + 15, mb.any})
  end)

  it("SYS-17 is waited for, again and again, instead of the message", function()
    local program <close> = sh("read _; exit 7")
    fails("ETIMEDOUT", program:wait(0))
    fails("ETIMEDOUT", program:wait(1))
    program.stdin:close()
    for _ = 1, 3 do assert.same({7}, {program:wait()}) end
    local killed <close> = sh("kill -KILL $$")
    for _ = 1, 3 do assert.same({128 + 9, "SIGKILL"}, {killed:wait()}) end
    assert.equal(0, Process.info(mb.self(), "message_queue_len"))
  end)

  it("may be waited for when the message is there already: then that is gone, and no other", function()
    local program <close> = sh("exit 7")
    until_mailed()
    local second <close> = sh("exit 8")
    mb.send(mb.self(), {"program_exit", "text", 7})
    while Process.info(mb.self(), "message_queue_len") < 3 do mb.sleep(1) end -- as above
    assert.equal(7, program:wait())
    assert.equal(2, Process.info(mb.self(), "message_queue_len"))
    helper.await{"program_exit", "text", 7}
    assert.equal(8, helper.await{"program_exit", second, mb.any})
    assert.equal(8, second:wait())
  end)

  it("leaves what it has printed to be read", function()
    local program <close> = sh("printf out; printf err >&2")
    assert.equal(0, program:wait())
    assert.equal("out", program.stdout:recv("*a"))
    assert.equal("err", program.stderr:recv("*a"))
  end)

  it("SYS-17 comes behind all that it has printed to active sockets", function()
    for _ = 1, 10 do
      local program <close> = sh("read go; head -c 100000 /dev/zero; head -c 30000 /dev/zero >&2; exit 3")
      program.stdout:active(true)
      program.stderr:active(true)
      program.stdin:send("go\n") -- both are active by now
      local got, code = {[program.stdout] = 0, [program.stderr] = 0}, nil
      while not code do
        mb.receive{
          {{"tcp", mb.any, mb.any}, function(socket, data) got[socket] = got[socket] + #data end},
          {{"program_exit", program, mb.any}, function(c) code = c end},
          {{"tcp_closed", mb.any}, function() end},
          after = {helper.patience, function() error("no end") end},
        }
      end
      assert.same({3, 100000, 30000}, {code, got[program.stdout], got[program.stderr]})
    end
  end)

  it("does not wait for what it has left running, which runs on", function()
    local program <close> = sh("sleep 100 & echo $!")
    program.stdout:active("once")
    local number = helper.await{"tcp", program.stdout, mb.any}:match("%d+")
    helper.await{"program_exit", program, 0}
    assert.equal(0, (system.run("kill", {"-0", number})))
    fails("ETIMEDOUT", program.stdout:recv(1, 0))
    fails("ESRCH", program:kill())
    assert.equal(0, (system.run("kill", {number})))
    fails("EOF", program.stdout:recv())
  end)

  it("is told of one that nobody has kept, whose sockets are closed when they are collected", function()
    local function start() return system.spawn("cat").pid end
    local pid = start()
    while Process.info(mb.self(), "message_queue_len") == 0 do
      collectgarbage()
      mb.sleep(1) -- as above
    end
    local message = mb.receive(0)
    assert.same({"program_exit", 0}, {message[1], message[3]})
    local program = message[2]
    assert.matches("^#program<%d+>$", tostring(program))
    assert.is_true(program.pid == nil or program.pid == pid)
    assert.is_true(program:close())
    assert.equal(0, mb.census().pipe)
  end)

  it("is told while the program's userdata is being collected", function()
    local output, code = helper.run_script([[
      local mb = require "moonbeam"
      local begun
      local function start() mb.system.spawn("true") end
      local function leave(n) for _ = 1, n do setmetatable({}, {__gc = function() end}) end end
      local function leave_last() setmetatable({}, {__gc = function() begun = true end}) end
      collectgarbage("incremental", 100, 100, 1) -- short steps, often
      -- So many are collected before the program, from about when the message is read on.
      for others = 0, 300, 6 do
        collectgarbage("stop")
        start()
        while mb.Process.info(mb.self(), "message_queue_len") == 0 do mb.sleep(1) end
        begun = false
        leave(others)
        leave_last()
        collectgarbage("restart")
        repeat collectgarbage("step", 0) until begun
        local message = mb.receive()
        assert(message[1] == "program_exit" and tostring(message[2]):find("^#program<%d+>$"))
        message[2]:close()
        message = nil
        collectgarbage()
      end
      print("over")
    ]])
    assert.same({"over\n", 0}, {output, code})
  end)

  it("SYS-14 is a reason to wait: no deadlock", function()
    local output = helper.run_script([[
      local mb = require "moonbeam"
      local program = mb.system.spawn("sleep", {"0.2"})
      print(mb.receive()[1])
      print(mb.system.spawn("sleep", {"0.2"}):wait())
    ]])
    assert.equal("program_exit\n0\n", output)
  end)

  it("is what Process.info shows a process to wait for", function()
    local me, send, spawn = mb.self(), mb.send, system.spawn
    local pid, ref = mb.spawn_monitor(function()
      local program = spawn("cat")
      send(me, "started")
      program:wait()
    end)
    helper.await("started")
    helper.until_waiting(pid)
    assert.matches("spawn_spec.lua:%d+", Process.info(pid, "current_location"))
    Process.exit(pid, "kill")
    helper.await{"DOWN", ref, "process", pid, "killed"}
  end)

  it("comes a hundred times with nothing left: no descriptor, no zombie, no object", function()
    local function descriptors() return #assert(mb.fs.readdir("/proc/self/fd")) end
    local before = descriptors()
    for i = 1, 100 do
      local program <close> = assert(system.spawn("true"))
      if i % 3 == 0 then
        program:wait()
      elseif i % 3 == 1 then
        helper.await{"program_exit", program, 0}
      end
    end
    while descriptors() > before do mb.sleep(1) end -- the loop closes what is to be closed
    local _, out
    repeat _, out = system.run("ps", {"-o", "stat=", "--ppid", system.pid()}) until not out:find("Z")
    assert.same({0, 0}, {mb.census().process, mb.census().pipe})
  end)
end)

describe("kill", function()
  helper.setup()

  it("SYS-18 sends SIGTERM, or another signal, which the program may handle", function()
    local program <close> = sh("trap 'echo usr1' USR1; trap 'exit 5' TERM; echo ready; while :; do sleep 0.01; done")
    assert.equal("ready", program.stdout:recv("line"))
    assert.is_true(program:kill("SIGUSR1"))
    assert.equal("usr1", program.stdout:recv("line"))
    assert.is_true(program:kill("USR1"))
    assert.equal("usr1", program.stdout:recv("line"))
    assert.is_true(program:kill())
    assert.same({5}, {program:wait()})
    fails("ESRCH", program:kill())
    fails("ESRCH", program:kill("KILL"))
  end)

  it("SYS-18 reaches all that the program has started", function()
    local program <close> = sh("sleep 100 & sleep 100 & sh -c 'sleep 100 & wait' & echo ready; wait")
    assert.equal("ready", program.stdout:recv("line"))
    assert.is_true(program:kill())
    assert.same({128 + 15, "SIGTERM"}, {program:wait()})
    until_gone(program.pid)
  end)

  it("raises at what is no signal", function()
    local program <close> = assert(system.spawn("cat"))
    local ok, e = pcall(program.kill, program, "SIGNONE")
    assert.is_false(ok)
    assert.matches("spawn_spec.lua:%d+: bad argument #1 to 'kill' %(there is no signal 'SIGNONE'", e)
    assert.is_false((pcall(program.kill, program, 9)))
    assert.is_false((pcall(program.kill, program, "KILL\0")))
    assert.is_false((pcall(program.kill, mb.self())))
    assert.is_true(program:kill("KILL"))
    program:wait()
  end)
end)

describe("close", function()
  helper.setup()

  it("SYS-19 kills the program with all that it has started, and no message comes", function()
    local program = sh("trap '' TERM; sleep 100 & echo ready; wait; sleep 100")
    assert.equal("ready", program.stdout:recv("line"))
    local input = program.stdin
    assert.is_true(lives(program.pid))
    assert.is_true(program:close())
    assert.is_true(program:close())
    until_gone(program.pid)
    fails("EBADF", program:wait())
    fails("EBADF", input:send("x"))
    fails("ESRCH", program:kill())
    assert.is_nil((mb.receive(0)))
  end)

  it("is what a variable that is to be closed does", function()
    local group
    do
      local program <close> = assert(system.spawn("cat"))
      group = program.pid
    end
    until_gone(group)
    assert.equal(0, mb.census().pipe)
  end)

  it("of one that has ended closes its sockets", function()
    local program = sh("echo text")
    assert.equal(0, program:wait())
    program:close()
    fails("EBADF", program.stdout:recv())
    assert.equal(0, program:wait())
  end)
end)

describe("a program whose process exits", function()
  helper.setup()

  -- The program: the shell ignores SIGTERM, and so do the one that it has started and that one's.
  local script = "trap '' TERM; sh -c 'sleep 100 & wait' & echo $$; wait; sleep 100"
  local calls = {
    recv = function(program) program.stdout:recv() end,
    wait = function(program) program:wait() end,
    send = function(program) program.stdin:send(("x"):rep(1000000)) end,
    receive = function(program) program.stdout:active(true) mb.receive{ {"nothing"} } end,
  }

  local function run(tell, call, ...)
    local program = assert(mb.system.spawn("sh", {"-c", script}))
    tell(program.stdout:recv("line"))
    return call(program, ...)
  end

  for name, call in pairs(calls) do
    it("SYS-20 that is killed in " .. name .. " dies with all that it has started", function()
      local me, send = mb.self(), mb.send
      local pid, ref = mb.spawn_monitor(run, function(group) send(me, {"group", group}) end, call)
      local group = helper.await{"group", mb.any}
      helper.until_waiting(pid)
      assert.is_true(lives(group))
      assert.equal(1, mb.census().process)
      Process.exit(pid, "kill")
      helper.await{"DOWN", ref, "process", pid, "killed"}
      assert.equal(0, mb.census().process)
      until_gone(group)
    end)
  end

  local ends = {
    ["returns"] = function() end,
    ["fails"] = function() error("failure") end,
    ["exits"] = function() mb.exit("shutdown") end,
    ["has it unread and unwritten"] = function(program)
      program.stdin:send(("x"):rep(100000), 0)
      mb.sleep(1)
    end,
  }
  for name, call in pairs(ends) do
    it("since that " .. name .. " dies, too", function()
      local me, send = mb.self(), mb.send
      local _, ref = mb.spawn_monitor(run, function(group) send(me, {"group", group}) end, call)
      local group = helper.await{"group", mb.any}
      helper.await{"DOWN", ref, "process", mb.any, mb.any}
      until_gone(group)
    end)
  end

  it("is not started any more by its clean-up code", function()
    local me, send, spawn, receive = mb.self(), mb.send, system.spawn, mb.receive
    local pid = mb.spawn(function()
      local _ <close> = setmetatable({}, {__close = function() send(me, {"refused", select(3, spawn("cat"))}) end})
      send(me, "ready")
      receive()
    end)
    helper.await("ready")
    Process.exit(pid, "kill")
    assert.equal("ECANCELED", helper.await{"refused", mb.any})
  end)

  it("SYS-20 dies, though another process has its sockets", function()
    local me, send, receive = mb.self(), mb.send, mb.receive
    local owner = Process.spawn(function()
      local program = assert(mb.system.spawn("cat"))
      program.stdin:give_away(me)
      program.stdout:give_away(me)
      send(me, {"group", program.pid})
      receive()
    end, {link = true})
    local input <close> = helper.await{"socket", mb.any, owner}
    local output <close> = helper.await{"socket", mb.any, owner}
    local group = helper.await{"group", mb.any}
    input:send("text")
    assert.equal("text", output:recv(4))
    mb.unlink(owner)
    Process.exit(owner, "kill")
    fails("EOF", output:recv())
    until_gone(group)
  end)

  -- A luv that was loaded before has the loop, which goes on when the runtime has ended.
  for _, before in ipairs{"", 'local has, uv = pcall(require, "luv")\n'} do
    local loop = before == "" and "" or ", on the loop of a luv"
    it("SYS-20 as the whole program ends dies with that" .. loop, function()
      local output, code = helper.run_script(before .. [[
        local mb = require "moonbeam"
        local system, send, me = mb.system, mb.send, mb.self()
        local script = "trap '' TERM; sleep 100 & echo $$; wait; sleep 100"
        local function start()
          local program = system.spawn("sh", {"-c", script})
          send(me, program.stdout:recv("line"))
          return program
        end
        for _ = 1, 4 do mb.spawn(function() start():wait() end) end
        local mine = start()
        for _ = 1, 5 do print(mb.receive()) end
      ]])
      assert.equal(0, code, output)
      local count = 0
      for group in output:gmatch("%d+") do
        until_gone(group)
        count = count + 1
      end
      assert.equal(5, count, output)
    end)
  end
end)

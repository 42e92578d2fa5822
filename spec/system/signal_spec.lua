-- system.on_signal: signals of the system as messages.
local helper = require "spec.helper"
local mb = require "moonbeam"
local Process = mb.Process
local system = mb.system

local function raise(name, pid) assert(system.run("kill", {"-" .. name, pid or system.pid()}) == 0) end

describe("system.on_signal", function()
  helper.setup()

  it("SYS-11 sends a message for each signal", function()
    assert.is_true(system.on_signal("SIGUSR1"))
    raise("USR1")
    helper.await{"signal", "SIGUSR1"}
    raise("USR1")
    helper.await{"signal", "SIGUSR1"}
    assert.is_true(system.off_signal("SIGUSR1"))
  end)

  it("counts once however often it is said, and takes names without SIG", function()
    system.on_signal("USR2")
    system.on_signal("SIGUSR2")
    assert.equal(1, mb.census().signal)
    raise("USR2")
    helper.await{"signal", "USR2"}
    system.off_signal("SIGUSR2")
    assert.equal(0, mb.census().signal)
    assert.is_nil((mb.receive(0)))
  end)

  it("SYS-11 goes to all who listen, on any scheduler, until they exit", function()
    local me, send, on_signal, receive = mb.self(), mb.send, system.on_signal, mb.receive
    local pids = {}
    for i = 1, 4 do
      pids[i] = mb.spawn(function()
        on_signal("SIGUSR1")
        send(me, "listening")
        send(me, {i, receive()[2]})
        receive()
      end)
    end
    for _ = 1, 4 do helper.await("listening") end
    raise("USR1")
    for i = 1, 4 do assert.equal("SIGUSR1", helper.await{i, mb.any}) end
    for _, pid in ipairs(pids) do
      local ref = mb.monitor(pid)
      Process.exit(pid, "kill")
      helper.await{"DOWN", ref, "process", pid, "killed"}
    end
    assert.equal(0, mb.census().signal)
  end)

  it("is not taken over by clean-up code of who has been killed", function()
    local output, code = helper.run_script([[
      local mb = require "moonbeam"
      local me, send, receive, on_signal = mb.self(), mb.send, mb.receive, mb.system.on_signal
      local pid = mb.spawn(function()
        local closing <close> = setmetatable({}, {__close = function() send(me, table.pack(on_signal("SIGUSR1"))) end})
        send(me, "ready")
        receive()
      end)
      receive{{"ready"}}
      mb.Process.exit(pid, "kill")
      print(table.unpack(receive(), 1, 3))
      io.stdout:flush()
      mb.system.run("sh", {"-c", "kill -USR1 " .. mb.system.pid()})
      print "still there"
    ]])
    assert.matches("^nil\tECANCELED: operation canceled\tECANCELED\n", output)
    assert.no.matches("still there", output)
    assert.equal(138, code)
  end)

  it("SYS-13 raises at what is no signal, and at those that are not for programs", function()
    for name, text in pairs{SIGNONE = "there is no signal 'SIGNONE'", SIGKILL = "SIGKILL cannot be listened to",
      SIGURG = "SIGURG cannot be listened to: it is the runtime's own"} do
      local ok, e = pcall(system.on_signal, name)
      assert.is_false(ok)
      assert.matches("signal_spec.lua:%d+: bad argument #1 to 'system.on_signal' %(" .. text, e)
    end
    assert.is_false((pcall(system.on_signal, 15)))
    assert.is_false((pcall(system.on_signal, "USR1\0")))
  end)

  it("SYS-12 takes the place of what SIGTERM does otherwise, as long as somebody listens", function()
    local output, code = helper.run_script([[
      local mb = require "moonbeam"
      local system = mb.system
      system.on_signal("SIGTERM")
      system.run("kill", {"-TERM", system.pid()})
      print(mb.inspect(mb.receive()))
      system.off_signal("SIGTERM")
      os.execute("kill -TERM " .. system.pid())
      mb.sleep(10000)
      print("not reached")
    ]])
    assert.equal('{"signal", "SIGTERM"}\n', (output:gsub("Terminated\n", "")))
    assert.equal(128 + 15, code)
  end)

  it("does not hear of sockets that nobody reads, which fail, also when nobody listens any more", function()
    local output = helper.run_script([[
      local mb = require "moonbeam"
      local function write_to_nobody()
        local program <close> = mb.system.spawn("true")
        program:wait()
        print((select(3, program.stdin:send("x"))))
      end
      mb.system.on_signal("SIGPIPE")
      write_to_nobody()
      print(mb.receive(0))
      os.execute("kill -PIPE " .. mb.system.pid())
      print(mb.inspect(mb.receive()))
      mb.system.off_signal("SIGPIPE")
      write_to_nobody()
      print("not ended")
    ]])
    assert.equal('EPIPE\nnil\ttimeout\n{"signal", "SIGPIPE"}\nEPIPE\nnot ended\n', output)
  end)

  it("SYS-14 is a reason to wait: no deadlock", function()
    local output = helper.run_script([[
      local mb = require "moonbeam"
      mb.system.on_signal("SIGUSR1")
      os.execute("(sleep 0.2; kill -USR1 " .. mb.system.pid() .. ") &")
      print(mb.receive()[1])
    ]])
    assert.equal("signal\n", output)
  end)
end)

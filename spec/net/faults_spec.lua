-- What goes wrong with sockets: nothing crashes, leaks, loses bytes or stops others.
local helper = require "spec.helper"
local support = require "spec.net.support"
local mb = require "moonbeam"
local shared = require "spec.net.shared"
local Process, net = mb.Process, mb.net
local fails = support.fails

describe("a socket", function()
  local client, server
  after_each(function()
    client:close()
    server:close()
  end)
  helper.setup()
  before_each(function() client, server = support.pair() end)

  it("NET-12 whose peer has reset it says so, on reading and on writing", function()
    server:send("never read")
    mb.sleep(5)
    client:close() -- with unread bytes: a reset
    fails("ECONNRESET", server:recv(nil, helper.patience))
    local _, _, code = server:send("x")
    assert.is_truthy(code == "EPIPE" or code == "ECONNRESET", code)
    fails(code, server:send("x"))
  end)

  it("NET-12 whose reader is gone fails, and is no signal, which what is printed for nobody is still", function()
    local output = helper.run_script([[
      require "moonbeam".import()
      local listener = net.listen{"127.0.0.1", 0}
      local port = listener:sockname().port
      for _ = 1, 50 do
        spawn(function() listener:accept():close() end)
        local socket = net.connect("127.0.0.1", port)
        while socket:send(("x"):rep(100000)) do end
      end
      io.stderr:write("sent to nobody")
      while true do io.write(("x"):rep(10000)) io.flush() end
    ]], "| true; echo ', and the program ended'", "env --default-signal=PIPE")
    assert.equal("sent to nobody, and the program ended\n", output)
  end)

  it("NET-14 that is active says so by messages", function()
    server:active(true)
    server:send("never read")
    mb.sleep(5)
    client:close()
    assert.equal("ECONNRESET", helper.await{"tcp_error", server, mb.any})
    helper.await{"tcp_closed", server}
  end)

  it("NET-11 may be closed twice, and is of no use then", function()
    assert.is_true(server:close())
    assert.is_true(server:close())
    fails("EBADF", server:recv())
    fails("EBADF", server:recv("line", 1))
    fails("EBADF", server:send("x"))
    fails("EBADF", server:shutdown())
    fails("EBADF", server:peername())
    fails("EBADF", server:sockname())
    fails("EBADF", server:set{nodelay = true})
    fails("EBADF", server:active(true))
    fails("EBADF", server:give_away(mb.self()))
    assert.matches("^#socket", tostring(server))
  end)

  it("NET-11 that is closed by another process lets go of who waits", function()
    local me, send = mb.self(), mb.send
    local names = {"recv", "line", "all", "send"}
    for _, name in ipairs(names) do
      local port, pid = support.serve(function(socket)
        shared.socket = socket
        send(me, "ready")
        if name == "recv" then
          send(me, {name, socket:recv()})
        elseif name == "send" then
          send(me, {name, socket:send(("x"):rep(30000000))})
        else
          send(me, {name, socket:recv(name == "all" and "*a" or "line")})
        end
      end)
      local s = net.connect("127.0.0.1", port)
      helper.await("ready")
      helper.until_waiting(pid)
      shared.socket:close()
      shared.socket = nil
      local message = mb.receive(helper.patience)
      assert.equal(name, message[1])
      assert.equal("ECANCELED", message[4])
      s:close()
    end
  end)

  it("NET-10 closes when its owner is killed, whatever that waits in", function()
    local calls = {
      function(s) s:recv() end, function(s) s:recv(1000) end, function(s) s:recv("line") end, function(s) s:recv("*a") end,
      function(s) s:send(("x"):rep(30000000)) end, function(s) s:active(true) mb.receive() end, function() mb.receive() end,
    }
    for _, call in ipairs(calls) do
      local port, pid = support.serve(call)
      mb.unlink(pid)
      local s = net.connect("127.0.0.1", port)
      helper.until_waiting(pid)
      Process.exit(pid, "kill")
      while s:recv() do end
      s:close()
    end
  end)

  it("NET-10 still sends what is queued when it is closed, or its owner ends", function()
    for _, close in ipairs{true, false} do
      local port = support.serve(function(socket)
        socket:set{high_water = 20000000}
        assert(socket:send(("x"):rep(10000000)))
        if close then socket:close() end
      end)
      local s = net.connect("127.0.0.1", port)
      assert.equal(10000000, #assert(s:recv("*a", helper.patience)))
      s:close()
    end
  end)

  it("that nobody has any more closes when it is collected", function()
    local me, send = mb.self(), mb.send
    local port = support.serve(function()
      collectgarbage()
      send(me, "collected")
      mb.receive()
    end)
    local pid = Process.info(mb.self(), "links")[1]
    local s = net.connect("127.0.0.1", port)
    helper.await("collected")
    fails("EOF", s:recv(nil, helper.patience))
    s:close()
    mb.unlink(pid)
    Process.exit(pid, "kill")
  end)

  it("does not travel in an exit reason", function()
    local listener, port = support.listen()
    local pid, ref = mb.spawn_monitor(function() mb.exit{"with", net.connect("127.0.0.1", port)} end)
    assert.matches("socket", helper.await{"DOWN", ref, "process", pid, mb.any})
    listener:close()
  end)

  it("NET-05 does not keep others waiting", function()
    local me, send = mb.self(), mb.send
    local ticks = mb.spawn(function()
      for i = 1, 20 do
        mb.sleep(1)
        send(me, {"tick", i})
      end
    end)
    fails("ETIMEDOUT", server:recv(nil, 60))
    for i = 1, 20 do helper.await({"tick", i}, helper.patience) end
    assert.is_false(Process.alive(ticks))
  end)

  it("NET-24 is not a deadlock for who waits for it", function()
    fails("ETIMEDOUT", server:recv(nil, 5))
    local s = server
    local reader = mb.Task.async(function(port)
      local socket = net.connect("127.0.0.1", port)
      return (socket:recv(3))
    end, (function()
      local listener, port = support.listen()
      shared.listener = listener
      return port
    end)())
    local accepted = shared.listener:accept(helper.patience)
    accepted:send("abc")
    assert.equal("abc", mb.Task.await(reader))
    accepted:close()
    shared.listener:close()
    shared.listener = nil
    assert.equal(server, s)
  end)

  it("NET-01 survives garbage of any bytes", function()
    local bytes = {}
    for i = 0, 255 do bytes[#bytes + 1] = string.char(i) end
    local all = table.concat(bytes):rep(100)
    client:send(all)
    assert.equal(all, server:recv(#all, helper.patience))
    client:send("\0\n\r\r\n\n")
    assert.equal("\0", server:recv("line"))
    assert.equal("\r", server:recv("line"))
    assert.equal("", server:recv("line"))
  end)
end)

describe("connecting", function()
  helper.setup()

  it("NET-20 is late when nobody answers", function()
    local listener = assert(net.listen{port = 0, backlog = 1})
    local port, held, late = listener:sockname().port, {}, nil
    for _ = 1, 8 do -- those that the kernel has no room for
      local s, text, code = net.connect("127.0.0.1", port, {timeout = 50})
      if not s then
        fails("ETIMEDOUT", s, text, code)
        late = true
        break
      end
      held[#held + 1] = s
    end
    assert.is_true(late)
    for _, s in ipairs(held) do s:close() end
    listener:close()
  end)

  it("can be killed in the middle", function()
    local listener = assert(net.listen{port = 0, backlog = 1})
    local port = listener:sockname().port
    local pids = {}
    for i = 1, 8 do pids[i] = mb.spawn(function() net.connect("127.0.0.1", port) mb.receive() end) end
    mb.sleep(10)
    for _, pid in ipairs(pids) do Process.exit(pid, "kill") end
    listener:close()
  end)
end)

describe("a listener", function()
  helper.setup()

  it("NET-11 may be closed twice, and is of no use then", function()
    local listener = support.listen()
    assert.is_true(listener:close())
    assert.is_true(listener:close())
    fails("EBADF", listener:accept())
    fails("EBADF", listener:sockname())
  end)

  it("NET-18 that is closed lets go of who waits", function()
    local listener = support.listen()
    local me, send = mb.self(), mb.send
    for _ = 1, 3 do
      local pid = mb.spawn(function() send(me, {"gone", listener:accept()}) end)
      helper.until_waiting(pid)
    end
    listener:close()
    for _ = 1, 3 do assert.equal("ECANCELED", select(2, helper.await{"gone", nil, mb.any, mb.any})) end
  end)
end)

describe("the program", function()
  it("ends with 1,000 handles open, on any scheduler", function()
    local output, code = helper.run_script([[
      local mb = require "moonbeam"
      mb.import()
      local me = self()
      local listener = net.listen{port = 0}
      local port = listener:sockname().port
      for _ = 1, 10 do
        spawn(function()
          local held = {}
          for i = 1, 25 do
            held[#held + 1] = net.connect("127.0.0.1", port)
            held[#held + 1] = listener:accept()
          end
          send(me, #held)
          if held[1] then held[1]:recv() end
          receive()
        end)
      end
      local sum = 0
      for _ = 1, 10 do sum = sum + receive() end
      print(sum)
    ]], "", "MOONBEAM_SCHEDULERS=4")
    assert.equal("500\n", output)
    assert.equal(0, code)
  end)

  it("NET-23 goes on without descriptors: accepting pauses, says so once, and goes on", function()
    local output, code = helper.run_script([[
      local mb = require "moonbeam"
      mb.import()
      local listener = net.listen{port = 0}
      local port = listener:sockname().port
      net.connect("127.0.0.1", port):close() -- libuv keeps a descriptor in reserve from then on
      listener:accept():close()
      local held = {}
      while true do
        local f = io.open("/dev/null")
        if not f then break end
        held[#held + 1] = f
      end
      held[#held]:close()
      held[#held] = nil
      local client = net.connect("127.0.0.1", port)
      local value, _, code = net.connect("127.0.0.1", port)
      print(value, code)
      local me = self()
      local acceptor = spawn(function()
        local s = listener:accept()
        s:send("served")
        s:close()
      end)
      sleep(250)
      print(Process.alive(acceptor))
      for _, f in ipairs(held) do f:close() end
      print(client:recv("*a", 5000))
    ]], "", "ulimit -n 40; MOONBEAM_SCHEDULERS=1")
    local warnings = select(2, output:gsub("a listener cannot accept: too many open files", ""))
    assert.equal(1, warnings, output)
    assert.matches("nil\tEMFILE\ntrue\nserved\n", (output:gsub("[^\n]*%[warning%][^\n]*\n", "")))
    assert.equal(0, code)
  end)
end)

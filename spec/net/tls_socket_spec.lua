-- A connection of TLS is a socket like another: bytes, ends, modes, owners.
local helper = require "spec.helper"
local certificates = require "spec.net.certificates"
local shared = require "spec.net.shared"
local support = require "spec.net.support"
local tls_support = require "spec.net.tls_support"
local mb = require "moonbeam"
local Process, net = mb.Process, mb.net
local fails = support.fails

describe("a connection of TLS", function()
  local directory, server_options, client_options
  local client, server
  lazy_setup(function()
    local path
    path, directory = certificates.make()
    server_options = {cert = path "good.pem", key = path "good.key"}
    client_options = {ca = path "ca.pem"}
  end)
  lazy_teardown(function() certificates.remove(directory) end)
  after_each(function()
    client:close()
    server:close()
  end)
  helper.setup()
  before_each(function() client, server = tls_support.pair(server_options, client_options) end)

  it("TLS-01 carries bytes both ways, by count, by line and what there is", function()
    assert.is_true(client:send("ping"))
    assert.equal("ping", server:recv(nil, helper.patience))
    assert.is_true(server:send{"one\r\n", "two\n", "abc"})
    assert.equal("one", client:recv("line", helper.patience))
    assert.equal("two", client:recv("line", helper.patience))
    assert.equal("ab", client:recv(2, helper.patience))
    assert.equal("c", client:recv(nil, helper.patience))
    assert.is_true(client:send(""))
    fails("ETIMEDOUT", server:recv(nil, 1))
    assert.is_true(client:handshake())
  end)

  it("says what it is", function()
    local facts = client:tls()
    assert.equal("TLSv1.3", facts.version)
    assert.matches("^TLS_", facts.cipher)
    assert.equal("127.0.0.1", facts.server_name)
    local peer = facts.peer
    assert.equal("CN=good", peer.subject)
    assert.equal("CN=the specs' authority", peer.issuer)
    assert.same({"localhost", "127.0.0.1"}, peer.names)
    assert.matches("^%x+$", peer.serial)
    assert.equal(64, #peer.fingerprint)
    assert.matches("^%d%d%d%d%-%d%d%-%d%d %d%d:%d%d:%d%d UTC$", peer.valid_until)
    assert.is_nil(server:tls().peer)
    client:close()
    fails("EBADF", client:tls())
    fails("EBADF", client:handshake())
  end)

  it("TLS-01 carries much, both ways at once, and waits for who takes slowly", function()
    local me, send = mb.self(), mb.send
    local size = 3000000
    local port = tls_support.server(server_options, function(socket)
      local data = assert(socket:recv(size))
      socket:send(data:reverse())
      return socket:recv("*a")
    end)
    local text = ("0123456789abcdefghijk"):rep(size // 21 + 1):sub(1, size)
    local sender = mb.spawn_link(function()
      local socket = assert(net.connect("127.0.0.1", port, {tls = client_options}))
      assert(socket:send(text))
      local back = assert(socket:recv(size))
      socket:close()
      send(me, {"back", back == text:reverse()})
    end)
    assert.is_true(helper.await{"back", mb.any})
    assert.equal("", (tls_support.served()))
    helper.reason_of(sender)
  end)

  it("says how much was taken when a send is late, and loses nothing of it", function()
    local piece = ("x"):rep(10000000)
    local value, text, code, taken = client:send(piece, 20)
    fails("ETIMEDOUT", value, text, code)
    assert.is_true(taken > 0 and taken < #piece)
    assert.equal(taken, #server:recv(taken, helper.patience))
    client:send("y")
    assert.equal("y", server:recv(1, helper.patience))
  end)

  it("TLS-01 keeps what had arrived when the time is over in the middle", function()
    client:send("half")
    fails("ETIMEDOUT", server:recv(8, 20))
    fails("ETIMEDOUT", server:recv("line", 1))
    fails("ETIMEDOUT", server:recv("*a", 1))
    client:send("full")
    assert.equal("halffull", server:recv(8, helper.patience))
  end)

  it("TLS-01 takes what comes in whatever pieces it comes", function()
    local port = tls_support.server(server_options, function(socket)
      local line = socket:recv("line")
      socket:send(line:rep(3))
      socket:shutdown()
      return socket:recv("*a")
    end)
    local relay_port, relay = tls_support.relay(port, true)
    local socket = assert(net.connect("127.0.0.1", relay_port, {tls = client_options}))
    socket:send(("drop"):rep(300) .. "\n")
    assert.equal(("drop"):rep(900), socket:recv("*a", helper.patience))
    socket:close()
    assert.equal("", (tls_support.served()))
    mb.unlink(relay)
    Process.exit(relay, "kill")
  end)

  it("TLS-01 can be half-closed: the other direction goes on", function()
    client:send("question")
    assert.is_true(client:shutdown())
    assert.is_true(client:shutdown())
    assert.equal("question", server:recv("*a", helper.patience))
    fails("EOF", server:recv(nil, helper.patience))
    fails("EPIPE", client:send("more"))
    server:send("answer")
    assert.equal("answer", client:recv(6, helper.patience))
    server:close()
    fails("EOF", client:recv(nil, helper.patience))
  end)

  it("TLS-01 ends in order when it is closed, or its owner ends", function()
    for _, how in ipairs{"close", "return", "kill"} do
      local port, pid = tls_support.server(server_options, function(socket)
        socket:send("all")
        if how == "close" then socket:close() end
        if how == "kill" then mb.receive() end
      end)
      if how == "kill" then mb.unlink(pid) end
      local socket = assert(net.connect("127.0.0.1", port, {tls = client_options}))
      assert.equal("all", socket:recv(3, helper.patience))
      if how == "kill" then Process.exit(pid, "kill") end
      fails("EOF", socket:recv("line", helper.patience))
      assert.equal("", socket:recv("*a", helper.patience))
      socket:close()
      if how ~= "kill" then helper.await{"server"} end
    end
  end)

  it("TLS-02 tells an end without close_notify from one in order", function()
    local port, pid = tls_support.server(server_options, function(socket)
      socket:send("whole\npart")
      mb.receive()
    end)
    local relay_port, relay = tls_support.relay(port)
    local socket = assert(net.connect("127.0.0.1", relay_port, {tls = client_options}))
    assert.equal("whole", socket:recv("line", helper.patience)) -- so the other part is there
    mb.unlink(relay)
    mb.send(relay, "cut")
    local value, text, code = socket:recv("*a", helper.patience)
    fails("ETRUNCATED", value, text, code)
    assert.matches("without close_notify", text)
    assert.equal("part", socket:recv(nil, helper.patience))
    fails("ETRUNCATED", socket:recv(nil, helper.patience))
    socket:close()
    mb.unlink(pid)
    Process.exit(pid, "kill")
  end)

  it("TLS-03 fails when bytes have been changed on their way, with those before it still there", function()
    local port, pid = tls_support.server(server_options, function(socket)
      socket:send("whole\nfine")
      mb.receive{{"go"}}
      socket:send("changed")
      mb.receive()
    end)
    local relay_port, relay = tls_support.relay(port)
    local socket = assert(net.connect("127.0.0.1", relay_port, {tls = client_options}))
    assert.equal("whole", socket:recv("line", helper.patience))
    mb.send(relay, "break")
    mb.send(pid, "go")
    local value, text, code = socket:recv(10, helper.patience)
    fails("ETLS", value, text, code)
    assert.equal("fine", socket:recv(nil, helper.patience))
    fails("ETLS", socket:recv(nil, helper.patience))
    fails("ETLS", socket:send("x"))
    socket:close()
    for _, other in ipairs{pid, relay} do
      mb.unlink(other)
      Process.exit(other, "kill")
    end
  end)

  describe("that is active", function()
    it("sends what arrives, and its end", function()
      client:send("early")
      assert.equal("ea", server:recv(2, helper.patience))
      server:active(true)
      assert.equal("rly", helper.await{"tcp", server, mb.any})
      client:send("two")
      assert.equal("two", helper.await{"tcp", server, mb.any})
      client:close()
      helper.await{"tcp_closed", server}
    end)

    it("sends once, or so many, and is passive then", function()
      server:active("once")
      client:send("one")
      assert.equal("one", helper.await{"tcp", server, mb.any})
      client:send("two")
      assert.equal("two", server:recv(3, helper.patience))
      server:set{active = 2}
      for i = 1, 2 do
        client:send(tostring(i))
        assert.equal(tostring(i), helper.await{"tcp", server, mb.any})
      end
      helper.await{"tcp_passive", server}
      client:send(("z"):rep(200000))
      assert.equal(200000, #server:recv(200000, helper.patience))
      server:active(true)
      server:active(false)
      client:send("last")
      assert.equal("last", server:recv(4, helper.patience))
    end)

    it("makes the handshake first", function()
      local port = tls_support.server(server_options, function(socket)
        local receive = mb.receive
        assert(socket:active(true))
        local m = receive{{{"tcp", socket, mb.any}}}
        return m
      end)
      local socket = assert(net.connect("127.0.0.1", port, {tls = client_options}))
      socket:send("first")
      assert.equal("first", (tls_support.served()))
      socket:close()
      port = tls_support.server(server_options, function(mine) return mine:active(true) end)
      socket = net.connect("127.0.0.1", port)
      socket:send("no TLS\n\n\n")
      fails("ETLS", tls_support.served())
      socket:close()
    end)

    it("says that it was cut off", function()
      local me, send = mb.self(), mb.send
      local port = tls_support.server(server_options, function(socket)
        socket:active(true)
        send(me, "active")
        local receive, any = mb.receive, mb.any
        local code = receive{{{"tcp_error", socket, any}}}
        receive{{{"tcp_closed", socket}}}
        return code
      end)
      local relay_port, relay = tls_support.relay(port)
      local socket = assert(net.connect("127.0.0.1", relay_port, {tls = client_options}))
      helper.await("active")
      mb.unlink(relay)
      mb.send(relay, "cut")
      assert.equal("ETRUNCATED", (tls_support.served()))
      socket:close()
    end)
  end)

  describe("that is given away", function()
    it("TLS-01 goes on in a process of any scheduler, with what was not taken", function()
      for _, where in ipairs(support.places()) do
        local a, b = tls_support.pair(server_options, client_options)
        a:send("first\nsecond\nthi")
        assert.equal("first", b:recv("line", helper.patience))
        assert.is_true(b:give_away(Process.spawn(support.echo, {scheduler = where})))
        assert.equal("echo second", a:recv("line", helper.patience))
        a:send("rd\n")
        assert.equal("echo third", a:recv("line", helper.patience))
        a:close()
      end
    end)

    it("may be so before its handshake, and in the middle of it", function()
      local listener = assert(net.listen{port = 0, tls = server_options})
      local me, send, connect, port = mb.self(), mb.send, net.connect, listener:sockname().port
      for i, where in ipairs(support.places()) do
        local pid = mb.spawn_link(function()
          local socket = assert(connect("127.0.0.1", port, {tls = client_options}))
          socket:send("hello\n")
          send(me, {"got", socket:recv("line")})
        end)
        local socket = listener:accept(helper.patience)
        if i % 2 == 0 then fails("ETIMEDOUT", socket:recv(1, 0)) end -- which begins it
        assert.is_true(socket:give_away(Process.spawn(support.echo, {scheduler = where})))
        assert.equal("echo hello", helper.await{"got", mb.any})
        helper.reason_of(pid)
      end
      listener:close()
    end)

    it("has one owner or none when those are killed in the middle", function()
      local listener = assert(net.listen{port = 0, tls = server_options})
      local port, connect, receive = listener:sockname().port, net.connect, mb.receive
      for _ = 1, 10 do
        local to = Process.spawn(function() receive{{"never"}} end, {scheduler = #mb.schedulers()})
        local pid = mb.spawn(function()
          assert(connect("127.0.0.1", port, {tls = client_options})):give_away(to)
          receive()
        end)
        local socket = listener:accept(helper.patience)
        assert.is_true(socket:handshake(helper.patience))
        Process.exit(pid, "kill")
        Process.exit(to, "kill")
        local value, _, code = socket:recv(nil, helper.patience)
        assert.is_nil(value)
        assert.is_truthy(code == "EOF" or code == "ETRUNCATED" or code == "ECONNRESET", code)
        socket:close()
      end
      listener:close()
    end)

    it("stays when the receiver is dead", function()
      fails("ESRCH", server:give_away(helper.dead_pid()))
      client:send("x")
      assert.equal("x", server:recv(1, helper.patience))
    end)
  end)

  it("is accepted on any scheduler, where the function sni runs, too", function()
    local me, send, any = mb.self(), mb.send, mb.any
    local listener = assert(net.listen{port = 0, tls = {sni = function(name)
      send(me, {"asked", name})
      return server_options
    end}})
    local port = listener:sockname().port
    for i = 1, #mb.schedulers() do
      local pid = Process.spawn(function()
        local socket = listener:accept()
        send(me, {"line", socket:recv("line")})
      end, {scheduler = i})
      local socket = assert(net.connect("localhost", port, {tls = client_options, timeout = helper.patience}))
      socket:send(i .. "\n")
      assert.equal(tostring(i), helper.await{"line", any})
      helper.await{"asked", "localhost"}
      socket:close()
      helper.reason_of(pid)
    end
    listener:close()
  end)

  it("lets go of who waits when another process closes it", function()
    for name, call in pairs{
      handshake = function(s, ready) ready() return s:handshake() end,
      recv = function(s, ready) s:handshake() ready() return s:recv() end,
      send = function(s, ready) s:handshake() ready() return s:send(("x"):rep(30000000)) end,
    } do
      local me, send = mb.self(), mb.send
      local port, pid = tls_support.server(server_options, function(socket)
        require("spec.net.shared").socket = socket
        return call(socket, function() send(me, "ready") end)
      end)
      local socket = name == "handshake" and net.connect("127.0.0.1", port)
        or assert(net.connect("127.0.0.1", port, {tls = client_options}))
      helper.await("ready")
      helper.until_waiting(pid)
      shared.socket:close()
      shared.socket = nil
      fails("ECANCELED", tls_support.served())
      socket:close()
    end
  end)

  it("closes when its owner is killed, whatever that waits in", function()
    for i, call in ipairs{
      function(s) s:handshake() end, function(s) s:recv() end, function(s) s:send(("x"):rep(30000000)) end,
      function(s) s:active(true) mb.receive() end, function() mb.receive() end,
    } do
      local me, send = mb.self(), mb.send
      local port, pid = tls_support.server(server_options, function(socket)
        send(me, "accepted")
        call(socket)
      end)
      mb.unlink(pid)
      local socket = (i == 1 or i == 5) and net.connect("127.0.0.1", port)
        or assert(net.connect("127.0.0.1", port, {tls = client_options}))
      helper.await("accepted")
      helper.until_waiting(pid)
      Process.exit(pid, "kill")
      repeat local data = socket:recv(nil, helper.patience) until not data
      socket:close()
    end
  end)

  it("works over Unix sockets", function()
    local name = directory .. "/socket"
    local listener = assert(net.listen{path = name, tls = server_options})
    local connect = net.connect
    local pid = mb.spawn_link(function()
      local options = {ca = client_options.ca, server_name = "localhost"}
      local socket <close> = assert(connect("unix:" .. name, {tls = options}))
      socket:send("over a file")
    end)
    local socket = listener:accept(helper.patience)
    assert.equal("over a file", socket:recv("*a", helper.patience))
    socket:close()
    listener:close()
    helper.reason_of(pid)
  end)

  it("comes and goes without a trace, many at once, on all schedulers", function()
    local schedulers = #mb.schedulers()
    local count = 12 * schedulers
    local me, send, receive, any, connect, spawn = mb.self(), mb.send, mb.receive, mb.any, net.connect, mb.spawn
    local listener = assert(net.listen{port = 0, tls = server_options, acceptors = schedulers})
    local port = listener:sockname().port
    local function serve()
      receive{{{"socket", any, any}, function(s)
        s:send(s:recv("line") .. "\n")
        s:shutdown()
        s:recv("*a")
      end}}
    end
    for i = 1, schedulers do
      Process.spawn(function()
        while true do
          local socket = listener:accept()
          if not socket then break end
          socket:give_away(spawn(serve))
        end
      end, {scheduler = i})
    end
    for i = 1, count do
      Process.spawn(function()
        local socket <close> = assert(connect("127.0.0.1", port, {tls = client_options}))
        socket:send(i .. "\n")
        send(me, {"back", tonumber((socket:recv("*a")))})
      end, {scheduler = i % schedulers + 1, link = true})
    end
    local sum = 0
    for _ = 1, count do sum = sum + helper.await{"back", any} end
    assert.equal(count * (count + 1) // 2, sum)
    listener:close()
  end)
end)

-- TCP connections: bytes by count, line and what there is; sending; ends.
local helper = require "spec.helper"
local support = require "spec.net.support"
local mb = require "moonbeam"
local Process, net = mb.Process, mb.net
local fails = support.fails

describe("a TCP connection", function()
  local client, server
  after_each(function() -- first: what helper.setup adds counts what is left
    client:close()
    server:close()
  end)
  helper.setup()
  before_each(function() client, server = support.pair() end)

  it("NET-01 carries bytes both ways", function()
    assert.is_true(client:send("ping"))
    assert.equal("ping", server:recv())
    assert.is_true(server:send{"p", "on", "g"})
    assert.equal("pong", client:recv())
  end)

  it("NET-02 gives exactly so many bytes", function()
    client:send("abcdefgh")
    assert.equal("abc", server:recv(3))
    assert.equal("", server:recv(0))
    assert.equal("defgh", server:recv(5))
    fails("ETIMEDOUT", server:recv(1, 1))
  end)

  it("NET-02 gives lines, without their ends, and a last one without one", function()
    client:send("one\r\ntwo\n\nthree")
    assert.equal("one", server:recv("line"))
    assert.equal("two", server:recv("l"))
    assert.equal("", server:recv("*l"))
    fails("ETIMEDOUT", server:recv("line", 1))
    client:shutdown()
    assert.equal("three", server:recv("line"))
    fails("EOF", server:recv("line"))
  end)

  it("NET-02 gives all until the other side has ended, and nothing after that", function()
    for _ = 1, 100 do client:send(("x"):rep(1000)) end
    client:shutdown()
    assert.equal(100000, #server:recv("*a"))
    assert.equal("", server:recv("a"))
    fails("EOF", server:recv())
    fails("EOF", server:recv(1))
  end)

  it("NET-03 keeps what had arrived when the time is over in the middle", function()
    client:send("half")
    fails("ETIMEDOUT", server:recv(8, 20))
    fails("ETIMEDOUT", server:recv("line", 1))
    fails("ETIMEDOUT", server:recv("*a", 1))
    client:send("full")
    assert.equal("halffull", server:recv(8, helper.patience))
  end)

  it("NET-03 does not wait with a timeout of 0", function()
    fails("ETIMEDOUT", server:recv(nil, 0))
    fails("ETIMEDOUT", server:recv(4, 0))
  end)

  it("NET-04 can be half-closed: the other direction goes on", function()
    client:send("question")
    assert.is_true(client:shutdown())
    assert.is_true(client:shutdown())
    assert.equal("question", server:recv("*a"))
    fails("EPIPE", client:send("more"))
    server:send("answer")
    assert.equal("answer", client:recv())
  end)

  it("NET-05 waits for who takes too slowly, and for nobody else", function()
    local me, send = mb.self(), mb.send
    local sent = 0
    local port = support.serve(function(socket)
      local n = 0
      send(me, "accepted")
      mb.receive()
      while true do
        local data = socket:recv()
        if not data then break end
        n = n + #data
      end
      send(me, {"got", n})
    end)
    local sender = mb.spawn(function()
      local socket = net.connect("127.0.0.1", port)
      local piece = ("x"):rep(100000)
      for _ = 1, 200 do assert(socket:send(piece)) end
      socket:close()
      send(me, "sent")
    end)
    helper.await("accepted")
    helper.until_waiting(sender)
    mb.sleep(20)
    assert.is_true(Process.alive(sender))
    assert.equal("timeout", select(2, mb.receive{{"sent"}, after = 0}))
    local taker = Process.info(mb.self(), "links")[1]
    mb.send(taker, "go")
    helper.await("sent")
    assert.equal(20000000, helper.await{"got", mb.any})
    assert.equal(0, sent)
  end)

  it("NET-06 says how much was taken when a send is late", function()
    server:set{high_water = 1000}
    local piece = ("x"):rep(10000000)
    local value, text, code, taken = client:send(piece, 20)
    fails("ETIMEDOUT", value, text, code)
    assert.is_true(taken > 0 and taken < #piece)
    assert.equal(taken, #server:recv(taken, helper.patience))
    fails("ETIMEDOUT", server:recv(nil, 20))
  end)

  it("NET-07 is flushed: what was queued has been written then", function()
    local me, send = mb.self(), mb.send
    local port, pid = support.serve(function(socket)
      mb.receive()
      send(me, {"got", #assert(socket:recv("*a"))})
    end)
    local s = net.connect("127.0.0.1", port)
    assert.is_true(s:flush())
    s:set{high_water = 20000000}
    assert.is_true(s:send(("x"):rep(10000000)))
    fails("ETIMEDOUT", s:flush(20))
    fails("ETIMEDOUT", s:flush(0))
    s:shutdown()
    send(pid, "read")
    assert.is_true(s:flush(helper.patience))
    assert.equal(10000000, helper.await{"got", mb.any})
    s:close()
    fails("EBADF", s:flush())
    local ok, text = pcall(client.flush, client, "long")
    assert.is_false(ok)
    assert.matches("bad argument #1 to 'flush' %(timeout_value", text)
  end)

  it("has names, which print as addresses", function()
    local peer, own = client:peername(), server:sockname()
    assert.same({host = "127.0.0.1", port = own.port, family = "inet"}, {host = peer.host, port = peer.port, family = peer.family})
    assert.equal("127.0.0.1:" .. own.port, tostring(own))
    assert.equal(tostring(client:sockname()), tostring(server:peername()))
  end)

  it("has options", function()
    assert.is_true(client:set{nodelay = true, keepalive = true, high_water = 10, line_limit = 100})
    assert.is_true(client:set{keepalive = 10, nodelay = false})
    assert.is_true(client:set{keepalive = false})
    local ok, text = pcall(client.set, client, {nodeley = true})
    assert.is_false(ok)
    assert.matches("tcp_spec.lua:%d+: bad argument #1 to 'set' %(unknown option nodeley = true; options: nodelay", text)
    ok, text = pcall(client.set, client, {high_water = 0})
    assert.is_false(ok)
    assert.matches("high_water is an integer >= 1, got 0", text)
  end)

  it("prints by its number", function()
    assert.matches("^#socket<%d+>$", tostring(client))
    assert.not_equal(tostring(client), tostring(server))
  end)

  it("NET-09 is used by its owner alone", function()
    local shared = require "spec.net.shared" -- within one scheduler a module's table reaches it
    local me, send = mb.self(), mb.send
    shared.socket = server
    Process.spawn(function()
      local s = require("spec.net.shared").socket
      send(me, {select(2, pcall(s.recv, s)), select(2, pcall(s.send, s, "x")), (tostring(s:peername()))})
    end, {scheduler = "here"})
    local errors = mb.receive(helper.patience)
    shared.socket = nil
    assert.matches("recv: the socket belongs to #PID<.*>, which has to give it away: socket:give_away%(pid%)", errors[1])
    assert.matches("send: the socket belongs to", errors[2])
    assert.matches("^127.0.0.1:%d+$", errors[3])
  end)

  it("NET-09 refuses to be sent, and says what to do", function()
    local ok, text = pcall(mb.send, mb.self(), {"socket", {inner = client}})
    assert.is_false(ok)
    assert.matches('cannot send message: field "%[2%].inner" is a userdata %(socket%): a socket belongs to one process; ' ..
      'give it away: socket:give_away%(pid%)', text)
    ok, text = pcall(mb.spawn, function() return client end)
    assert.is_false(ok)
    assert.matches("give it away", text)
  end)

  it("NET-25 raises for wrong arguments, at the caller's line", function()
    for what, text in pairs{[-1] = "number of bytes >= 0 expected, got %-1", [1.5] = "number of bytes >= 0 expected, got 1.5",
                            word = 'a number of bytes, "line" or "%*a" expected, got "word"'} do
      local ok, e = pcall(function() client:recv(what) end)
      assert.is_false(ok)
      assert.matches("tcp_spec.lua:%d+: bad argument #1 to 'recv' %(" .. text, e)
    end
    local ok, e = pcall(function() client:send(nil) end)
    assert.is_false(ok)
    assert.matches("bad argument #1 to 'send' %(string or sequence of strings expected, got nil", e)
    ok, e = pcall(function() client:send{"a", {}} end)
    assert.is_false(ok)
    assert.matches("item 2 is a table, not a string", e)
    ok, e = pcall(function() client:recv(1, -1) end)
    assert.is_false(ok)
    assert.matches("bad argument #2 to 'recv' %(timeout_value", e)
    ok, e = pcall(function() client.recv({}) end)
    assert.is_false(ok)
    assert.matches("socket expected, got table", e)
  end)
end)

describe("net", function()
  helper.setup()

  it("takes host and port by their places, too", function()
    local listener <close> = assert(net.listen{"127.0.0.1", 0})
    local port = listener:sockname().port
    local socket = assert(net.connect{"127.0.0.1", port, nodelay = true})
    assert.equal("127.0.0.1", socket:peername().host)
    socket:close()
    local udp = assert(net.udp{"127.0.0.1", 0})
    assert.equal("127.0.0.1", udp:sockname().host)
    udp:close()
    assert.is_false((pcall(net.listen, {"127.0.0.1", 0, "more"})))
  end)

  it("NET-19 connects to names, IPv6 and IPv4", function()
    local listener, port = support.listen()
    local client = assert(net.connect("localhost", port, {timeout = helper.patience}))
    local server = assert(listener:accept(helper.patience))
    client:send("x")
    assert.equal("x", server:recv())
    listener:close()
    client:close()
    server:close()
    local six = net.listen{host = "::1", port = 0}
    if not six then return end -- no IPv6 here
    client = assert(net.connect("::1", six:sockname().port))
    assert.equal("inet6", client:peername().family)
    assert.matches("^%[::1%]:%d+$", tostring(client:peername()))
    client:close()
    six:close()
  end)

  it("takes all options in a table", function()
    local listener, port = support.listen()
    local client = assert(net.connect{host = "127.0.0.1", port = port, nodelay = true, local_host = "127.0.0.2"})
    assert.equal("127.0.0.2", client:sockname().host)
    client:close()
    listener:close()
  end)

  it("NET-20 says who refuses, and what is no address", function()
    local listener, port = support.listen()
    listener:close()
    fails("ECONNREFUSED", net.connect("127.0.0.1", port))
    local value, _, code = net.connect("name.that.is.not.there.invalid", 80, {timeout = 5000})
    assert.is_nil(value)
    assert.matches("^EAI_", code)
    fails("EADDRNOTAVAIL", net.listen{host = "192.0.2.1"})
    local first = net.listen{port = 0}
    fails("EADDRINUSE", net.listen{port = first:sockname().port})
    first:close()
  end)

  it("NET-25 raises for wrong arguments, at the caller's line", function()
    for _, case in ipairs{
      {"bad argument #1 to 'net.connect' %(host expected, a name or an address, got nil", net.connect},
      {"bad argument #2 to 'net.connect' %(port expected, an integer from 0 to 65535, got 65536", net.connect, "x", 65536},
      {"bad argument #3 to 'net.connect' %(unknown option timeot", net.connect, "x", 1, {timeot = 1}},
      {"bad argument #1 to 'net.listen' %(table of options expected, got number", net.listen, 80},
      {"bad argument #1 to 'net.listen' %(unknown option prt", net.listen, {prt = 80}},
      {"bad argument #1 to 'net.listen' %(port is an integer from 0 to 65535, got", net.listen, {port = "http"}},
      {"bad argument #1 to 'net.connect' %(host expected, a name or an address, got one with a NUL byte", net.connect,
        "127.0.0.1\0.example", 1},
      {"bad argument #1 to 'net.connect' %(a path has no NUL byte", net.connect, "unix:/tmp/a\0b"},
      {"bad argument #1 to 'net.connect' %(path is a path, got one with a NUL byte", net.connect, {path = "/tmp/a\0b"}},
      {"bad argument #1 to 'net.listen' %(host is a name or an address, got one with a NUL byte", net.listen,
        {"127.0.0.1\0"}},
      {"bad argument #1 to 'net.resolve' %(host expected, a name or an address, got one with", net.resolve, "a\0b"},
    } do
      local ok, text = pcall(table.unpack(case, 2))
      assert.is_false(ok)
      assert.matches(case[1], text)
    end
  end)

  it("NET-03 waits for a connection as long as it was told", function()
    local listener = support.listen()
    fails("ETIMEDOUT", listener:accept(1))
    fails("ETIMEDOUT", listener:accept(0))
    listener:close()
  end)

  it("says where a process waits", function()
    local listen = net.listen
    local pid = mb.spawn(function()
      local listener = listen{port = 0}
      listener:accept()
    end)
    helper.until_waiting(pid)
    assert.matches("tcp_spec.lua:%d+", Process.info(pid, "current_location"))
    assert.equal(1, mb.census().listener)
    Process.exit(pid, "kill")
  end)
end)

describe("a listener", function()
  helper.setup()

  it("arrives anew where it has just been collected", function()
    local listener = support.listen()
    local me, send, receive = mb.self(), mb.send, mb.receive
    local pid = Process.spawn(function()
      receive() -- the listener, and drops it
      collectgarbage()
      collectgarbage()
      local _, _, code = receive():accept(0)
      send(me, {"code", code})
    end, {scheduler = #mb.schedulers()})
    send(pid, listener)
    send(pid, listener)
    assert.equal("ETIMEDOUT", helper.await{"code", mb.any})
    listener:close()
  end)

  it("NET-17 is accepted from by processes of all schedulers", function()
    local listener, port = support.listen()
    local me, send = mb.self(), mb.send
    local count = 40
    for _ = 1, 8 do
      mb.spawn_link(function()
        while true do
          local socket = listener:accept()
          if not socket then break end
          socket:send(socket:recv("line") .. "!\n")
          socket:close()
        end
        send(me, "closed")
      end)
    end
    for i = 1, count do
      local socket = assert(net.connect("127.0.0.1", port))
      socket:send(i .. "\n")
      assert.equal(i .. "!", socket:recv("line", helper.patience))
      socket:close()
    end
    listener:close()
    for _ = 1, 8 do helper.await("closed") end
  end)

  it("NET-18 closes with its owner, on every scheduler", function()
    local me, send, listen = mb.self(), mb.send, net.listen
    local owner = mb.spawn(function()
      local listener = listen{port = 0}
      for _ = 1, 4 do
        mb.spawn(function()
          send(me, "waits")
          send(me, {"end", listener:accept()})
        end)
      end
      mb.receive()
    end)
    for _ = 1, 4 do helper.await("waits") end
    mb.sleep(5)
    Process.exit(owner, "kill")
    for _ = 1, 4 do
      local text, code = helper.await{"end", nil, mb.any, mb.any}
      assert.is_truthy(code == "ECANCELED" or code == "EBADF", text)
    end
  end)

  it("NET-17 keeps a connection for others when who was woken has died", function()
    local listener, port = support.listen()
    local accept = function() listener:accept() end
    for _ = 1, 20 do
      local pid = helper.until_waiting(mb.spawn(accept))
      Process.exit(pid, "kill")
    end
    fails("ETIMEDOUT", listener:accept(1))
    local client = net.connect("127.0.0.1", port)
    local server = assert(listener:accept(helper.patience))
    server:close()
    client:close()
    listener:close()
  end)
end)

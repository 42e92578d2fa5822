-- Active modes: what arrives comes to the owner's mailbox.
local helper = require "spec.helper"
local support = require "spec.net.support"
local mb = require "moonbeam"

describe("an active socket", function()
  local client, server
  after_each(function()
    client:close()
    server:close()
  end)
  helper.setup()
  before_each(function() client, server = support.pair() end)

  it("NET-13 sends what arrives, and its end", function()
    server:active(true)
    client:send("one")
    assert.equal("one", helper.await{"tcp", server, mb.any})
    client:send("two")
    assert.equal("two", helper.await{"tcp", server, mb.any})
    client:close()
    helper.await{"tcp_closed", server}
  end)

  it("NET-13 sends what was there before", function()
    client:send("early")
    assert.equal("ea", server:recv(2))
    server:active(true)
    assert.equal("rly", helper.await{"tcp", server, mb.any})
  end)

  it("NET-13 sends once", function()
    server:active("once")
    client:send("one")
    assert.equal("one", helper.await{"tcp", server, mb.any})
    client:send("two")
    assert.equal("two", server:recv(3, helper.patience))
    assert.same({nil, "timeout"}, {mb.receive(0)})
    server:set{active = "once"}
    client:close()
    helper.await{"tcp_closed", server}
    support.fails("EOF", server:recv(nil, helper.patience))
  end)

  it("NET-13 sends so many messages, and says that it is passive", function()
    server:active(2)
    for i = 1, 2 do
      client:send(tostring(i))
      assert.equal(tostring(i), helper.await{"tcp", server, mb.any})
    end
    helper.await{"tcp_passive", server}
    client:send("3")
    assert.equal("3", server:recv(nil, helper.patience))
  end)

  it("NET-13 is passive again", function()
    server:active(true)
    client:send("one")
    helper.await{"tcp", server, "one"}
    server:active(false)
    client:send("two")
    assert.equal("two", server:recv(nil, helper.patience))
    support.fails("ETIMEDOUT", server:recv(nil, 1))
  end)

  it("NET-13 does not mix messages with recv", function()
    server:active(true)
    local ok, text = pcall(server.recv, server)
    assert.is_false(ok)
    assert.matches("recv: the socket is active: what arrives comes as messages; socket:active%(false%) first", text)
  end)

  it("is told apart from others by its messages", function()
    local client2, server2 = support.pair()
    server:active(true)
    server2:active(true)
    client:send("first")
    client2:send("second")
    assert.equal("second", helper.await{"tcp", server2, mb.any})
    assert.equal("first", helper.await{"tcp", server, mb.any})
    local names = {[server] = 1, [server2] = 2}
    client2:send("again")
    local _, from = helper.await(mb.is(function(m) return m[1] == "tcp" end))
    assert.is_nil(from)
    client2:close()
    local closed = mb.receive(helper.patience)
    assert.equal(2, names[closed[2]])
    server2:close()
  end)

  it("is found in messages although nobody has kept it", function()
    local me, send, receive = mb.self(), mb.send, mb.receive
    local port = support.serve(function(socket)
      socket:active(true)
      socket = nil -- luacheck: ignore
      collectgarbage()
      collectgarbage()
      local m = receive()
      collectgarbage()
      m[2]:send("got " .. m[3])
      m = receive()
      send(me, {m[1], tostring(m[2])})
    end)
    local socket = mb.net.connect("127.0.0.1", port)
    socket:send("x")
    assert.equal("got x", socket:recv(5, helper.patience))
    socket:close()
    assert.matches("^#socket", helper.await{"tcp_closed", mb.any})
  end)

  it("NET-24 is a reason to wait, also after waiting in send", function()
    local port = support.serve(function(socket)
      assert(socket:recv(10000001))
      mb.sleep(20) -- the other side waits for a message by now, or has ended of that
      socket:send("x")
      socket:recv()
    end)
    local name = os.tmpname()
    mb.fs.write(name, ([[
      require "moonbeam".import()
      local socket = net.connect("127.0.0.1", %d)
      socket:active("once")
      socket:send(("x"):rep(10000000))
      socket:send("!")
      print(receive()[3])
    ]]):format(port))
    local _, out, problem = mb.system.run("sh", {"-c", helper.interpreter() .. " " .. name},
      {env = {MOONBEAM_LONG_SCHEDULE = "0"}})
    assert.same({"x\n", ""}, {out, problem})
    os.remove(name)
  end)

  it("shows its messages in Process.info", function()
    server:active(true)
    client:send("x")
    while #mb.Process.info(mb.self(), "messages") == 0 do mb.sleep(1) end
    assert.equal(server, mb.Process.info(mb.self(), "messages")[1][2])
    helper.await{"tcp", server, "x"}
  end)

  it("raises for modes that there are not", function()
    for _, mode in ipairs{"twice", 0, -1, 1.5, 40000} do
      local ok, text = pcall(server.active, server, mode)
      assert.is_false(ok)
      assert.matches('active is true, false, "once" or a number from 1 to 32767, got', text)
    end
  end)
end)

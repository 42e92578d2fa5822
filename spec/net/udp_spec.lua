-- UDP: datagrams with where they come from.
local helper = require "spec.helper"
local support = require "spec.net.support"
local mb = require "moonbeam"
local net = mb.net
local fails = support.fails

describe("a UDP socket", function()
  local a, b
  after_each(function()
    a:close()
    b:close()
  end)
  helper.setup()
  before_each(function()
    a, b = assert(net.udp{host = "127.0.0.1"}), assert(net.udp{host = "127.0.0.1", port = 0})
  end)

  it("sends and receives datagrams, whole and with their sender", function()
    assert.is_true(a:send("one", "127.0.0.1", b:sockname().port))
    assert.is_true(a:send("", "127.0.0.1", b:sockname().port))
    assert.same({"one", "127.0.0.1", a:sockname().port}, {b:recv(helper.patience)})
    assert.equal("", (b:recv(helper.patience)))
    fails("ETIMEDOUT", b:recv(1))
    fails("ETIMEDOUT", b:recv(0))
  end)

  it("refuses what is too large, and names", function()
    fails("EMSGSIZE", a:send(("x"):rep(70000), "127.0.0.1", 9))
    fails("EINVAL", a:send("x", "localhost", 9))
  end)

  it("sends messages when it is active", function()
    a:send("before", "127.0.0.1", b:sockname().port)
    b:active("once")
    assert.same({"127.0.0.1", a:sockname().port, "before"}, {helper.await{"udp", b, mb.any, mb.any, mb.any}})
    b:active(2)
    for i = 1, 3 do a:send(tostring(i), "127.0.0.1", b:sockname().port) end
    helper.await{"udp", b, mb.any, mb.any, "1"}
    helper.await{"udp", b, mb.any, mb.any, "2"}
    helper.await{"udp_passive", b}
    assert.equal("3", (b:recv(helper.patience)))
    b:active(true)
    a:send("4", "127.0.0.1", b:sockname().port)
    helper.await{"udp", b, mb.any, mb.any, "4"}
    local ok, text = pcall(b.recv, b)
    assert.is_false(ok)
    assert.matches("recv: the socket is active", text)
    b:active(false)
    fails("ETIMEDOUT", b:recv(0))
  end)

  it("closes with its owner, and says so", function()
    local udp, exit = net.udp, mb.exit
    helper.in_process(function()
      local s = udp()
      assert(s:close() and s:close())
      local value, _, code = s:recv()
      assert(value == nil and code == "EBADF")
      udp()
      exit()
    end)
  end)
end)

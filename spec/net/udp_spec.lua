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

  it("NET-22 sends and receives datagrams, whole and with their sender", function()
    assert.is_true(a:send("one", "127.0.0.1", b:sockname().port))
    assert.is_true(a:send("", "127.0.0.1", b:sockname().port))
    assert.same({"one", "127.0.0.1", a:sockname().port}, {b:recv(helper.patience)})
    assert.equal("", (b:recv(helper.patience)))
    fails("ETIMEDOUT", b:recv(1))
    fails("ETIMEDOUT", b:recv(0))
  end)

  it("refuses what is too large", function()
    fails("EMSGSIZE", a:send(("x"):rep(70000), "127.0.0.1", 9))
    fails("EMSGSIZE", a:send(("x"):rep(70000), "localhost", 9))
  end)

  it("sends to names, by the first address of its family", function()
    assert.is_true(a:send("by name", "localhost", b:sockname().port))
    assert.same({"by name", "127.0.0.1", a:sockname().port}, {b:recv(helper.patience)})
    local six = net.udp{host = "::1"}
    if not six then return end -- no IPv6 here
    local to = six:sockname().port
    local sent, text, code = six:send("to itself", "localhost", to, helper.patience)
    if sent then
      assert.same({"to itself", "::1", to}, {six:recv(helper.patience)})
    else
      assert.matches("^EAI_", code, text) -- localhost has no such address here
    end
    six:close()
  end)

  it("fails for names that are none, and when looking up takes too long", function()
    local value, text, code = a:send("x", "name.that.is.not.there.invalid", 9)
    assert.is_nil(value)
    assert.matches("^EAI_", code)
    assert.matches("^" .. code .. ": ", text)
    fails("ETIMEDOUT", a:send("x", "localhost", 9, 0))
  end)

  it("may be closed, and its process killed, while a name is looked up", function()
    local udp, exit = net.udp, mb.exit
    for i = 1, 10 do
      local pid = mb.spawn(function() udp():send("x", "name" .. i .. ".that.is.not.there.invalid", 9) end)
      mb.Process.exit(pid, "kill")
    end
    helper.in_process(function()
      local s = udp()
      s:close()
      local value, _, code = s:send("x", "localhost", 9)
      assert(value == nil and code == "EBADF")
      exit()
    end)
  end)

  it("raises for wrong arguments, at the caller's line", function()
    for _, case in ipairs{
      {"bad argument #1 to 'send' %(string expected, got nil", nil, "localhost", 9},
      {"bad argument #2 to 'send' %(host expected, a name or an address, got nil", "x", nil, 9},
      {"bad argument #2 to 'send' %(host expected, a name or an address, got \"\"", "x", "", 9},
      {"bad argument #2 to 'send' %(host expected, a name or an address, got one with a NUL", "x", "127.0.0.1\0", 9},
      {"bad argument #3 to 'send' %(port expected, an integer from 0 to 65535, got 65536", "x", "localhost", 65536},
      {"bad argument #3 to 'send' %(port expected, an integer from 0 to 65535, got nil", "x", "localhost"},
      {"bad argument #4 to 'send' %(timeout_value", "x", "localhost", 9, -1},
    } do
      local ok, text = pcall(function() a:send(table.unpack(case, 2, 5)) end)
      assert.is_false(ok)
      assert.matches("udp_spec.lua:%d+: " .. case[1], text)
    end
  end)

  it("NET-22 sends messages when it is active", function()
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

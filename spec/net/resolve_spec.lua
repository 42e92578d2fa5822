-- Names and their addresses.
local helper = require "spec.helper"
local support = require "spec.net.support"
local mb = require "moonbeam"
local Process, net = mb.Process, mb.net

describe("net.resolve", function()
  helper.setup()

  it("NET-19 gives addresses in numbers", function()
    local found = assert(net.resolve("localhost", {family = "inet"}))
    assert.equal("127.0.0.1", found[1])
    assert.same({"127.0.0.1"}, net.resolve("127.0.0.1"))
    assert.same({"::1"}, net.resolve("::1"))
  end)

  it("NET-20 fails for names that are none", function()
    local value, text, code = net.resolve("name.that.is.not.there.invalid")
    assert.is_nil(value)
    assert.matches("^EAI_", code)
    assert.matches("^" .. code .. ": ", text)
  end)

  it("can be killed in the middle", function()
    local resolve = net.resolve
    for i = 1, 10 do
      local pid = mb.spawn(function() resolve("name" .. i .. ".that.is.not.there.invalid") end)
      Process.exit(pid, "kill")
    end
  end)

  it("raises for wrong arguments", function()
    local ok, text = pcall(net.resolve, 5)
    assert.is_false(ok)
    assert.matches("bad argument #1 to 'net.resolve' %(host expected, a name or an address, got number", text)
    ok, text = pcall(net.resolve, "x", {family = "inet5"})
    assert.is_false(ok)
    assert.matches('family is "inet" or "inet6", got inet5', text)
  end)

  it("is in time", function()
    local value, _, code = net.resolve("localhost", {timeout = 0})
    if not value then support.fails("ETIMEDOUT", value, _, code) end
  end)
end)

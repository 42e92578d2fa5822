-- Unix sockets: as TCP, with a path for an address.
local helper = require "spec.helper"
local support = require "spec.net.support"
local mb = require "moonbeam"
local net = mb.net

describe("a Unix socket", function()
  helper.setup()

  local function path()
    local name = os.tmpname()
    os.remove(name)
    return name
  end

  it("NET-21 carries bytes and ends", function()
    local name = path()
    local client, server = support.pair{path = name}
    client:send("hello\n")
    assert.equal("hello", server:recv("line"))
    server:send("x")
    server:close()
    assert.equal("x", client:recv("*a"))
    client:close()
  end)

  it("is found by net.connect{path =} and unix:path, and named by its path", function()
    local name = path()
    local listener = assert(net.listen{path = name})
    assert.same({path = name, family = "unix"}, {path = listener:sockname().path, family = listener:sockname().family})
    assert.equal(name, tostring(listener:sockname()))
    local a, b = assert(net.connect{path = name}), assert(net.connect("unix:" .. name, {timeout = 1000}))
    assert.equal(name, a:peername().path)
    a:close()
    b:close()
    listener:close()
  end)

  it("NET-21 leaves no file behind", function()
    local name = path()
    local listener = assert(net.listen{path = name})
    support.fails("EADDRINUSE", net.listen{path = name})
    listener:close()
    assert.is_nil(io.open(name))
    support.fails("ENOENT", net.connect{path = name})
  end)

  it("has a path of bounded length", function()
    support.fails("ENAMETOOLONG", net.listen{path = "/tmp/" .. ("x"):rep(200)})
    support.fails("ENAMETOOLONG", net.connect{path = "/tmp/" .. ("x"):rep(200)})
  end)

  it("is counted as a pipe", function()
    local client, server = support.pair{path = path()}
    assert.equal(2, mb.census().pipe)
    client:close()
    server:close()
    assert.equal(0, mb.census().pipe)
  end)
end)

local mb = require "moonbeam"
local helper = require "spec.helper"
local send, receive, GenServer = mb.send, mb.receive, mb.GenServer

local NODE = "nonode@nohost"

local function start(name, handle_call)
  local me = mb.self()
  return assert(GenServer.start({
    init = function() return "ok", 0 end,
    handle_call = handle_call or function(request, _, n) return "reply", request, n end,
    handle_cast = function(request, n) send(me, {"cast", request}) return "noreply", n end,
  }, nil, {name = name}))
end

describe("GenServer.multi_call", function()
  helper.setup()

  it("gives each node's reply, and the nodes without one", function()
    local pid = start("the server")
    assert.same({{ {NODE, "r"} }, {}}, {GenServer.multi_call("the server", "r")})
    assert.same({{ {NODE, "r"} }, {"other@host"}},
      {GenServer.multi_call({NODE, "other@host"}, "the server", "r", 5000)})
    assert.same({{}, {}}, {GenServer.multi_call({}, "the server", "r")})
    assert.same({{}, {NODE}}, {GenServer.multi_call("nobody", "r")})
    GenServer.stop(pid)
  end)

  it("takes a server that is late, or dies, for one that is not there", function()
    local late = start("late", function() receive{ {"go on"} } return "reply", "late", 0 end)
    assert.same({{}, {NODE}}, {GenServer.multi_call("late", "r", 1)})
    send(late, "go on")
    GenServer.stop(late)
    assert.is_nil((receive(0)))
    start("dying", function() error("dies") end)
    assert.same({{}, {NODE}}, {GenServer.multi_call("dying", "r")})
  end)

  it("refuses wrong arguments at the caller", function()
    for text, arguments in pairs{
      ["bad argument #1 to 'GenServer.multi_call' %(name expected, got number"] = {5, "r"},
      ["bad argument #1 to 'GenServer.multi_call' %(sequence of nodes' names expected, got a number at 2"] =
        {{NODE, 5}, "n", "r"},
      ["bad argument #2 to 'GenServer.multi_call' %(name expected, got nil"] = {{NODE}},
      ["bad argument #4 to 'GenServer.multi_call' %(timeout_value"] = {"name", "r", -1},
    } do
      local ok, message = pcall(GenServer.multi_call, table.unpack(arguments))
      assert.is_false(ok)
      assert.matches(text, message)
    end
  end)
end)

describe("GenServer.abcast", function()
  helper.setup()

  it("casts to the server of that name", function()
    local pid = start("the server")
    assert.is_true(GenServer.abcast("the server", 1))
    assert.is_true(GenServer.abcast({"other@host", NODE}, "the server", 2))
    assert.is_true(GenServer.abcast({"other@host"}, "the server", 3))
    assert.is_true(GenServer.abcast("nobody", 4))
    GenServer.call(pid, "all casts are through")
    assert.same({"cast", 1}, receive(helper.patience))
    assert.same({"cast", 2}, receive(helper.patience))
    assert.is_nil((receive(0)))
    GenServer.stop(pid)
  end)
end)

-- Sockets that go from one process to another.
local helper = require "spec.helper"
local support = require "spec.net.support"
local mb = require "moonbeam"
local Process, net = mb.Process, mb.net

describe("give_away", function()
  local client, server
  after_each(function()
    client:close()
    server:close()
  end)
  helper.setup()
  before_each(function() client, server = support.pair() end)

  it("NET-15 hands it to a process of any scheduler", function()
    for _, where in ipairs(support.places()) do
      local a, b = support.pair()
      local pid = Process.spawn(support.echo, {scheduler = where})
      assert.is_true(b:give_away(pid))
      for i = 1, 3 do
        a:send(i .. "\n")
        assert.equal("echo " .. i, a:recv("line", helper.patience))
      end
      a:close()
    end
  end)

  it("NET-15 takes along what has been read and not been taken", function()
    for _, where in ipairs(support.places()) do
      local a, b = support.pair()
      a:send("first\nsecond\nthi")
      assert.equal("first", b:recv("line"))
      local pid = Process.spawn(support.echo, {scheduler = where})
      assert.is_true(b:give_away(pid))
      assert.equal("echo second", a:recv("line", helper.patience))
      a:send("rd\n")
      assert.equal("echo third", a:recv("line", helper.patience))
      a:close()
    end
  end)

  it("NET-15 comes back as a socket that is open, whoever still has the one that was given", function()
    local any = mb.any
    local function returner()
      mb.receive{{{"socket", mb.any, mb.any}, function(socket, from) socket:give_away(from) end}}
    end
    for _, where in ipairs(support.places()) do
      local a, b = support.pair()
      local had = {}
      for i = 1, 3 do
        had[i] = b
        assert.is_true(b:give_away(Process.spawn(returner, {scheduler = where})))
        b = helper.await({"socket", any, any})
        a:send(i .. "\n")
        assert.equal(tostring(i), b:recv("line", helper.patience))
      end
      b:close()
      a:close()
    end
  end)

  it("NET-15 takes a gift along, and says who gives", function()
    local me, send, receive, any = mb.self(), mb.send, mb.receive, mb.any
    for _, where in ipairs(support.places()) do
      local a, b = support.pair()
      local pid = Process.spawn(function()
        local from, gift = receive{{{"socket", any, any, any}, function(socket, from, gift)
          socket:send("x")
          return from, gift
        end}}
        send(me, {"got", from, gift})
      end, {scheduler = where})
      b:give_away(pid, {name = "gift"})
      local from, gift = helper.await{"got", any, any}
      assert.equal(me, from)
      assert.same({name = "gift"}, gift)
      assert.equal("x", a:recv(1, helper.patience))
      a:close()
    end
  end)

  it("NET-09 leaves the giver without it", function()
    local pid = mb.spawn(function() mb.receive() mb.receive() end)
    server:give_away(pid)
    local ok, text = pcall(server.recv, server, nil, 0)
    if ok then
      support.fails("EBADF", server:recv()) -- it has gone elsewhere
    else
      assert.matches("belongs to #PID", text)
    end
    Process.exit(pid, "kill")
    support.fails("EOF", client:recv(nil, helper.patience))
  end)

  it("NET-16 keeps it when the receiver is dead", function()
    support.fails("ESRCH", server:give_away(helper.dead_pid()))
    client:send("x")
    assert.equal("x", server:recv(1, helper.patience))
  end)

  it("keeps it when the gift cannot travel", function()
    local pid = helper.idle()
    local ok, text = pcall(server.give_away, server, pid, {coroutine.create(print)})
    assert.is_false(ok)
    assert.matches("cannot give a socket away: field \"%[4%]%[1%]\" is a coroutine", text)
    client:send("x")
    assert.equal("x", server:recv(1, helper.patience))
    Process.exit(pid, "kill")
  end)

  it("NET-16 closes it when the receiver dies without having taken the message", function()
    for _, where in ipairs(support.places()) do
      local a, b = support.pair()
      local receive = mb.receive
      local pid = Process.spawn(function() receive{{"never"}} end, {scheduler = where})
      b:give_away(pid)
      Process.exit(pid, "kill")
      support.fails("EOF", a:recv(nil, helper.patience))
      a:close()
    end
  end)

  it("waits until what is queued is written", function()
    local me, send = mb.self(), mb.send
    local count = #mb.schedulers()
    local receiver = Process.spawn(function()
      mb.receive{{{"socket", mb.any, mb.any}, function(socket)
        socket:send("end")
        send(me, "sent")
        socket:close()
      end}}
    end, {scheduler = count})
    server:set{high_water = 10000000}
    local text = ("x"):rep(8000000)
    server:send(text)
    local port = client
    local taker = mb.Task.async(function() return "ready" end)
    mb.Task.await(taker)
    local pid = mb.spawn_link(function()
      local n = 0
      mb.receive{{{"socket", mb.any, mb.any}, function(socket)
        local all = socket:recv("*a")
        n = #all
        send(me, {"all", n, all:sub(-3)})
      end}}
    end)
    port:give_away(pid)
    server:give_away(receiver)
    helper.await("sent")
    assert.same({8000003, "end"}, {helper.await{"all", mb.any, mb.any}})
  end)

  it("NET-16 can be killed in the middle: the socket has one owner or none", function()
    local give = function(port, pid)
      local s = net.connect("127.0.0.1", port)
      s:give_away(pid)
      mb.receive()
    end
    local receive = mb.receive
    for _ = 1, 20 do
      local listener, port = support.listen()
      local to = Process.spawn(function() receive{{"never"}} end, {scheduler = #mb.schedulers()})
      local pid = mb.spawn(give, port, to)
      local s = assert(listener:accept(helper.patience))
      Process.exit(pid, "kill")
      Process.exit(to, "kill")
      local value, _, code = s:recv(nil, helper.patience)
      assert.is_nil(value)
      assert.is_truthy(code == "EOF" or code == "ECONNRESET", code)
      s:close()
      listener:close()
    end
  end)

  it("raises for what is no pid", function()
    local ok, text = pcall(server.give_away, server, "name")
    assert.is_false(ok)
    assert.matches("give_away_spec.lua:%d+: bad argument #1 to 'give_away' %(pid expected, got string", text)
  end)
end)

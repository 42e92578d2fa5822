-- One listener's connections on several schedulers: acceptors = n.
local helper = require "spec.helper"
local support = require "spec.net.support"
local mb = require "moonbeam"
local Process, net = mb.Process, mb.net
local fails = support.fails

describe("a listener with acceptors", function()
  helper.setup()

  -- A linked process on each scheduler that accepts, and sends each connection its scheduler's number; they wait.
  local function serve(listener)
    local count = #mb.schedulers()
    local me, send, receive, spawn, any = mb.self(), mb.send, mb.receive, Process.spawn, mb.any
    local pids = {}
    for i = 1, count do
      pids[i] = Process.spawn(function()
        while true do
          local socket = listener:accept()
          if not socket then break end
          local pid = spawn(function()
            receive{{{"socket", any, any}, function(s) s:send(i .. "\n") end}}
          end, {scheduler = "here"})
          socket:give_away(pid)
        end
        send(me, {"closed", i})
      end, {link = true, scheduler = i})
    end
    for i = 1, count do helper.until_waiting(pids[i]) end
    return pids
  end

  -- How many of `count` connections each scheduler has had.
  local function connect(name, count)
    local had = {}
    for _ = 1, count do
      local socket = assert(name.path and net.connect("unix:" .. name.path) or net.connect(name.host, name.port))
      local at = tonumber((assert(socket:recv("line", helper.patience))))
      had[at] = (had[at] or 0) + 1
      socket:close()
    end
    return had
  end

  local function sum(had)
    local total = 0
    for _, n in pairs(had) do total = total + n end
    return total
  end

  local function await_closed()
    for _ = 1, #mb.schedulers() do helper.await{"closed", mb.any} end
  end

  it("NET-26 spreads connections over all schedulers", function()
    local listener = assert(net.listen{port = 0, acceptors = 64})
    serve(listener)
    local had = connect(listener:sockname(), 200)
    for i = 1, #mb.schedulers() do assert.is_truthy(had[i], i .. " has had none") end -- by chance once in 10^24, with 4
    assert.equal(200, sum(had))
    listener:close()
    await_closed()
  end)

  it("has as many queues as there are acceptors, which schedulers beyond share", function()
    local listener = assert(net.listen{port = 0, acceptors = 2})
    serve(listener)
    assert.equal(50, sum(connect(listener:sockname(), 50)))
    listener:close()
    await_closed()
  end)

  it("takes all connections where alone somebody accepts", function()
    local listener = assert(net.listen{port = 0, acceptors = #mb.schedulers()})
    local me, send = mb.self(), mb.send
    local pid = Process.spawn(function()
      for i = 1, 20 do
        local socket = listener:accept()
        socket:send(i .. "\n")
        socket:close()
      end
      send(me, "done")
    end, {link = true, scheduler = #mb.schedulers()})
    for i = 1, 20 do
      local socket = assert(net.connect("127.0.0.1", listener:sockname().port))
      assert.equal(tostring(i), socket:recv("line", helper.patience))
      socket:close()
    end
    helper.await("done")
    helper.reason_of(pid)
    listener:close()
  end)

  -- A process on a scheduler that accepts for no time, so that connections come there from then on, and ends.
  local function accept_once(listener, where)
    local _, ref = Process.spawn(function() listener:accept(0) end, {monitor = true, scheduler = where})
    helper.await{"DOWN", ref, "process", mb.any, mb.any}
  end

  -- A linked process on the first scheduler that sends each connection a line.
  local function accept_all(listener)
    return helper.until_waiting(Process.spawn(function()
      while true do
        local socket = listener:accept()
        if not socket then break end
        socket:send("1\n")
        socket:close()
      end
    end, {link = true, scheduler = 1}))
  end

  it("NET-26 leaves no connection where nobody accepts any more", function()
    local listener = assert(net.listen{port = 0, acceptors = #mb.schedulers()})
    for i = 1, #mb.schedulers() do accept_once(listener, i) end
    local pid = accept_all(listener)
    assert.same({50}, connect(listener:sockname(), 50))
    listener:close()
    helper.reason_of(pid)
  end)

  it("leaves no connection to who has been killed while it accepted", function()
    local listener = assert(net.listen{port = 0, acceptors = #mb.schedulers()})
    local pids = serve(listener)
    for i = 2, #pids do
      mb.unlink(pids[i])
      Process.exit(pids[i], "kill")
    end
    assert.same({50}, connect(listener:sockname(), 50))
    listener:close()
    helper.await{"closed", 1}
  end)

  it("NET-26 leaves no connection to who does something else", function()
    local listener = assert(net.listen{port = 0, acceptors = #mb.schedulers()})
    local me, send, receive = mb.self(), mb.send, mb.receive
    local busy = Process.spawn(function()
      listener:accept()
      send(me, "has one")
      receive{{"end"}}
    end, {link = true, scheduler = #mb.schedulers()})
    helper.until_waiting(busy)
    local first = assert(net.connect("127.0.0.1", listener:sockname().port))
    helper.await("has one")
    local pid = accept_all(listener)
    assert.same({50}, connect(listener:sockname(), 50))
    send(busy, "end")
    listener:close()
    first:close()
    helper.reason_of(busy)
    helper.reason_of(pid)
  end)

  it("keeps connections for who accepts later, and closes them with itself", function()
    local listener = assert(net.listen{port = 0, acceptors = #mb.schedulers()})
    local name, clients = listener:sockname(), {}
    for i = 1, #mb.schedulers() do accept_once(listener, i) end
    for i = 1, 100 do clients[i] = assert(net.connect(name.host, name.port)) end
    for i = 1, 20 do
      local server = assert(listener:accept(helper.patience))
      server:send(i .. "\n")
      server:close()
    end
    listener:close()
    local lines = 0
    for i = 1, 100 do
      if clients[i]:recv("line", helper.patience) then lines = lines + 1 end
      clients[i]:close()
    end
    assert.equal(20, lines)
  end)

  it("closes on all schedulers, and is refused then", function()
    local listener = assert(net.listen{port = 0, acceptors = #mb.schedulers()})
    local port = listener:sockname().port
    serve(listener)
    listener:close()
    await_closed()
    fails("ECONNREFUSED", net.connect("127.0.0.1", port))
  end)

  it("NET-18 closes with its owner", function()
    local me, send, receive, listen = mb.self(), mb.send, mb.receive, net.listen
    local owner = mb.spawn(function()
      send(me, {"listener", listen{port = 0, acceptors = 4}})
      receive{{"never"}}
    end)
    local listener = helper.await{"listener", mb.any}
    serve(listener)
    Process.exit(owner, "kill")
    await_closed()
    fails("EBADF", listener:accept())
  end)

  it("has its address for itself", function()
    local listener = assert(net.listen{port = 0, acceptors = #mb.schedulers()})
    serve(listener)
    local port = listener:sockname().port
    fails("EADDRINUSE", net.listen{port = port})
    fails("EADDRINUSE", net.listen{port = port, acceptors = 4})
    listener:close()
    await_closed()
    local again = assert(net.listen{port = port, acceptors = 4})
    again:close()
  end)

  it("of a Unix socket has one queue, from which all accept", function()
    local path = os.tmpname()
    os.remove(path)
    local listener = assert(net.listen{path = path, acceptors = 4})
    serve(listener)
    assert.equal(50, sum(connect(listener:sockname(), 50)))
    listener:close()
    await_closed()
    assert.is_nil(io.open(path))
  end)

  it("raises for a number that is none", function()
    for _, n in ipairs{0, 1.5, "two", -1} do
      local ok, text = pcall(net.listen, {port = 0, acceptors = n})
      assert.is_false(ok)
      assert.matches("acceptors_spec.lua:%d+: bad argument #1 to 'net.listen' %(acceptors is an integer >= 1", text)
    end
  end)
end)

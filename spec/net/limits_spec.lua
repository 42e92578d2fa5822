-- Bounds: lines, queues, unread bytes, many connections.
local helper = require "spec.helper"
local support = require "spec.net.support"
local mb = require "moonbeam"
local net = mb.net
local fails = support.fails

describe("a socket's limits", function()
  local client, server
  after_each(function()
    client:close()
    server:close()
  end)
  helper.setup()
  before_each(function() client, server = support.pair() end)

  it("NET-08 a longer line than line_limit fails, and its bytes stay", function()
    server:set{line_limit = 10}
    client:send("0123456789\nmore than ten bytes\n")
    assert.equal("0123456789", server:recv("line"))
    local value, text, code = server:recv("line", helper.patience)
    fails("EMSGSIZE", value, text, code)
    assert.equal("EMSGSIZE: line longer than 10 bytes", text)
    fails("EMSGSIZE", server:recv("line"))
    server:set{line_limit = 100}
    assert.equal("more than ten bytes", server:recv("line"))
  end)

  it("NET-08 a line without an end fails at the limit of 1 MiB, whatever comes", function()
    local me, send = mb.self(), mb.send
    local port = support.serve(function(socket)
      local value, text, code = socket:recv("line")
      send(me, {"late", value or false, text, code})
    end)
    local sender = mb.spawn(function()
      local socket = net.connect("127.0.0.1", port)
      local piece = ("x"):rep(100000)
      while socket:send(piece) do end
    end)
    local value, text, code = helper.await{"late", mb.any, mb.any, mb.any}
    assert.is_false(value)
    assert.equal("EMSGSIZE: line longer than 1048576 bytes", text)
    assert.equal("EMSGSIZE", code)
    helper.reason_of(sender)
  end)

  it("takes a backlog that no system has for the greatest there is", function()
    local listener = net.listen{port = 0, backlog = 1 << 32}
    local port, all = listener:sockname().port, {}
    for i = 1, 8 do all[i] = assert(net.connect("127.0.0.1", port, {timeout = helper.patience})) end
    for _, socket in ipairs(all) do socket:close() end
    listener:close()
  end)

  it("NET-05 reads no more than high_water in the background", function()
    local receiver_takes = 8 * 1024 * 1024
    fails("ETIMEDOUT", server:recv(1, 1)) -- from here on it reads
    local sent = 0
    client:set{high_water = 1}
    while true do
      local ok, _, _, n = client:send(("x"):rep(100000), 20)
      sent = sent + (ok and 100000 or n)
      if not ok then break end
    end
    assert.is_true(sent > 65536 and sent < 64 * receiver_takes, sent)
    local got = 0
    while got < sent do got = got + #server:recv(nil, helper.patience) end
    assert.equal(sent, got)
  end)

  it("a stream that is faster than its reader stays whole, however it is taken", function()
    local lines = {}
    for i = 1, 400000 do lines[i] = ("line %d\n"):format(i) end
    local text = table.concat(lines)
    local me, send, any = mb.self(), mb.send, mb.any
    local port, pid = support.serve(function(socket)
      local parts, ways = {}, {}
      ways[1] = function() return socket:recv() end
      ways[2] = function() return socket:recv(100000) end
      ways[3] = function() return socket:recv("line") .. "\n" end
      ways[4] = function()
        socket:active("once")
        return mb.receive{{{"tcp", any, any}, function(_, data) return data end}}
      end
      for i = 0, 15 do
        for _ = 1, 3 do parts[#parts + 1] = ways[i % 4 + 1]() end
      end
      local other = mb.spawn(function()
        mb.receive{{{"socket", any, any, any}, function(s, _, before)
          send(me, {"all", before .. s:recv() .. s:recv("*a")})
        end}}
      end)
      socket:give_away(other, table.concat(parts))
    end)
    local client_of_it = net.connect("127.0.0.1", port)
    assert.is_true(client_of_it:send(text))
    client_of_it:close()
    assert.is_true(text == helper.await{"all", any})
    helper.reason_of(pid)
  end)

  it("more than high_water bytes can be asked for", function()
    local me, send = mb.self(), mb.send
    local port = support.serve(function(socket) send(me, {"got", #socket:recv(3000000)}) end)
    local s = net.connect("127.0.0.1", port)
    s:send(("x"):rep(3000000))
    assert.equal(3000000, helper.await{"got", mb.any})
    s:close()
  end)
end)

describe("many connections", function()
  helper.setup()

  it("are served at once, a process each", function()
    local count = 300
    local listener, port = support.listen()
    local me, send, any = mb.self(), mb.send, mb.any
    local acceptor = mb.spawn_link(function()
      while true do
        local socket = listener:accept()
        if not socket then break end
        local pid = mb.spawn(function()
          mb.receive{{{"socket", any, any}, function(s)
            while true do
              local line = s:recv("line")
              if not line then break end
              s:send(line .. "\n")
            end
          end}}
        end)
        socket:give_away(pid)
      end
      send(me, "closed")
    end)
    local sockets = {}
    for i = 1, count do sockets[i] = assert(net.connect("127.0.0.1", port)) end
    for i = 1, count do sockets[i]:send(i .. "\n") end
    for i = count, 1, -1 do assert.equal(tostring(i), assert(sockets[i]:recv("line", helper.patience))) end
    for i = 1, count do sockets[i]:close() end
    listener:close()
    helper.await("closed")
    assert.is_truthy(acceptor)
  end)

  it("come and go without a trace", function()
    local listener, port = support.listen()
    for _ = 1, 200 do
      local a = net.connect("127.0.0.1", port)
      local b = listener:accept(helper.patience)
      a:send("x")
      assert.equal("x", b:recv())
      a:close()
      b:close()
    end
    listener:close()
  end)
end)

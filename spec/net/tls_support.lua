-- What the specs of TLS share.
local mb = require "moonbeam"
local helper = require "spec.helper"

local net = mb.net
local support = {}

--- A process of this scheduler that accepts one connection of a listener with these options, and does fn(socket, ...);
-- what that gives comes as {"server", ...}. Its port, and its pid.
function support.server(tls, fn, ...)
  local me, send, listen = mb.self(), mb.send, net.listen
  local pid = mb.Process.spawn(function(...)
    local listener <close> = assert(listen{port = 0, tls = tls})
    send(me, {"port", listener:sockname().port})
    local socket <close> = assert(listener:accept())
    send(me, {"server", fn(socket, ...)})
  end, {link = true, scheduler = "here"}, ...)
  return helper.await{"port", mb.any}, pid
end

--- What the server's function gave.
function support.served() return table.unpack(helper.await(mb.is(function(m) return m[1] == "server" end)), 2, 5) end

--- Two sockets of the calling process with a connection of TLS between them: the client's and the server's.
function support.pair(server_options, client_options)
  local listener = assert(net.listen{port = 0, tls = server_options})
  local me, send, connect = mb.self(), mb.send, net.connect
  mb.Process.spawn(function(port)
    local socket, text = connect("127.0.0.1", port, {tls = client_options})
    if socket then
      socket:give_away(me, "client")
    else
      send(me, {"socket", false, text, "client"})
    end
  end, {link = true, scheduler = "here"}, listener:sockname().port)
  local server = assert(listener:accept(helper.patience))
  assert(server:handshake(helper.patience))
  listener:close()
  local client, text = helper.await{"socket", mb.any, mb.any, "client"}
  assert(client, text)
  return client, server
end

--- A relay to a port of this machine's: its own port, and its pid. It passes bytes on as they are, one by one if it is
-- to drip, until it gets "cut", which closes both sides, or "break", after which it changes the bytes that it passes.
function support.relay(port, drip)
  local me, send, self, receive, listen, connect = mb.self(), mb.send, mb.self, mb.receive, net.listen, net.connect
  local pid = mb.Process.spawn(function()
    local listener = listen{port = 0}
    send(me, {"relay", self(), listener:sockname().port})
    local a <close> = listener:accept()
    listener:close()
    local b <close> = assert(connect("127.0.0.1", port))
    a:set{active = true, nodelay = drip or false}
    b:set{active = true, nodelay = drip or false}
    local broken
    while true do
      local message = receive()
      if message == "cut" then return end
      if message == "break" then
        broken = true
      elseif message[1] == "tcp" then
        local data = message[3]
        if broken then data = data:sub(1, -2) .. string.char(data:byte(-1) ~ 1) end
        local to = message[2] == a and b or a
        for i = 1, drip and #data or 0 do to:send(data:sub(i, i)) end
        if not drip then to:send(data) end
      elseif message[1] == "tcp_closed" then
        (message[2] == a and b or a):shutdown()
      end
    end
  end, {link = true, scheduler = "here"})
  return helper.await{"relay", pid, mb.any}, pid
end

return support

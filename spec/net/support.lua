-- What the specs of sockets share.
local mb = require "moonbeam"
local helper = require "spec.helper"

local net = mb.net
local support = {}

--- Two connected sockets of the calling process: the one that has connected, and the one that was accepted.
function support.pair(options)
  local listener = assert(net.listen(options or {port = 0}))
  local name = listener:sockname()
  local client = assert(name.path and net.connect("unix:" .. name.path) or net.connect(name.host, name.port))
  local server = assert(listener:accept(helper.patience))
  listener:close()
  return client, server
end

--- A listener of the calling process, and its port.
function support.listen()
  local listener = assert(net.listen{port = 0})
  return listener, listener:sockname().port
end

--- A process of this scheduler that serves one connection with fn(socket, ...), is linked; its port, and its pid.
function support.serve(fn, ...)
  local me, send, listen = mb.self(), mb.send, net.listen
  local pid = mb.Process.spawn(function(...)
    local listener = listen{port = 0}
    send(me, {"port", listener:sockname().port})
    local socket = listener:accept()
    listener:close()
    return fn(socket, ...)
  end, {link = true, scheduler = "here"}, ...)
  return helper.await{"port", mb.any}, pid
end

--- Where a process may live: here, and on each scheduler there is.
function support.places()
  local all = {"here"}
  for i = 1, #mb.schedulers() do all[#all + 1] = i end
  return all
end

--- What a process runs that is given a socket: it answers each line.
function support.echo()
  mb.receive{{{"socket", mb.any, mb.any}, function(socket)
    while true do
      local line = socket:recv("line")
      if not line then break end
      socket:send("echo " .. line .. "\n")
    end
  end}}
end

--- The three values of a failure, checked.
function support.fails(code, ...)
  local value, text, got = ...
  assert(value == nil, "it has not failed: " .. mb.inspect(value))
  assert(got == code, ("%s expected, got %s"):format(code, tostring(text)))
  assert(text:find("^" .. code .. ": "), text)
end

return support

-- A relay: what comes in on a port goes to another address, byte for byte, and the answers go back.
--
--    moonbeam examples/proxy.lua PORT TO_HOST:TO_PORT
--
-- Try `moonbeam examples/proxy.lua 7010 127.0.0.1:80` and `curl http://127.0.0.1:7010/`. A process for each connection
-- has both of its sockets. The end of one direction is passed on and leaves the other one open, as `nc -N` wants it;
-- an error ends both. However much passes, a piece waits in each direction, and its sender waits with it.
local mb = require "moonbeam"
mb.import()

local port, host, to_port = math.tointeger(tonumber(arg[1])), (arg[2] or ""):match("^(.+):(%d+)$")
if not port or not host then error("usage: proxy.lua PORT TO_HOST:TO_PORT", 0) end
to_port = math.tointeger(to_port)

local SLICE = 20 -- ms: how long a side that takes nothing holds up the other direction

local function relay(a, b)
  local other, unsent, open = {[a] = b, [b] = a}, {}, 2
  for socket in pairs(other) do socket:active("once") end
  while open > 0 do
    local what, from, data = table.unpack(receive(next(unsent) and 0 or "infinity") or {})
    if what == "tcp" then
      unsent[other[from]] = data
    elseif what == "tcp_closed" then
      other[from]:shutdown()
      open = open - 1
    elseif what == "tcp_error" then
      return
    end
    for to, bytes in pairs(unsent) do
      local ok, _, code, sent = to:send(bytes, SLICE)
      if ok then
        unsent[to] = nil
        other[to]:active("once")
      elseif code == "ETIMEDOUT" then
        unsent[to] = bytes:sub(sent + 1)
      else
        return
      end
    end
  end
  for socket in pairs(other) do socket:flush() end -- what a slow reader has not taken
end

local function accept(listener)
  local client = listener:accept()
  if not client then return end
  spawn(accept, listener) -- the next connection
  local server, problem = net.connect(host, to_port, {timeout = 10000})
  if server then relay(client, server) else print("cannot connect: " .. problem) end
end

local listener, problem = net.listen{"127.0.0.1", port}
if not listener then error("cannot listen: " .. problem, 0) end
print("listening on " .. tostring(listener:sockname()))
io.stdout:flush()
for i = 1, #mb.schedulers() do Process.spawn(accept, {scheduler = i}, listener) end
receive() -- nothing comes

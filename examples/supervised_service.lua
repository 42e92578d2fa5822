-- A service for long running: the listener and its connections stand under a supervisor, and it ends in order.
--
--    moonbeam examples/supervised_service.lua [port = 7011 [drain = 5000 ms]]
--
-- Try it with `nc 127.0.0.1 7011`: a line is a request, which is answered with its length; "work MS" takes so long,
-- "crash" finds a bug, which ends that connection and no other. SIGTERM closes the listener, then each connection when
-- its request has been answered; who needs longer than `drain` is killed. The status is 143 then, as of any program
-- that SIGTERM ends.
local mb = require "moonbeam"
mb.import()

local port = math.tointeger(tonumber(arg and arg[1] or 7011))
local drain = math.tointeger(tonumber(arg and arg[2] or 5000))
if not port or not drain then error("usage: supervised_service.lua [port [drain]]", 0) end
local LONGEST = 4096 -- bytes of a request

-- A connection: a server that gets what arrives as messages, so that its supervisor can end it between two requests.
local Connection = {}

function Connection.start_link() return GenServer.start_link(Connection) end

function Connection.init()
  Process.flag("trap_exit", true) -- to be told of its end, see terminate
  return "ok", {rest = ""}
end

local function answer(socket, request)
  local ms = request:match("^work (%d+)$")
  if ms then
    socket:send("working\n")
    sleep(math.tointeger(ms))
  elseif request == "crash" then
    error("a bug")
  end
  socket:send(#request .. "\n")
end

function Connection.handle_info(message, state)
  local what, socket, data = table.unpack(message)
  if what == "tcp" then
    local all = state.rest .. data
    state.rest = ""
    for line, ending in all:gmatch("([^\n]*)(\n?)") do
      if ending == "\n" then answer(socket, line) else state.rest = line end
    end
    if #state.rest > LONGEST then return "stop", "normal", state end
  elseif what == "tcp_closed" then
    return "stop", "normal", state
  elseif what == "socket" then
    state.socket = socket
  end
  socket:active("once")
  return "noreply", state
end

function Connection.terminate(reason, state)
  if reason == "shutdown" and state.socket then state.socket:send("goodbye\n") end
end

-- The listener, and who accepts: when one of them fails, the supervisor starts all of them anew.
local Listener = {}

function Listener.start_link(at) return GenServer.start_link(Listener, at) end

local function accept(listener)
  while true do
    local socket = listener:accept()
    if not socket then return end -- the listener has been closed
    local pid = DynamicSupervisor.start_child("connections",
      {id = "connection", start = {Connection.start_link}, restart = "temporary", shutdown = drain})
    if not (pid and socket:give_away(pid)) then socket:close() end -- there are too many
  end
end

function Listener.init(at)
  local listener, problem = net.listen{"127.0.0.1", at}
  if not listener then return "stop", problem end
  for i = 1, #mb.schedulers() do Process.spawn(accept, {link = true, scheduler = i}, listener) end
  print("listening on " .. tostring(listener:sockname()))
  io.stdout:flush()
  return "ok", listener
end

-- Stopped from the end: first nobody comes any more, then those who are there are served.
mb.shutdown_timeout(drain + 5000)
assert(Supervisor.start_link({
  {DynamicSupervisor, {name = "connections", max_children = 10000}},
  {Listener, port},
}, {strategy = "rest_for_one"}))
receive() -- nothing comes

-- A chat over TCP: whoever connects and says a name hears what the others say, a line each.
--
--    moonbeam examples/chat_server.lua [port = 7009]
--
-- Try it with `nc 127.0.0.1 7009`, or telnet, from several terminals. /who tells who is there, /quit leaves. A process
-- for each connection, acceptors on every scheduler; the room is a server, so that all hear the same in the same
-- order. Who takes nothing waits alone: when too much waits for a member, the room drops it.
local mb = require "moonbeam"
mb.import()

local port = math.tointeger(tonumber(arg and arg[1] or 7009))
if not port then error("usage: chat_server.lua [port]", 0) end
local LONGEST, MOST_WAITING = 4096, 1000 -- bytes of a line; messages that a member has not taken

local function tell(members, text)
  for pid in pairs(members) do
    if (Process.info(pid, "message_queue_len") or 0) < MOST_WAITING then
      send(pid, {"told", text})
    else
      Process.exit(pid, "shutdown")
    end
  end
end

local function names(members)
  local all = {}
  for _, name in pairs(members) do all[#all + 1] = name end
  table.sort(all)
  return all
end

local function is_free(wanted, members)
  for _, name in pairs(members) do
    if name == wanted then return false end
  end
  return true
end

-- The room: the names of its members by their pids.
local Room = GenServer.clauses{
  init = function() return "ok", {} end,

  handle_call = {
    {{"who"}, function(from, members) return "reply", names(members), members end},

    {{"say", is.string}, function(text, from, members)
      tell(members, ("<%s> %s"):format(members[from[1]], text))
      return "reply", true, members
    end},

    {{"join", is.string}, when = is_free, function(name, from, members)
      monitor(from[1])
      members[from[1]] = name
      tell(members, "* " .. name .. " has come")
      return "reply", true, members
    end},

    {{"join", ignore}, function(from, members) return "reply", false, members end},
  },

  handle_info = {
    {{"DOWN", ignore, "process", is.pid, ignore}, function(pid, members)
      local name = members[pid]
      members[pid] = nil
      tell(members, "* " .. name .. " has left")
      return "noreply", members
    end},
  },
}

local function room(...) return GenServer.call("room", {...}, "infinity") end

-- A line that a member has typed. What comes of it stands in the mailbox behind what was told before.
local function obey(line)
  return case(line, {
    {"/quit", function() send(self(), "quit") end},
    {"/who", function() send(self(), {"told", "* here are " .. table.concat(room("who"), ", ")}) end},
    {"", function() end},
    {any, function(text) room("say", text) end},
  })
end

-- What has been told by now goes to the socket.
local function hear(socket)
  local text
  repeat text = receive{ {{"told", is.string}}, after = 0 } until not text or not socket:send(text .. "\n")
end

-- A member: what is told goes to the socket, what comes from there to the room. More is read when that has been said,
-- so whoever types fast waits, too.
local function talk(socket, rest)
  return receive{
    {{"told", is.string}, function(text)
      if socket:send(text .. "\n") then return talk(socket, rest) end
    end},
    {{"tcp", socket, is.string}, function(data)
      local left = ""
      for line, ending in (rest .. data):gmatch("([^\n]*)(\n?)") do
        if ending == "" then
          left = line
        else
          obey((line:gsub("%c", "")))
          hear(socket)
        end
      end
      if #left > LONGEST then return end
      socket:active("once")
      return talk(socket, left)
    end},
    {{"tcp_closed", socket}, function() end},
    {"quit", function() end},
  }
end

-- The name that somebody wants and nobody else has.
local function welcome(socket)
  repeat
    socket:send("your name? ")
    local line = socket:recv("line", 60000)
    if not line then return false end
    local name = line:match("^[%w_-]+$")
    local has_joined = name and #name <= 20 and room("join", name)
  until has_joined
  return true
end

local function accept(listener)
  local socket = listener:accept()
  if not socket then return end
  spawn(accept, listener) -- the next connection
  socket:set{line_limit = LONGEST}
  if welcome(socket) then
    socket:active("once")
    talk(socket, "")
  end
end

assert(GenServer.start_link(Room, nil, {name = "room"}))
local listener, problem = net.listen{"127.0.0.1", port}
if not listener then error("cannot listen: " .. problem, 0) end
print("listening on " .. tostring(listener:sockname()))
io.stdout:flush()
for i = 1, #mb.schedulers() do Process.spawn(accept, {scheduler = i}, listener) end
receive() -- nothing comes

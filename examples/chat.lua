-- Rooms in which people talk.
--
--    moonbeam examples/chat.lua
--
-- A room is a server under a dynamic supervisor and is found by its name in one registry. Who is in it stands in
-- another, where each member has entered itself under the room's name: so a room that fails and is started anew has
-- lost nobody, and whoever dies has left all rooms.
require("moonbeam").import()

-- A room: passes on what is said to all who are in it, and remembers how much that was.
local Room = {}

function Room.start_link(name) return GenServer.start_link(Room, name, {name = Registry.via("rooms", name)}) end

function Room.init(name) return "ok", {name = name, said = 0} end

function Room.handle_call(request, from, state)
  if request[1] == "count" then return "reply", state.said, state end
  local _, who, text = table.unpack(request)
  if text == "/crash" then error(who .. " has found a bug") end
  Registry.dispatch("members", state.name, function(entries)
    for _, entry in ipairs(entries) do send(entry[1], {"said", state.name, who, text}) end
  end)
  state.said = state.said + 1
  return "reply", true, state
end

local function open(name)
  return DynamicSupervisor.start_child("room supervisor", {id = name, start = {Room.start_link, name}})
end

local function say(room, who, text) return GenServer.call(Registry.via("rooms", room), {"say", who, text}) end

-- A member: a server that hears what is said in the rooms that it has joined.
local Member = {}

function Member.init(nick) return "ok", {nick = nick, heard = {}} end

function Member.handle_call(request, from, state)
  local what, room, text = table.unpack(request)
  if what == "join" then
    Registry.register("members", room, state.nick)
  elseif what == "leave" then
    Registry.unregister("members", room)
  elseif what == "say" then
    local ok = pcall(say, room, state.nick, text)
    if not ok then table.insert(state.heard, ("%s: (no answer to %q)"):format(room, text)) end
  elseif what == "heard" then
    return "reply", state.heard, state
  end
  return "reply", true, state
end

function Member.handle_info(message, state)
  local _, room, who, text = table.unpack(message)
  table.insert(state.heard, ("%s: <%s> %s"):format(room, who, text))
  return "noreply", state
end

local function names(room)
  local nicks = {}
  for i, entry in ipairs(Registry.lookup("members", room)) do nicks[i] = entry[2] end
  table.sort(nicks)
  return table.concat(nicks, ", ")
end

assert(Supervisor.start_link({
  {Registry, {keys = "unique", name = "rooms"}},
  {Registry, {keys = "duplicate", name = "members"}},
  {DynamicSupervisor, {name = "room supervisor"}},
}, {strategy = "rest_for_one"}))
Logger.configure{level = "none"} -- what crashes here does so on purpose

for _, room in ipairs{"tea", "lua"} do assert(open(room)) end
print("open a room twice:", select(2, open("tea"))[1])

local members = {}
for _, nick in ipairs{"ann", "bob", "eve"} do
  members[nick] = GenServer.start(Member, nick)
  GenServer.call(members[nick], {"join", "tea"})
end
local function tell(nick, ...) return GenServer.call(members[nick], {...}) end

local function show_heard(nick)
  print(nick .. " has heard")
  for _, line in ipairs(tell(nick, "heard")) do print("  " .. line) end
end

tell("ann", "say", "tea", "hello")
tell("bob", "join", "lua")
tell("bob", "say", "lua", "is anybody here?")
tell("bob", "leave", "lua")
print("in tea:", names("tea"))
print("in lua:", names("lua"))

local before = GenServer.whereis(Registry.via("rooms", "tea"))
tell("eve", "say", "tea", "/crash")
local after
repeat -- until the supervisor has started it anew
  sleep(1)
  after = GenServer.whereis(Registry.via("rooms", "tea"))
until after
print("a new process:", after ~= before)
tell("bob", "say", "tea", "are you still there?")
print("in tea:", names("tea"))

show_heard("eve")
local ref = monitor(members.eve)
Process.exit(members.eve, "kill")
receive{ {{"DOWN", ref, "process", any, any}} }
print("in tea without eve:", names("tea"))
tell("ann", "say", "tea", "poor eve")
print("said in tea since the crash:", GenServer.call(Registry.via("rooms", "tea"), {"count"}))
show_heard("ann")
show_heard("bob")

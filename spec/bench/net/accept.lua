-- Connections for one request each, accepted on all schedulers in one of three ways; a second after the last one it
-- prints how many each scheduler has served.
--    moonbeam --schedulers 2 spec/bench/net/accept.lua one | each | hand
-- one: from one queue, by a process on each scheduler; each: by the same with a queue each (acceptors); hand: by one
-- process, which gives the sockets to processes on the schedulers in turn.
local mb = require "moonbeam"
mb.import()
local how, count = assert(arg[1]), #mb.schedulers()
local answer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 13\r\n\r\nHello, world!"

local function serve()
  receive{ {{"socket", any, any}, function(socket)
    repeat
      local header = socket:recv("line")
    until header == "" or not header
    socket:send(answer)
    socket:close()
  end} }
end

local listener = assert(net.listen{port = 0, acceptors = how == "each" and count or 1})

-- Accept until there has been nothing for a second, and give to processes on the schedulers `places` in turn.
local function accept(to, places)
  local served, turn = {}, 0
  local socket = listener:accept()
  while socket do
    turn = turn % #places + 1
    socket:give_away(Process.spawn(serve, {scheduler = places[turn]}))
    served[places[turn]] = (served[places[turn]] or 0) + 1
    socket = listener:accept(1000)
  end
  send(to, {"served", served})
end

local acceptors = how == "hand" and 1 or count
for i = 1, acceptors do
  local places = {i}
  for k = 1, how == "hand" and count or 0 do places[k] = k end
  Process.spawn(accept, {scheduler = i}, self(), places)
end
print(listener:sockname().port)
io.stdout:flush()
local all = {}
for i = 1, count do all[i] = 0 end
for i = 1, acceptors do
  local served = receive{ {{"served", any}}, after = i == 1 and math.huge or 2000 }
  if type(served) ~= "table" then break end -- one that has had none waits for its first
  for k, n in pairs(served) do all[k] = all[k] + n end
end
print(table.concat(all, " "))
os.exit(0)

-- What idle connections take: n of them, the socket and its process each; the clients are in another program. Memory
-- for each, and what a round trip on one more connection costs with them, of what it costs without, in processor time.
--    moonbeam --schedulers 1 spec/bench/net/idle.lua [n = 10000]
require("moonbeam").import()
local n = math.tointeger(tonumber(arg[1] or 10000))

local resident = dofile "spec/bench/resident.lua"

local listener = assert(net.listen{port = 0, backlog = 4096})
local port = listener:sockname().port

local function serve()
  receive{ {{"socket", any, any}, function(s)
    while true do
      local line = s:recv("line")
      if not line then return end
      s:send(line .. "\n")
    end
  end} }
end

local pinged = assert(net.connect("127.0.0.1", port))
listener:accept():give_away(spawn(serve))

-- us of processor time for a round trip: the least of some series.
local function ping()
  local least = math.huge
  for _ = 1, 10 do
    local before = os.clock()
    for _ = 1, 2000 do
      pinged:send("ping\n")
      assert(pinged:recv("line") == "ping")
    end
    least = math.min(least, (os.clock() - before) / 2000 * 1e6)
  end
  return least
end

local name = os.tmpname()
local script = assert(io.open(name, "w"))
script:write(([[
local uv = require "luv"
local n, held = %d, {}
local function open()
  local client = uv.new_tcp()
  held[#held + 1] = client
  client:connect("127.0.0.1", %d, function(problem)
    assert(not problem, problem)
    if #held < n then open() end
  end)
end
for _ = 1, 50 do open() end
uv.run()
io.read()
]]):format(n, port))
script:close()
local without = ping()
local clients = assert(io.popen("exec lua5.4 " .. name, "w"))
collectgarbage()
local before, bytes = resident(), nil
for _ = 1, n do
  local socket = assert(listener:accept())
  socket:give_away(spawn(serve))
end
sleep(100)
collectgarbage()
bytes = (resident() - before) // n
local with = ping()
print(("%d idle connections: %d bytes resident each, wanted 12288 at most; a round trip on another one %.1f us, "
  .. "%.1f without them: %.2f, wanted 1.3 at most"):format(n, bytes, with, without, with / without))
clients:close()
os.remove(name)
os.exit(0)

-- What idle connections take: n of them, the socket and its process each; the clients are in another program.
--    moonbeam --schedulers 1 spec/bench/net/idle.lua [n = 10000]
require("moonbeam").import()
local n = math.tointeger(tonumber(arg[1] or 10000))

local function resident()
  local file = assert(io.open("/proc/self/statm"))
  local pages = file:read("a"):match("^%d+ (%d+)")
  file:close()
  return tonumber(pages) * 4096
end

local listener = assert(net.listen{port = 0, backlog = 4096})
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
]]):format(n, listener:sockname().port))
script:close()
local clients = assert(io.popen("exec lua5.4 " .. name, "w"))
collectgarbage()
local before = resident()
for _ = 1, n do
  local socket = assert(listener:accept())
  local pid = spawn(function()
    receive{ {{"socket", any, any}, function(s)
      while true do
        local line = s:recv("line")
        if not line then return end
        s:send(line)
      end
    end} }
  end)
  socket:give_away(pid)
end
sleep(100)
collectgarbage()
print(("%d connections: %d bytes resident each"):format(n, (resident() - before) // n))
clients:close()
os.remove(name)
os.exit(0)

-- The ends of a relay: sends so many MB into it, and prints when all of them have come out.
--    lua5.4 spec/bench/net/relay_load.lua port MB
local uv = require "luv"
local port, total = math.tointeger(tonumber(arg[1])), math.tointeger(tonumber(arg[2])) * 1000000
local piece, high_water = ("x"):rep(50000), 65536

local sink, source, sent = uv.new_tcp(), uv.new_tcp(), 0
sink:bind("127.0.0.1", 0)
sink:listen(8, function()
  local socket, got = uv.new_tcp(), 0
  sink:accept(socket)
  socket:read_start(function(_, data)
    if data then
      got = got + #data
      return
    end
    assert(got == total, got)
    print(got)
    os.exit(0)
  end)
end)
source:connect("127.0.0.1", port, function()
  local function more()
    while sent < total and source:get_write_queue_size() < high_water do
      sent = sent + #piece
      source:write(piece, more)
    end
    if sent >= total and source:get_write_queue_size() == 0 and not source:is_closing() then
      source:shutdown(function() source:close() end)
      sent = math.huge
    end
  end
  source:write(sink:getsockname().port .. "\n")
  more()
end)
uv.run()

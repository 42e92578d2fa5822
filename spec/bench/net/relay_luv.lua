-- The same on plain luv, with bounds for what is queued.
--    lua5.4 spec/bench/net/relay_luv.lua [MB = 1000]
local uv = require "luv"
local total = math.tointeger(tonumber(arg[1] or 1000)) * 1000000
local piece, high_water = ("x"):rep(50000), 65536

local relay, sink = uv.new_tcp(), uv.new_tcp()
relay:bind("127.0.0.1", 0)
sink:bind("127.0.0.1", 0)
sink:listen(8, function()
  local socket, got, before = uv.new_tcp(), 0, os.clock()
  sink:accept(socket)
  socket:read_start(function(_, data)
    if data then
      got = got + #data
      return
    end
    assert(got == total)
    print((os.clock() - before) / (total / 1e6) * 1e6)
    os.exit(0)
  end)
end)
relay:listen(8, function()
  local from, to = uv.new_tcp(), uv.new_tcp()
  relay:accept(from)
  to:connect("127.0.0.1", sink:getsockname().port, function()
    local stopped = false
    local read
    local function written()
      if stopped and to:get_write_queue_size() < high_water then
        stopped = false
        from:read_start(read)
      end
    end
    function read(_, data)
      if not data then return to:shutdown(function() to:close() end) end
      to:write(data, written)
      if not stopped and to:get_write_queue_size() >= high_water then
        stopped = true
        from:read_stop()
      end
    end
    from:read_start(read)
  end)
end)
local source, sent = uv.new_tcp(), 0
source:connect("127.0.0.1", relay:getsockname().port, function()
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
  more()
end)
uv.run()

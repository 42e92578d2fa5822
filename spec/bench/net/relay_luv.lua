-- The same on plain luv, with a bound for what is queued.
--    lua5.4 spec/bench/net/relay_luv.lua
local uv = require "luv"
local high_water = 65536

local function relay(from, to, first)
  local stopped, read = false, nil
  local function written()
    if stopped and to:get_write_queue_size() < high_water then
      stopped = false
      from:read_start(read)
    end
  end
  function read(_, data)
    if not data then
      from:close()
      return to:shutdown(function() to:close() end)
    end
    to:write(data, written)
    if not stopped and to:get_write_queue_size() >= high_water then
      stopped = true
      from:read_stop()
    end
  end
  if first ~= "" then to:write(first, written) end
  from:read_start(read)
end

local server = uv.new_tcp()
server:bind("127.0.0.1", 0)
server:listen(8, function()
  local from, to, unread = uv.new_tcp(), uv.new_tcp(), ""
  server:accept(from)
  from:read_start(function(_, data)
    unread = unread .. assert(data)
    local port, first = unread:match("^(%d+)\n(.*)$")
    if not port then return end
    from:read_stop()
    to:connect("127.0.0.1", math.tointeger(tonumber(port)), function() relay(from, to, first) end)
  end)
end)
print(server:getsockname().port)
io.stdout:flush()
uv.run()

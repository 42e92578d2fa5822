-- What the stress programs share.
local mb = require "moonbeam"

local tools = {patience = 60000}

function tools.check(ok, ...)
  if not ok then error(string.format(...), 0) end
end

-- Wait until nothing but this process is left.
function tools.quiet()
  local deadline = mb.monotonic_time() + tools.patience
  while true do
    while mb.receive(0) ~= nil do end
    local c = mb.census()
    if c.processes == 1 and c.messages == 0 and c.names == 0 and c.timers == 0 and c.registrations == 0 and
      c.registries == 0 then return end
    tools.check(mb.monotonic_time() < deadline, "left behind: %s", mb.inspect(c))
    mb.sleep(5)
  end
end

-- Numbers from 1 to a limit, the same ones for the same seed.
function tools.dice(seed)
  return function(limit)
    seed = (seed * 1103515245 + 12345) & 0x7fffffff
    return (seed >> 8) % limit + 1
  end
end

-- Resident memory in MiB.
function tools.resident()
  for line in io.lines("/proc/self/status") do
    local kib = line:match("^VmRSS:%s+(%d+)")
    if kib then return tonumber(kib) / 1024 end
  end
end

return tools

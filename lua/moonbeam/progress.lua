--- Progress of long work, on standard error: what `moonbeam.progress` gives.
-- @module moonbeam.progress

local core = require "moonbeam.core"

local WIDTH, REFRESH_MS = 30, 100

local Progress = {__name = "progress"}
Progress.__index = Progress

-- The line is shown below what is printed meanwhile, by this process or by others.
local function draw(self)
  local share = math.min(1, self.count / self.total)
  local filled = math.floor(share * WIDTH)
  if not self.drawn then io.stdout:flush() end -- what was printed before comes before
  self.drawn = true
  core.status_line(string.format("%s[%s%s] %3d%%", self.label and self.label .. " " or "", string.rep("=", filled),
    string.rep(" ", WIDTH - filled), math.floor(share * 100)))
end

--- More has been done; shown ten times a second at most.
-- @param[opt=1] n how much
-- @return the progress
-- @usage require("moonbeam").progress(10):step(5):done()
function Progress:step(n)
  self.count = self.count + (n or 1)
  if not self.shown then return self end
  local now = core.monotonic_time()
  if now >= self.next then
    self.next = now + REFRESH_MS
    draw(self)
  end
  return self
end

--- The work is over: what was shown goes. Nothing is returned.
-- @usage require("moonbeam").progress(10):done()
function Progress:done()
  if self.drawn then core.status_line(nil) end
  self.shown, self.drawn = false, false
end

-- A new one. total: a number > 0; label: string or nil. See `progress` of the module moonbeam.
function Progress.new(total, label)
  return setmetatable({total = total, label = label, count = 0, next = 0, shown = core.is_terminal(2)}, Progress)
end

return Progress

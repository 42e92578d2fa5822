--- How a process waits for what a callback of the loop brings: see moonbeam.await_uv.
-- @module moonbeam.internal.await_uv

local core = require "moonbeam.core"
local check = require "moonbeam.internal.check"

local unpack = table.unpack

local function close(waiter)
  if waiter.over then return end
  waiter.over = true
  if waiter.cancel then waiter.cancel() end
end

local closing = {__close = close}

return function(starter, ms)
  check.func(starter, "await_uv", 1)
  local deadline = core.deadline(ms, "await_uv", 2)
  local waiter <close> = setmetatable({process = core.self()}, closing)
  local cancel = starter(core.resumer(waiter))
  if cancel ~= nil and type(cancel) ~= "function" then
    core.raise_at_caller(
      string.format("await_uv: the function returned a %s, not a function that cancels", core.type(cancel)))
  end
  waiter.cancel = cancel
  if not core.suspend(waiter, deadline) then return nil, "ETIMEDOUT: connection timed out", "ETIMEDOUT" end
  return unpack(waiter.values, 1, waiter.values.n)
end

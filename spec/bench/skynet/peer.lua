-- The services that main.lua starts: each does what its argument names with every message, until it is told to stop.
local skynet = require "skynet"
local role = ...

local next_one, first_one -- of a ring

local roles = {
  pong = function(from) skynet.send(from, "lua", "pong") end,
  echo = function(_, ...) skynet.retpack(...) end,
  busy = function() while true do end end,
  sender = function(from, n)
    for i = 1, n do skynet.send(from, "lua", "m", i) end
  end,
  ring = function(from, left)
    if not next_one then
      next_one, first_one = left, from
    elseif left == 0 then
      skynet.send(first_one, "lua", "round")
    else
      skynet.send(next_one, "lua", left - 1)
    end
  end,
  idle = function() end,
}

skynet.start(function()
  if role == "gone" then skynet.exit() end
  local act = assert(roles[role], role)
  skynet.dispatch("lua", function(_, from, message, ...)
    if message == "stop" then skynet.exit() end
    act(from, message, ...)
  end)
end)

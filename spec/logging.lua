-- What the specs of the log share: a handler that sends every event to the test.
local mb = require "moonbeam"
local helper = require "spec.helper"
local busted = require "busted"

local logging = {}

--- Let events come to the calling process.
function logging.listen()
  local to, send = mb.self(), mb.send
  mb.Logger.configure{level = "info", handler = function(event) send(to, {"event", event}) end}
end

--- Call inside describe, after helper.setup(): events of level info come to the test, and the log is as at first after
-- it.
function logging.setup()
  busted.before_each(logging.listen)
  busted.after_each(function()
    mb.Logger.configure{level = "none", handler = "default", format = "default", metadata = {}}
    mb.Logger.reset_metadata()
  end)
end

--- The oldest event that has not been looked at.
function logging.next_event() return helper.await{"event", mb.any} end

--- The report of the next event that has one.
function logging.next_report()
  while true do
    local event = logging.next_event()
    if event.metadata.report then return event.metadata.report, event end
  end
end

--- What a program prints, both streams, without the times, and its status.
function logging.output_of(source, environment)
  local output, code = helper.run_script('local mb = require "moonbeam"; local Logger = mb.Logger\n' .. source, "",
    environment)
  return output:gsub("%d%d:%d%d:%d%d%.%d%d%d", "TIME"), code
end

--- Check that a handler which is too slow is told how many entries are missing, none of them a crash's.
-- @param set function of the handler: sets it
function logging.check_told(set)
  local to, send, receive, held = mb.self(), mb.send, mb.receive, true
  set(function(event)
    if held then
      send(to, {"holding", mb.self()})
      receive{ {"go on"} }
      held = false
    end
    send(to, {"handled", event.metadata.dropped or 0, (event.metadata.report or {}).kind or "entry"})
  end)
  mb.Logger.error("the first")
  local pid = helper.await{"holding", mb.any}
  local text = ("x"):rep(2000)
  for _ = 1, 3000 do mb.Logger.info(text) end
  helper.reason_of(mb.spawn(function() error("crash") end))
  for _ = 1, 3000 do mb.Logger.info(text) end
  send(pid, "go on")
  local handled, dropped, crashes = 0, 0, 0
  while handled + dropped < 6002 do
    local n, kind = helper.await{"handled", mb.any, mb.any}
    if n == 0 then handled = handled + 1 end
    dropped = dropped + n
    if kind == "crash" then crashes = crashes + 1 end
  end
  assert(handled + dropped == 6002)
  assert(dropped > 0 and handled > 1000)
  assert(crashes == 1)
end

return logging

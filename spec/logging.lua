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

return logging

--- The process behind a prompt: reads lines for an evaluator and starts a new one when that dies.
-- @module moonbeam.shell.session

local core = require "moonbeam.core"
local host = require "moonbeam.host"
local completion = require "moonbeam.shell.completion"
local display = require "moonbeam.shell.display"
local dot_file = require "moonbeam.shell.dot_file"
local evaluator = require "moonbeam.shell.evaluator"
local history = require "moonbeam.shell.history"

local session = {}

--- What the prompt says when it begins.
session.banner = string.format("Moonbeam %s (%s), h() for help, Ctrl-D to leave\n", core.version, _VERSION)

local HINT = "(Ctrl-C again leaves, and so does Ctrl-D)\n"

local function watch(s, pid)
  s.evaluator, s.monitor = pid, core.monitor(pid)
end

local function start_evaluator(s)
  watch(s, core.process_spawn(evaluator.run, {scheduler = "here"}, core.self()))
end

-- Answer the evaluator that waits for a line; one that has died meanwhile does not mind.
local function answer(s, ...)
  local from = s.waiting
  s.waiting = nil
  if from then core.reply(from[1], from[2], ...) end
end

local requests = {}

function requests.settings(s, from)
  core.reply(from[1], from[2], s.settings)
  s.settings.dot_file = nil -- the first evaluator has run it
end

function requests.read(s, from, prompt)
  s.waiting = from
  s.device.read(prompt)
end

function requests.leave(s, from)
  s.leaves = true
  core.reply(from[1], from[2], true)
end

local events = {}

function events.line(s, text)
  answer(s, text)
end

events["end"] = function(s) answer(s, nil, "end") end

function events.gone(s)
  s.leaves = true
  core.process_exit(s.evaluator, "kill")
end

function events.interrupt(s)
  if s.waiting then
    if s.settings.terminal then s.device.put(HINT) end
    answer(s, nil, "interrupt")
  elseif s.settings.leads then -- else the terminal's interrupt has reached it already
    host.interrupt(s.evaluator)
  end
end

function events.complete(s, text)
  s.device.complete(completion.complete(text, evaluator.globals(core.self()), s.device.columns()))
end

local function died(s, reason)
  if s.leaves then return end
  s.device.complain("** (EXIT from " .. tostring(s.evaluator) .. ") shell process exited with reason: " ..
    display.reason(reason))
  s.waiting = nil
  start_evaluator(s)
end

-- Serve until the evaluator leaves, or the device is gone.
local function serve(s)
  while not s.leaves do
    local kind, a, b = core.next_event()
    if kind == "call" then
      requests[b[1]](s, a, b[2])
    elseif kind == "cast" then
      s.device.put(a)
    elseif kind == "info" and type(a) == "table" then
      if a[1] == "host" then
        s.device.event(a)
      elseif a[1] == "DOWN" and a[2] == s.monitor then
        died(s, a[5])
      end
    end
  end
  evaluator.forget(core.self())
end

--- Serve a device until the user leaves or the device has gone.
-- @param device table of functions: read(prompt), put(text), complain(text), complete(insertion, above), columns(),
-- rows(), and event(message) for the messages of `moonbeam.host`; that one calls device.tell, which is set here, with "line",
-- "end", "interrupt", "complete" or "gone" and what belongs to it
-- @param settings for the evaluator: terminal, colors, leads (output goes to the session), foreground (the interrupt of
-- the terminal is for it), dot_file (what `dot_file.find` gave)
-- @param[opt] first pid of the evaluator; otherwise one is spawned
function session.run(device, settings, first)
  local s = {device = device, settings = settings}
  function device.tell(what, ...) events[what](s, ...) end
  if first then watch(s, first) else start_evaluator(s) end
  serve(s)
end

--- The session of the terminal that the program was started on.
-- @param first the evaluator
-- @param[opt] file what is to be run first: see `dot_file.find`
function session.run_local(first, file)
  local edited = host.open_terminal()
  local settings = {terminal = edited, colors = edited and not os.getenv("NO_COLOR"), foreground = true,
    dot_file = dot_file.find(file)}
  if edited then
    history.load(host.remember)
    io.write(session.banner)
  end
  local device = {
    read = host.read_line,
    put = function(text) io.write(text) end,
    complain = function(text) display.complain(text, settings) end,
    complete = host.complete,
    columns = host.columns, rows = host.rows,
  }
  function device.event(message)
    if edited and message[2] == "line" then
      host.remember(message[3])
      history.append(message[3])
    elseif edited and message[2] == "end" then
      io.write("\n") -- after the ^D
    end
    device.tell(message[2], message[3])
  end
  session.run(device, settings, first)
end

return session

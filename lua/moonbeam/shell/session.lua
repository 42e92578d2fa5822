--- The process behind a prompt: reads lines for an evaluator and starts a new one when that dies.
-- @module moonbeam.shell.session

local core = require "moonbeam.core"
local host = require "moonbeam.host"
local completion = require "moonbeam.shell.completion"
local display = require "moonbeam.shell.display"
local dot_file = require "moonbeam.shell.dot_file"
local evaluator = require "moonbeam.shell.evaluator"
local guests = require "moonbeam.shell.guests"
local history = require "moonbeam.shell.history"
local prompts = require "moonbeam.shell.prompts"

local session = {}

--- What the prompt says when it begins.
session.banner = string.format("Moonbeam %s (%s), h() for help, Ctrl-D to leave\n", core.version, _VERSION)

local HINT = "(Ctrl-C again leaves, and so does Ctrl-D)\n"
local ELSEWHERE = "(it runs on another scheduler, where Ctrl-C does not reach it)\n"

local function watch(s, pid)
  s.evaluator, s.monitor = pid, core.monitor(pid)
end

local function start_evaluator(s)
  watch(s, core.spawn_at(core.self(), false, evaluator.run, core.self()))
end

-- Answer whoever waits for a line; one that has died meanwhile does not mind.
local function answer(s, ...)
  local reader = s.guest or s
  local waiting = reader.waiting
  reader.waiting = nil
  if not waiting then return end
  local rows, columns
  if s.settings.terminal then rows, columns = s.device.rows(), s.device.columns() end
  local text, why = ...
  core.reply(waiting.from[1], waiting.from[2], text, why, rows, columns)
end

-- Have a line read for whoever has the prompt: the user, who is asked something, a guest, or else the evaluator.
local function read_on(s)
  local question = guests.question(s)
  local waiting = (s.guest or s).waiting
  if s.settings.foreground and s.evaluator then -- whom the terminal's interrupt is for, while the evaluator runs a line
    host.foreground(not question and not s.guest and not s.waiting and s.evaluator or nil)
  end
  if question then
    s.device.read(question, true)
  elseif waiting then
    s.device.read(waiting.prompt, false)
  end
end

local requests = {}

function requests.settings(s, from)
  core.reply(from[1], from[2], s.settings)
  if from[1] == s.evaluator then s.settings.dot_file = nil end -- the first evaluator runs it
end

-- The evaluator of a session that was opened before there was one; file: see `dot_file.find`.
function requests.adopt(s, from, file)
  watch(s, from[1])
  s.settings.dot_file = dot_file.find(file)
  core.reply(from[1], from[2], true)
end

function requests.read(s, from, prompt, names)
  local reader = s.guest and s.guest.pid == from[1] and s.guest or s
  reader.waiting = {from = from, prompt = prompt, names = names}
  read_on(s)
end

function requests.pry(s, from, text)
  guests.ask(s, from, text)
  if not s.question and not s.guest then read_on(s) end
end

function requests.left(s, from)
  if s.guest and s.guest.pid == from[1] then guests.left(s) end
  core.reply(from[1], from[2], true)
  read_on(s)
end

function requests.leave(s, from)
  s.leaves = true
  core.reply(from[1], from[2], true)
end

local events = {}

function events.line(s, text)
  if s.question then
    guests.answered(s, text)
    read_on(s)
  else
    s.device.remember(text)
    answer(s, text)
  end
end

-- The user has typed no answer, but something that gives up.
local function give_up(s, why)
  if s.question then
    guests.answered(s, nil)
    read_on(s)
  else
    answer(s, nil, why)
  end
end

events["end"] = function(s) give_up(s, "end") end

function events.gone(s)
  s.leaves = true
  core.process_exit(s.evaluator, "kill")
end

function events.interrupt(s)
  if s.question or (s.guest or s).waiting then
    if s.settings.terminal then s.device.put(HINT) end
    give_up(s, "interrupt")
  elseif s.guest then
    if core.process_info(s.guest.pid, "scheduler") ~= 1 then s.device.put(ELSEWHERE) end
    host.interrupt(s.guest.pid)
  elseif not s.evaluator then
    host.interrupt(s.opener)
  elseif s.settings.leads then -- else the terminal's interrupt has reached it already
    host.interrupt(s.evaluator)
  end
end

function events.complete(s, text)
  local globals = evaluator.globals(core.self())
  local waiting = (s.guest or s).waiting
  if waiting and waiting.names then globals = setmetatable(waiting.names, {__index = globals}) end
  s.device.complete(completion.complete(text, globals, s.device.columns()))
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
      requests[b[1]](s, a, b[2], b[3])
    elseif kind == "cast" then
      s.device.put(a)
    elseif kind == "info" and type(a) == "table" then
      if a[1] == "host" then
        s.device.event(a)
      elseif a[1] == "DOWN" and a[2] == s.monitor then
        died(s, a[5])
      elseif a[1] == "DOWN" and s.guest and a[2] == s.guest.monitor then
        guests.left(s)
        read_on(s)
      end
    end
  end
  evaluator.forget(core.self())
end

--- Serve a device until the user leaves or the device has gone.
-- @param device table of functions: read(prompt, whether it is a question), remember(line), put(text), complain(text),
-- complete(insertion, above), columns(), rows(), and event(message) for the messages of `moonbeam.host`; that one calls
-- device.tell, which is set here, with "line", "end", "interrupt", "complete" or "gone" and what belongs to it
-- @param settings for the evaluator: terminal, colors, leads (output goes to the session), foreground (the interrupt of
-- the terminal is for it), dot_file (what `dot_file.find` gave)
-- @param[opt] first pid of the evaluator; otherwise one is spawned
-- @param[opt] opener pid of a process that wants the prompt before there is an evaluator, which will come by `adopt`
function session.run(device, settings, first, opener)
  local s = {device = device, settings = settings, asking = {}, opener = opener}
  function device.tell(what, ...) events[what](s, ...) end
  if first then
    watch(s, first)
  elseif not opener then
    start_evaluator(s)
  end
  prompts.announce()
  serve(s)
end

--- The session of the terminal that the program was started on.
-- @param first the evaluator, or nil
-- @param file what is to be run first, or nil: see `dot_file.find`
-- @param[opt] opener see `run`
function session.run_local(first, file, opener)
  local edited = host.open_terminal()
  local settings = {terminal = edited, colors = edited and not os.getenv("NO_COLOR"), foreground = true,
    dot_file = first and dot_file.find(file)}
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
  function device.remember(line)
    if not edited then return end
    host.remember(line)
    history.append(line)
  end
  function device.event(message)
    if edited and message[2] == "end" then io.write("\n") end -- after the ^D
    device.tell(message[2], message[3])
  end
  session.run(device, settings, first, opener)
end

return session

--- Processes that have called `pry` and want the prompt of a session: one after the other is let in, when the user says
-- so, and has the lines that are typed instead of the evaluator, until it goes on.
--
-- Of a session these fields belong here: asking (a sequence of those that have asked), question (the one that the user
-- is asked about), guest (the one that is in, with its monitor).
-- @module moonbeam.shell.guests

local core = require "moonbeam.core"

local guests = {}

local MOST_ASKING = 100 -- more are refused at once

local function answer(asker, value) core.reply(asker.from[1], asker.from[2], value) end

--- A process asks.
-- @param s session
-- @param from whom to answer: true or false
-- @param text what the user is told of it
function guests.ask(s, from, text)
  if #s.asking >= MOST_ASKING then return answer({from = from}, false) end
  table.insert(s.asking, {from = from, text = text})
end

local function let_in(s, asker)
  s.guest = {pid = asker.from[1], monitor = core.monitor(asker.from[1])}
  answer(asker, true)
end

--- What the user is to be asked now: the prompt of the question; nil when there is none. It is asked when nobody is in,
-- also while the evaluator runs a line, for that may wait for whoever asks. Before there is an evaluator there is nothing
-- to ask.
function guests.question(s)
  while not s.question and not s.guest and s.asking[1] do
    local asker = table.remove(s.asking, 1)
    if core.process_alive(asker.from[1]) then
      s.device.put(asker.text)
      if s.evaluator then s.question = asker else let_in(s, asker) end
    end
  end
  return s.question and "Allow? [Y/n] "
end

--- The user has answered the question.
-- @param s session
-- @param text what was typed; nil: nothing, which is no
function guests.answered(s, text)
  local asker = s.question
  local word = text and string.lower(string.match(text, "^%s*(.-)%s*$")) or "n"
  if word == "" or word == "y" or word == "yes" then
    s.question = nil
    let_in(s, asker)
  elseif word == "n" or word == "no" then
    s.question = nil
    answer(asker, false)
  else
    s.device.put("y for yes or n for no is expected\n")
  end
end

--- The one that is in goes on, or has died.
function guests.left(s)
  core.demonitor(s.guest.monitor, "flush")
  s.guest = nil
end

return guests

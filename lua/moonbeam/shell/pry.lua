--- What `moonbeam.pry` does: a prompt in the place of the calling process, for which it waits.
--
-- The lines run in that process. The names that they use and that are local where pry was called are upvalues of their
-- chunk: the function's own upvalues are joined to it, and copies of its local variables go back when it has run. So
-- functions that are made, spawned or sent there are like others.
-- @module moonbeam.shell.pry

local core = require "moonbeam.core"
local helpers = require "moonbeam.shell.helpers"
local loop = require "moonbeam.shell.loop"
local prompts = require "moonbeam.shell.prompts"
local results = require "moonbeam.shell.results"

local pry = {}

local NEAR = 2 -- lines of the file are shown before and after the one in question
local WIDE = 100

-- The level, for the caller, of whoever has called the innermost `entry` on the stack.
local function level_of(entry)
  local level = 2
  while debug.getinfo(level, "f").func ~= entry do level = level + 1 end
  return level
end

-- The variables that can be seen where entry was called: locals by name, the number of each, and upvalues likewise with
-- their function; the last two for values that are given behind the parameters.
local function variables_of(entry)
  local level = level_of(entry)
  local info = debug.getinfo(level, "fS")
  local found = {locals = {}, upvalues = {}, fn = info.func, rest = {n = 0}}
  if info.what == "C" or debug.getinfo(level - 1, "t").istailcall then return found end
  local n = 1
  local name, value = debug.getlocal(level, n)
  while name do
    if string.find(name, "^[%a_][%w_]*$") then found.locals[name] = n end
    n = n + 1
    name = debug.getlocal(level, n)
  end
  n = 1
  name = debug.getupvalue(info.func, n)
  while name do
    if name ~= "" and not found.locals[name] then found.upvalues[name] = n end
    n = n + 1
    name = debug.getupvalue(info.func, n)
  end
  name, value = debug.getlocal(level, -1)
  while name do
    found.rest.n = found.rest.n + 1
    found.rest[found.rest.n] = value
    name, value = debug.getlocal(level, -found.rest.n - 1)
  end
  return found
end

-- The names that a text uses of those that are known to be something else than globals.
local function names_in(text, found, globals)
  local names, seen = {}, {}
  for name in string.gmatch(text, "[%a_][%w_]*") do
    local is_ours = found.locals[name] or found.upvalues[name] or helpers[name] and rawget(globals, name) == nil
    if is_ours and not seen[name] and name ~= "_ENV" then
      seen[name] = true
      names[#names + 1] = name
    end
  end
  return names
end

-- What makes of a text one that makes a function, for which the names are upvalues.
local function within(found, globals)
  return function(text)
    local names = names_in(text, found, globals)
    local declared = #names > 0 and "local " .. table.concat(names, ", ") .. " " or ""
    return declared .. "return function(...) " .. text .. "\nend"
  end
end

-- Give a chunk its upvalues: the names and values of the local variables that it was given.
local function furnish(chunk, entry, found)
  local level, given, n = level_of(entry), {}, 1
  local name = debug.getupvalue(chunk, n)
  while name do
    if found.locals[name] then
      local _, value = debug.getlocal(level, found.locals[name])
      debug.setupvalue(chunk, n, value)
      given[name] = {n, value}
    elseif found.upvalues[name] then
      debug.upvaluejoin(chunk, n, found.fn, found.upvalues[name])
    elseif name ~= "_ENV" then
      debug.setupvalue(chunk, n, helpers[name])
    end
    n = n + 1
    name = debug.getupvalue(chunk, n)
  end
  return given
end

-- The local variables that a chunk has changed are changed.
local function take_back(chunk, entry, found, given)
  local level = level_of(entry)
  for name, before in next, given do
    local _, value = debug.getupvalue(chunk, before[1])
    if not rawequal(value, before[2]) then debug.setlocal(level, found.locals[name], value) end
  end
end

-- The lines around a place, as far as its file can be read.
local function lines_around(info)
  local lines, number = {}, 0
  local file = string.sub(info.source, 1, 1) == "@" and io.open(string.sub(info.source, 2))
  if not file then return "" end
  for line in file:lines() do
    number = number + 1
    if number > info.currentline + NEAR then break end
    if number >= info.currentline - NEAR then
      lines[#lines + 1] = string.format("%s%6d: %s", number == info.currentline and "->" or "  ", number,
        string.sub(line, 1, WIDE))
    end
  end
  file:close()
  return #lines > 0 and "\n" .. table.concat(lines, "\n") .. "\n\n" or ""
end

-- Where entry was called: the text of the place, and what stands there.
local function place_of(entry)
  local level = level_of(entry)
  local info = debug.getinfo(level, "Sl")
  while info and info.currentline < 0 do
    level = level + 1
    info = debug.getinfo(level, "Sl")
  end
  if not info then return "?", "" end
  return string.format("%s:%d", info.short_src, info.currentline), lines_around(info)
end

-- Run lines until the user, or the end of the input, lets the process go on.
local function run(state, entry, found)
  local globals = load("return _G")()
  local make = within(found, globals)
  state.names = {}
  for name in next, found.locals do state.names[name] = true end
  for name in next, found.upvalues do state.names[name] = true end
  while not state.continues do
    local maker, why, message = loop.read(state, make)
    if maker then
      local chunk = maker()
      local given = furnish(chunk, entry, found)
      if loop.evaluate(state, true, chunk, table.unpack(found.rest, 1, found.rest.n)) then return end
      take_back(chunk, entry, found, given)
    elseif why == "error" then
      loop.refuse(state, message)
    elseif why ~= "interrupt" then
      return
    end
  end
end

-- A prompt for a process that has none: whoever sits at one is asked.
local function as_guest(session, settings)
  return {session = session, settings = settings, label = "pry", n = 1, results = {}, catch = xpcall,
    evaluating = function() end}
end

-- At the prompt of a session, for a process that it waits for.
local function at_prompt(entry, state, found, before)
  results.begin(state)
  run(state, entry, found)
  results.begin(before)
end

-- The session of a prompt that has not begun yet, as while `moonbeam -i script.lua` runs the script: it begins now. Only
-- the script's scheduler has it.
local function coming()
  local ok, main = pcall(require, "moonbeam.shell.main")
  return ok and main.open() or nil
end

local function note(text, ...)
  io.stderr:write(string.format("Cannot pry %s at " .. text .. "\n", tostring(core.self()), ...))
end

-- The settings of a session; or nil and why it gives none.
local function settings_of(session, place)
  local ok, answered, settings = pcall(core.call, session, {"settings"}, "infinity")
  if ok and answered then return settings end
  note(ok and "%s: the prompt has ended" or "%s: %s", place, (string.gsub(tostring(answered), "^[^\n]-:%d+: ", "")))
  return nil, ok and "no_prompt" or "cannot_wait"
end

-- In a process that has a prompt already, while it runs a line.
local function again(entry, before, place, lines)
  local settings, why = settings_of(before.session, place)
  if not settings then return nil, why end
  local state = as_guest(before.session, before.settings)
  state.catch, state.evaluating = before.catch, before.evaluating
  io.write("Pry at ", place, "\n", lines)
  state.evaluating(false)
  at_prompt(entry, state, variables_of(entry), before)
  state.evaluating(true)
  return true
end

--- See `moonbeam.pry`.
-- @param entry the function that has called this one, and was called where the prompt is to be
function pry.stop(entry)
  local before, place, lines = results.of_caller(), place_of(entry)
  if before then
    local done, why = again(entry, before, place, lines)
    return done, why
  end
  local request = "Request to pry %s at %s\n%s"
  local session = prompts.find()
  if not session then session, request = coming(), "Pry %s at %s\n%s" end
  if not session then
    note("%s: no prompt is there; moonbeam -i has one, and so has who is attached by --remote", place)
    return nil, "no_prompt"
  end
  local settings, why = settings_of(session, place)
  if not settings then return nil, why end
  request = string.format(request, tostring(core.self()), place, lines)
  local answered, allowed = core.call(session, {"pry", request}, "infinity")
  if not answered then
    note("%s: the prompt has ended", place)
    return nil, "no_prompt"
  elseif not allowed then
    return nil, "refused"
  end
  settings.leads = true
  local leader = core.lead(session)
  at_prompt(entry, as_guest(session, settings), variables_of(entry), nil)
  core.lead(leader)
  core.call(session, {"left"}, "infinity")
  return true
end

return pry

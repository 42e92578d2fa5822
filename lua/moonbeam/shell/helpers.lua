--- The functions of the prompt: globals there, unless the program has such names itself. See Elixir's `IEx.Helpers`.
-- @module moonbeam.shell.helpers

local core = require "moonbeam.core"
local inspect = require "moonbeam.internal.inspect"
local callbacks = require "moonbeam.shell.callbacks"
local docs = require "moonbeam.shell.docs"
local process_table = require "moonbeam.shell.process_table"
local results = require "moonbeam.shell.results"
local runtime_text = require "moonbeam.shell.runtime_text"

local helpers = {}

--- The results of an earlier input, one of the last 20: those of older ones are let go. See IEx's `v/1`.
-- @param[opt=-1] n its number; negative ones count from the last
-- @return all of its results
function helpers.v(n)
  n = n == nil and -1 or n
  local state = results.of_caller()
  if math.type(n) ~= "integer" then core.argument_error("v", 1, "integer expected, got " .. core.type(n)) end
  local number = state and n < 0 and state.n + n or n
  local found = state and state.results[number]
  if state and not found and number >= 1 and number < state.n then
    core.argument_error("v", 1,
      string.format("the results of input %d are no longer kept, only those of the last %d inputs", number,
        results.MOST))
  end
  if not found then core.argument_error("v", 1, string.format("v(%d) is out of bounds", n)) end
  return table.unpack(found, 1, found.n)
end

--- A pid from its text, with or without `#PID<` and `>`. See IEx's `pid/1`.
-- @param text as in "0.5.0"
-- @return pid
function helpers.pid(text)
  if type(text) ~= "string" then core.argument_error("pid", 1, "string expected, got " .. core.type(text)) end
  return core.pid(text)
    or core.argument_error("pid", 1, string.format("'%s' is no pid; one looks like 0.5.0", core.short(text)))
end

local general = [[
%s

  h(name)         about a function or module, by name or value: h("Task.await"), h(spawn)
  b(module)       the callbacks of a module: b(GenServer), b("GenServer.init")
  exports(module) the functions of a module, and how they are called
  i(value)        about a value
  v([n])          the results of input n, one of the last 20
  pid("0.5.0")    a pid from its text
  processes([by]) the processes, sorted by "reductions", "memory" or "mailbox"
  runtime_info()  versions, memory, and what there is of what is limited
  flush()         prints the messages of the mailbox and empties it
  c(module)       loads a module's file again
  continue()      goes on behind pry(), by which a process stops for a prompt in its place
  clear()         clears the screen
  exit()          leaves, as Ctrl-D does

Tab completes, Ctrl-R searches the history, Ctrl-C breaks an evaluation, and twice leaves.
What stands in .moonbeam.lua, here or in the home directory, is run first.

h(name) knows
  %s
  %s
]]

-- Words in lines.
local function wrapped(words)
  local lines, line = {}, ""
  for _, word in ipairs(words) do
    if #line + #word > 90 then
      lines[#lines + 1] = line
      line = ""
    end
    line = line .. (line == "" and "" or " ") .. word
  end
  lines[#lines + 1] = line
  return table.concat(lines, "\n  ")
end

--- Print what the library's documentation says. See IEx's `h/1`.
-- @param[opt] what name of a function or a module, or the value itself; without it: about the prompt, and the names
-- there are
function helpers.h(...)
  local what = ...
  if select("#", ...) == 0 then
    local modules, values = docs.names()
    io.write(string.format(general, require("moonbeam")._VERSION .. ", " .. _VERSION, wrapped(modules),
      wrapped(values)))
    return
  end
  local text = docs.about(what)
  print(text or "No documentation for " .. (type(what) == "string" and what or inspect(what)) .. " was found")
end

-- The table of a module that is given by itself or by name, and a name for it.
local function module_of(what, called)
  local module = what
  if type(what) == "string" then module = docs.module_of(what) or what end
  if type(module) ~= "table" then
    core.argument_error(called, 1, string.format("module or name of one expected, got %s",
      type(what) == "string" and "'" .. core.short(what) .. "'" or core.type(what)))
  end
  return module, type(what) == "string" and what or docs.name_of(what)
end

-- Texts in columns, one beside the other.
local function print_columns(texts)
  local width = 0
  for _, text in ipairs(texts) do width = math.max(width, #text + 2) end
  local across, line = math.max(1, 96 // width), {}
  for n, text in ipairs(texts) do
    line[#line + 1] = text .. string.rep(" ", width - #text)
    if #line == across or n == #texts then
      print((string.gsub(table.concat(line), " +$", "")))
      line = {}
    end
  end
end

--- Print the functions of a module, and how they are called. See IEx's `exports/1`.
-- @param module a table, or its name: the library's, or one that has been required
function helpers.exports(module)
  local found, name = module_of(module, "exports")
  local functions = docs.functions(found)
  if #functions == 0 then return print((name or inspect(found, {limit = 5})) .. " has no functions") end
  print_columns(functions)
end

--- Print the callbacks of a module: what they take and return; of one callback also when it is called. See IEx's `b/1`.
-- @param module one of the library's, or its name, or that of one callback: "GenServer.handle_call"
function helpers.b(module)
  local text = type(module) == "string" and callbacks.about(module)
  if not text then
    local found, name = module_of(module, "b")
    text = name and callbacks.about(name) or
      string.format("No callbacks for %s were found", name or inspect(found, {limit = 5}))
  end
  print(text)
end

--- Clear the screen. See IEx's `clear/0`.
function helpers.clear()
  local state = results.of_caller()
  if state and state.settings.terminal then
    io.write("\27[H\27[2J")
  else
    print("The screen cannot be cleared: this prompt is on no terminal")
  end
end

--- Let the process go on that has called `pry` and waits for the prompt in its place. See IEx's `continue/0`.
function helpers.continue()
  local state = results.of_caller()
  if not state or state.label ~= "pry" then
    core.raise_at_caller("continue() is for the prompt that pry() opens, and this is none")
  end
  state.continues = true
end

--- Print what is known of the runtime: versions, memory, and how much there is of what is limited. See IEx's
-- `runtime_info/1`.
-- @param[opt] topic "system", "memory" or "limits"; all of them without it
function helpers.runtime_info(topic)
  if topic == nil then
    for _, each in ipairs(runtime_text.topics) do print(runtime_text.about(each)) end
    return
  end
  print(runtime_text.about(topic) or core.argument_error("runtime_info", 1,
    string.format('"%s" expected, got %s', table.concat(runtime_text.topics, '", "'), inspect(topic))))
end

-- i: what there is to say about a value, by type, as pairs of a heading and a text.

local function yes_no(value) return value and "true" or "false" end

local function list(values)
  local texts = {}
  for n, value in ipairs(values or {}) do texts[n] = inspect(value) end
  return #texts > 0 and table.concat(texts, ", ") or "none"
end

local about = {}

function about.pid(value, say)
  local alive = core.process_alive(value)
  say("Alive", yes_no(alive))
  if not alive then return end
  local function info(key) return core.process_info(value, key) end
  say("Name", info("registered_name") or "not registered")
  say("Links", list(info("links")))
  say("Monitored by", list(info("monitored_by")))
  say("Message queue length", tostring(info("message_queue_len")))
  say("Status", info("status"))
  say("Current location", info("current_location"))
  say("Scheduler", tostring(info("scheduler")))
end

about["function"] = function(value, say)
  local info = debug.getinfo(value, "Su")
  if info.what == "C" then
    say("Defined in", "C")
  else
    local parameters = {}
    for n = 1, info.nparams do parameters[n] = debug.getlocal(value, n) end
    if info.isvararg then parameters[#parameters + 1] = "..." end
    say("Defined in", string.format("%s:%d", info.short_src, info.linedefined))
    say("Parameters", "(" .. table.concat(parameters, ", ") .. ")")
    say("Upvalues", tostring(info.nups))
  end
  local text = docs.about(value)
  if text then say("Description", string.match(text, "\n\n([^\n]*)")) end
end

function about.string(value, say)
  say("Length", string.format("%d bytes", #value))
  local characters = utf8.len(value)
  say("Text", characters and string.format("valid UTF-8, %d characters", characters) or "not UTF-8")
end

function about.table(value, say)
  local items, pairs_ = rawlen(value), 0
  for _ in next, value do pairs_ = pairs_ + 1 end
  say("Items", string.format("%d, and %d other fields", items, math.max(0, pairs_ - items)))
  say("Metatable", debug.getmetatable(value) and "yes" or "no")
  local modules = core.library_modules()
  for name, module in next, package.loaded do modules[name] = module end
  for name, module in next, modules do
    if module == value then say("Module", tostring(name)) end
  end
  local text = docs.about(value)
  if text then say("Description", string.match(text, "\n\n([^\n]*)")) end
end

function about.number(value, say)
  say("Kind", math.type(value))
  if math.type(value) == "integer" then say("Hexadecimal", string.format("0x%x", value)) end
end

--- Print what there is to know about a value. See IEx's `i/1`.
-- @param[opt] value the last result when it is left out
function helpers.i(...)
  local value = ...
  if select("#", ...) == 0 then value = helpers.v() end
  local kind = core.type(value)
  local function say(heading, text)
    if text then print(heading .. "\n  " .. string.gsub(text, "\n", "\n  ")) end
  end
  say("Value", inspect(value, {limit = 50}))
  say("Type", kind)
  if about[kind] then about[kind](value, say) end
end

--- The processes that have done, hold or wait for most, as a table that shows as one; the first 50.
-- @param[opt="reductions"] by "reductions", "memory" or "mailbox"
-- @return sequence of rows, tables by column, and count: how many processes there are
function helpers.processes(by)
  local key = process_table.keys[by or "reductions"]
  if not key then
    core.argument_error("processes", 1,
      string.format('"reductions", "memory" or "mailbox" expected, got %s', inspect(by)))
  end
  return process_table.new(key)
end

--- Load a module's file again, for all processes, and let its servers change over: as `GenServer.reload`, for a prompt.
-- A module that has not been loaded is. Raises, with the old one in place, when the file cannot be loaded. See IEx's
-- `r/1`.
-- @param module its name, as for require
-- @return the module
function helpers.c(module)
  if type(module) ~= "string" then
    core.argument_error("c", 1, "name of a module expected, got " .. core.type(module))
  end
  local ok, message
  if package.loaded[module] == nil then
    ok, message = pcall(require, module)
  else
    ok, message = require "moonbeam.gen_server".reload(module)
  end
  if not ok then core.raise_at_caller((string.gsub(tostring(message), "^[^\n]-helpers%.lua:%d+: ", ""))) end
  return require(module)
end

docs.include(helpers)

return helpers

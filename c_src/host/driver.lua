-- What the script's process runs: LUA_INIT, the options in their order, the script, the prompt. `plan` is what
-- the command line asks for; the functions of `host` are in main.c. Chunks run here, not in C, so that
-- they may wait at any depth.
local plan, host = ...
local mb = require "moonbeam"

local function is_exit(e) return mb.type(e) == "exit" end

-- The traceback without this file's frames, ending as lua's.
local function traceback(message)
  local lines = {}
  for line in debug.traceback(message, 3):gmatch("[^\n]+") do lines[#lines + 1] = line end
  local kept = {}
  for _, line in ipairs(lines) do
    if line:find("[moonbeam]", 1, true) then break end
    kept[#kept + 1] = line
  end
  if kept[#kept] == "\t[C]: in function 'xpcall'" then kept[#kept] = nil end
  if kept[#kept] ~= "\t[C]: in ?" then kept[#kept + 1] = "\t[C]: in ?" end
  return table.concat(kept, "\n")
end

local function handler(e)
  if is_exit(e) then return e end
  local report
  if type(e) == "string" or type(e) == "number" then
    report = traceback(tostring(e))
  else
    local mt = debug.getmetatable(e)
    if type(mt) == "table" and mt.__tostring then
      local ok, text = pcall(tostring, e)
      report = text
    else
      report = traceback(("(error object is a %s value)"):format(type(e)))
    end
  end
  return {value = e, report = report}
end

local function fail(failure)
  if is_exit(failure) then error(failure, 0) end
  host.fail(failure.report)
  mb.exit{"error", failure.value == nil and "nil" or failure.value, failure.report}
end

local function run(chunk, ...)
  local ok, failure = xpcall(chunk, handler, ...)
  if not ok then fail(failure) end
end

local function check(chunk, message)
  if not chunk then fail{value = message, report = message} end
  return chunk
end

local function run_text(text, name) run(check(load(text, name))) end

local function run_init()
  local name, value = "LUA_INIT_5_4", os.getenv("LUA_INIT_5_4")
  if not value then name, value = "LUA_INIT", os.getenv("LUA_INIT") end
  if not value then return end
  if value:sub(1, 1) == "@" then
    run(check(loadfile(value:sub(2))))
  else
    run_text(value, "=" .. name)
  end
end

local function require_global(value)
  local global, module = value:match("^([^=]*)=(.*)$")
  run(function() _G[global or value] = require(module or value) end)
end

-- The prompt

local function read_chunk(n, terminal)
  local text
  while true do
    if terminal then io.write(text and ("mb(%d)..  "):format(n) or ("mb(%d)> "):format(n)) io.flush() end
    local line = io.read("L")
    if not line then return text end
    if terminal and not line:find("\n", 1, true) then io.write("\n") end
    text = (text or "") .. line
    local first = text:gsub("^%s*=", "return ")
    local chunk = load("return " .. first, "=stdin")
    if chunk then return text, chunk end
    local message
    chunk, message = load(first, "=stdin")
    if chunk then return text, chunk end
    if not message:find("<eof>", 1, true) then return text, nil, message end
  end
end

local function show(ok, ...)
  if not ok then
    local e = ...
    if is_exit(e) then
      io.stderr:write("** (exit) ", mb.inspect(e.reason), "\n")
    else
      io.stderr:write(e.report, "\n")
    end
    return
  end
  for i = 1, select("#", ...) do print(mb.inspect((select(i, ...)))) end
end

local function prompt()
  local terminal, n = host.is_terminal(), 1
  while true do
    local text, chunk, message = read_chunk(n, terminal)
    if not text then break end
    if chunk then
      show(xpcall(chunk, handler))
    else
      io.stderr:write(message or "stdin: unfinished input", "\n")
    end
    n = n + 1
  end
  if terminal then io.write("\n") end
end

_G.arg = plan.arg
if plan.environment then run_init() end
for _, action in ipairs(plan.actions) do
  if action[1] == "e" then
    run_text(action[2], "=(command line)")
  elseif action[1] == "l" then
    require_global(action[2])
  else
    warn("@on")
  end
end
if plan.script then
  run(check(loadfile(plan.script)), table.unpack(arg, 1, #arg))
elseif plan.stdin then
  run(check(loadfile()), table.unpack(arg, 1, #arg))
end
if plan.prompt then prompt() end

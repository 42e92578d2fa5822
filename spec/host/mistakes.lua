-- Mistakes of beginners, and what is said to each: pages of programs, each with its output and its status. A page is
-- spec/host/mistakes/*.md; a mistake there is
--
--   ## What is wrong with it
--   ```lua              (or: ```lua stock, to be run by lua5.4)
--   the program
--   ```
--   ```
--   what it prints on stdout, then what on stderr
--   status 1
--   ```
--
-- What differs from run to run, and is nobody's mistake, is left out: see `plain`.
--
-- `lua5.4 spec/host/mistakes.lua BUILD [PAGE ...]` writes into the pages what is said now;
-- whether that is right is for whoever reads the difference.
local mistakes = {}

local FOLDER = "spec/host/mistakes/"

--- The pages' paths.
function mistakes.pages()
  local paths, list = {}, assert(io.popen("ls " .. FOLDER .. "*.md"))
  for path in list:lines() do paths[#paths + 1] = path end
  list:close()
  return paths
end

local function read(path)
  local file = assert(io.open(path))
  local text = file:read("a")
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  assert(file:write(text))
  file:close()
end

--- The mistakes of a page: {title, program, stock, said, from, to}, the last two around what is said.
function mistakes.of(path)
  local page, list, at = read(path), {}, 1
  while true do
    local _, last, title, kind, program, from, said, to =
      page:find("\n## ([^\n]+)\n```lua([ %a]*)\n(.-)```\n```\n()(.-)()```", at)
    if not last then return list, page end
    list[#list + 1] = {title = title, program = program, stock = kind == " stock", said = said, from = from, to = to}
    at = last
  end
end

local replacements = {
  {"\n%d%d:%d%d:%d%d%.%d%d%d %[", "\n["}, -- the time of an entry of the log
  {"[%w%./_-]*moonbeam/([%w_/]+%.lua):%d+", "moonbeam/%1"}, -- lines of the library's
  {"\n\tno f[^\n]*", ""}, -- where a module is not
  {"table: 0x%x+", "table: 0x"},
  {"skipping %d+ levels", "skipping levels"},
}

-- A program's output without what differs: times, addresses, where the library is and which of its lines it was.
local function plain(text, interpreter)
  text = "\n" .. text
  local from, to = text:find("\n" .. interpreter .. ": ", 1, true)
  if from then text = text:sub(1, from) .. "moonbeam: " .. text:sub(to + 1) end
  for _, each in ipairs(replacements) do text = text:gsub(each[1], each[2]) end
  -- pids by the order in which they come: whether a place in the table is free again is a matter of time
  local pids, count = {}, 0
  text = text:gsub("#PID<[%d.]+>", function(pid)
    if not pids[pid] then
      count = count + 1
      pids[pid] = ("#PID<%d>"):format(count)
    end
    return pids[pid]
  end)
  return text:sub(2)
end

--- Run a mistake's program.
-- @param mistake
-- @param run function of a command: its output
-- @param build the folder of the build
-- @param directory where its file is written
-- @return what it says
function mistakes.say(mistake, run, build, directory)
  write(directory .. "/x.lua", mistake.program)
  local output = run(([[
    build=$(cd '%s' && pwd); cd '%s'; export MOONBEAM_SCHEDULERS=1 MOONBEAM_LONG_SCHEDULE=0; unset MOONBEAM_PREEMPT
    export LUA_PATH="$build/share/lua/5.4/?.lua;$build/share/lua/5.4/?/init.lua" LUA_CPATH="$build/lib/lua/5.4/?.so"
    %s x.lua >out 2>err </dev/null; status=$?; cat out err; echo "status $status"; echo "$build"]]):format(build,
    directory, mistake.stock and "lua5.4" or '"$build/bin/moonbeam"'))
  local text, folder = output:match("^(.*\n)([^\n]+)\n*$")
  return plain(text, folder .. "/bin/moonbeam")
end

local function record(build, ...)
  local function run(command)
    local pipe = assert(io.popen(command))
    local text = pipe:read("a")
    pipe:close()
    return text
  end
  local directory = run("mktemp -d"):gsub("\n", "")
  for _, path in ipairs(... and {...} or mistakes.pages()) do
    local list, page = mistakes.of(path)
    for i = #list, 1, -1 do
      local mistake = list[i]
      page = page:sub(1, mistake.from - 1) .. mistakes.say(mistake, run, build, directory) .. page:sub(mistake.to)
    end
    write(path, page)
  end
  run("rm -r " .. directory)
end

if arg and arg[0] and arg[0]:find("mistakes%.lua$") then record(...) end

return mistakes

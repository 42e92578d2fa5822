-- tail [-n LINES] FILE: the last lines of a file, and those that are added, for as long as it runs. When the file is
-- rotated, that is renamed or removed, and another one takes its name, it goes on with that; when it is cut short, it
-- begins anew.
--
-- Whole lines are printed: a line is one when its end has been written.

require "moonbeam".import()

local count, path = 10, arg[1]
if arg[1] == "-n" then count, path = math.tointeger(tonumber(arg[2])), arg[3] end
if not path or not count or count < 0 then
  io.stderr:write("usage: tail.lua [-n LINES] FILE\n")
  os.exit(1)
end

-- The position behind which the last `count` whole lines begin: blocks are looked through from the end.
local function last_lines(file, size)
  local block, left, at = 8192, count + 1, size
  while at > 0 do
    local from = math.max(0, at - block)
    local text = file:pread(at - from, from)
    for i = #text, 1, -1 do
      if text:byte(i) == 10 then
        left = left - 1
        if left == 0 then return from + i end
      end
    end
    at = from
  end
  return 0
end

local rest -- of a line whose end has not been written

local function print_new(file)
  repeat
    local text = file:read(65536)
    if text then
      rest[#rest + 1] = text
      if text:find("\n", 1, true) then
        local lines, begun = table.concat(rest):match("^(.*\n)(.*)$")
        io.write(lines)
        rest = {begun}
      end
    end
  until not text
  io.flush()
end

-- The file that has the name now, when it is another one than that which is open.
local function rotated(file)
  local new = fs.stat(path)
  local old = file and file:stat()
  return new and not (old and old.ino == new.ino and old.dev == new.dev)
end

local directory, name = path:match("^(.*)/([^/]*)$")
if not directory then directory, name = ".", path end
local watcher = assert(fs.watch(directory == "" and "/" or directory))

local file = assert(fs.open(path))
local size = file:stat().size
rest = {}
file:seek("set", last_lines(file, size))
print_new(file)

while true do
  -- What is lost is noticed a second later.
  receive{ {{"fs", watcher, any, name}}, {{"fs", watcher, "error", any}}, after = 1000 }
  if file and file:stat().size < file:seek() then
    rest = {}
    file:seek("set")
  end
  if file then print_new(file) end
  if rotated(file) then
    if file then
      print_new(file) -- what came between reading and looking
      file:close()
    end
    file, rest = fs.open(path), {}
    if file then print_new(file) end
  end
end

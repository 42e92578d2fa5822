-- Runs test programs of Lua libraries under plain lua5.4 and inside a Moonbeam process that is preempted every 100
-- instructions, and compares exit status and output. The programs are fetched by hand.
--
--   lua5.4 spec/conformance/libraries.lua DIRECTORY FILE...
--
-- The files are run with DIRECTORY as the current one; LUA_PATH and LUA_CPATH are passed on.

local directory = table.remove(arg, 1)
assert(arg[1], "usage: lua5.4 spec/conformance/libraries.lua DIRECTORY FILE...")

local function shell(command)
  local pipe = assert(io.popen(("cd %s && %s 2>&1; printf '\\n%%d' $?"):format(directory, command)))
  local output, code = pipe:read("a"):match("^(.*)\n(%d+)$")
  pipe:close()
  return tonumber(code), output
end

local here = assert(io.popen("pwd")):read("l")
local moonbeam = here .. "/build/release/bin/moonbeam"
local moonbeam_pattern = moonbeam:gsub("%p", "%%%0")
-- The program is the script's process, whose globals are those of the modules it loads; this one it gives way to.
local neighbour = "spawn(function() while true do end end)"

-- What differs from run to run: addresses, times, which interpreter it was.
local function comparable(text)
  text = text:gsub(moonbeam_pattern, "lua5.4"):gsub("0x%x+", "ADDRESS")
  return (text:gsub("%d+%.%d+", "NUMBER"):gsub("%d+ seconds", "SECONDS"))
end

local same, different = 0, 0
for _, name in ipairs(arg) do
  local plain, expected = shell("timeout 600 lua5.4 " .. name)
  local command = "timeout 600 env MOONBEAM_PREEMPT=100 LUA_INIT='%s' %s %s"
  local code, output = shell(command:format(neighbour, moonbeam, name))
  if plain == code and comparable(output) == comparable(expected) then
    same = same + 1
    print(("%-36s the same: status %d"):format(name, plain))
  else
    different = different + 1
    print(("%-36s DIFFERENT: status %d, in a process %d"):format(name, plain, code))
    print(expected:sub(-600), "\n-- in a process:\n" .. output:sub(-1500))
  end
end
print(("%d the same, %d different"):format(same, different))
os.exit(different == 0 and 0 or 1)

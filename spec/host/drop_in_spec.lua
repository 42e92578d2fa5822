-- Command lines that do the same under lua5.4 and under the host: output of both streams and exit status, but for the
-- program's name. $LUA is the interpreter; $OLD lets it find what Debian installs for Lua 5.1; $REPO is this tree.
local helper = require "spec.helper"

local moonbeam = (os.getenv("MOONBEAM_BUILD") or "build/release") .. "/bin/moonbeam"

local files = {
  ["args.lua"] = "#!/usr/bin/env lua\nprint('script', ...)\nprint(arg[0], arg[-1], arg[1], #arg)\n",
  ["fails.lua"] = "local function f() error('in f') end\nlocal function g() f() end\ng()\n",
  ["bad.lua"] = "x = = 1\n",
  ["-"] = "print('a file named -', ...)\n",
  ["mod.lua"] = "return {name = ..., value = 7}\n",
  ["init.lua"] = "print('init file')\n",
  ["x_spec.lua"] = "it('a', function() assert.equal(1, 1) end)\nit('b', function() error('b') end)\n",
}

-- One a line; a "#" begins a heading.
local command_lines = [==[
# options
$LUA -v
$LUA -v -e 'print(1)'
$LUA -e 'print(1)' -e 'print(2)'
$LUA -e 'a = 1' -e 'print(a)' -e 'a.b.c = 1'
$LUA -e
$LUA -e -v
$LUA -l
$LUA -l -v
$LUA -x
$LUA -vv
$LUA -ix
$LUA --unknown
$LUA '-eprint(1)'
$LUA -lmod -e 'print(mod.value)'
$LUA -l m=mod -e 'print(m.value, mod)'
$LUA -lm=mod -e 'print(m.name)'
$LUA -l nomodule
$LUA -e 'require("nomodule")'
$LUA -l bad
$LUA -E -e 'print(package.path, package.cpath)'
$LUA -W -e 'warn("a", "b")'
$LUA -e 'warn("a")' -W -e 'warn("b")'
$LUA -W -e 'warn("@off") warn("a") warn("@on") warn("b")'
$LUA -W -e 'setmetatable({}, {__gc = function() error("in gc") end})'
# ... the prompt is our own
$LUA -i -e 'print(1)' </dev/null | grep -v '^> '
$LUA -v -i args.lua a </dev/null | grep -v '^> '
# the script and its arguments
$LUA args.lua a b
$LUA -W args.lua a b
$LUA -- args.lua -v
chmod +x args.lua; $LUA ./args.lua
$LUA nofile.lua
$LUA bad.lua
$LUA fails.lua
$LUA -- - q
$LUA -W -e 'for i = -5, 5 do io.write(i, "=", tostring(arg[i]), " ") end' args.lua a b
$LUA -e 'arg = nil' args.lua a
$LUA -e 'arg = {[0] = "x", 7, 8}' args.lua a
# programs on stdin
echo 'print(...)' | $LUA - a b
echo 'print(#arg, ...)' | $LUA -W
echo 'print(#arg, ...)' | $LUA
echo 'error(1)' | $LUA
echo 'error(1)' | $LUA -
echo 'x =' | $LUA
printf 'print(io.read())\ndata\n' | $LUA -
echo data | $LUA -e 'print(io.read())'
# the environment
LUA_INIT='print("init", #arg)' $LUA -e 'print(1)'
LUA_INIT='print(1)' $LUA -E -e 'print(2)'
LUA_INIT=@init.lua $LUA -e ''
LUA_INIT='print(1)' LUA_INIT_5_4='print(2)' $LUA -v
LUA_INIT='error("e")' $LUA -e 'print(1)'
LUA_INIT='x =' $LUA args.lua
LUA_INIT=@nofile $LUA args.lua
LUA_PATH='/x/?.lua;;' $LUA -e 'print(package.path)'
LUA_PATH_5_4=/y/?.lua LUA_PATH=/x/?.lua $LUA -e 'print(package.path)'
LUA_CPATH='/x/?.so;;' $LUA -e 'print(package.cpath)'
# errors
$LUA -e 'error()'
$LUA -e 'error({})'
$LUA -e 'error(12)'
$LUA -e 'error(print)'
$LUA -e 'error("a", 0)'
$LUA -e 'error(setmetatable({}, {__tostring = function() return "text" end}))'
$LUA -e 'error(setmetatable({}, {__tostring = function() return 1 end}))'
$LUA -e 'error(setmetatable({}, {__tostring = function() error("in") end}))'
$LUA -e 'x ='
$LUA -e 'local t = nil; t.x = 1'
$LUA -e 'local function f(n) if n == 0 then error("deep") end return 1 + f(n - 1) end f(40)'
$LUA -e 'local function f() return 1 + f() end f()'
$LUA -e 'coroutine.wrap(function() error("in co") end)()'
$LUA -e 'coroutine.yield(1)'
$LUA -e 'print(coroutine.isyieldable(), select(2, coroutine.running()))'
$LUA -e 'print(debug.traceback("here"))'
$LUA -e 'print(debug.getinfo(2, "S").what, debug.getinfo(3))'
$LUA -e 'xpcall(error, function(e) print(debug.traceback(e)) end, "m")'
$LUA -e 'local c <close> = setmetatable({}, {__close = function() print("closed") end}) error("e")'
# the end
$LUA -e 'return 5'
$LUA -e 'os.exit(3)'
$LUA -e 'os.exit(false)'
$LUA -e 'os.exit(true, true)'
$LUA -e 'pcall(os.exit, 4)'
$LUA -e 'coroutine.wrap(function() os.exit(5) end)()'
$LUA -e 'table.sort({1, 2, 3}, function() os.exit(6) end)'
$LUA -e 'io.stdout:setvbuf("full") io.write("x") os.exit(0)'
$LUA -e 'local c <close> = setmetatable({}, {__close = function() print("closed") end}) os.exit(0)'
$LUA -e 'local c <close> = setmetatable({}, {__close = function() print("closed") end}) os.exit(0, true)'
$LUA -e 'setmetatable({}, {__gc = function() print("gc") end}) os.exit(0)'
$LUA -e 'setmetatable({}, {__gc = function() print("gc") end})'
{ $LUA -e 'for i = 1, 1e5 do print(i) end'; echo $? >&2; } | head -1
{ $LUA -e 'for i = 1, 1e5 do io.write(i, "\n") end'; echo $? >&2; } | head -1
$LUA -e 'print(1)' >/dev/full
$LUA -e 'io.stdout:close() print(1)'
$LUA -e 'io.write(1, 2.5, "x"):write("\n")' -e 'io.write({})'
# tools, unchanged
$OLD $LUA /usr/bin/luacheck --no-cache --std lua54 args.lua fails.lua bad.lua
rm -rf doc; $OLD $LUA /usr/bin/ldoc -d doc "$REPO/lua/moonbeam/process.lua"; grep -v Last doc/index.html | cksum
$LUA /usr/bin/busted --ignore-lua -o TAP x_spec.lua | grep -v seconds
]==]

local lines = {}
for line in command_lines:gmatch("[^\n]+") do
  if not line:find("^#") then lines[#lines + 1] = line end
end

-- SIGINT when it is where it stays: busy for 30 ms of its own time (field 14 of stat), or asleep (field 3), which it
-- says by a word on stdout first. Its stdin stays open.
local function interrupted(code, where)
  return ([[rm -f in; mkfifo in; : >out; $LUA -e 'print("there") %s' <>in >out 2>&1 & pid=$!; ]] ..
    [[until grep -q there out && set -- $(cat /proc/$pid/stat) && %s; do sleep 0.01; done; ]] ..
    [[kill -INT $pid; wait $pid; echo $?; cat out]]):format(code, where)
end

for _, code in ipairs{"while true do end", "print(pcall(function() while true do end end))",
    "local function f() while true do end end f()", "table.sort({3, 1, 2}, function() while true do end end)"} do
  lines[#lines + 1] = interrupted(code, "[ ${14} -ge 3 ]")
end
lines[#lines + 1] = interrupted("print(io.read(\"a\"))", "[ $3 = S ]")

describe("the host, like lua5.4", function()
  local directory

  setup(function()
    directory = helper.run("mktemp -d"):match("%S+")
    for name, text in pairs(files) do
      local file = assert(io.open(directory .. "/" .. name, "w"))
      file:write(text)
      file:close()
    end
  end)

  teardown(function() helper.run("rm -rf " .. directory) end)

  local here = helper.run("pwd"):match("%S+")
  local interpreter = here .. "/" .. moonbeam

  local function outcome(program, line)
    local old = "env LUA_PATH=/usr/share/lua/5.1/?.lua;/usr/share/lua/5.1/?/init.lua;;"
    local text, code = helper.run(("cd %s; export REPO=%s OLD='%s' LUA=%s LC_ALL=C; %s")
      :format(directory, here, old, program, line))
    return (text:gsub(program:gsub("%p", "%%%0"), "LUA"):gsub("0x%x+", "ADDRESS")), code
  end

  for _, line in ipairs(lines) do
    it("does: " .. line:gsub("%s+", " "), function()
      local theirs, their_code = outcome("lua5.4", line)
      local ours, our_code = outcome(interpreter, line)
      assert.equal(theirs, ours)
      assert.equal(their_code, our_code)
    end)
  end
end)

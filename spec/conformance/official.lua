-- Runs Lua's official test suite inside Moonbeam processes. Not a spec: the suite is fetched by hand.
--
--   lua5.4 spec/conformance/official.lua DIRECTORY [moonbeam]
--
-- DIRECTORY is `testes` of a checkout of Lua at v5.4.4. Every file that plain lua5.4 passes with _port and _soft is run
-- by a process that is preempted at every instruction, every 7, every 1000, and by time, beside one that is always
-- busy. Exit status: 0 when all that pass there pass here.

local directory, moonbeam = arg[1], arg[2] or "build/release/bin/moonbeam"
assert(directory, "usage: lua5.4 spec/conformance/official.lua DIRECTORY [moonbeam]")

-- What a process runs instead of the file itself: the lines that speak of the main thread are left out. A file is
-- named with the text to replace (plain) and what stands there instead.
local only_of_main = {
  ["coroutine.lua"] = {
    -- A process is no main thread: running says so.
    {'assert(type(main) == "thread" and ismain)', 'assert(type(main) == "thread" and not ismain)'},
  },
}

-- What the script itself runs: the collector's settings are its to change, and no other process's.
local in_script = {["gc.lua"] = true, ["gengc.lua"] = true}

local modes = {"1", "7", "1000", ""} -- "": by time

local skipped = {
  ["all.lua"] = "runs the other files",
  ["heavy.lua"] = "not one of those that all.lua runs: it allocates until memory is out",
}

local function shell(command)
  local pipe = assert(io.popen(command .. " 2>&1; printf '\\n%d' $?"))
  local output, code = pipe:read("a"):match("^(.*)\n(%d+)$")
  pipe:close()
  return tonumber(code), output
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

local function write(path, text)
  local file = assert(io.open(path, "wb"))
  file:write(text)
  file:close()
end

local function replace(text, from, to)
  local first, last = text:find(from, 1, true)
  assert(first, "not in the file: " .. from)
  return text:sub(1, first - 1) .. to .. text:sub(last + 1)
end

local here = assert(io.popen("pwd")):read("l")
if moonbeam:sub(1, 1) ~= "/" then moonbeam = here .. "/" .. moonbeam end
local runner = os.tmpname()
write(runner, [[
  local file, where, here = arg[1], arg[2], {scheduler = "here", monitor = true}
  local function run()
    _port, _soft = true, true
    dofile(file)
    print "the end of the file was reached"
  end
  Process.spawn(function() while true do end end, here) -- by time, nobody is preempted for nobody
  if where == "script" then
    run()
    os.exit(0)
  end
  local _, ref = Process.spawn(run, here)
  local reason = receive{ {{"DOWN", ref, "process", any, any}, function(_, why) return why end} }
  os.exit(reason == "normal" and 0 or 1)
]])

local files = {}
for name in io.popen("ls " .. directory):lines() do
  if name:find("%.lua$") and not skipped[name] then files[#files + 1] = name end
end

local failures, passes = 0, 0
for _, name in ipairs(files) do
  local limit = "cd " .. directory .. " && timeout 900 "
  local plain = shell(limit .. "lua5.4 -W -e '_port=true _soft=true' " .. name)
  if plain ~= 0 then
    print(("%-16s not passed by plain lua5.4 alone: left out"):format(name))
  else
    local path, changed = name, only_of_main[name]
    if changed then
      local text = read(directory .. "/" .. name)
      for _, pair in ipairs(changed) do text = replace(text, pair[1], pair[2]) end
      path = "moonbeam_" .. name
      write(directory .. "/" .. path, text)
    end
    local results = {}
    for _, mode in ipairs(modes) do
      local started = os.time()
      local code, output = shell(limit .. ("env MOONBEAM_PREEMPT=%s %s -W %s %s %s")
        :format(mode, moonbeam, runner, path, in_script[name] and "script" or "process"))
      local ok = code == 0 and output:find("the end of the file was reached", 1, true) ~= nil
      results[#results + 1] = ("%s: %s (%d s)"):format(mode == "" and "time" or mode, ok and "ok" or "FAILED",
        os.difftime(os.time(), started))
      if ok then
        passes = passes + 1
      else
        failures = failures + 1
        print(output:sub(-2000))
      end
    end
    if changed then os.remove(directory .. "/" .. path) end
    print(("%-16s %s"):format(name, table.concat(results, ", ")))
  end
end
os.remove(runner)
print(("%d runs passed, %d failed"):format(passes, failures))
os.exit(failures == 0 and 0 or 1)

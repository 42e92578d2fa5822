-- Runs luv's own test suite under plain lua5.4 and inside a Moonbeam process. Not a spec: the suite is fetched by hand.
--
--   lua5.4 spec/conformance/luv.lua DIRECTORY [moonbeam]
--
-- DIRECTORY is luv's tree at the version that is installed; the tests read files of it. Each file of tests is run twice
-- in each way, since some depend on the machine's time: a test passes when it has passed once. Exit status: 0 when each
-- test that passes under lua5.4 passes in a process, beside one that is always busy, too. With luv 1.44 all do.

local directory, moonbeam = arg[1], arg[2] or "build/release/bin/moonbeam"
assert(directory, "usage: lua5.4 spec/conformance/luv.lua DIRECTORY [moonbeam]")

local function shell(command)
  local pipe = assert(io.popen(command .. " 2>&1; printf '\\n%d' $?"))
  local output, code = pipe:read("a"):match("^(.*)\n(%d+)$")
  pipe:close()
  return tonumber(code), output
end

local function write(path, text)
  local file = assert(io.open(path, "w"))
  file:write(text)
  file:close()
end

local here = assert(io.popen("pwd")):read("l")
if moonbeam:sub(1, 1) ~= "/" then moonbeam = here .. "/" .. moonbeam end
local runner = os.tmpname()
write(runner, [[
  local file = arg[1]
  local together = {scheduler = "here", monitor = true}
  Process.spawn(function() while true do end end, together)
  local _, ref = Process.spawn(function() dofile(file) end, together)
  local reason = receive{ {{"DOWN", ref, "process", any, any}, function(_, why) return why end} }
  os.exit(reason == "normal" and 0 or 1, false)
]])

-- The names of the tests of a file that pass, and what was printed.
local function run(interpreter, file)
  local passed, all, last = {}, {}, ""
  for _ = 1, 2 do
    local _, output = shell(("cd %s && timeout 120 %s tests/%s"):format(directory, interpreter, file))
    for no, name in ("\n" .. output):gmatch("\n([not ]*)ok %d+ ([^\n]*)") do
      all[name] = true
      if no == "" and not name:find("# skip", 1, true) then passed[name] = true end
    end
    last = output
  end
  return passed, all, last
end

local files = {}
for name in io.popen("ls " .. directory .. "/tests"):lines() do
  if name:find("^test%-.*%.lua$") then files[#files + 1] = name end
end

local same, different = 0, 0
for _, file in ipairs(files) do
  local expected, all = run("lua5.4", file)
  local passed, _, output = run(moonbeam .. " " .. runner, file)
  local count, missing = 0, {}
  for name in pairs(all) do
    if not expected[name] then print(("%-28s not passed by lua5.4 here: %s"):format(file, name)) end
  end
  for name in pairs(expected) do
    if passed[name] then
      count = count + 1
    else
      missing[#missing + 1] = name
    end
  end
  same, different = same + count, different + #missing
  print(("%-28s %d pass, %d do not"):format(file, count, #missing))
  table.sort(missing)
  for _, name in ipairs(missing) do print("  NOT IN A PROCESS: " .. name) end
  if missing[1] then print(output:sub(-3000)) end
end
os.remove(runner)
print(("%d tests pass in a process as in lua5.4, %d do not"):format(same, different))
os.exit(different == 0 and 0 or 1)

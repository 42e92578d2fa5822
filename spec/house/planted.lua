-- Shows that layers.lua finds what it looks for: lua5.4 planted.lua CC NM. Two rooms of planted files, low and high
-- above it, are compiled and checked: as they should be, then each with one fault.

local cc, nm = arg[1], arg[2]
local here = arg[0]:match "^(.*)/" or "."

local function run(command)
  local p = assert(io.popen("{ " .. command .. "; } 2>&1"))
  local text = p:read "a"
  local _, _, status = p:close()
  return status or 0, text
end

local _, folder = run "mktemp -d"
folder = folder:match "%S+"

local clean = {
  ["low/a.h"] = "int low_a(void);\n",
  ["low/a.c"] = '#include "a.h"\nint low_b(void);\nint low_a(void) { return low_b(); }\n',
  ["low/b.c"] = "int low_b(void) { return 1; }\n",
  ["high/c.h"] = "int high_c(void);\n",
  ["high/c.c"] = '#include "c.h"\n#include "a.h"\nint high_c(void) { return low_a(); }\n',
}

local function check(what, faults, strict, expected_status, expected)
  local objects, sources = {low = {}, high = {}}, {low = {}, high = {}}
  run("rm -rf " .. folder .. " && mkdir -p " .. folder .. "/low " .. folder .. "/high")
  for name, text in pairs(clean) do
    local f = assert(io.open(folder .. "/" .. name, "w"))
    f:write(faults[name] or text)
    f:close()
  end
  for name in pairs(clean) do
    if name:find "%.c$" then
      local room = name:match "^%a+"
      local status, text = run(string.format("cd %s && %s -Ilow -Ihigh -c %s -o %s.o", folder, cc, name, name))
      assert(status == 0, text)
      table.insert(sources[room], name)
      table.insert(objects[room], folder .. "/" .. name .. ".o")
    end
  end
  local list = assert(io.open(folder .. "/layers.txt", "w"))
  list:write("root ", folder, "\nnm ", nm, "\n")
  for _, room in ipairs{"low", "high"} do
    list:write("room ", room, "\nlink ", room == "high" and "low" or "", "\ninclude ", folder, "/low;", folder,
      "/high\n",
               "sources ", table.concat(sources[room], ";"), "\nobjects ", table.concat(objects[room], ";"), "\n")
  end
  list:close()
  local status, text = run(string.format("%s %s/layers.lua %s/layers.txt %s", arg[-1], here, folder, strict))
  if status ~= expected_status or not text:find(expected, 1, true) then
    print(string.format("%s: exit status %d, expected %d and %q in\n%s", what, status, expected_status, expected, text))
    run("rm -rf " .. folder)
    os.exit(1)
  end
  print("ok: " .. what)
end

local circle = {["low/b.c"] = "int low_a(void);\nint low_b(void) { return low_a(); }\n"}
check("nothing wrong", {}, "low", 0, "high")
check("an include upward", {["low/a.c"] = '#include "c.h"\n' .. clean["low/a.c"]}, "low", 1,
      "low/a.c (low) includes high/c.h, of high, which is not below it")
check("a call upward", {["low/b.c"] = "int high_c(void);\nint low_b(void) { return high_c(); }\n"}, "low", 1,
      "low/b.c (low) calls high_c, of high/c.c (high), which is not below it")
check("a circle where none may be", circle, "low", 1, "low/b.c calls low_a, of low/a.c")
check("a circle where one may be", circle, "", 0, "by calls: 2 (a.c b.c)")
run("rm -rf " .. folder)

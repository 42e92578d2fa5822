local helper = require "spec.helper"

-- The programs of a page: code, and the lines that it prints according to the page, as `--> line`.
local function programs(path)
  local page = assert(io.open(path)):read("a")
  local found = {}
  for before, code in page:gmatch("()```lua\n(.-)```") do
    local _, line = page:sub(1, before):gsub("\n", "")
    local lines = {}
    for text in code:gmatch("%-%-> ([^\n]*)") do lines[#lines + 1] = text end
    found[#found + 1] = {line = line + 1, code = code, lines = lines}
  end
  return found
end

local function without_numbers(text) return (text:gsub("#PID<[%d.]+>", "#PID<>")) end

describe("the programs in the documentation", function()
  for _, path in ipairs{"README.md", "docs/io.md", "docs/anti-patterns.md"} do
    for _, program in ipairs(programs(path)) do
      it(("print what they say: %s:%d"):format(path, program.line), function()
        local preamble = program.code:find("require", 1, true) and "" or "require('moonbeam').import()\n"
        local output, status = helper.run_script(preamble .. program.code)
        assert.equal(0, status, output)
        assert.equal(without_numbers(table.concat(program.lines, "\n")), without_numbers(output:gsub("\n$", "")))
      end)
    end
  end
end)

local helper = require "spec.helper"

-- The examples of one file: what stands after @usage in a comment, and the function that follows.
local function examples(path)
  local found, current = {}, nil
  local number = 0
  for line in io.lines(path) do
    number = number + 1
    local usage = line:match("^%-%- @usage ?(.*)$")
    local comment = line:match("^%-%- ?(.*)$")
    if usage then
      current = {line = number, usage}
      found[#found + 1] = current
    elseif current and comment and not comment:match("^@") then
      current[#current + 1] = comment
    else
      current = nil
    end
  end
  return found
end

describe("the examples in the documentation", function()
  local directory
  helper.with_directory(function(made) directory = made end)

  for path in assert(io.popen("find lua/moonbeam -name '*.lua'")):lines() do
    for _, example in ipairs(examples(path)) do
      it(("runs: %s:%d"):format(path, example.line), function()
        -- Files of its own: the same example may run elsewhere at the same time.
        local source = table.concat(example, "\n"):gsub('"/tmp/(%w)', '"' .. directory .. "/%1")
        local output, code = helper.run_script("require('moonbeam').import()\n" .. source)
        assert.equal(0, code, output)
      end)
    end
  end
end)

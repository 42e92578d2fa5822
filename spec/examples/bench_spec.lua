-- The benchmarks run, each row with a thousandth of its size.
local helper = require "spec.helper"

describe("the benchmarks", function()
  -- Name -> value of what a program prints.
  local function run(program, arguments)
    local output, code = helper.run(("%s spec/bench/%s %s"):format(helper.interpreter(), program, arguments))
    assert.equal(0, code, output)
    local values = {}
    for name, value in output:gmatch("(%S+)\t(%S+)\n") do values[name] = assert(tonumber(value)) end
    return values
  end

  it("have a figure for each row", function()
    local values = run("bench.lua", "1000")
    for _, row in ipairs(dofile "spec/bench/rows.lua") do
      if not row.plain and not row.name:find "^await_many_10000" then -- of more tasks than there are
        assert.is_true(values[row.name] and (row.unit == "bytes" or values[row.name] > 0), row.name)
        values[row.name] = nil
      end
    end
    assert.same({}, values)
  end)

  it("do the same work in stock Lua's coroutines", function()
    local values = run("coroutines.lua", "1000")
    for name in pairs(values) do
      local is_row = false
      for _, row in ipairs(dofile "spec/bench/rows.lua") do is_row = is_row or row.name == name end
      assert.is_true(is_row, name)
    end
    assert.is_truthy(values.ping_pong and values.stop_all)
  end)
end)

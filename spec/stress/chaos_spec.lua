local helper = require "spec.helper"

describe("chaos in a tree of supervisors", function()
  for _, schedulers in ipairs{1, 4} do
    it(("leaves it whole, on %d schedulers"):format(schedulers), function()
      local output, code = helper.run(("MOONBEAM_SCHEDULERS=%d %s spec/stress/chaos.lua 2000"):format(schedulers,
        helper.interpreter()))
      assert.equal(0, code, output)
      assert.matches("chaos adds up: 2000 kills", output)
    end)
  end
end)

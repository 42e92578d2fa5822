local helper = require "spec.helper"

describe("connections that come and go", function()
  for _, schedulers in ipairs{1, 4} do
    it(("leave nothing, on %d schedulers"):format(schedulers), function()
      local output, code = helper.run(("MOONBEAM_SCHEDULERS=%d %s spec/stress/connections.lua 500"):format(schedulers,
        helper.interpreter()))
      assert.equal(0, code, output)
      assert.matches("connections add up: 500 cycles", output)
    end)
  end
end)

-- Processes that are ended while they begin.
local helper = require "spec.helper"

describe("a process that is killed while its function is decoded", function()
  helper.setup()

  it("leaves nothing behind for the next one on its scheduler", function()
    local directory = os.tmpname()
    os.remove(directory)
    assert(os.execute("mkdir " .. directory))
    local file = assert(io.open(directory .. "/slow_to_load.lua", "w"))
    file:write [[
      require("moonbeam.core").send(require("moonbeam.core").process_whereis("main"), "loading")
      local deadline = os.clock() + 20
      while os.clock() < deadline do end
      return {work = function() end}
    ]]
    file:close()
    local output, code = helper.run_script(([[
      local mb = require "moonbeam"
      mb.import()
      mb.start{schedulers = 2}
      package.path = %q .. "/?.lua;" .. package.path
      package.preload.slow_to_load = function() return {work = function() end} end
      local work = require "slow_to_load".work
      package.preload.slow_to_load = nil
      Process.register(self(), "main")
      local pid, ref = Process.spawn(work, {scheduler = 2, monitor = true})
      receive{ {"loading"} }
      Process.exit(pid, "kill")
      print(receive{ {{"DOWN", ref, "process", pid, any}} })
      for i = 1, 3 do
        local _, next_ref = Process.spawn(function() sleep(1) end, {scheduler = 2, monitor = true})
        print(i, receive{ {{"DOWN", next_ref, "process", any, any}, function(_, why) return inspect(why) end} })
      end
    ]]):format(directory), "", "MOONBEAM_SCHEDULERS=2")
    os.execute("rm -r " .. directory)
    assert.equal("killed\n1\t\"normal\"\n2\t\"normal\"\n3\t\"normal\"\n", output)
    assert.equal(0, code)
  end)
end)

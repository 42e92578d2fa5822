-- Files when the program ends: libuv takes its pool of threads apart then.
local helper = require "spec.helper"

describe("files at the end of the program", function()
  helper.setup()

  it("FS-22 harm nobody who is still at work on another scheduler", function()
    local output, code = helper.run_script(([[
      package.cpath = %q .. ";" .. package.cpath
      require "cleaner" -- the end takes a while
      local mb = require "moonbeam"
      local fs, me, send = mb.fs, mb.self(), mb.send
      for i = 1, 12 do
        mb.Process.spawn(function()
          while true do
            mb.sleep(5)
            fs.stat("/tmp")
            if i then send(me, "works") end
            i = nil
          end
        end, {scheduler = 2 + i %% 3})
      end
      for _ = 1, 12 do print(mb.receive()) end
      os.exit(7)
    ]]):format(helper.c_modules()), nil, "MOONBEAM_SCHEDULERS=4")
    assert.equal(("works\n"):rep(12), output)
    assert.equal(7, code)
  end)
end)

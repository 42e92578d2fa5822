local helper = require "spec.helper"

describe("the limit of processes", function()
  it("raises system_limit, and spawning works again when some have ended", function()
    local output, code = helper.run("MOONBEAM_PROCESSES=100 " .. helper.interpreter() .. " -e '" .. [[
      local mb = require "moonbeam"
      local pids = {}
      local ok, message
      repeat
        ok, message = pcall(mb.spawn, mb.receive)
        pids[#pids + 1] = ok and message or nil
      until not ok
      print(#pids, message)
      for i = 1, 10 do mb.Process.exit(pids[i], "kill") end
      repeat ok = pcall(mb.spawn_monitor, print, "spawned again") until ok -- another scheduler may have to bury them
      mb.receive()
    ]] .. "'")
    assert.equal(0, code, output)
    assert.matches("^99\t[^\n]*system_limit: too many processes %(100%)", output)
    assert.matches("spawned again", output)
  end)
end)

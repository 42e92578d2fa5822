local mb = require "moonbeam"
local helper = require "spec.helper"

describe("a pid", function()
  helper.setup()

  it("PID-01 has no fields, and says what it is for", function()
    local pid, ref = mb.self(), mb.make_ref()
    local cases = {
      {function() return pid.get end, "a pid has no field 'get': functions take it as an argument, Agent.get(pid, ...)"},
      {function() pid:call(1) end,
        "a pid has no field 'call': functions take it as an argument, GenServer.call(pid, ...)"},
      {function() pid:send(1) end, "a pid has no field 'send': functions take it as an argument, send(pid, ...)"},
      {function() pid.x = 1 end, "a pid has no field 'x': functions take it as an argument, Agent.get(pid, ...)"},
      {function() return ref.pid end,
        "a reference has no field 'pid': functions take it as an argument, demonitor(reference, ...)"},
      {function() return pid[1] end, "a pid has no fields"},
    }
    for _, case in ipairs(cases) do
      local ok, message = pcall(case[1])
      assert.is_false(ok)
      assert.equal(case[2], message:match("^spec/process/pid_spec.lua:%d+: (.*)$"))
    end
    assert.error_matches(function() return mb.any.x end, "attempt to index a userdata value")
  end)

  it("PID-01 is compared and found in tables as ever", function()
    local pid = mb.self()
    assert.is_true(pid == mb.self())
    assert.equal(1, ({[pid] = 1})[mb.self()])
    assert.is_nil(({})[pid])
  end)
end)

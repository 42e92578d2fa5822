local helper = require "spec.helper"

-- Sanitizers need more address space than a limit leaves.
local sanitized = helper.scale >= 10

local function run(kilobytes, source)
  return helper.run_script(source, "", ("ulimit -v %d; MOONBEAM_SCHEDULERS=1"):format(kilobytes))
end

describe("under a limit of memory", function()
  helper.setup()

  it("what many small objects have filled is there for objects of any other size", function()
    if sanitized then return end
    local output, code = run(150000, [[
      Logger.configure{level = "none"}
      local kinds = {
        function(last) return {last} end,
        function(last) return {last = last, b = 1, c = 2, d = 3, e = 4} end,
        function(last) return function() return last end end,
        function(last) return {last, ("x"):rep(250)} end,
        function(last) return coroutine.wrap(function() return last end) end,
      }
      for i, make in ipairs(kinds) do
        local ok, text = pcall(function() local last repeat last = make(last) until false end)
        assert(not ok and tostring(text):find "not enough memory", text)
        collectgarbage() collectgarbage()
        assert(#("one large block"):rep(2^20) == 15 * 2^20)
        local strings = {}
        for k = 1, 50000 do strings[k] = ("x"):rep(i * 90) .. k end
      end
      print "ok"
    ]])
    assert.equal("ok\n", output)
    assert.equal(0, code)
  end)

  it("a message that is too large for it ends the process that sends it, and no other", function()
    if sanitized then return end
    local output, code = run(200000, [[
      Logger.configure{level = "none"}
      local me = self()
      local neighbour = spawn(function() while true do send(me, receive()) end end)
      local values = {
        function(last) return function() return last end end,
        function(last) return setmetatable({}, {__index = last}) end,
        function(last) return {[last] = ("x"):rep(100)} end,
      }
      for _, make in ipairs(values) do
        local pid, ref = spawn_monitor(function()
          local last, n = {}, 10000
          while true do
            for _ = 1, n do last = make(last) end
            send(self(), last)
            n = n * 2
          end
        end)
        local reason = receive{ {{"DOWN", ref, "process", pid, any}} }
        assert(reason[1] == "error" and tostring(reason[2]):find "not enough memory", inspect(reason))
        send(neighbour, "alive")
        assert(receive() == "alive")
      end
      print "ok"
    ]])
    assert.equal("ok\n", output)
    assert.equal(0, code)
  end)
end)

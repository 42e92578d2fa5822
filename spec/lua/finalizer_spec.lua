local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive = mb.self, mb.send, mb.receive

describe("finalizers", function()
  helper.setup()

  it("that run while the state closes hear that the runtime has ended", function()
    local output, code = helper.run_script([[
      local mb = require "moonbeam"
      mb.import()
      local me = self()
      kept = setmetatable({}, {__gc = function()
        print(pcall(send, me, 1))
        print(coroutine.wrap(function(n) coroutine.yield(n + 1) end)(1), inspect(me))
      end})
    ]])
    -- in stock Lua the runtime is an object of the state, and ends after those that came later
    local sent = helper.is_host and "false\t[^\n]*the runtime has ended: the Lua state is closing" or "true\t1"
    assert.matches("^" .. sent .. "\n2\t#PID<[%d.]+>\n$", output)
    assert.equal(0, code)
  end)

  it("that send in the middle of an encoding leave it alone", function()
    local me = self()
    local function deep(levels)
      local t = {}
      for i = 1, levels do t = {t, i} end
      return t
    end
    local pause = collectgarbage("incremental", 1, 10000, 1)
    for i = 1, 200 do
      for _ = 1, 3 do setmetatable({}, {__gc = function() send(me, {"from a finalizer", deep(70)}) end}) end
      send(me, {"mine", deep(100), i})
    end
    collectgarbage(pause, 200, 100, 13)
    for i = 1, 200 do
      local tree, number = receive{ {{"mine", mb.any, mb.any}, function(...) return ... end}, after = 0 }
      assert.equal(i, number)
      for level = 100, 1, -1 do
        assert.equal(level, tree[2])
        tree = tree[1]
      end
    end
    collectgarbage()
  end)
end)

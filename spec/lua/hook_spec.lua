-- debug.sethook, beside the hook that preempts.
local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, Process, in_process = mb.self, mb.send, mb.receive, mb.Process, helper.in_process

describe("the user's own hooks", function()
  helper.setup()

  it("see every line, call and return once while the process is preempted", function()
    in_process(function()
      local busy = Process.spawn(function() while true do end end, {scheduler = "here"})
      local seen = {line = 0, call = 0, ["tail call"] = 0, ["return"] = 0}
      local function f() return 1 end
      local function g() return f() end
      debug.sethook(function(event) seen[event] = seen[event] + 1 end, "lcr")
      for _ = 1, 20000 do
        f()
        g()
      end
      debug.sethook()
      assert(seen.line == 6 * 20000 + 2, seen.line)
      assert(seen.call == 2 * 20000 + 1, seen.call)
      assert(seen["tail call"] == 20000, seen["tail call"])
      assert(seen["return"] == 2 * 20000 + 1, seen["return"])
      Process.exit(busy, "kill")
    end)
  end)

  it("lose no event of a function that was preempted before they were set", function()
    in_process(function()
      local busy = Process.spawn(function() while true do end end, {scheduler = "here"})
      local function interrupted() -- in this very function, and not by a call
        local before, x = Process.info(self(), "reductions"), 0
        repeat
          for i = 1, 10000 do x = x + i end
        until Process.info(self(), "reductions") - before > 1000
        local lines = 0
        debug.sethook(function() lines = lines + 1 end, "l")
        x = 1
        x = 2
        debug.sethook()
        assert(lines == 3, lines)
      end
      for _ = 1, 10 do interrupted() end
      Process.exit(busy, "kill")
    end)
  end)

  it("count instructions, however long that takes", function()
    local busy = mb.spawn(function() while true do end end)
    in_process(function()
      local count = 0
      local function hook() count = count + 1 end
      debug.sethook(hook, "", 3000000)
      local f, mask, n = debug.gethook()
      assert(f == hook and mask == "" and n == 3000000)
      for _ = 1, 40000000 do if count == 3 then break end end
      debug.sethook()
      assert(count == 3, count)
      assert(debug.gethook() == nil)
      debug.sethook(function() error("too long") end, "", 100000)
      local ok, e = pcall(function() while true do end end)
      debug.sethook()
      assert(not ok and e:find("too long"))
    end)
    Process.exit(busy, "kill")
  end)

  it("belong to their coroutine", function()
    in_process(function()
      local seen = 0
      local co = coroutine.create(function()
        local x = 0
        for i = 1, 1000 do x = x + i end
        coroutine.yield(x)
      end)
      debug.sethook(co, function() seen = seen + 1 end, "", 100)
      local f, _, n = debug.gethook(co)
      assert(f and n == 100 and debug.gethook() == nil)
      assert(select(2, coroutine.resume(co)) == 500500)
      assert(seen >= 20, seen)
    end)
  end)

  it("end with their process", function()
    local me = self()
    in_process(function() debug.sethook(function() send(me, "heard") end, "l") end)
    while receive(0) == "heard" do end
    in_process(function() assert(debug.gethook() == nil) end)
    assert.is_nil(receive(0))
  end)

  it("may end their process by an error, and the next one is preempted", function()
    local me = self()
    local reason = helper.exit_reason(function()
      debug.sethook(function() error("too long", 0) end, "", 10000)
      while true do end
    end)
    assert.equal("too long", reason[2])
    local busy, ref = mb.spawn_monitor(function()
      send(me, "ready")
      while true do end
    end)
    helper.await("ready")
    Process.exit(busy, "kill")
    assert.equal("killed", helper.await_end(busy, ref))
  end)

  it("refuse what the library refuses", function()
    in_process(function()
      local ok, e = pcall(debug.sethook, 5, "l")
      assert(not ok and e:find("bad argument #1 to '[%w.]*sethook' %(function expected"), e)
    end)
  end)
end)

local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, spawn, spawn_monitor = mb.self, mb.send, mb.receive, mb.spawn, mb.spawn_monitor
local any, await, in_process, run_script = mb.any, helper.await, helper.in_process, helper.run_script
local Process = mb.Process

local function killed(fn, ...)
  local pid, ref = spawn_monitor(fn, ...)
  await("ready")
  Process.exit(pid, "kill")
  assert.equal("killed", await{"DOWN", ref, "process", pid, any})
end

describe("preemption", function()
  helper.setup()

  it("LUA-08 lets the others go on beside a busy loop", function()
    local busy = {}
    for i = 1, 3 do busy[i] = spawn(function() while true do end end) end
    local echo = spawn(function() while true do receive{ {{any, any}, function(from, n) send(from, n) end} } end end)
    for i = 1, 20 do
      send(echo, {self(), i})
      assert.equal(i, receive(helper.patience))
    end
    for _, pid in ipairs(busy) do
      assert.is_true(Process.alive(pid))
      Process.exit(pid, "kill")
    end
    Process.exit(echo, "kill")
  end)

  it("LUA-08 lets a kill reach a busy loop", function()
    local me = self()
    killed(function()
      send(me, "ready")
      while true do end
    end)
  end)

  it("LUA-08 lets a kill reach a busy loop in a pcall that catches everything", function()
    local me = self()
    killed(function()
      send(me, "ready")
      while true do
        pcall(function() while true do end end)
        xpcall(function() while true do end end, function() while true do end end)
      end
    end)
  end)

  it("LUA-03 a kill closes what is pending in coroutines, the innermost first", function()
    local me = self()
    local function nest(level)
      local guard <close> = setmetatable({}, {__close = function() send(me, {"closed", level}) end})
      if level < 5 then
        coroutine.wrap(nest)(level + 1)
      else
        send(me, "ready")
        receive{ {"never"} }
      end
      return guard
    end
    killed(nest, 1)
    for level = 5, 1, -1 do assert.equal(level, await{"closed", any}) end
  end)

  it("LUA-08 a kill closes the variables of a loop that it interrupts", function()
    local me = self()
    killed(function()
      local guard <close> = setmetatable({}, {__close = function() send(me, "closed") end})
      send(me, "ready")
      while true do end
      return guard
    end)
    await("closed")
  end)

  it("LUA-08 an exit inside sort ends the process, whatever it catches", function()
    local reason = helper.exit_reason(function()
      local values = {}
      for i = 1, 100 do values[i] = i end
      while true do
        pcall(table.sort, values, function(a, b)
          Process.exit(self(), "over")
          while true do end
          return a < b
        end)
      end
    end)
    assert.equal("over", reason)
  end)

  it("LUA-08 an exit where yielding is forbidden cannot be caught for ever", function()
    local function stay(sort)
      pcall(Process.exit, self(), "over")
      while true do
        pcall(function() while true do end end)
        if sort then pcall(table.sort, {2, 1}, function() while true do end end) end
      end
    end
    for _, victim in ipairs{
      function(f) table.sort({2, 1}, function() f(true) end) end,
      function(f) ("x"):gsub("x", function() f() end) end,
      function(f) table.sort({2, 1}, coroutine.wrap(f)) end,
      function(f) tostring(setmetatable({}, {__tostring = f})) end,
      function(f) load(f) end,
      function(f) xpcall(error, f) end,
      function(f) mb.match(mb.is(f), 1) end,
    } do
      assert.equal("over", helper.exit_reason(victim, stay))
    end
  end)

  it("LUA-08 no message handler holds a process that has to leave", function()
    assert.equal("over", helper.exit_reason(function()
      xpcall(error, function()
        pcall(Process.exit, self(), "over")
        while true do end
      end)
    end))
  end)

  it("LUA-08 lets a kill reach a busy loop that the user's hook watches", function()
    local me = self()
    killed(function()
      debug.sethook(function() end, "l")
      send(me, "ready")
      while true do end
    end)
  end)

  it("LUA-08 cuts clean-up code that never ends, whatever it catches", function()
    local me = self()
    for _, stay in ipairs{
      function() while true do end end,
      function() while true do pcall(function() while true do end end) end end,
      function() xpcall(error, function() while true do end end) end,
      function() coroutine.wrap(function() while true do pcall(function() while true do end end) end end)() end,
    } do
      killed(function()
        local guard <close> = setmetatable({}, {__close = stay})
        send(me, "ready")
        receive()
        return guard
      end)
    end
  end)

  it("LUA-03 loses no item of a generator", function()
    local busy = spawn(function() while true do end end)
    in_process(function(n)
      local function items()
        return coroutine.wrap(function()
          for i = 1, n do coroutine.yield(i) end
        end)
      end
      local through = coroutine.wrap(function()
        for i in items() do coroutine.yield(i) end
      end)
      local expected = 0
      for i in through do
        expected = expected + 1
        assert(i == expected)
      end
      assert(expected == n)
    end, 30000)
    Process.exit(busy, "kill")
  end)

  it("LUA-03 goes on at the same place inside pcall, metamethods, iterators and closing", function()
    local busy = spawn(function() while true do end end)
    in_process(function()
      local function work(n)
        local x = 0
        for i = 1, n do x = x + i end
        return x
      end
      local object = setmetatable({}, {
        __index = function(_, k) return work(k) end,
        __add = function(_, n) return work(n) end,
        __lt = function() return work(20000) > 0 end,
        __concat = function() return tostring(work(20000)) end,
        __close = function() work(20000) end,
        __call = function(_, n) return work(n) end,
      })
      for _ = 1, 20 do
        local guard <close> = object
        assert(object[20000] == 200010000 and object + 20000 == 200010000 and object < {}
          and object(20000) == 200010000)
        assert(object .. "" == "200010000")
        assert(select(2, pcall(work, 20000)) == 200010000)
        assert(guard)
      end
      local order = {}
      for i = 1, 300 do order[i] = (i * 7919) % 301 end
      table.sort(order, function(a, b) work(50) return a < b end)
      for i = 2, 300 do assert(order[i - 1] < order[i]) end
      assert(("x"):rep(200):gsub("x", function() work(100) return "y" end) == ("y"):rep(200))
    end)
    Process.exit(busy, "kill")
  end)

  describe("where Lua forbids yielding", function()
    local text, values = ("word "):rep(20000), {}
    for i = 1, 20000 do values[i] = i * 7919 % 20011 end
    local function upper(word) return word:upper() end
    local object = setmetatable({}, {__index = function() return "x" end, __len = function() return 20000 end})
    local loops = {
      gsub = function() while true do text:gsub("%w+", upper) end end,
      sort = function()
        while true do table.sort(table.move(values, 1, #values, 1, {}), function(a, b) return a < b end) end
      end,
      concat = function() while true do table.concat(object) end end,
      ["error inside sort"] = function()
        while true do
          pcall(table.sort, values, function()
            for _ = 1, 10000 do upper("a") end
            error("no order")
          end)
        end
      end,
      ["coroutine inside gsub"] = function()
        while true do
          text:gsub("%w+", coroutine.wrap(function(word) while true do word = coroutine.yield(word) end end))
        end
      end,
      ["gsub inside a coroutine"] = function()
        coroutine.wrap(function() while true do text:gsub("%w+", upper) end end)()
      end,
      ["gsub with a line hook"] = function()
        debug.sethook(function() end, "l")
        while true do text:gsub("%w+", upper) end
      end,
      ["gsub with a hook of calls and counts"] = function()
        debug.sethook(function() end, "cr", 100)
        while true do text:gsub("%w+", upper) end
      end,
    }
    for name, loop in pairs(loops) do
      it("a loop gives way as soon as that is over: " .. name, function()
        local me = self()
        local echo = Process.spawn(function()
          while true do receive{ {{any, any}, function(from, n) send(from, n) end} } end
        end, {scheduler = "here"})
        local busy, ref = Process.spawn(function()
          send(me, "ready")
          loop()
        end, {scheduler = "here", monitor = true})
        await("ready")
        for i = 1, 5 do
          send(echo, {me, i})
          assert.equal(i, receive(helper.patience))
        end
        Process.exit(busy, "kill")
        assert.equal("killed", await{"DOWN", ref, "process", busy, any})
        Process.exit(echo, "kill")
      end)
    end

    it("lets a kill from another scheduler reach a loop that is never over", function()
      local output = run_script([[
        local mb = require "moonbeam"
        mb.start{schedulers = 2}
        mb.import()
        local me = self()
        local pid, ref = Process.spawn(function()
          table.sort({1, 2, 3}, function(a, b)
            send(me, "ready")
            while true do tostring(a) end
          end)
        end, {scheduler = 2, monitor = true})
        Process.spawn(function() receive{ {"never"} } end, {scheduler = 2})
        receive{ {"ready"} }
        Process.exit(pid, "kill")
        print(receive{ {{"DOWN", ref, "process", any, any}} })
      ]])
      assert.equal("killed\n", output:match("(%S+\n)$"))
    end)
  end)

  it("LUA-18 lets those that talk to each other pass one that computes", function()
    local output = run_script([[
      local mb = require "moonbeam"
      mb.import()
      local me = self()
      local echo = spawn(function() while true do receive{ {{any, any}, function(from, n) send(from, n) end} } end end)
      send(echo, {me, 0})
      receive()
      spawn(function() -- 200 slices at least
        local sum = 0
        for i = 1, 100000 do sum = sum + i % 3 end
        send(me, "done")
      end)
      local trips, answer = 0
      repeat
        trips = trips + 1
        send(echo, {me, trips})
        repeat answer = receive() until answer == trips or answer == "done"
      until answer == "done"
      print(trips > 800, trips) -- two at each slice, were they to queue
    ]], "", "MOONBEAM_PREEMPT=1000 MOONBEAM_SCHEDULERS=1")
    assert.truthy(output:find("true", 1, true), output)
  end)

  it("LUA-18 keeps none that computes waiting for those that talk to each other", function()
    local output = run_script([[
      local mb = require "moonbeam"
      mb.import()
      local function talk(other)
        while true do
          if other then send(other, self()) end
          other = receive()
        end
      end
      for _ = 1, 4 do spawn(talk, spawn(talk)) end
      local _, ref = spawn_monitor(function()
        local sum = 0
        for i = 1, 100000 do sum = sum + i % 3 end
      end)
      print(receive{ {{"DOWN", ref, "process", ignore, any}} })
    ]], "", "MOONBEAM_PREEMPT=1000 MOONBEAM_SCHEDULERS=1")
    assert.equal("normal\n", output)
  end)

  -- The ms of the processor that a process has computed in the shortest of its slices, beside two that talk to each
  -- other: on a busy machine the ticker comes late to most.
  local function slices(call)
    return (run_script(([[
      local mb = require "moonbeam"
      mb.import()
      local call = %s
      local began = os.clock()
      for _ = 1, 300 do call() end
      local each = (os.clock() - began) * 1000 / 300
      local busy = spawn(function()
        local n = 0
        while true do
          call()
          n = n + 1
          Process.put("n", n)
        end
      end)
      local echo = spawn(function() while true do send(receive(), "echo") end end)
      local made, before = {}, 0
      while #made < 60 do
        send(echo, self())
        receive()
        local n = Process.info(busy, "dictionary").n or 0
        if n > before then made[#made + 1] = n - before end
        before = n
      end
      table.sort(made)
      print(made[1] * each, each)
    ]]):format(call), "2>&1", "MOONBEAM_PREEMPT= MOONBEAM_SCHEDULERS=1"))
  end

  for name, call in pairs{
    gsub = [[function() return (("word "):rep(60):gsub("%w+", function(word) return word:upper() end)) end]],
    sort = [[function() table.sort({5, 3, 8, 1, 9, 2, 7, 4, 6, 0, 11}, function(a, b) return a < b end) end]],
  } do
    it("LUA-18 ends a short slice at the first place where Lua lets it yield: " .. name .. " #time", function()
      local output, ms
      for _ = 1, 5 do
        output = slices(call)
        ms = tonumber(output:match("^[%d.]+"))
        if not ms or ms < 0.7 then break end -- short is 0.2 ms, long is 1 ms
      end
      assert.is_true(ms and ms < 0.7, output)
    end)
  end

  it("of a deep stack costs little of what is done there #time", function()
    local output = run_script([[
      local mb = require "moonbeam"
      mb.import()
      local me = self()
      local function at(depth, fn)
        if depth == 0 then return fn() end
        local result = at(depth - 1, fn)
        return result
      end
      local function work()
        local sum = 0
        for i = 1, 20000000 do sum = sum + i % 3 end
        return sum
      end
      local function cost(depth)
        for _ = 1, 2 do
          spawn(function()
            at(depth, function()
              send(me, os.clock())
              work()
              send(me, os.clock())
            end)
          end)
        end
        local began = math.max(receive(), receive())
        return math.max(receive(), receive()) - began
      end
      local shallow, deep = cost(1), cost(180000)
      print(deep < 2 * shallow, shallow, deep)
    ]], "2>&1", "MOONBEAM_PREEMPT= MOONBEAM_SCHEDULERS=1")
    assert.truthy(output:find("true", 1, true), output)
  end)

  it("counts what a process does", function()
    local me, idle = self(), helper.idle()
    local before = Process.info(me, "reductions")
    for i = 1, 1000 do send(idle, i) end
    assert.is_true(Process.info(me, "reductions") >= before + 1000)
    Process.exit(idle, "kill")
  end)

  it("is not needed where the runtime is called: sending, spawning and polling give way", function()
    local output = run_script([[
      local mb = require "moonbeam"
      mb.import()
      local me, idle = self(), spawn(function() receive{ {"never"} } end)
      local loops = {
        spawn(function() while true do send(idle, 1) end end),
        spawn(function() while true do receive(0) end end),
        spawn(function() local pid = self() while true do send(pid, 1) receive() end end),
        spawn(function() while true do spawn(function() end) end end),
        spawn(function() while true do Agent.cast(idle, print) end end),
        spawn(function() while true do sleep(0) end end),
      }
      for _ = 1, 10 do sleep(1) end
      for _, pid in ipairs(loops) do Process.exit(pid, "kill") end
      local most = 0
      for _ = 1, 10000 do
        spawn(function() end)
        most = math.max(most, mb.census().processes)
      end
      print(most < 1000)
    ]], "", "MOONBEAM_PREEMPT=off")
    assert.equal("true\n", output)
  end)

  it("can be turned off", function()
    assert.equal("false\n", (run_script([[
      local mb = require "moonbeam"
      local ran = false
      local guard = mb.spawn(function() mb.receive() end)
      local pid = mb.spawn(function() while true do local x = 1 end end)
      -- nothing here ever waits, so nobody else runs
      local started = os.clock()
      while os.clock() - started < 0.05 do end
      print(mb.Process.info(pid, "reductions") > 0)
      os.exit(true)
    ]], "", "MOONBEAM_PREEMPT=off")))
  end)

  it("gives the main chunk's neighbours their turns, too", function()
    assert.equal("3\n", (run_script([[
      local mb = require "moonbeam"
      local me = mb.self()
      for _ = 1, 3 do mb.spawn(function() mb.send(me, "ran") end) end
      while mb.Process.info(me, "message_queue_len") < 3 do end
      print(mb.Process.info(me, "message_queue_len"))
    ]])))
  end)
end)

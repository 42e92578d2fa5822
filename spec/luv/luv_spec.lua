-- luv on the scheduler's own loop: its callbacks run while processes run or wait, outside of all of them.
local helper = require "spec.helper"
local mb = require "moonbeam"
local Process = mb.Process

local has_luv, uv = pcall(require, "luv")

describe("luv", function()
  if not has_luv then return pending("luv is not installed (Debian: lua-luv)") end
  helper.setup()

  local function timer(ms, fn)
    local t = uv.new_timer()
    t:start(ms, 0, function()
      t:close()
      fn()
    end)
  end

  it("LUV-01 calls back while the process waits for a message", function()
    local me = mb.self()
    timer(1, function() mb.send(me, "from the loop") end)
    assert.equal("from the loop", helper.await(mb.any))
  end)

  it("LUV-01 calls back while other processes compute", function()
    local me = mb.self()
    local busy = mb.spawn(function() while true do end end)
    timer(1, function() mb.send(me, "called") end)
    assert.equal("called", helper.await("called"))
    Process.exit(busy, "kill")
  end)

  it("LUV-02 calls back outside of any process: sending, spawning and ending others work", function()
    local me, send = mb.self(), mb.send
    local victim = helper.idle()
    local ref = mb.monitor(victim)
    timer(0, function()
      mb.spawn(function() send(me, "spawned") end)
      Process.exit(victim, "shot")
      mb.send(me, Process.alive(me))
    end)
    helper.await("spawned")
    helper.await(true)
    assert.equal("shot", helper.await{"DOWN", ref, "process", victim, mb.any})
  end)

  it("LUV-02 calls back where nothing can wait", function()
    local me = mb.self()
    local calls = {
      receive = function() mb.receive() end, sleep = function() mb.sleep(1) end, self = function() mb.self() end,
      run = function() uv.run() end,
    }
    for name, call in pairs(calls) do
      timer(0, function() mb.send(me, {name, select(2, pcall(call))}) end)
      assert.matches("luv_spec.lua:%d+: .*" .. name .. ".*a callback of the event loop is outside of any process",
        helper.await{name, mb.any})
    end
  end)

  it("LUV-03 logs an error of a callback's with where that was made, and goes on", function()
    local logging = require "spec.logging"
    logging.listen()
    local me = mb.self()
    timer(0, function() error("in a callback") end)
    timer(20, function() mb.send(me, "still here") end)
    local event = logging.next_event()
    mb.Logger.configure{level = "none", handler = "default"}
    helper.await("still here")
    assert.equal("error", event.level)
    assert.matches("luv_spec.lua:%d+: in a callback", event.message)
    assert.matches("made at .*luv_spec.lua:%d+", event.message)
  end)

  describe("run", function()
    it("LUV-04 waits until the loop has nothing alive, and stops nobody", function()
      local done, count = false, 0
      local me, send, sleep = mb.self(), mb.send, mb.sleep
      local other = mb.spawn(function()
        while true do
          send(me, "tick")
          sleep(1)
        end
      end)
      timer(20, function() done = true end)
      assert.is_false(uv.run())
      assert.is_true(done)
      Process.exit(other, "kill")
      while mb.receive(0) == "tick" do count = count + 1 end
      assert.is_true(count > 1)
    end)

    it("returns at once when there is nothing", function()
      assert.is_false(uv.run())
    end)

    it("is ended by stop", function()
      local t = uv.new_timer()
      t:start(1, 1, function() uv.stop() end)
      assert.is_true(uv.run())
      t:close()
      uv.run()
    end)

    it("looks once, or until something has been called", function()
      local called = 0
      timer(5, function() called = called + 1 end)
      uv.run("nowait")
      uv.run("once")
      assert.equal(1, called)
      uv.run()
      assert.has_error(function() uv.run("often") end)
    end)

    it("works in several processes at once", function()
      local run, new_timer = uv.run, uv.new_timer
      helper.in_process(function()
        local luv = require "luv"
        local hit
        local t = luv.new_timer()
        t:start(5, 0, function()
          hit = true
          t:close()
        end)
        luv.run()
        assert(hit)
      end)
      assert.is_function(run)
      assert.is_function(new_timer)
    end)
  end)

  it("resumes coroutines of the user's, as its libraries do", function()
    local me = mb.self()
    coroutine.wrap(function()
      local co = coroutine.running()
      uv.fs_stat(".", function(err, stat) coroutine.resume(co, err, stat) end)
      local err, stat = coroutine.yield()
      mb.send(me, {"stat", err or false, stat.type})
    end)()
    local err, kind = helper.await{"stat", mb.any, mb.any}
    assert.is_false(err)
    assert.equal("directory", kind)
  end)

  it("LUV-12 resumes a coroutine that has been cut before it has yielded, when it has", function()
    local me = mb.self()
    local function request(name, more)
      coroutine.wrap(function()
        local co = coroutine.running()
        for i = 1, more do uv.fs_stat(".", function(_, stat) coroutine.resume(co, i, stat.type) end) end
        local till = uv.hrtime() + 30000000
        while uv.hrtime() < till do end
        for _ = 1, more do mb.send(me, {name, coroutine.yield()}) end
        mb.send(me, {name, "over"})
      end)()
    end
    local other = mb.spawn(function() while true do mb.sleep(1) end end) -- so that what computes is cut
    request("one", 1)
    assert.same({"one", 1, "directory"}, {"one", helper.await{"one", mb.any, mb.any}})
    helper.await{"one", "over"}
    request("three", 3)
    local seen = {}
    for _ = 1, 3 do seen[(helper.await{"three", mb.any, "directory"})] = true end
    assert.same({true, true, true}, seen)
    helper.await{"three", "over"}
    mb.Process.exit(other, "kill")
  end)

  it("LUV-12 forgets what would resume a coroutine that has died meanwhile", function()
    local pid, ref = mb.spawn_monitor(function()
      local co
      co = coroutine.create(function()
        uv.fs_stat(".", function() coroutine.resume(co) end)
        mb.receive{ {"never"} }
      end)
      coroutine.resume(co)
    end)
    timer(20, function() mb.Process.exit(pid, "kill") end)
    assert.equal("killed", (helper.await{"DOWN", ref, "process", pid, mb.any}))
    local me = mb.self()
    coroutine.wrap(function()
      timer(1, function() mb.send(me, "still calls back") end)
      coroutine.yield()
    end)()
    helper.await("still calls back")
  end)

  it("LUV-12 says nothing of a coroutine that has died before it could be resumed late", function()
    assert.equal("end\n", (helper.run_script([[
      local mb, uv = require "moonbeam", require "luv"
      mb.import()
      local me = self()
      local pid, ref = spawn_monitor(function()
        coroutine.resume(coroutine.create(function()
          local co, t = coroutine.running(), uv.new_timer()
          t:start(1, 0, function()
            t:close()
            coroutine.resume(co)
            send(me, "resumed")
          end)
          receive{ {"never"} }
        end))
      end)
      receive{ {"resumed"} }
      Process.exit(pid, "kill")
      receive{ {{"DOWN", ref, "process", pid, any}} }
      coroutine.wrap(function() coroutine.yield() end)()
      local t = uv.new_timer() -- is called after what is due by now
      t:start(5, 0, function()
        t:close()
        send(me, "later")
      end)
      receive{ {"later"} }
      print("end")
    ]], "2>&1", "MOONBEAM_SCHEDULERS=1")))
  end)

  it("LUV-01 calls back when a timer is due just as its process begins to wait", function()
    assert.equal("1000\n", (helper.run_script([[
      local mb, uv = require "moonbeam", require "luv"
      local me, t, count = mb.self(), uv.new_timer(), 0
      for i = 1, 1000 do
        t:start(1, 0, function() mb.send(me, i) end)
        local due = uv.hrtime() + 900000 + i % 200 * 1000 -- ns: a tenth of a ms around it
        while uv.hrtime() < due do end
        if mb.receive() == i then count = count + 1 end
      end
      print(count)
      os.exit(0, false)
    ]], "", "timeout 120 env")))
  end)

  it("says that the loop runs in callbacks, as libuv's own would", function()
    local me = mb.self()
    assert.is_nil(uv.loop_mode())
    timer(0, function() mb.send(me, {"mode", uv.loop_mode()}) end)
    assert.equal("default", helper.await{"mode", mb.any})
  end)

  it("LUV-05 walks its own handles only", function()
    local t = uv.new_timer()
    local seen = {}
    uv.walk(function(handle) seen[#seen + 1] = handle end)
    assert.same({t}, seen)
    t:close()
    uv.run()
  end)

  it("serves TCP between processes of any scheduler", function()
    local me, send, receive = mb.self(), mb.send, mb.receive
    local server = mb.spawn(function()
      local luv = require "luv"
      local listener = luv.new_tcp()
      listener:bind("127.0.0.1", 0)
      listener:listen(8, function()
        local client = luv.new_tcp()
        listener:accept(client)
        client:read_start(function(_, data)
          if data then client:write(data) else client:close() end
        end)
      end)
      send(me, {"port", listener:getsockname().port})
      receive()
      listener:close()
    end)
    local ref = mb.monitor(server)
    local port = helper.await{"port", mb.any}
    mb.spawn(function()
      local luv = require "luv"
      local client, got = luv.new_tcp(), ""
      client:connect("127.0.0.1", port, function()
        client:read_start(function(_, data)
          got = got .. (data or "")
          client:close()
          send(me, {"got", got})
        end)
        client:write("hello")
      end)
      receive(100)
    end)
    assert.equal("hello", helper.await{"got", mb.any})
    mb.send(server, "end")
    helper.await{"DOWN", ref, "process", server, "normal"}
  end)
end)

describe("luv and the program", function()
  if not has_luv then return pending("luv is not installed (Debian: lua-luv)") end

  it("LUV-07 ends with handles open and closing", function()
    local output, code = helper.run_script([[
      local mb = require "moonbeam"
      local uv = require "luv"
      for i = 1, 100 do uv.new_timer():start(1000, 0, function() end) end
      local t = uv.new_timer()
      t:close(function() end)
      local server = uv.new_tcp()
      server:bind("127.0.0.1", 0)
      server:listen(1, function() end)
      local parent = mb.self()
      local send = mb.send
      for i = 1, 4 do
        mb.spawn(function()
          local luv = require "luv"
          luv.new_timer():start(1000, 0, function() end)
          luv.new_timer():close(function() end)
          send(parent, "made")
        end)
      end
      for i = 1, 4 do mb.receive() end
      print("bye")
    ]])
    assert.equal("bye\n", output)
    assert.equal(0, code)
  end)

  it("LUV-06 keeps a script from being called deadlocked", function()
    local output, code = helper.run_script([[
      local mb = require "moonbeam"
      local uv = require "luv"
      local me = mb.self()
      uv.new_timer():start(50, 0, function() mb.send(me, "late") end)
      print(mb.receive())
    ]])
    assert.equal("late\n", output)
    assert.equal(0, code)
  end)

  it("LUV-06 wakes who waits, also when the time is over before the waiting begins", function()
    local output, code = helper.run_script([[
      local mb = require "moonbeam"
      local uv = require "luv"
      local me = mb.self()
      local function busy() local began = uv.hrtime() while uv.hrtime() - began < 50e6 do end end
      uv.new_timer():start(1, 0, function() mb.send(me, "late") end)
      busy()
      print(mb.receive())
      uv.new_timer():start(1, 0, function() mb.spawn(function() mb.send(me, "spawned") end) end)
      busy()
      print(mb.receive())
      local pid, ref = mb.spawn_monitor(function() mb.receive() end)
      mb.sleep(1)
      uv.new_timer():start(1, 0, function() mb.Process.exit(pid, "over") end)
      busy()
      print(mb.receive{ {{"DOWN", ref, "process", pid, mb.any}} })
      uv.new_timer():start(1, 0, function() print("fired") end)
      busy()
      uv.run()
      print("nothing left")
    ]], "", "MOONBEAM_PREEMPT=off") -- nothing else asks the loop meanwhile
    assert.equal("late\nspawned\nover\nfired\nnothing left\n", output)
    assert.equal(0, code)
  end)

  it("may be loaded before moonbeam in stock Lua: its loop becomes the scheduler's", function()
    local output, code = helper.run_script([[
      local uv = require "luv"
      local order = {}
      uv.new_timer():start(5, 0, function() order[#order + 1] = "timer" end)
      local mb = require "moonbeam"
      local me, send = mb.self(), mb.send
      local t = uv.new_timer()
      t:start(10, 0, function() mb.send(me, "from luv") t:close() end)
      mb.spawn(function() send(me, "from a process") end)
      local heard = {mb.receive(), mb.receive()}
      table.sort(heard)
      print(heard[1], heard[2], order[1])
    ]])
    assert.equal("from a process\tfrom luv\ttimer\n", output)
    assert.equal(0, code)
  end)
end)

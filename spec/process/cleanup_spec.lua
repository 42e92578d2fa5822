-- What becomes of a process's to-be-closed variables, however it ends.
local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, spawn_monitor, any, exit = mb.self, mb.send, mb.receive, mb.spawn_monitor, mb.any, mb.exit
local Agent, GenServer, Logger, Process, Task = mb.Agent, mb.GenServer, mb.Logger, mb.Process, mb.Task
local await, exit_reason = helper.await, helper.exit_reason

-- A value whose closing calls fn with the error.
local function guard(fn)
  return setmetatable({}, {__close = function(_, e) fn(e) end})
end

describe("the clean-up code of a process that ends by itself", function()
  helper.setup()

  it("may wait, whatever it ends by", function()
    local me, agent = self(), Agent.start(function() return 0 end)
    local ends = {
      returned = function() end,
      error = function() error("e") end,
      exit = function() exit("e") end,
      runtime = function() local n = nil; return n.x end,
      coroutine = function() coroutine.wrap(function() error("e") end)() end,
    }
    local count = 0
    for how, fn in pairs(ends) do
      local pid, ref = spawn_monitor(function()
        local _ <close> = guard(function()
          local n = Agent.get_and_update(agent, function(n) return n + 1, n + 1 end)
          mb.sleep(1)
          send(me, {"closed", how, n})
        end)
        fn()
      end)
      count = count + 1
      await{"closed", how, count} -- comes before the end is announced
      await{"DOWN", ref, "process", pid, any}
    end
    Agent.stop(agent)
  end)

  it("runs in a process that is alive and knows who it is", function()
    local me = self()
    local pid, ref = spawn_monitor(function()
      Process.register(self(), "cleaner")
      Process.put("key", "value")
      local _ <close> = guard(function()
        send(me, {self(), Process.whereis("cleaner"), Process.alive(self()), Process.get("key")})
        receive{ {"go on"} }
      end)
      error("e", 0)
    end)
    await{pid, pid, true, "value"}
    assert.is_true(Process.alive(pid))
    send(pid, "go on")
    assert.same({"error", "e"}, {table.unpack(await{"DOWN", ref, "process", pid, any}, 1, 2)})
  end)

  it("can be killed while it waits, and what encloses it is closed", function()
    local me = self()
    local pid, ref = spawn_monitor(function()
      local _ <close> = guard(function() send(me, "outer") end)
      local _ <close> = guard(function() send(me, "inner") receive{ {"never"} } end)
      error("e")
    end)
    await("inner")
    Process.exit(pid, "kill")
    await("outer")
    await{"DOWN", ref, "process", pid, "killed"}
  end)

  it("is interrupted like any code, so that others run", function()
    local me = self()
    local pid = mb.Process.spawn(function()
      local _ <close> = guard(function() send(me, "closing") while true do end end)
      error("e")
    end, {scheduler = "here"})
    await("closing")
    assert.is_true(Process.alive(pid))
    local ref = mb.monitor(pid)
    Process.exit(pid, "kill")
    await{"DOWN", ref, "process", pid, "killed"}
  end)

  it("replaces the reason by its own error, the last of them, with the place of that one", function()
    local reason = exit_reason(function()
      local _ <close> = guard(function(e) error("third after " .. e, 0) end)
      local _ <close> = guard(function(e) mb.sleep(1) error("second after " .. e, 0) end)
      error("first", 0)
    end)
    assert.equal("third after second after first", reason[2])
    assert.matches("cleanup_spec.lua:%d+: in [^\n]*$", reason[3])
    assert.equal("bye", exit_reason(function()
      local _ <close> = guard(function() exit("bye") end)
      error("first")
    end))
    assert.equal("late", exit_reason(function()
      local _ <close> = guard(function() error("late", 0) end)
      exit("bye")
    end)[2])
  end)

  it("ends with the traceback of where the error was raised, down to the process's function", function()
    local trace
    local function level3() error("e") end
    local function level2() level3() end
    trace = exit_reason(function()
      local _ <close> = guard(function() mb.sleep(1) end)
      level2()
    end)[3]
    local lines = select(2, trace:gsub("\n", ""))
    assert.equal(4, lines) -- error, level3, level2, the process's function
    assert.matches("\n\t%[C%]: in function 'error'\n", trace)
    assert.not_matches("%[C%]: in %?", trace)
  end)

  it("is not seen by the debug library as having anything below it", function()
    local me = self()
    spawn_monitor(function()
      send(me, {debug.getinfo(1, "S").what, debug.getinfo(2, "S") == nil, debug.traceback("text", 1)})
    end)
    local what, none, trace = await{any, any, any}
    assert.equal("Lua", what)
    assert.is_true(none)
    assert.equal(2, select(2, trace:gsub("\n", "")))
    await{"DOWN", any, "process", any, "normal"}
  end)

  it("is logged as ended when the clean-up has come to its end", function()
    local me = self()
    Logger.configure{level = "error", handler = function(event) send(me, {"logged", event.metadata.report.error}) end}
    local pid, ref = spawn_monitor(function()
      local _ <close> = guard(function() mb.sleep(1) send(me, "closed") end)
      error("e", 0)
    end)
    assert.equal("closed", receive(helper.patience))
    await{"DOWN", ref, "process", pid, any}
    await{"logged", "e"}
    Logger.configure{handler = "default"}
  end)

  it("may wait inside a coroutine that coroutine.wrap has made, and the error stays", function()
    local agent = Agent.start(function() return 0 end)
    local function failing()
      local _ <close> = guard(function() Agent.update(agent, function(n) return n + 1 end) mb.sleep(1) end)
      coroutine.yield("yielded")
      local n = nil
      return n.x
    end
    local function in_coroutine(f) return coroutine.wrap(function() return f() end)() end
    for _, call in ipairs{function(f) return f() end, in_coroutine} do
      local reason = exit_reason(function()
        local f = coroutine.wrap(failing)
        assert(f() == "yielded")
        call(f)
      end)
      assert.matches("cleanup_spec.lua:%d+: attempt to index a nil value %(local 'n'%)$", reason[2])
    end
    helper.in_process(function()
      local f = coroutine.wrap(failing)
      f()
      local ok, e = pcall(f)
      assert(not ok and e:find("attempt to index a nil value (local 'n')", 1, true), e)
      ok, e = pcall(f)
      assert(not ok and e == "cannot resume dead coroutine", e)
      ok, e = pcall(coroutine.wrap(function()
        local _ <close> = guard(function() mb.sleep(1) end)
        exit("why")
      end))
      assert(not ok and e.reason == "why")
    end)
    assert.equal(3, Agent.get(agent, function(n) return n end))
    Agent.stop(agent)
  end)

  it("is killed while it waits inside such a coroutine, and what encloses it is closed", function()
    local me = self()
    local pid, ref = spawn_monitor(function()
      local _ <close> = guard(function() send(me, "outer") end)
      coroutine.wrap(function()
        local _ <close> = guard(function() send(me, "middle") end)
        local _ <close> = guard(function() send(me, "inner") receive{ {"never"} } end)
        error("e")
      end)()
    end)
    await("inner")
    Process.exit(pid, "kill")
    await("middle")
    await("outer")
    await{"DOWN", ref, "process", pid, "killed"}
  end)

  it("is told what to do where Lua closes a coroutine at once", function()
    helper.in_process(function()
      for _, fails in ipairs{true, false} do
        local closed = 0
        local co = coroutine.create(function()
          local _ <close> = guard(function() closed = closed + 1 end)
          local _ <close> = guard(function() receive{ {"never"} } end)
          if fails then error("e") end
          coroutine.yield()
        end)
        coroutine.resume(co)
        local ok, e = coroutine.close(co)
        assert(not ok and closed == 1)
        assert(e:find("cannot wait: .*%(coroutine.close%).*to%-be%-closed.*let the coroutine come to its end"), e)
      end
    end)
  end)

  it("runs in tasks and servers", function()
    local me = self()
    local function clean(tag)
      return guard(function() mb.sleep(1) send(me, {tag, "closed"}) end)
    end
    Task.start(function() local _ <close> = clean("task") error("e") end)
    await{"task", "closed"}
    local Server = {}
    function Server.init() return "ok", 0 end
    function Server.handle_cast() local _ <close> = clean("server") error("e") end
    GenServer.cast(GenServer.start(Server), "fail")
    await{"server", "closed"}
  end)
end)

describe("the clean-up code of a process that is killed", function()
  helper.setup()

  -- Where Lua cannot yield: each calls fn there.
  local places = {
    gsub = function(fn) ("a"):gsub("a", function() fn() end) end,
    sort = function(fn) table.sort({1, 2}, function() fn() end) end,
    tostring = function(fn) tostring(setmetatable({}, {__tostring = function() fn() return "" end})) end,
    load = function(fn) load(function() fn() end) end,
  }
  -- What may be around the code that is killed, and catch what it raises.
  local catchers = {
    pcall = function(fn) pcall(fn) end,
    xpcall = function(fn, spy) xpcall(fn, function(e) spy() return e end) end,
    nested = function(fn) pcall(pcall, pcall, fn) end,
    wrap = function(fn) coroutine.wrap(fn)() end,
    wrap_in_pcall = function(fn) pcall(coroutine.wrap(fn)) end,
    resume = function(fn) coroutine.resume(coroutine.create(fn)) end,
    select = function(fn) receive{ {any, when = function() fn() end}, after = 0 } end,
  }

  it("comes to its end, and nothing else of the process runs", function()
    local me = self()
    for where, place in pairs(places) do
      for how, catch in pairs(catchers) do
        for order = 1, 2 do
          local pid, ref = spawn_monitor(function()
            local function closes(text)
              return guard(function()
                local s = 0
                for i = 1, 1000 do s = s + i end
                pcall(error, "an error of its own")
                send(me, {where, how, text})
              end)
            end
            local function spy() send(me, {"went on", where, how}) end
            send(self(), "something for the guard")
            local _ <close> = closes("outer")
            local function inside()
              local _ <close> = closes("inner")
              Process.exit(self(), "kill")
              spy()
            end
            if order == 1 then
              place(function() catch(inside, spy) spy() end)
            else
              catch(function() local _ <close> = closes("middle") place(inside) spy() end, spy)
            end
            spy()
          end)
          await{where, how, "inner"}
          if order == 2 then await{where, how, "middle"} end
          await{where, how, "outer"}
          await{"DOWN", ref, "process", pid, "killed"}
        end
      end
    end
    assert.is_nil(receive(0))
  end)

  it("comes to its end when the kill of another scheduler finds it computing there", function()
    assert.equal("pcall\tclosed\tkilled\nwrap\tclosed\tkilled\nresume\tclosed\tkilled\n", (helper.run_script([[
      local mb = require "moonbeam"
      mb.import()
      local me = self()
      local names = {"pcall", "wrap", "resume"}
      local catchers = {
        pcall = function(fn) pcall(fn) end,
        wrap = function(fn) coroutine.wrap(fn)() end,
        resume = function(fn) coroutine.resume(coroutine.create(fn)) end,
      }
      for i = 1, #names do
        local catch = catchers[names[i] ]
        local pid, ref = Process.spawn(function()
          ("a"):gsub("a", function()
            catch(function()
              local _ <close> = setmetatable({}, {__close = function() for _ = 1, 1000 do end send(me, "closed") end})
              send(me, "up")
              while true do end
            end)
            send(me, "went on")
          end)
        end, {scheduler = 2, monitor = true})
        receive()
        Process.exit(pid, "kill")
        print(names[i], receive(), receive()[5])
      end
    ]], "", "MOONBEAM_SCHEDULERS=2")))
  end)

  it("is cut off when its time is over, and the log says where", function()
    local me, before = self(), mb.cleanup_timeout(20)
    Logger.configure{level = "warning", handler = function(event) send(me, {event.level, event.message}) end}
    local pid, ref = spawn_monitor(function()
      local _ <close> = guard(function() send(me, "outer") end)
      local _ <close> = guard(function() pcall(function() while true do end end) send(me, "went on") end)
      send(me, "up")
      receive{ {"never"} }
    end)
    await("up")
    Process.exit(pid, "kill")
    local is_cut = mb.is(function(text)
      return type(text) == "string" and text:find("code is cut off", 1, true) ~= nil
    end)
    local level, text = await{any, is_cut}
    assert.equal("warning", level)
    assert.matches(tostring(pid), text, 1, true)
    assert.matches("after 20 ms\n", text)
    assert.matches("cleanup_spec.lua:%d+: in function", text)
    await{"DOWN", ref, "process", pid, "killed"}
    Logger.configure{handler = "default"}
    assert.equal(20, mb.cleanup_timeout(before))
    while receive(0) do end
  end)

  it("has the time that is set", function()
    local before, me = mb.cleanup_timeout(60000), self()
    local pid, ref = spawn_monitor(function()
      local _ <close> = guard(function()
        local started = mb.monotonic_time()
        while mb.monotonic_time() - started < 120 do end
        send(me, "closed")
      end)
      send(me, "up")
      receive{ {"never"} }
    end)
    await("up")
    Process.exit(pid, "kill")
    await("closed")
    await{"DOWN", ref, "process", pid, "killed"}
    mb.cleanup_timeout(before)
    assert.equal("70\n", (helper.run_script('print(require "moonbeam".cleanup_timeout())', "",
      "MOONBEAM_CLEANUP_TIMEOUT=70")))
    assert.is_false(pcall(mb.cleanup_timeout, -1))
    assert.is_false(pcall(mb.cleanup_timeout, "x"))
  end)
end)

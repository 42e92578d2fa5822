local mb = require "moonbeam"
local helper = require "spec.helper"
local logging = require "spec.logging"
local self, send, receive, spawn, any = mb.self, mb.send, mb.receive, mb.spawn, mb.any
local Process, GenServer, Agent, Task, Logger = mb.Process, mb.GenServer, mb.Agent, mb.Task, mb.Logger

-- Let a finalizer call fn, and wait until it has.
local function finalize(fn, ...)
  local done, arguments = false, table.pack(...)
  setmetatable({}, {__gc = function()
    fn(table.unpack(arguments, 1, arguments.n))
    done = true
  end})
  for _ = 1, 10 do
    if done then return end
    collectgarbage()
  end
  error("the finalizer has not been called, or has failed", 0)
end

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

  it("leave alone whose random numbers are drawn", function()
    math.randomseed(8)
    local expected = {math.random(1 << 40), math.random(1 << 40)}
    math.randomseed(8)
    local first, drawn, ok = math.random(1 << 40), {}, nil
    finalize(function()
      ok = pcall(math.random, 2, 1)
      math.randomseed(8)
      drawn[1], drawn[2] = math.random(1 << 40), math.random(1 << 40)
    end)
    assert.same(expected, drawn)
    assert.same(expected, {first, math.random(1 << 40)})
    assert.is_false(ok)
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

  it("are outside of any process: what only a process can do is refused", function()
    local me, other = self(), helper.idle()
    local only_a_process = {
      {"self", self}, {"receive", receive, 0}, {"receive", receive, {{any}, after = 0}}, {"flush", mb.flush},
      {"sleep", mb.sleep, 0},
      {"link", mb.link, other}, {"unlink", mb.unlink, other}, {"monitor", mb.monitor, other},
      {"demonitor", mb.demonitor, mb.make_ref()}, {"demonitor", mb.demonitor, mb.make_ref(), "flush"},
      {"spawn_link", mb.spawn_link, print}, {"spawn_monitor", mb.spawn_monitor, print}, {"exit", mb.exit, "reason"},
      {"put", Process.put, "key", "value"}, {"get", Process.get, "kept"}, {"delete", Process.delete, "kept"},
      {"flag", Process.flag, "trap_exit", true}, {"spawn", Process.spawn, print, {link = true}},
      {"call", GenServer.call, other, "request"}, {"get", Agent.get, other, print}, {"async", Task.async, print},
      {"metadata", Logger.metadata, {key = "value"}},
    }
    helper.in_process(function()
      Process.put("kept", "mine")
      send(self(), "stays")
      local failures = {}
      finalize(function()
        for i, case in ipairs(only_a_process) do
          local function try() return pcall(table.unpack(case, 2)) end
          for _, way in ipairs{try, coroutine.wrap(try)} do
            local ok, message = way()
            if ok or not tostring(message):find("outside of any process", 1, true) then
              failures[#failures + 1] = ("%d %s: %s"):format(i, case[1], tostring(message))
            end
          end
        end
      end)
      send(me, {
        "seen", failures, Process.get("kept"), Process.get("key") == nil,
        Process.info(self(), {"trap_exit", "links", "monitors"}),
        receive(0),
      })
    end)
    local failures, kept, nothing, info, message = helper.await{"seen", any, any, any, any, any}
    assert.same({}, failures)
    assert.equal("mine", kept)
    assert.is_true(nothing)
    assert.same({trap_exit = false, links = {}, monitors = {}}, info)
    assert.equal("stays", message)
    Process.exit(other, "kill")
  end)

  it("name the function that they called, and the way out", function()
    local _, message
    finalize(function() _, message = pcall(function() local got = receive(0) return got end) end)
    assert.matches("finalizer_spec.lua:%d+: receive: a finalizer %(__gc%) is outside of any process: let it send",
      message)
  end)

  it("may send, spawn, end others, and look at them", function()
    local me, other, named = self(), helper.idle(), helper.idle()
    local ref = mb.monitor(other)
    helper.in_process(function()
      local seen
      finalize(function()
        send(me, "sent")
        Process.send_after(me, "sent later", 1)
        GenServer.cast(me, "cast")
        Process.register(named, "finalizer_named")
        spawn(function() send(me, {"child", Process.info(self(), "parent") or "nobody"}) end)
        Process.exit(other, "enough")
        seen = {
          alive = Process.alive(me), whereis = Process.whereis("finalizer_named"), list = #Process.list() > 1,
          census = mb.census().processes > 1,
        }
        seen.reference, seen.load = mb.type(mb.make_ref()), load("x = 1 return x")()
      end)
      send(me, {"seen", seen})
    end)
    local seen = helper.await{"seen", any}
    assert.same({alive = true, whereis = named, list = true, census = true, reference = "reference", load = 1}, seen)
    helper.await("sent")
    helper.await("sent later")
    helper.await{"$gen_cast", "cast"}
    assert.equal("nobody", helper.await{"child", any})
    assert.equal("enough", helper.await{"DOWN", ref, "process", other, any})
    Process.exit(named, "kill")
  end)

  it("may end the process that runs, which leaves when they are done", function()
    local me = self()
    assert.equal("killed", helper.exit_reason(function()
      local pid = self()
      finalize(function()
        Process.exit(pid, "kill")
        send(me, "done all the same")
      end)
      while true do end
    end))
    helper.await("done all the same")
  end)

  it("that send, spawn and end others while messages are read leave these alone", function()
    local me = self()
    local pause = collectgarbage("incremental", 1, 10000, 1)
    local function rubbish()
      setmetatable({}, {__gc = function()
        send(me, {"from a finalizer", {}})
        spawn(function() end)
        Process.exit(spawn(function() receive() end), "kill")
      end})
    end
    for i = 1, 100 do
      send(me, {"mine", {{tostring(i)}, {tostring(i + 1)}, {{tostring(i)}}}, i})
      rubbish()
    end
    for i = 1, 100 do
      local list, number = receive{ {{"mine", any, any}, function(...) rubbish() return ... end}, after = 0 }
      assert.same({{tostring(i)}, {tostring(i + 1)}, {{tostring(i)}}}, list)
      assert.equal(i, number)
      if i % 10 == 0 then assert.is_table(Process.info(me, "messages")) end
    end
    collectgarbage(pause, 200, 100, 13)
    collectgarbage()
  end)

  it("that wait do not keep the program from ending", function()
    local output, code = helper.run_script([[
      local mb = require "moonbeam"
      mb.import()
      local me = self()
      Process.spawn(function()
        debug.getregistry().kept = setmetatable({}, {__gc = function() sleep(100000) end})
        send(me, "ready")
      end, {scheduler = 2})
      receive()
    ]], "", "MOONBEAM_SCHEDULERS=2")
    assert.equal(0, code)
    assert.matches("^[^\n]*%[error%] a finalizer has been refused: [^\n]*:5: sleep: [^\n]*\n$", output)
  end)
end)

describe("a finalizer that has been refused something", function()
  helper.setup()
  logging.setup()

  it("is told of once per place", function()
    local function mistake() mb.sleep(1) end
    for _ = 1, 5 do
      finalize(function() pcall(mistake) end)
    end
    Logger.info("the end")
    local event = logging.next_event()
    assert.equal("error", event.level)
    assert.matches("finalizer has been refused: .*finalizer_spec.lua:%d+: sleep: ", event.message)
    assert.is_nil(event.pid)
    assert.equal("the end", logging.next_event().message)
  end)

  it("did not set the default files of the process in whose time it ran", function()
    local input, output, results = io.input(), io.output(), {}
    finalize(function()
      for i, set in ipairs{io.input, io.output} do results[i] = {pcall(set, "/dev/null")} end
      results[3] = {pcall(io.output)}
    end)
    assert.equal(input, io.input())
    assert.equal(output, io.output())
    for i = 1, 2 do
      assert.is_false(results[i][1])
      assert.matches("a finalizer %(__gc%) is outside of any process", results[i][2])
    end
    assert.same({true, output}, results[3])
  end)

  it("logs as nobody", function()
    Logger.metadata{key = "the process's"}
    finalize(function() Logger.info("from a finalizer") end)
    local event = logging.next_event()
    assert.equal("from a finalizer", event.message)
    assert.is_nil(event.pid)
    assert.same({}, event.metadata)
  end)
end)

-- mb.blocking: what stops a thread runs on one of a pool, and the calling process alone waits.
local helper = require "spec.helper"
local mb = require "moonbeam"
local Process = mb.Process

describe("blocking", function()
  helper.setup()

  it("BLOCK-01 gives what the function returns, nils included", function()
    assert.same({n = 3, 1, nil, "x"}, table.pack(mb.blocking(function(...) return ... end, 1, nil, "x")))
    assert.same({n = 0}, table.pack(mb.blocking(function() end)))
  end)

  it("BLOCK-02 copies upvalues, globals and tables as spawn does, modules by name", function()
    local factor, list = 3, {1, 2, {3}}
    local got = mb.blocking(function(given)
      given[4] = list[3][1] * factor
      return given, string.rep("x", 3), require "spec.worker" ~= nil
    end, {1, 2, 3})
    assert.same({1, 2, 3, 9}, got)
    assert.same({1, 2, {3}}, list)
  end)

  it("takes what can be called", function()
    assert.equal(5, mb.blocking(setmetatable({}, {__call = function(_, n) return n + 1 end}), 4))
  end)

  it("BLOCK-03 stops nobody: processes of the same scheduler run meanwhile", function()
    local me, send = mb.self(), mb.send
    local name = os.tmpname()
    -- the program ends when another process of this scheduler has run
    local code = [[while [ ! -s "$1" ]; do sleep 0.01; done]]
    Process.spawn(function()
      local file = io.open(name, "w")
      file:write("go")
      file:close()
      send(me, "written")
    end, {scheduler = "here"})
    local ok = mb.blocking(function(script, path)
      return os.execute("set -- " .. path .. "; " .. script)
    end, code, name)
    assert.is_true(ok)
    helper.await("written")
    os.remove(name)
  end)

  it("makes io.popen usable", function()
    local text = mb.blocking(function()
      local pipe <close> = io.popen("printf hello", "r")
      return pipe:read("a")
    end)
    assert.equal("hello", text)
  end)

  it("BLOCK-04 runs several at once, and the rest in order of arrival", function()
    local me, send, blocking = mb.self(), mb.send, mb.blocking
    local n = 3 * (mb.schedulers().blocking.limit)
    for i = 1, n do mb.spawn(function() send(me, {"got", (blocking(function(x) return x * 2 end, i))}) end) end
    local sum = 0
    for _ = 1, n do sum = sum + helper.await{"got", mb.any} end
    assert.equal(n * (n + 1), sum)
  end)

  it("BLOCK-05 raises the function's error in the caller, with place and traceback", function()
    local ok, e = pcall(mb.blocking, function() error("broken") end)
    assert.is_false(ok)
    assert.matches("blocking_spec.lua:%d+: broken", e)
    assert.matches("on a thread of blocking%s+stack traceback:", e)
    assert.matches("blocking_spec.lua:%d+: in ", e)
    local thrown = {code = 5}
    ok, e = pcall(mb.blocking, function() error(thrown) end)
    assert.is_false(ok)
    assert.same({code = 5}, e)
    ok, e = pcall(mb.blocking, function() error() end)
    assert.is_false(ok)
    assert.is_nil(e)
  end)

  it("BLOCK-06 raises when a result cannot travel, naming it", function()
    local ok, e = pcall(mb.blocking, function() return {deep = coroutine.create(print)} end)
    assert.is_false(ok)
    assert.matches("cannot return from blocking", e)
    assert.matches("deep", e)
  end)

  it("BLOCK-06 raises at once when an argument cannot travel, or there is no function", function()
    local ok, e = pcall(mb.blocking, function() end, coroutine.create(print))
    assert.is_false(ok)
    assert.matches("blocking_spec.lua:%d+: cannot copy argument #%d of blocking: ", e)
    ok, e = pcall(mb.blocking, 5)
    assert.is_false(ok)
    assert.matches("blocking_spec.lua:%d+: bad argument #1 to 'blocking' %(function expected, got number%)", e)
  end)

  it("BLOCK-07 is outside of any process: what needs one raises, naming blocking", function()
    local calls = {
      self = function(m) m.self() end, receive = function(m) m.receive() end, sleep = function(m) m.sleep(1) end,
      spawn = function(m) m.spawn(function() end) end, link = function(m) m.link(m.self()) end,
      ["Process.send_after"] = function(m) m.Process.send_after("somebody", 1, 1) end,
      blocking = function(m) m.blocking(function() end) end,
    }
    for name, call in pairs(calls) do
      local ok, e = pcall(mb.blocking, function() call(require "moonbeam") end)
      assert.is_false(ok, name)
      assert.matches("blocking_spec.lua:%d+: .*: what mb.blocking runs is outside of any process", e)
    end
  end)

  it("BLOCK-07 can send from there", function()
    local me, send = mb.self(), mb.send
    mb.blocking(function() send(me, {"progress", 50}) end)
    assert.equal(50, helper.await{"progress", mb.any})
  end)

  it("has coroutines, loaded code and the library", function()
    assert.equal(6, mb.blocking(function()
      local sum = 0
      for i in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end end) do sum = sum + i end
      local ok = pcall(error, "x")
      assert(not ok)
      return load("return ...")(sum)
    end))
  end)

  it("BLOCK-08 drops the result of a caller that was killed, and goes on", function()
    local name = os.tmpname()
    local blocking = mb.blocking
    local pid = mb.spawn(function()
      blocking(function() os.execute("while [ ! -s " .. name .. " ]; do sleep 0.01; done") end)
    end)
    helper.until_waiting(pid)
    local ref = mb.monitor(pid)
    Process.exit(pid, "kill")
    helper.await{"DOWN", ref, "process", pid, "killed"}
    local file = assert(io.open(name, "w"))
    file:write("go")
    file:close()
    assert.equal(1, mb.blocking(function() return 1 end))
    while mb.census().blocking > 0 do mb.sleep(1) end -- the thread sees the file; nobody sends a message
    assert.is_nil((mb.receive(0)))
    os.remove(name)
  end)

  it("is seen: where the process waits, threads and queue", function()
    local name = os.tmpname()
    local blocking = mb.blocking
    local limit, pids = mb.schedulers().blocking.limit, {}
    for i = 1, limit + 2 do
      pids[i] = mb.spawn(function()
        blocking(function() os.execute("while [ ! -s " .. name .. " ]; do sleep 0.01; done") end)
      end)
    end
    for _, pid in ipairs(pids) do helper.until_waiting(pid) end
    local seen = mb.schedulers().blocking
    while seen.busy < limit do
      mb.sleep(1) -- threads start
      seen = mb.schedulers().blocking
    end
    assert.equal(2, seen.queued)
    assert.equal(limit, seen.threads)
    assert.equal(limit + 2, mb.census().blocking)
    assert.matches("blocking_spec.lua:%d+", Process.info(pids[1], "current_location"))
    local refs = {}
    for i, pid in ipairs(pids) do refs[i] = mb.monitor(pid) end
    local file = assert(io.open(name, "w"))
    file:write("go")
    file:close()
    for i, pid in ipairs(pids) do helper.await({"DOWN", refs[i], "process", pid, "normal"}, 20 * helper.patience) end
    os.remove(name)
  end)

  it("may be caught waiting by an exit signal", function()
    local blocking = mb.blocking
    local name = os.tmpname()
    local pid = mb.spawn(function()
      blocking(function() os.execute("while [ ! -s " .. name .. " ]; do sleep 0.01; done") end)
    end)
    helper.until_waiting(pid)
    local ref = mb.monitor(pid)
    Process.exit(pid, "enough")
    helper.await{"DOWN", ref, "process", pid, "enough"}
    local file = assert(io.open(name, "w"))
    file:write("go")
    file:close()
    while mb.census().blocking > 0 do mb.sleep(1) end -- as above
    os.remove(name)
  end)
end)

describe("blocking and the program", function()
  it("BLOCK-09 is a reason to wait: no deadlock", function()
    local output, code = helper.run_script([[
      local mb = require "moonbeam"
      print(mb.blocking(function() os.execute("sleep 0.2") return "done" end))
    ]])
    assert.equal("done\n", output)
    assert.equal(0, code)
  end)

  it("leaves a deadlock one, when the result went to nobody", function()
    local output = helper.run_script([[
      local mb = require "moonbeam"
      local blocking, receive = mb.blocking, mb.receive
      local pid = mb.spawn(function() blocking(function() os.execute("sleep 0.1") end) end)
      mb.sleep(20)
      mb.Process.exit(pid, "kill")
      if not pcall(receive) then print("deadlock") os.exit(0) end
    ]])
    if helper.is_host then assert.matches("deadlock", output) else assert.equal("deadlock\n", output) end
  end)

  it("BLOCK-10 does not keep the program from ending", function()
    local started = mb.monotonic_time()
    local output, code = helper.run_script([[
      local mb = require "moonbeam"
      local blocking = mb.blocking
      mb.spawn(function() blocking(function() os.execute("exec sleep 60 >/dev/null 2>&1") end) end)
      mb.sleep(50)
      print("bye")
    ]])
    assert.equal("bye\n", output)
    assert.equal(0, code)
    assert.is_true(mb.monotonic_time() - started < 30000)
  end)

  it("ends threads that have long had nothing to do, and makes new ones", function()
    local output = helper.run_script([[
      local mb = require "moonbeam"
      print(mb.blocking(function() return 1 end))
      while mb.schedulers().blocking.threads > 0 do mb.sleep(1) end
      print(mb.blocking(function() return 2 end))
    ]], "", "MOONBEAM_BLOCKING_IDLE=5")
    assert.equal("1\n2\n", output)
  end)

  it("BLOCK-04 has as many threads as are asked for", function()
    local output = helper.run_script([[print(require("moonbeam").schedulers().blocking.limit)]], "",
      "MOONBEAM_BLOCKING_THREADS=7")
    assert.equal("7\n", output)
  end)

  it("ends with os.exit from there", function()
    local _, code = helper.run_script([[
      local mb = require "moonbeam"
      mb.blocking(function() os.exit(7) end)
    ]])
    assert.equal(7, code)
  end)
end)

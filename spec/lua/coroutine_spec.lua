local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, spawn_monitor, any = mb.self, mb.send, mb.receive, mb.spawn_monitor, mb.any
local Process, await, in_process = mb.Process, helper.await, helper.in_process

describe("a process's own coroutines", function()
  helper.setup()

  it("LUA-03 may wait: the whole process does, and resume never sees it", function()
    local me = self()
    in_process(function()
      local seen = {}
      local co = coroutine.create(function(a)
        mb.sleep(1)
        local b = coroutine.yield(a + 1)
        send(self(), "x")
        local m = receive()
        return b, m
      end)
      seen[1] = {coroutine.resume(co, 1)}
      seen[2] = {coroutine.resume(co, "b")}
      seen[3] = {coroutine.resume(co)}
      send(me, {seen, coroutine.status(co)})
    end)
    assert.same({{{true, 2}, {true, "b", "x"}, {false, "cannot resume dead coroutine"}}, "dead"},
      receive(helper.patience))
  end)

  it("LUA-03 lose no item of a generator that waits, at any depth", function()
    in_process(function()
      local function generator(n)
        return coroutine.wrap(function()
          for i = 1, n do
            if i % 10 == 0 then mb.sleep(0) send(self(), i) receive() end
            coroutine.yield(i)
          end
        end)
      end
      local nested = coroutine.wrap(function()
        for i in generator(1000) do coroutine.yield(i) end
      end)
      local sum = 0
      for i in nested do sum = sum + i end
      assert(sum == 500500)
    end)
  end)

  it("pass errors as plain Lua does", function()
    in_process(function()
      local co = coroutine.create(function() mb.sleep(1) error({"E"}) end)
      local ok, e = coroutine.resume(co)
      assert(not ok and e[1] == "E")
      local closed = false
      ok, e = pcall(coroutine.wrap(function()
        local guard <close> = setmetatable({}, {__close = function() closed = true end})
        mb.sleep(1)
        error("text")
      end))
      assert(not ok and e:find("coroutine_spec.lua:%d+: .*text") and closed)
      assert(not pcall(coroutine.yield))
      assert(coroutine.isyieldable() == false)
      assert(coroutine.wrap(function() return coroutine.isyieldable() end)())
      assert(not pcall(coroutine.resume, 5))
    end)
  end)

  it("LUA-03 refuse what the library refuses, in its words", function()
    in_process(function()
      for _, name in ipairs{"resume", "close", "status", "isyieldable"} do
        local ok, e = pcall(coroutine[name], 5)
        assert(not ok and e:find("bad argument #1 to '[%w.]*" .. name .. "' %(thread expected, got number%)"), e)
      end
      assert(not pcall(coroutine.isyieldable, nil))
      for _, name in ipairs{"create", "wrap"} do
        local ok, e = pcall(coroutine[name], "f")
        assert(not ok and e:find("function expected"), e)
      end
    end)
  end)

  it("LUA-03 of a process that waits are no other's to go on with", function()
    in_process(function()
      local me, here = self(), {scheduler = "here", monitor = true}
      for _, which in ipairs{"its own", "inner"} do
        local owner = Process.spawn(function()
          local shared = require "spec.helper" -- a module: one for all who live here
          shared.coroutine = coroutine.running()
          if which == "inner" then
            shared.coroutine = coroutine.create(receive)
            send(me, {coroutine.resume(shared.coroutine)})
          else
            send(me, {true, receive()})
          end
        end, here)
        require "spec.helper".until_waiting(owner)
        local thief, ref = Process.spawn(function()
          local co = require "spec.helper".coroutine
          assert(coroutine.status(co) == "normal")
          local ok, e = coroutine.resume(co)
          assert(not ok and e == "cannot resume non-suspended coroutine", e)
          ok, e = pcall(coroutine.close, co)
          assert(not ok and e:find("cannot close a normal coroutine"), e)
        end, here)
        assert("normal" == await{"DOWN", ref, "process", thief, any})
        send(owner, "m")
        assert("m" == await{true, any})
      end
    end)
  end)

  it("die with a process that is killed while one waits", function()
    local me = self()
    local pid, ref = spawn_monitor(function()
      coroutine.wrap(function()
        coroutine.wrap(function() send(me, "ready") pcall(receive) send(me, "caught") end)()
      end)()
    end)
    await("ready")
    Process.exit(pid, "kill")
    assert.equal("killed", await{"DOWN", ref, "process", pid, any})
    assert.is_nil(receive(0))
  end)

  it("cannot wait where the process cannot", function()
    in_process(function()
      local ok, e = pcall(table.sort, {2, 1}, function()
        local resumed, message = coroutine.resume(coroutine.create(function() mb.sleep(1) end))
        assert(not resumed)
        error(message, 0)
      end)
      assert(not ok and e:find("C%-call boundary"), e)
      mb.sleep(1)
    end)
  end)

  it("LUA-03 lose nothing where a module has kept the library's functions from before", function()
    if helper.is_host then return assert.is_true(helper.is_host) end -- nothing is loaded before it
    local directory = os.tmpname()
    os.remove(directory)
    os.execute("mkdir " .. directory)
    local file = assert(io.open(directory .. "/early.lua", "w"))
    file:write[[
      local wrap, yield = coroutine.wrap, coroutine.yield
      return {count = function(n, work)
        local count = 0
        for _ in wrap(function() for i = 1, n do work() yield(i) end end) do count = count + 1 end
        return count
      end}
    ]]
    file:close()
    local output = helper.run_script(([[
      package.path = "%s/?.lua;" .. package.path
      require "early"
      local wrap, yield = coroutine.wrap, coroutine.yield
      require "moonbeam".import()
      local me = self()
      spawn(function() while true do end end)
      spawn(function()
        local function work() local x = 0 for i = 1, 20000 do x = x + i end end
        send(me, require "early".count(300, work))
        send(me, select(2, pcall(require "early".count, 1, function() sleep(1) end)))
        send(me, wrap(function() sleep(1) yield("these travel as the new ones") end)())
      end)
      for _ = 1, 3 do print(receive()) end
    ]]):format(directory), "", "MOONBEAM_SCHEDULERS=1") -- other schedulers load it afterwards
    os.execute("rm -r " .. directory)
    assert.matches("^300\n[^\n]*cannot wait: this coroutine was resumed past the runtime[^\n]*\n"
      .. "these travel as the new ones\n$", output)
  end)

  it("refuse to yield while they close what an error has left, as plain Lua's do", function()
    in_process(function()
      local seen
      local f = coroutine.wrap(function()
        local _ <close> = setmetatable({}, {__close = function()
          local inner = coroutine.wrap(function() coroutine.yield("inner") end)
          seen = {coroutine.isyieldable(), inner(), select(2, pcall(coroutine.yield, 1))}
        end})
        error("e", 0)
      end)
      local ok, e = pcall(f)
      assert(not ok and e == "e")
      assert(seen[1] == false and seen[2] == "inner" and seen[3] == "attempt to yield across a C-call boundary",
        seen[3])
    end)
  end)

  it("begin with their function, to the debug library", function()
    in_process(function()
      local trace, below = coroutine.wrap(function() return debug.traceback("text"), debug.getinfo(2) end)()
      assert(trace:find("^text\nstack traceback:\n\t[^\n]*: in function <[^\n]*>$") and below == nil, trace)
      local co
      local f = coroutine.wrap(function() co = coroutine.running() coroutine.yield() end)
      f()
      trace = debug.traceback(co)
      assert(not trace:find("[C]: in ?", 1, true), trace)
    end)
  end)

  it("have the tracebacks of plain Lua, at any depth", function()
    local function deep(levels, from)
      if levels == 0 then return (debug.traceback("text", from)) end
      return (deep(levels - 1, from))
    end
    -- A created coroutine has its function at the bottom, nothing below it.
    local function plain(...) return select(2, coroutine.resume(coroutine.create(deep), ...)) end
    in_process(function()
      for levels = 0, 50, 2 do
        for from = -1, levels + 3 do
          local wanted = plain(levels, from)
          assert(coroutine.wrap(deep)(levels, from) == wanted)
        end
      end
    end)
    for levels = 15, 27 do
      local _, ref = mb.spawn_monitor(function() mb.exit(deep(levels, 1)) end)
      local process = receive{ {{"DOWN", ref, "process", any, any}, function(_, text) return text end} }
      local in_coroutine = coroutine.wrap(function() return (deep(levels, 1)) end)()
      assert.equal(in_coroutine:gsub("[^\n]*$", ""), (process:gsub("[^\n]*$", "")))
    end
  end)

  it("nest nearly as deep as in plain Lua", function()
    in_process(function()
      local n = 0
      local function deep() n = n + 1 coroutine.wrap(deep)() end
      assert(not pcall(deep))
      assert(n > 170, n)
    end)
  end)

  it("are main to the script and the main chunk", function()
    assert.equal("true\tfalse\nfalse\ttrue\n", (helper.run_script[[
      require "moonbeam"
      print(select(2, coroutine.running()), coroutine.isyieldable())
      print(coroutine.wrap(function() return select(2, coroutine.running()), coroutine.isyieldable() end)())
    ]]))
  end)
end)

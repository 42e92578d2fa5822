local mb = require "moonbeam"
local helper = require "spec.helper"
local support = require "spec.registry.support"
local self, send, receive, any = mb.self, mb.send, mb.receive, mb.any
local Process, Registry = mb.Process, mb.Registry
local with, stop, await = support.with, support.stop, helper.await

-- A process that takes a lock and keeps it until it is told to go on: its pid.
local function holder(key, how)
  local me = self()
  return mb.spawn(function()
    Registry.lock("reg", key, function()
      send(me, {"has", self()})
      receive()
      send(me, {"leaves", self()})
      if how then how() end
    end)
    receive()
  end)
end

-- Wait until so many processes wait for locks or have them.
local function clients(n)
  local owner = Registry.register("reg", "probe")
  local deadline = mb.monotonic_time() + helper.patience
  while #Process.info(owner, "monitors") ~= n do
    assert(mb.monotonic_time() < deadline, "they do not come")
    mb.sleep(1) -- what another process waits for tells nobody
  end
  Registry.unregister("reg", "probe")
end

describe("Registry.lock", function()
  helper.setup()

  it("REG-19 calls the function in the calling process and gives all of its results", function()
    with("unique", function()
      local results = table.pack(Registry.lock("reg", "k", function() return self(), nil, 2, nil end))
      assert.same({n = 4, self(), nil, 2, nil}, results)
    end)
  end)

  it("REG-19 has one holder per key, first come first served", function()
    with("unique", function()
      local pids = {}
      for i = 1, 5 do
        pids[i] = holder({"k", 1})
        clients(i)
      end
      for i = 1, 5 do
        await{"has", pids[i]}
        assert.is_nil(receive(0))
        send(pids[i], "go on")
        await{"leaves", pids[i]}
      end
      for _, pid in ipairs(pids) do stop(pid) end
    end)
  end)

  it("REG-19 never has two at once", function()
    with("duplicate", function()
      local me = self()
      local counter = mb.Agent.start(function() return {inside = 0, most = 0, rounds = 0} end)
      for _ = 1, 8 do
        mb.spawn(function()
          for _ = 1, 20 do
            Registry.lock("reg", "k", function()
              mb.Agent.update(counter, function(s)
                s.inside = s.inside + 1
                s.most = math.max(s.most, s.inside)
              end)
              mb.Agent.update(counter, function(s)
                s.inside = s.inside - 1
                s.rounds = s.rounds + 1
              end)
            end)
          end
          send(me, "done")
        end)
      end
      for _ = 1, 8 do await("done") end
      assert.same({inside = 0, most = 1, rounds = 160}, mb.Agent.get(counter))
      mb.Agent.stop(counter)
    end)
  end)

  it("REG-19 is freed by an error, which reaches the caller", function()
    with("unique", function()
      assert.same({false, "boo"}, {pcall(Registry.lock, "reg", "k", function() error("boo", 0) end)})
      assert.equal("left", helper.catch_exit(Registry.lock, "reg", "k", function() mb.exit("left") end))
      assert.equal(1, Registry.lock("reg", "k", function() return 1 end))
    end)
  end)

  it("REG-19 is freed by the end of the holder", function()
    for _, how in ipairs{"kill", "crash"} do
      with("unique", function()
        local first = holder("k")
        await{"has", first}
        local second = holder("k")
        clients(2)
        stop(first, how)
        await{"has", second}
        stop(second)
        assert.equal(1, Registry.lock("reg", "k", function() return 1 end))
      end)
    end
  end)

  it("REG-19 skips those that died waiting", function()
    with("unique", function()
      local pids = {}
      for i = 1, 4 do
        pids[i] = holder("k")
        clients(i)
      end
      await{"has", pids[1]}
      stop(pids[2])
      stop(pids[3])
      send(pids[1], "go on")
      await{"leaves", pids[1]}
      await{"has", pids[4]}
      stop(pids[4])
      stop(pids[1])
      clients(0)
    end)
  end)

  it("REG-19 of different keys do not hinder each other, equal keys are one", function()
    with("unique", function()
      local pid = holder({"k", 1})
      await{"has", pid}
      assert.equal(5, Registry.lock("reg", {"k", 2}, function() return 5 end))
      assert.equal(6, Registry.lock("reg", "k", function()
        return Registry.lock("reg", "another", function() return 6 end)
      end))
      local second = holder({"k", 1.0})
      clients(2)
      assert.is_nil(receive(0))
      stop(pid)
      await{"has", second}
      stop(second)
      assert(Registry.register("reg", {"k", 1}, "keys of locks are not registered"))
    end)
  end)

  it("REG-19 raises for a lock that the caller holds", function()
    with("unique", function()
      local ok, e = pcall(Registry.lock, "reg", "k", function() return Registry.lock("reg", "k", print) end)
      assert.is_false(ok)
      assert.matches("lock_spec.lua:%d+: bad argument #2 to 'Registry.lock' %(the calling process holds this lock", e)
      assert.is_false(pcall(Registry.lock, "reg", nil, print))
      assert.is_false(pcall(Registry.lock, "reg", "k", "no function"))
      clients(0)
    end)
  end)

  it("REG-19 who waits exits when the registry ends", function()
    with("unique", function()
      local first = holder("k")
      await{"has", first}
      local me = self()
      mb.spawn(function()
        local ok, e = pcall(Registry.lock, "reg", "k", print)
        send(me, {"ended", ok, e.reason[1]})
      end)
      clients(2)
      mb.GenServer.stop("reg")
      assert.same({false, "shutdown"}, {await{"ended", any, any}})
      assert.is_true(Process.alive(first)) -- a lock is no registration
      send(first, "go on")
      await{"leaves", first}
      stop(first)
    end)
  end)
end)

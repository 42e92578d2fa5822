local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, spawn, spawn_link, any = mb.self, mb.send, mb.receive, mb.spawn, mb.spawn_link, mb.any
local Process, Task, Agent, await, reason_of = mb.Process, mb.Task, mb.Agent, helper.await, helper.reason_of

-- The only process that is ready runs in the place of the one that begins to wait, on top of its frames. Each case has
-- an asker that waits and another that does something to it meanwhile.
describe("a process that waits while one other is ready", function()
  helper.setup()

  -- Begin `asker` with a timer: then no other waits below it, and it is the one on top of which the other runs.
  local function begin(asker)
    Process.send_after(asker, "begin", 1)
    return asker
  end

  -- Run `ask(pid, me)` in a process, pid being one that runs `answer(asker, me)` when it is told to begin.
  local function between(ask, answer)
    local me = self()
    return begin(spawn(function()
      local asker = self()
      local pid = spawn(function()
        receive{ {"begin"} }
        answer(asker, me)
      end)
      receive{ {"begin"} }
      ask(pid, me)
    end))
  end

  it("EXIT-20 is killed by it, and what it has open is closed", function()
    local asker = between(function(pid, me)
      local _ <close> = setmetatable({}, {__close = function() send(me, "closed") end})
      send(pid, "begin")
      pcall(receive)
      send(me, "survived")
    end, function(asker, me)
      Process.exit(asker, "kill")
      send(me, {"alive", Process.alive(asker)})
    end)
    assert.is_false(await{"alive", any})
    await "closed"
    assert.equal("noproc", reason_of(asker))
    assert.is_nil((receive(0)))
  end)

  it("LINK-05 dies with it, when they are linked", function()
    local me = self()
    local asker = spawn(function()
      local _ <close> = setmetatable({}, {__close = function() send(me, "closed") end})
      receive{ {"begin"} }
      spawn_link(function() mb.exit("together") end)
      receive()
    end)
    local ref = mb.monitor(begin(asker))
    await "closed"
    assert.equal("together", await{"DOWN", ref, "process", asker, any})
  end)

  it("MON-01 hears of its end", function()
    between(function(pid, me)
      local ref = mb.monitor(pid)
      send(pid, "begin")
      local reason = receive{ {{"DOWN", ref, "process", pid, any}} }
      send(me, {"down", type(reason) == "table" and reason[1] or reason})
    end, function() error("on purpose") end)
    assert.equal("error", await{"down", any})
  end)

  it("LUA-03 goes on when the other is preempted before it has answered", function()
    between(function(pid, me)
      send(pid, "begin")
      local answer = receive()
      send(me, {"answer", answer})
    end, function(asker)
      local n = 0
      for i = 1, 3000000 do n = n + i % 2 end
      send(asker, n)
    end)
    assert.equal(1500000, await{"answer", any})
  end)

  it("LUA-08 goes on inside coroutines, protected calls and iterators", function()
    between(function(pid, me)
      send(pid, "begin")
      local function ask()
        send(pid, {"next", self()})
        return receive()
      end
      local sum = 0
      for i in coroutine.wrap(function()
        for _ = 1, 100 do
          local ok, n = pcall(coroutine.wrap(function() return ask() end))
          coroutine.yield(ok and n)
        end
      end) do sum = sum + i end
      send(pid, "stop")
      send(me, {"sum", sum})
    end, function()
      local n = 0
      while true do
        local message = receive()
        if message == "stop" then return end
        n = n + 1
        send(message[2], n)
      end
    end)
    assert.equal(5050, await{"sum", any})
  end)

  it("TASK-03 awaits tasks that fail, exit and spawn others", function()
    local me = self()
    begin(spawn(function()
      receive{ {"begin"} }
      Process.flag("trap_exit", true)
      for i = 1, 20 do
        local task = Task.async(function()
          local inner = Task.async(function() return i end)
          return Task.await(inner) + 1
        end)
        assert(Task.await(task) == i + 1)
        local failing = Task.async(function() mb.exit("fails") end)
        local ok = pcall(Task.await, failing)
        assert(not ok)
      end
      send(me, "all")
    end))
    await "all"
  end)

  it("AGENT-04 is stopped from inside an agent that it asks", function()
    local me = self()
    local agent = Agent.start(function() return 0 end)
    local asker = spawn(function()
      local _ <close> = setmetatable({}, {__close = function() send(me, "closed") end})
      local asker = self()
      receive{ {"begin"} }
      Agent.get(agent, function(n)
        Process.exit(asker, "stop")
        return n
      end)
      send(me, "survived")
    end)
    begin(asker)
    await "closed"
    assert.equal("noproc", reason_of(asker))
    assert.equal(0, Agent.get(agent))
    Agent.stop(agent)
  end)
end)

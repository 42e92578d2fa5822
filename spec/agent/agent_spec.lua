local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, any, exit = mb.self, mb.send, mb.receive, mb.any, mb.exit
local Process, Agent, await, exit_reason, catch_exit = mb.Process, mb.Agent, helper.await, helper.exit_reason,
  helper.catch_exit

local function agent(state) return assert(Agent.start(function() return state end)) end

describe("Agent", function()
  helper.setup()

  it("AGENT-01 starts with fn's result as its state", function()
    local me = self()
    local pid = Agent.start_link(function() send(me, {"in", self()}) return 5 end)
    assert.equal(pid, await{"in", any})
    assert.equal(5, Agent.get(pid, function(s) return s end))
    assert.same({pid}, Process.info(me, "links"))
    Agent.stop(pid)
    pid = agent(1)
    assert.same({}, Process.info(me, "links"))
    Agent.stop(pid)
  end)

  it("AGENT-02 fails to start as fn fails", function()
    local _, reason = Agent.start(function() error("E", 0) end)
    assert.equal("E", reason[2])
    assert.equal("e", select(2, Agent.start(function() exit("e") end)))
    assert.equal("e", exit_reason(function() Agent.start_link(function() exit("e") end) end))
  end)

  it("AGENT-03 gets, updates, does both, and casts", function()
    local pid = agent(1)
    assert.equal(2, Agent.get(pid, function(s) return s + 1 end))
    assert.equal(1, Agent.get(pid))
    assert.is_true(Agent.update(pid, function(s) return s + 1 end))
    assert.equal("old 2", Agent.get_and_update(pid, function(s) return "old " .. s, 10 end))
    assert.is_true(Agent.cast(pid, function(s) return s * 2 end))
    assert.equal(20, Agent.get(pid))
    Agent.update(pid, function() return nil end)
    assert.is_nil(Agent.get(pid))
    Agent.stop(pid)
    pid = agent{n = 1}
    Agent.update(pid, function(s) s.n = 2 end)
    assert.same({n = 2}, Agent.get(pid))
    Agent.stop(pid)
  end)

  it("AGENT-04 runs the functions in its own process, in order", function()
    local pid = agent(0)
    assert.equal(pid, Agent.get(pid, function() return self() end))
    Agent.cast(pid, function() return "cast" end)
    assert.equal("cast", Agent.get(pid))
    Agent.stop(pid)
  end)

  it("AGENT-05 loses no update", function()
    local pid, refs = agent(0), {}
    for i = 1, 50 do
      local _, ref = mb.spawn_monitor(function() Agent.update(pid, function(n) return n + 1 end) end)
      refs[i] = ref
    end
    for i = 1, 50 do await{"DOWN", refs[i], "process", any, "normal"} end
    assert.equal(50, Agent.get(pid))
    Agent.stop(pid)
  end)

  it("AGENT-06 dies of an error in a function, and so does the call", function()
    for _, f in ipairs{Agent.get, Agent.update} do
      local pid = agent(0)
      local ref = mb.monitor(pid)
      local reason = catch_exit(f, pid, function() error("E", 0) end)
      assert.equal("E", reason[1][2])
      assert.same({"GenServer", "call", {pid, 5000}}, reason[2])
      assert.equal("E", await{"DOWN", ref, "process", pid, any}[2])
    end
    local pid = agent(0)
    local ref = mb.monitor(pid)
    assert.is_true(Agent.cast(pid, function() error("E", 0) end))
    assert.equal("E", await{"DOWN", ref, "process", pid, any}[2])
  end)

  it("AGENT-07 refuses another number of results in get_and_update", function()
    assert.same({"bad_return_value", "one"}, catch_exit(Agent.get_and_update, agent(0), function() return "one" end)[1])
  end)

  it("AGENT-08 a late update is done, its reply dropped", function()
    local pid = agent(0)
    assert.equal("timeout", catch_exit(Agent.update, pid, function() receive{ {"go on"} } return "late" end, 5)[1])
    send(pid, "go on")
    assert.equal("late", Agent.get(pid))
    assert.is_nil(receive(0))
    Agent.stop(pid)
  end)

  it("AGENT-09 names that are taken, agents that are gone", function()
    local pid = Agent.start(function() return 0 end, {name = "agent-9"})
    assert.same({"already_started", pid}, select(2, Agent.start(function() return 0 end, {name = "agent-9"})))
    assert.equal(0, Agent.get("agent-9"))
    Agent.stop("agent-9")
    assert.equal("noproc", catch_exit(Agent.get, pid)[1])
    assert.equal("noproc", catch_exit(Agent.stop, pid)[1])
    assert.is_true(Agent.cast(pid, function() end))
  end)

  it("AGENT-10 cannot call itself", function()
    local pid = agent(0)
    local reason = catch_exit(Agent.get, pid, function() return Agent.get(self()) end)
    assert.equal("calling_self", reason[1][1])
    assert.is_false(Process.alive(pid))
  end)

  it("AGENT-11 may take only so long to start; ignores stray messages", function()
    assert.equal("timeout", select(2, Agent.start(function() receive{ {"never"} } end, {timeout = 5})))
    local pid = agent(1)
    send(pid, "stray")
    assert.equal(1, Agent.get(pid))
    Agent.stop(pid)
  end)

  it("raises at the caller, naming function and argument", function()
    local pid, fn = agent(1), function() end
    local cases = {
      {"Agent.start", 1, 5}, {"Agent.start", 2, fn, 5}, {"Agent.start", 2, fn, {name = 5}},
      {"Agent.start_link", 1, nil}, {"Agent.start_link", 2, fn, {timeout = -1}},
      {"Agent.get", 1, 5}, {"Agent.get", 1, {}, fn}, {"Agent.get", 2, pid, 5}, {"Agent.get", 3, pid, fn, -1},
      {"Agent.update", 1, nil, fn}, {"Agent.update", 2, pid, 5}, {"Agent.update", 3, pid, fn, "soon"},
      {"Agent.get_and_update", 1, 5, fn}, {"Agent.get_and_update", 2, pid}, {"Agent.get_and_update", 3, pid, fn, 1.5},
      {"Agent.cast", 1, true, fn}, {"Agent.cast", 2, pid, 5},
      {"Agent.stop", 1, 5}, {"Agent.stop", 1, nil}, {"Agent.stop", 3, pid, "normal", -1},
    }
    for _, case in ipairs(cases) do
      local ok, message = pcall(Agent[case[1]:match("%.(.*)")], table.unpack(case, 3, 5))
      assert.is_false(ok)
      assert.matches(("agent_spec.lua:%%d+: bad argument #%d to '%s'"):format(case[2], case[1]), message)
    end
    Agent.stop(pid)
  end)

  it("AGENT-12 warns once of a function that returns nothing, where it can have changed nothing", function()
    local function events(state)
      local output = helper.run_script(([[
        require("moonbeam").import()
        local agent = Agent.start(function() return %s end)
        for _ = 1, 3 do Agent.update(agent, function(n) n = 1 end) end
        Agent.cast(agent, function(n) n = 1 end)
        print(Agent.get(agent))
      ]]):format(state))
      return output
    end
    local output = events("5")
    assert.matches(("%%[warning%%] A function given to Agent.update %%(.*:%d%%) returns nothing: the state, a number, stays "
      .. "as it was. Is a return missing%%?\n.*"):format(3) .. ("%[warning%] A function given to Agent.update %(.*:4%).*\n5\n$"),
      output)
    assert.equal(2, select(2, output:gsub("warning", "")))
    assert.equal("nil\n", events("nil"))
    assert.matches("^table: ", events("{}"))
  end)
end)

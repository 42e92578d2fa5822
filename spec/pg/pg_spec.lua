local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, any = mb.self, mb.send, mb.receive, mb.any
local Process, PG, await = mb.Process, mb.PG, helper.await

local function sorted(pids)
  table.sort(pids)
  return pids
end

-- Run with a scope of the default name; its failure is the test's.
local function with_scope(fn, ...)
  helper.in_process(function(...)
    local scope = assert(PG.start_link())
    fn(scope, ...)
    mb.unlink(scope)
    mb.GenServer.stop(scope)
  end, ...)
end

describe("process groups", function()
  helper.setup()

  it("PG-01 have whom somebody let join, as often as that was done", function()
    with_scope(function()
      local me, other = self(), helper.idle()
      assert(#PG.members("group") == 0)
      assert(PG.join("group", me) == true)
      assert(PG.join("group", {me, other, me}) == true)
      assert(PG.join("group", {}) == true)
      assert.same(sorted{me, me, me, other}, sorted(PG.members("group")))
      assert.same(sorted{me, me, me, other}, sorted(PG.local_members("group")))
      assert.same({"group"}, PG.which_groups())
      assert(PG.leave("group", me) == true)
      assert.same(sorted{me, me, other}, sorted(PG.members("group")))
      assert(PG.leave("group", {me, me, me, other}) == true)
      assert.same({}, PG.members("group"))
      assert.same({}, PG.which_groups())
      assert.same({nil, "not_joined"}, {PG.leave("group", me)})
      assert.same({nil, "not_joined"}, {PG.leave("group", {other})})
      Process.exit(other, "kill")
    end)
  end)

  it("PG-02 are named by whatever a registry takes as a key", function()
    with_scope(function()
      for i, name in ipairs{{"room", 1}, 1, 1.5, true, self(), mb.Process} do
        PG.join(name, self())
        assert(PG.which_groups()[1] ~= nil, i)
        assert.same({self()}, PG.members(name))
        assert(PG.leave(name, self()))
      end
      PG.join({"room", {x = 1}}, self())
      assert.same({{"room", {x = 1}}}, PG.which_groups())
      assert.same({self()}, PG.members{"room", {x = 1}})
      assert.same({}, PG.members{"room", {x = 2}})
    end)
    for _, bad in ipairs{0 / 0, print, setmetatable({}, {})} do
      local ok, why = pcall(PG.join, bad, self())
      assert.is_false(ok)
      assert.matches("^spec/pg/pg_spec.lua:%d+: bad argument #1 to 'PG.join'", why)
    end
    assert.error_matches(function() PG.members(nil) end, "bad argument #1 to 'PG.members'")
  end)

  it("PG-03 are left by who ends, wherever it lives; the dead never stay", function()
    with_scope(function()
      for scheduler = 1, #mb.schedulers() do
        local pid = Process.spawn(function() receive() end, {scheduler = scheduler})
        PG.join("a", {pid, pid})
        PG.join("b", pid)
        local ref = PG.monitor_scope()
        send(pid, "end")
        for _ = 1, 3 do await{ref, "leave", any, {pid}} end
        assert.same({}, PG.which_groups())
        PG.demonitor(ref)
      end
      local ref = PG.monitor("group")
      local dead = helper.dead_pid()
      assert(PG.join("group", dead) == true)
      await{ref, "join", "group", {dead}}
      await{ref, "leave", "group", {dead}}
      assert.same({}, PG.members("group"))
    end)
  end)

  it("PG-04 are sent to as one: once to each process", function()
    with_scope(function()
      local me, pids = self(), {}
      for i = 1, 2 * #mb.schedulers() do
        pids[i] = Process.spawn(function() send(me, {"got", self(), receive()}) end,
          {scheduler = 1 + i % #mb.schedulers()})
      end
      PG.join("group", pids)
      PG.join("group", pids[1])
      assert(PG.broadcast("group", {"hello", 1}) == #pids)
      for i = 1, #pids do await{"got", pids[i], {"hello", 1}} end
      for i = 1, #pids do helper.reason_of(pids[i]) end
      assert(PG.broadcast("nobody's", "hello") == 0)
      assert(receive(0) == nil)
    end)
  end)

  it("PG-05 tell who asks, from then on, who joins and leaves", function()
    with_scope(function()
      local me, other = self(), helper.idle()
      PG.join("group", me)
      local ref, members = PG.monitor("group")
      assert.same({me}, members)
      PG.join("another", me)
      PG.join("group", {other, other})
      assert.same({other, other}, await{ref, "join", "group", any})
      PG.leave("group", {me, me, other})
      assert.same({me, other}, await{ref, "leave", "group", any})
      local all, groups = PG.monitor_scope()
      table.sort(groups, function(a, b) return a[1] < b[1] end)
      assert.same({{"another", {me}}, {"group", {other}}}, groups)
      PG.join("third", me)
      assert.same({me}, await{all, "join", "third", any})
      PG.join("group", me)
      assert(PG.demonitor(ref) == true)
      assert(PG.demonitor(ref) == false)
      assert.same({me}, await{all, "join", "group", any})
      assert(receive(0) == nil) -- that of ref has been taken out
      assert(PG.demonitor(all) == true)
      PG.leave("third", me)
      assert(receive(0) == nil)
      Process.exit(other, "kill")
    end)
  end)

  it("PG-05 do not remember who asked and has ended", function()
    with_scope(function(scope)
      helper.in_process(function()
        PG.monitor("group")
        PG.monitor("group")
        PG.monitor_scope()
      end)
      PG.join("group", self())
      local state = mb.GenServer.get_state(scope)
      assert.same({}, state.watches)
      assert.same({}, state.of_group)
      assert.same({}, state.of_scope)
      assert(#Process.info(scope, "monitors") == 1)
      PG.leave("group", self())
      assert.same({}, mb.GenServer.get_state(scope).processes)
      assert(#Process.info(scope, "monitors") == 0)
    end)
  end)

  it("PG-06 are of one scope", function()
    with_scope(function()
      local rooms = PG.start{name = "rooms"}
      PG.join("group", self(), "rooms")
      assert.same({}, PG.members("group"))
      assert.same({self()}, PG.members("group", "rooms"))
      assert.same({"group"}, PG.which_groups("rooms"))
      assert(PG.broadcast("group", "m", "rooms") == 1 and receive(0) == "m")
      local ref = PG.monitor("group", "rooms")
      assert(PG.demonitor(ref) == false)
      assert(PG.demonitor(ref, "rooms") == true)
      assert(PG.leave("group", self(), "rooms"))
      assert.same({nil, {"already_started", rooms}}, {PG.start{name = "rooms"}})
      assert.same({nil, {"already_started", Process.whereis("pg")}}, {PG.start_link()})
      mb.GenServer.stop(rooms)
    end)
  end)

  it("PG-07 are a supervisor's child, and are gone with their scope", function()
    helper.in_process(function()
      Process.flag("trap_exit", true)
      local sup = mb.Supervisor.start_link({PG, {PG, {name = "rooms"}}}, {strategy = "one_for_one"})
      PG.join("group", self())
      PG.join("group", self(), "rooms")
      local scope = Process.whereis("pg")
      local ref = mb.monitor(scope)
      Process.exit(scope, "kill")
      await{"DOWN", ref, "process", scope, "killed"}
      while not Process.whereis("pg") do mb.sleep(1) end -- nobody sends a message about it
      assert.same({}, PG.members("group"))
      assert.same({self()}, PG.members("group", "rooms"))
      mb.Supervisor.stop(sup)
      local reason = helper.catch_exit(PG.join, "group", self())
      assert.equal("noproc", reason[1])
    end)
  end)

  it("PG-08 check what they are given at the call", function()
    local cases = {
      {"bad argument #2 to 'PG.join' (pid, or sequence of pids, expected, got string)", PG.join, "g", "x"},
      {"bad argument #2 to 'PG.leave' (sequence of pids expected, item 2 is a string)", PG.leave, "g", {self(), "x"}},
      {"bad argument #3 to 'PG.join' (the name of a scope is a string, got table)", PG.join, "g", self(), {}},
      {"bad argument #2 to 'PG.members' (the name of a scope is a string, got number)", PG.members, "g", 5},
      {"bad argument #1 to 'PG.demonitor' (reference expected, got nil)", PG.demonitor},
      {"bad argument #1 to 'PG.start_link' (unknown option nam = \"x\"; options: name)", PG.start_link, {nam = "x"}},
      {"bad argument #1 to 'PG.start' (name is a string, got table)", PG.start, {name = {}}},
    }
    for _, case in ipairs(cases) do
      local ok, why = pcall(table.unpack(case, 2))
      assert.is_false(ok)
      assert.equal("spec/pg/pg_spec.lua:" .. why:match(":(%d+): ") .. ": " .. case[1], why)
    end
  end)

  it("PG-09 have very many members", function()
    with_scope(function()
      local n, idle = 10000 // helper.scale, {}
      for i = 1, n do idle[i] = helper.idle() end
      for i = 1, n // 2 do PG.join("group", idle[i]) end
      PG.join("group", table.move(idle, n // 2 + 1, n, 1, {}))
      assert(#PG.members("group") == n)
      local ref = PG.monitor("group")
      assert(PG.broadcast("group", "end") == n)
      local left = 0
      while left < n do left = left + #await{ref, "leave", "group", any} end
      assert.same({}, PG.members("group"))
    end)
  end)
end)

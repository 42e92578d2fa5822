local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, spawn, any = mb.self, mb.send, mb.receive, mb.spawn, mb.any
local Process, await = mb.Process, helper.await

describe("the process dictionary", function()
  helper.setup()

  it("PDICT-01 puts, gets and deletes", function()
    helper.in_process(function()
      assert(Process.put("k", 1) == nil)
      assert(Process.put("k", 2) == 1)
      assert(Process.get("k") == 2)
      assert(Process.delete("k") == 2)
      assert(Process.delete("k") == nil)
    end)
  end)

  it("PDICT-02 has defaults", function()
    assert.is_nil(Process.get("missing"))
    assert.equal(5, Process.get("missing", 5))
  end)

  it("PDICT-03 is each process's own", function()
    local me = self()
    Process.put("mine", 1)
    spawn(function() send(me, {"child", Process.get("mine") == nil}) Process.put("mine", 2) end)
    assert.is_true(await{"child", any})
    assert.equal(1, Process.get("mine"))
    Process.delete("mine")
  end)

  it("PDICT-04 lists keys, keys of a value, and all pairs", function()
    helper.in_process(function()
      Process.put("a", 1)
      Process.put("b", 2)
      Process.put("c", 1)
      local keys = Process.get_keys()
      table.sort(keys)
      assert(table.concat(keys) == "abc")
      keys = Process.get_keys(1)
      table.sort(keys)
      assert(table.concat(keys) == "ac")
      local all = Process.get()
      assert(all.a == 1 and all.b == 2 and all.c == 1)
    end)
  end)

  it("PDICT-05 can be read by others, as a copy", function()
    local me = self()
    local pid = spawn(function() Process.put("k", {1}) send(me, "ready") receive() send(me, Process.get("k")) end)
    await("ready")
    local copy = Process.info(pid, "dictionary")
    assert.same({k = {1}}, copy)
    copy.k[1] = 2
    send(pid, "go")
    assert.same({1}, receive(helper.patience))
  end)

  it("PDICT-06 put with nil deletes", function()
    Process.put("k", 1)
    Process.put("k", nil)
    assert.equal("default", Process.get("k", "default"))
    assert.is_false(pcall(Process.put, nil, 1))
  end)
end)

describe("Process.info", function()
  helper.setup()

  it("INFO-01 is nil for the dead", function()
    local dead = helper.dead_pid()
    assert.is_nil(Process.info(dead))
    assert.is_nil(Process.info(dead, "status"))
    assert.is_nil(Process.info(dead, {"status", "links"}))
  end)

  it("INFO-02 gives a value, or a table by key", function()
    local info = Process.info(self())
    for _, key in ipairs{"status", "message_queue_len", "messages", "links", "monitored_by", "monitors",
        "trap_exit", "dictionary", "reductions", "memory", "current_location", "current_stacktrace",
        "scheduler"} do
      assert.is_not_nil(info[key], key)
      assert.equal(type(info[key]), type(Process.info(self(), key)))
    end
    assert.same({status = "running", links = {}, trap_exit = false},
      Process.info(self(), {"status", "links", "trap_exit", "registered_name"}))
    assert.equal(1, info.scheduler)
    assert.matches("info_spec.lua:%d+", info.current_location)
  end)

  it("INFO-02 knows parent, and where a process waits", function()
    local pid = helper.until_waiting(spawn(function() receive() end))
    assert.equal(self(), Process.info(pid, "parent"))
    assert.matches("info_spec.lua:%d+", Process.info(pid, "current_location"))
    assert.matches("info_spec.lua:%d+", Process.info(pid, "initial_location"))
    assert.matches("receive", Process.info(pid, "current_stacktrace"))
    send(pid, "end")
  end)

  it("INFO-02 names where a process waits, through all coroutines that it has resumed", function()
    local me = self()
    local function waits() return (receive{ {"end"} }) end
    local pid = spawn(function()
      local inner = coroutine.wrap(function() return (waits()) end)
      local outer = coroutine.create(function() return (inner()) end)
      send(me, "ready")
      coroutine.resume(outer)
    end)
    await("ready")
    helper.until_waiting(pid)
    local line = debug.getinfo(waits, "S").linedefined
    assert.matches(":" .. line .. "$", Process.info(pid, "current_location"))
    local lines = {}
    for at in Process.info(pid, "current_stacktrace"):gmatch("info_spec%.lua:(%d+): in") do
      lines[#lines + 1] = at - line
    end
    assert.same({0, 2, 3, 5}, lines)
    send(pid, "end")
  end)

  it("INFO-02 names the function that a process was started with, when that has left by a tail call", function()
    local me = self()
    local function loop()
      send(me, "ready")
      return receive{ {"end", function() end}, {"again", loop} }
    end
    local function first() return loop() end
    local pid = spawn(first)
    await("ready")
    send(pid, "again")
    await("ready")
    assert.matches(":" .. debug.getinfo(first, "S").linedefined .. "$", Process.info(pid, "initial_location"))
    send(pid, "end")
  end)

  it("INFO-02 sees the main chunk, which waits, from another process", function()
    local output = helper.run_script[[
      local mb = require "moonbeam"
      local main, info = mb.self(), mb.Process.info
      mb.spawn(function()
        while info(main, "status") ~= "waiting" do mb.sleep(1) end
        mb.send(main, {info(main, "status"), info(main, "current_location"), info(main, "initial_location"),
          info(main, "current_stacktrace")})
      end)
      local seen = mb.receive()
      print(seen[1], seen[2]:match("%d+$"), seen[3]:match("%d+$"), seen[4]:match("(%d+): in main chunk"))
    ]]
    assert.equal("waiting\t8\t0\t8\n", output)
  end)

  it("INFO-02 looks at a deep stack without walking it over and over", function()
    local me = self()
    local pid = spawn(function()
      local function deep(n)
        if n > 0 then return 1 + deep(n - 1) end
        send(me, "ready")
        receive()
        return 0
      end
      deep(100000)
    end)
    await("ready")
    local start = os.clock()
    assert.matches("info_spec.lua:%d+", Process.info(pid, "initial_location"))
    assert.is_true(os.clock() - start < 0.5 * helper.scale)
    send(pid, "end")
  end)

  it("INFO-02 leaves alone what Lua's compiler is making", function()
    local me, pieces = self(), {"local a = 1 ", "return function() return a end"}
    local chunk = load(function()
      assert(Process.info(me, "memory") > 0)
      return table.remove(pieces, 1)
    end)
    assert.equal(1, chunk()())
  end)

  it("INFO-02 counts as memory what a process can reach, and nobody else does", function()
    local me = self()
    local function memory(make)
      local pid = spawn(function(f)
        local value <const> = f()
        send(me, "ready")
        receive{ {"end"} }
        return value
      end, make)
      await("ready")
      local bytes = Process.info(helper.until_waiting(pid), "memory")
      send(pid, "end")
      return bytes
    end
    local least = memory(function() end)
    assert.is_true(least > 500 and least < 3000, least)
    local function more(make) return memory(make) - least end
    local function between(low, bytes, high) assert.is_true(low - 500 <= bytes and bytes <= high, bytes) end
    between(100000, more(function() return ("x"):rep(100000) end), 101000)
    between(72000, more(function() local t = {} for i = 1, 1000 do t[i] = {i} end return t end), 100000)
    between(40000, more(function() local t = {} for i = 1, 1000 do t[-i] = i end return t end), 50000)
    between(16000000, more(function() local t = {} for i = 1, 1000000 do t[i] = i end return t end), 17000000)
    between(50000, more(function()
      local s, co = ("x"):rep(50000), nil
      co = coroutine.create(function() local cycle = {co, s} coroutine.yield() return cycle end)
      coroutine.resume(co)
      return co
    end), 53000)
    between(50000, more(function() Process.put("key", ("x"):rep(50000)) end), 51000)
    between(50000, more(function() global = ("x"):rep(50000) end), 52000) -- luacheck: ignore
    between(0, more(function() return {string, mb, receive, require "spec.helper"} end), 500)
    between(50000, more(function() send(self(), ("x"):rep(50000)) end), 101000) -- the stack may still have it, too
  end)

  it("INFO-02 counts its own memory, from inside a coroutine, too", function()
    helper.in_process(function()
      local before = Process.info(self(), "memory")
      local s <const> = {("x"):rep(50000)}
      local thread = coroutine.running()
      assert(Process.info(self(), "memory") - before >= 50000)
      local inside = coroutine.wrap(function() return Process.info(self(), "memory"), thread, s end)()
      assert(inside - before >= 50000)
    end)
  end)

  it("INFO-09 counts all that there is, however much, wherever it is", function()
    local me = self()
    local function hold(make)
      local values = make()
      send(me, "ready")
      receive{ {"end"} }
      return values
    end
    local function small() return {{1}} end
    local function large()
      local t = {}
      for i = 1, 30000 do t[i] = {name = "n" .. i} end
      return t
    end
    local function deep()
      local t = {}
      for _ = 1, 30000 do t = {t} end
      return t
    end
    for scheduler = 1, #mb.schedulers() do
      local function memory(make)
        local pid = Process.spawn(hold, {scheduler = scheduler}, make)
        await("ready")
        helper.until_waiting(pid)
        local bytes, all = Process.info(pid, "memory"), Process.info(pid).memory
        assert.equal("integer", math.type(bytes))
        assert.equal(bytes, all)
        assert.equal(bytes, Process.info(pid, {"status", "memory"}).memory)
        send(pid, "end")
        helper.reason_of(pid)
        return bytes
      end
      local least = memory(small)
      local bytes = memory(large) - least -- 56 for a table, 40 for a field, 25 and 6 for a string, 16 for an item
      assert.is_true(bytes > 30000 * 130 and bytes < 30000 * 150, bytes)
      bytes = memory(deep) - least
      assert.is_true(bytes > 30000 * 70 and bytes < 30000 * 80, bytes)
    end
  end)

  it("INFO-09 lets others run meanwhile, and the process itself", function()
    local me = self()
    local pid = spawn(function()
      local tables = {}
      for i = 1, 20000 do tables[i] = {[i] = i} end
      send(me, "ready")
      local n = 0
      while receive(0) ~= "end" do -- fields come and go, so tables are made anew under the walk
        n = n + 1
        tables[n % 20000 + 1] = {}
        for i = 1, 50 do tables["key" .. (n * 50 + i) % 3000] = n % 3 > 0 and {} or nil end
      end
      send(me, "ended")
    end)
    await("ready")
    for _ = 1, 10 do assert.is_true(Process.info(pid, "memory") > 20000 * 50) end
    send(pid, "end")
    await("ended")
  end)

  it("INFO-09 is nil of a process that ends meanwhile, or a number", function()
    for scheduler = 1, #mb.schedulers() do
      local me = self()
      local pid = Process.spawn(function()
        local t = {}
        for i = 1, 20000 do t[i] = {} end
        send(me, "ready")
        receive()
        return t
      end, {scheduler = scheduler})
      await("ready")
      spawn(function() Process.exit(pid, "kill") end)
      local bytes = Process.info(pid, "memory")
      assert.is_true(bytes == nil or bytes > 20000 * 50)
      helper.reason_of(pid)
    end
  end)

  it("INFO-10 names the function in which a process is, and that it began with", function()
    local me = self()
    local function loop() send(me, "ready") receive() end
    local pid = spawn(function() loop() return 1 end)
    await("ready")
    helper.until_waiting(pid)
    assert.equal("loop", Process.info(pid, "current_function"))
    assert.matches("^function <.*info_spec.lua:%d+>$", Process.info(pid, "initial_call"))
    send(pid, "end")
    pid = spawn(mb.receive)
    helper.until_waiting(pid)
    assert.equal("receive", Process.info(pid, "initial_call"))
    assert.is_nil(Process.info(pid, "current_function"))
    send(pid, "end")
    local agent = mb.Agent.start(function() end)
    assert.equal("moonbeam.gen_server.server.run", Process.info(agent, "initial_call"))
    mb.Agent.stop(agent)
    local output = helper.run_script[[
      local mb = require "moonbeam"
      print(mb.Process.info(mb.self(), "current_function"), mb.Process.info(mb.self(), "initial_call"))
    ]]
    assert.equal("main chunk\tmain chunk\n", output)
  end)

  it("INFO-10 tells the leader, and of the heap's collector", function()
    local pid = helper.idle()
    assert.equal(Process.group_leader(), Process.info(pid, "group_leader"))
    Process.group_leader(pid, self())
    assert.equal(self(), Process.info(pid, "group_leader"))
    local collector = Process.info(pid, "garbage_collection")
    assert.is_true(collector.running)
    assert.is_true(collector.heap_bytes > 10000)
    Process.exit(pid, "kill")
  end)

  it("INFO-04 refuses unknown keys with those there are", function()
    for _, key in ipairs{"memry", {"status", "memry"}} do
      local ok, why = pcall(Process.info, self(), key)
      assert.is_false(ok)
      assert.matches("info_spec.lua:%d+: bad argument #2 to 'Process.info' %(unknown key 'memry'; keys: registered_name, ",
        why)
      assert.matches(", memory, .*, parent%)$", why)
    end
    assert.same({}, Process.info(self(), {}))
  end)

  it("INFO-03 has no registered_name for the unnamed", function()
    assert.is_nil(Process.info(self(), "registered_name"))
  end)

  it("INFO-04 tells the status and refuses unknown keys", function()
    assert.equal("running", Process.info(self(), "status"))
    local pid = spawn(function()
      receive()
      while true do end
    end)
    helper.until_waiting(pid)
    send(pid, "go")
    assert.equal("runnable", Process.info(pid, "status"))
    Process.exit(pid, "kill")
    for _, unknown in ipairs{"unknown", {"status", "unknown"}} do
      assert.error_matches(function() Process.info(self(), unknown) end,
        "bad argument #2 to 'Process.info' %(unknown key 'unknown';")
    end
    assert.is_false(pcall(Process.info, 5))
  end)

  it("INFO-05 shows queued messages and consumes none", function()
    send(self(), 1)
    send(self(), {2})
    assert.equal(2, Process.info(self(), "message_queue_len"))
    assert.same({1, {2}}, Process.info(self(), "messages"))
    assert.equal(1, receive(0))
    assert.same({2}, receive(0))
  end)

  it("INFO-06 shows links and monitors as they are", function()
    local pid = spawn(receive)
    mb.link(pid)
    local ref = mb.monitor(pid)
    assert.same({self()}, Process.info(pid, "links"))
    assert.same({self()}, Process.info(pid, "monitored_by"))
    assert.same({pid}, Process.info(self(), "monitors"))
    mb.unlink(pid)
    mb.demonitor(ref)
    assert.same({}, Process.info(pid, "links"))
    assert.same({}, Process.info(pid, "monitored_by"))
    assert.same({}, Process.info(self(), "monitors"))
    send(pid, "end")
  end)

  it("INFO-07 alive", function()
    assert.is_true(Process.alive(self()))
    assert.is_false(Process.alive(helper.dead_pid()))
    assert.is_false(pcall(Process.alive, 5))
  end)

  it("INFO-08 list has the living and not the dead", function()
    local pid, dead = spawn(receive), helper.dead_pid()
    local found = {}
    for _, p in ipairs(Process.list()) do found[p] = true end
    assert.is_true(found[self()] and found[pid])
    assert.is_nil(found[dead])
    send(pid, "end")
  end)
end)

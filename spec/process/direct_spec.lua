local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, spawn, any = mb.self, mb.send, mb.receive, mb.spawn, mb.any
local Process, GenServer, await = mb.Process, mb.GenServer, helper.await

-- A message for a process that waits goes from stack to stack; nothing may tell.
describe("a message for a waiting process", function()
  helper.setup()

  -- A process that waits already: `body` begins with a receive.
  local function waiting(body, ...) return helper.until_waiting(spawn(body, ...)) end

  it("MSG-10 is what was sent, of every kind", function()
    local me = self()
    local pid = waiting(function()
      while true do
        local message = receive()
        if message == "stop" then return end
        send(me, {"got", message, type(message)})
      end
    end)
    local values = {false, true, 7, -1.5, "text", ("long "):rep(100), me, mb.make_ref(), {}, {1, 2, "three"},
                    {"a", b = 1, [2.5] = true}, {1, nil, 3}, {{nested = {}}}, {"a", {"b", {"c", {d = {}}}}, {1, {2}}},
                    {{{{{{{{{"deep"}}}}}}}}}, {{1}, {2}, {3}, {4}, {5}, {6}, {7}, {8}, {9}}}
    for _, value in ipairs(values) do
      send(pid, value)
      local got, kind = await{"got", any, any}
      assert.same(value, got)
      assert.equal(type(value), kind)
    end
    send(pid, nil)
    assert.same({"got", nil, "nil"}, receive(helper.patience))
    send(pid, "stop")
  end)

  it("LUA-05 may be a function, with upvalues or without", function()
    local me, n = self(), 2
    local pid = waiting(function()
      for _ = 1, 4 do
        local message = receive()
        local f = type(message) == "table" and message[2] or message
        send(me, {"result", f(20)})
      end
    end)
    for _, f in ipairs{function(x) return x + 1 end, function(x) return x * n end} do
      for _, message in ipairs{f, {"apply", f}} do
        send(pid, message)
        assert.equal(f(20), await{"result", any})
      end
    end
  end)

  it("LUA-10 is a copy", function()
    local me = self()
    local pid = waiting(function()
      local t = receive()
      t[1] = "theirs"
      send(me, t)
    end)
    local t = {"mine", "still mine"}
    send(pid, t)
    t[2] = "changed"
    assert.same({"theirs", "still mine"}, receive(helper.patience))
    assert.same({"mine", "changed"}, t)
  end)

  it("LUA-10 is a copy all through, in which what was one table is one, and cycles close", function()
    local me = self()
    local pid = waiting(function()
      while true do
        local m = receive()
        if m == "stop" then return end
        m.inner.changed = true
        send(me, {"looked", m.inner == m.other, m.inner.back == m})
      end
    end)
    local inner = {}
    for _, case in ipairs{{other = {}}, {other = inner}, {other = inner, cycle = true}} do
      local m = {inner = inner, other = case.other}
      inner.back = case.cycle and m or nil
      send(pid, m)
      local same, closed = await{"looked", any, any}
      assert.equal(case.other == inner, same)
      assert.equal(case.cycle or false, closed)
      assert.is_nil(inner.changed)
    end
    send(pid, "stop")
  end)

  -- A table that is built in the call itself goes as it is: nobody else may have it, or be able to change what is in
  -- it.
  it("LUA-10 is not what the sender keeps, however the call is written", function()
    local me = self()
    local pid = waiting(function()
      while true do
        local m = receive()
        if m == "stop" then return end
        local kept = m.kept or m[2]
        send(me, {"seen", m.changed or type(kept) == "table" and kept.changed or false})
      end
    end)
    local kept
    local unset = os.getenv("a variable that nobody sets")
    local function keep(t) kept = t return t end
    local function keep_and_send(to, m) kept = m return send(to, m) end
    local function pass_on(...) kept = select(2, ...) return send(...) end
    local callable = setmetatable({"nobody", "nonode@nohost"}, {__call = send})
    local object = setmetatable({}, {__call = function(_, to, m) return keep_and_send(to, m) end})
    local ways = {
      function() kept = {1} send(pid, kept) end,
      function() send(pid, keep{1}) end,
      function() send(pid, kept or {1}) end,
      function() send(pid, unset == nil and kept or {1}) end,
      function() send(pid, unset or kept or {a = 1}) end,
      function() send(pid, (kept ~= nil and not unset) and kept or {}) end,
      function() send(pid, (kept or unset) or (unset or {1, 2, 3})) end,
      function() if unset then kept = {} else kept = {2} end send(pid, kept) end,
      function() kept = send(pid, {1, 2}) end,
      function() kept = (send(pid, {a = 1, 2})) end,
      function() local m <const> = send(pid, {}) kept = m end,
      function() for _, m in next, {send(pid, {1})} do kept = m end end,
      function() (function() return keep_and_send(pid, {1, 2}) end)() end,
      function() keep_and_send(pid, {1, 2}) end,
      function() pass_on(pid, {1, 2}) end,
      function() kept = select(2, pcall(send, pid, {1})) end,
      function() object(pid, {1}) end,
      function() kept = {1} send(pid, {1, kept}) end,
      function() kept = {1} send(pid, {1, {2, kept}, kept = kept}) end,
      function() kept = {1} send(pid, {kept = kept, {1}}) end,
      function() kept = {1} send(pid, {1, kept, nil}) end,
      function() kept = {1} send(pid, {nil, kept, nil, nil}) end,
      function() kept = {1} local t = {1, kept} send(pid, {table.unpack(t)}) end,
      function() (function(...) send(pid, {1, ...}) end)(keep{1}) end,
      function() (function(...) send(pid, {...}) end)(nil, keep{1}, nil, nil) end,
      function() (function(...) send(pid, {nil, ...}) end)(keep{1}, nil) end,
      function() send(pid, {1, keep{1}}) end,
      function() send(pid, {kept = keep{1}, (keep{1})}) end,
      function() kept = {1} send(pid, ({{1, kept}})[1]) end,
      function() send(pid, setmetatable({{}}, {__index = keep})[1]) end,
      function() kept = {1} callable(kept, {}) send(pid, kept) end,
      function() send(pid, kept, {}) end,
      function() kept = {1, {}} send(pid, {1, kept}, {}) end,
      function() send(pid, kept, 1, {n = 1}) end,
    }
    for i, way in ipairs(ways) do
      kept = {1}
      way()
      kept.changed = true
      local changed = await{"seen", any}
      assert.is_false(changed, ("way %d"):format(i))
      assert.is_nil(receive(0), ("way %d"):format(i)) -- it was sent once
    end
    send(pid, "stop")
  end)

  it("LUA-10 is not seen by a debugger's hook in both processes", function()
    local me, kept = self(), nil
    local pid = waiting(function() send(me, {"seen", receive().changed or false}) end)
    debug.sethook(function()
      local info = debug.getinfo(2, "f")
      if info and info.func == send then kept = select(2, debug.getlocal(2, 2)) end
    end, "c")
    send(pid, {1})
    debug.sethook()
    kept.changed = true
    assert.is_false((await{"seen", any}))
  end)

  it("LUA-10 arrives whole, built in the call or before", function()
    local me, two = self(), {2, {3}}
    local pid = waiting(function()
      local function back(m, to) send(to, {"back", m}) return true end
      while receive{ {{"echo", any, any}, back}, {any} } ~= "stop" do end
    end)
    local function echo(m)
      local back = await{"back", any}
      assert.same(m, back)
    end
    send(pid, {"echo", {}, self()}) echo{}
    send(pid, {"echo", {1, two, n = two}, me}) echo{1, two, n = two}
    send(pid, {"echo", {1, two, {two, {}}}, me}) echo{1, two, {two, {}}}
    send(pid, {"echo", {a = {b = {c = {}}}, [1.5] = {true}, [true] = "yes"}, me})
    echo{a = {b = {c = {}}}, [1.5] = {true}, [true] = "yes"}
    assert.same({2, {3}}, two)
    assert.error_matches(function() send(pid, {"echo", {1, coroutine.create(print)}, me}) end,
      "cannot send message: .*coroutine")
    assert.error_matches(function() send(pid, {two, two, coroutine.create(print)}) end,
      "cannot send message: .*coroutine")
    send(pid, "stop")
  end)

  it("MSG-11 that cannot be sent raises, wherever the part in question stands", function()
    local pid = waiting(function() receive() end)
    for _, m in ipairs{{coroutine.create(print)}, {1, {2, {co = coroutine.create(print)}}}} do
      assert.error_matches(function() send(pid, m) end, "cannot send message: .*coroutine")
    end
    assert.equal("waiting", Process.info(pid, "status"))
    send(pid, "done")
  end)

  it("INFO-05 is seen in its mailbox, in order, until it has run", function()
    local pid = waiting(function() receive{ {"stop"} } end)
    local now = {}
    for i = 1, 3 do
      send(pid, i)
      now[i] = #Process.info(pid, "messages")
    end
    assert.same({1, 2, 3}, now)
    assert.same({1, 2, 3}, Process.info(pid, "messages"))
    send(pid, "stop")
  end)

  it("RECV-02 stays where it arrived when no clause matches it", function()
    local me = self()
    local pid = waiting(function()
      receive{ {"last"} }
      local rest = {}
      for i = 1, 4 do rest[i] = receive(0) end
      send(me, rest)
    end)
    send(pid, 1)
    send(pid, {2})
    mb.sleep(0)
    send(pid, 3)
    send(pid, {4})
    send(pid, "last")
    assert.same({1, {2}, 3, {4}}, receive(helper.patience))
  end)

  it("RECV-05 does not restart the clock when no clause matches it", function()
    local me = self()
    local pid = waiting(function()
      local started = mb.monotonic_time()
      local _, why = receive{ {"never"}, after = 30 }
      send(me, {why, mb.monotonic_time() - started})
    end)
    local ref = mb.make_ref()
    local answer
    for _ = 1, 1000 do -- a clock that starts again never comes to 30 ms
      Process.send_after(me, ref, 3)
      local message = receive()
      if message ~= ref then
        answer = message
        break
      end
      send(pid, "noise")
    end
    assert.equal("timeout", answer[1])
    assert.is_true(answer[2] >= 30)
    await(ref)
  end)

  it("EXIT-09 is lost with a receiver that is killed before it runs", function()
    local me, killed = self(), 0
    for _ = 1, 1000 do
      local pid = waiting(function() send(me, receive()) end)
      local ref = mb.monitor(pid)
      send(pid, "m")
      Process.exit(pid, "kill")
      if await{"DOWN", ref, "process", pid, any} == "killed" then
        killed = killed + 1
        if receive(0) == nil then break end -- else it was killed after it had run
      else
        assert.equal("m", receive(0)) -- it ran in between
      end
    end
    assert.is_true(killed > 0)
  end)

  it("LUA-03 reaches a coroutine of its own that waits", function()
    local me = self()
    local pid = waiting(function()
      for m in coroutine.wrap(function() while true do coroutine.yield((receive())) end end) do
        send(me, {"from inside", m})
        if m == 2 then return end
      end
    end)
    send(pid, 1)
    await{"from inside", 1}
    send(pid, {2})
    send(pid, 2)
    assert.same({2}, await{"from inside", any})
    await{"from inside", 2}
  end)

  it("GSC-20 and a server: casts, messages and calls are handled in order", function()
    local Log = {}
    function Log.init() return "ok", {} end
    function Log.handle_cast(x, log) log[#log + 1] = {"cast", x} return "noreply", log end
    function Log.handle_info(x, log) log[#log + 1] = {"info", x} return "noreply", log end
    function Log.handle_call(x, _, log) return "reply", log, {{"call", x}} end
    local server = GenServer.start(Log)
    GenServer.cast(server, 1)
    send(server, 2)
    GenServer.cast(server, {3})
    assert.same({{"cast", 1}, {"info", 2}, {"cast", {3}}}, GenServer.call(server, "first"))
    send(server, {4})
    assert.same({{"call", "first"}, {"info", {4}}}, GenServer.call(server, {"second"}))
    GenServer.stop(server)
  end)
end)

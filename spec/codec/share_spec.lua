local mb = require "moonbeam"
local core = require "moonbeam.core"
local helper = require "spec.helper"
local share, send, receive, self, spawn, any, is = mb.share, mb.send, mb.receive, mb.self, mb.spawn, mb.any, mb.is
local Agent, Process, Task = mb.Agent, mb.Process, mb.Task

-- What a table or a shared one holds, as a table: each table in it once.
local function contents(t, seen)
  if type(t) ~= "table" and not core.is_shared(t) then return t end
  if seen[t] then return seen[t] end
  local copy = {}
  seen[t] = copy
  for k, v in pairs(t) do copy[k] = contents(v, seen) end
  return copy
end

local function random_value(depth)
  local kind = math.random(depth > 0 and 9 or 7)
  if kind == 1 then return math.random(-5, 5) end
  if kind == 2 then return math.random() end
  if kind == 3 then return math.random(2) == 1 end
  if kind == 4 then return mb.make_ref() end
  if kind == 5 then return ("long text"):rep(math.random(20)) end
  if kind <= 7 then return ("text %d"):format(math.random(100)) end
  local t = {}
  for i = 1, math.random(0, 8) do t[i] = random_value(depth - 1) end
  for _ = 1, math.random(0, 8) do t[random_value(0)] = random_value(depth - 1) end
  return t
end

-- Wait until there are no more blocks than before. What is garbage in a Lua state stays until that one collects, so each
-- scheduler has to.
local function until_gone(before)
  local deadline = mb.monotonic_time() + helper.patience
  repeat
    collectgarbage()
    for i = 1, #mb.schedulers() do
      helper.await_end(Process.spawn(function() collectgarbage() collectgarbage() end, {scheduler = i, monitor = true}))
    end
    if core.shared_blocks() <= before then return end
  until mb.monotonic_time() > deadline
  error(("%d blocks are left"):format(core.shared_blocks() - before))
end

describe("a shared value", function()
  helper.setup()

  it("SHARE-01 reads like the table it was made of", function()
    local t = {1, 2.5, "three", nil, 5, name = "x", [2.5] = "float", [true] = "yes", [-7] = "negative", [self()] = "pid",
      ["a\0b"] = "zero", [""] = "empty"}
    local s = share(t)
    for _, key in ipairs{1, 2, 3, 4, 5, 6, 0, "name", 2.5, true, false, -7, self(), "a\0b", "", "none", 1.0, 5.0} do
      assert.equal(t[key], s[key])
    end
    assert.is_nil(s[{}])
    assert.is_nil(s[0 / 0])
    assert.equal(5, #s)
    local list = share{"a", "b", "c"}
    assert.same({"a", "b", "c"}, {table.unpack(list)})
    assert.equal("a, b, c", table.concat(list, ", "))
    local seen = {}
    for i, text in ipairs(list) do seen[i] = text end
    assert.same({"a", "b", "c"}, seen)
    assert.same(t, contents(s, {}))
    assert.equal(0, #share{})
    assert.is_nil(core.next_shared(share{}))
  end)

  it("SHARE-01 is what it was made of, whatever that is", function()
    for _ = 1, 200 do
      local t = {random_value(4), x = random_value(4)}
      assert.same(t, contents(share(t), {}))
    end
    for _, value in ipairs{1, 2.5, "text", true, self(), mb.make_ref()} do assert.equal(value, share(value)) end
    assert.is_nil(share(nil))
    local once = share{}
    assert.equal(once, share(once))
  end)

  it("SHARE-01 keeps shared parts and cycles, at any depth", function()
    local part = {"part"}
    local t = {part, part, inner = {part = part}}
    t.itself = t
    local s = share(t)
    assert.equal(s[1], s[2])
    assert.equal(s[1], s.inner.part)
    assert.equal(s, s.itself)
    assert.equal(s, s.itself.itself)
    local chain = {"end"}
    for _ = 1, 200000 do chain = {chain} end
    local at, depth = share(chain), 0
    while core.is_shared(at[1]) do at, depth = at[1], depth + 1 end
    assert.equal(200000, depth)
    assert.equal("end", at[1])
  end)

  it("SHARE-01 is read with few items far apart, and takes no more memory than they need", function()
    local flags = {}
    for i = 0, 39 do flags[#flags + 1] = ("[%d] = %d"):format(1 << i, i) end
    local t = load("return {" .. table.concat(flags, ",") .. "}")()
    local s = share(t)
    assert.equal(#t, #s)
    assert.same(t, contents(s, {}))
    local list = {}
    for i = 1, 1000 do list[i] = i end
    for i = 1, 999, 3 do list[i] = nil end
    local shared = share(list)
    assert.equal(#list, #shared)
    assert.same(list, contents(shared, {}))
  end)

  it("SHARE-01 is read in the finalizer of what has it", function()
    local got = {}
    do
      local owner = setmetatable({}, {__gc = function(o) got[1], got[2] = o.s[1], o.s.inner[1] end})
      owner.s = share{42, inner = {43}}
    end
    collectgarbage()
    collectgarbage()
    assert.same({42, 43}, got)
  end)

  it("SHARE-02 cannot be changed, which raises at the line that tries", function()
    local t = {1, inner = {2}}
    local s = share(t)
    for _, try in ipairs{function() s[1] = 2 end, function() s.new = 1 end, function() s.inner[1] = 3 end,
      function() table.insert(s, 1) end} do
      local ok, message = pcall(try)
      assert.is_false(ok)
      assert.matches("a shared value cannot be changed", message, 1, true)
    end
    local _, message = pcall(function() s[1] = 2 end)
    assert.matches("^spec/codec/share_spec.lua:%d+: ", message)
    t[1], t.inner[1] = "changed", "changed"
    assert.equal(1, s[1])
    assert.equal(2, s.inner[1])
    assert.is_false(getmetatable(s))
  end)

  it("SHARE-03 is data: what is not is refused by its place", function()
    local before = core.shared_blocks()
    local deep = {print}
    for i = 1, 20 do deep = {["level" .. i] = deep} end
    for text, value in pairs{
      ['field "a.b[1]" is a function: what is shared is data'] = {a = {b = {print}}},
      ['field "a" has a metatable: what is shared is data'] = {a = setmetatable({}, {})},
      ['field "a" has a table as a key'] = {a = {[{}] = 1}},
      ['it has a metatable: what is shared is data'] = setmetatable({}, {}),
      ['field "[true]" is a userdata: what is shared is data'] = {[true] = io.stdout},
      ['it has a function as a key'] = {[print] = 1},
      ['it is a function: what is shared is data'] = print,
      ['it is a thread: what is shared is data'] = coroutine.create(print),
      ['field "....level7.level6.level5.level4.level3.level2.level1[1]" is a function'] = deep,
    } do
      local ok, message = pcall(function() share(value) end)
      assert.is_false(ok)
      assert.matches("^spec/codec/share_spec.lua:%d+: cannot share: ", message)
      assert.matches(text, message, 1, true)
    end
    assert.equal(before, core.shared_blocks())
  end)

  it("SHARE-04 is the same one wherever it goes", function()
    local s = share{big = ("x"):rep(100000), inner = {"inner"}}
    local function sends_back()
      local from, value = table.unpack(receive())
      send(from, {value, value.inner, value.inner[1], #value.big})
    end
    for i = 1, 8 do
      send(Process.spawn(sends_back, {scheduler = (i - 1) % #mb.schedulers() + 1}), {self(), s})
      local got, inner, text, size = table.unpack(receive())
      assert.equal(s, got)
      assert.equal(s.inner, inner)
      assert.equal("inner", text)
      assert.equal(100000, size)
    end
    local task = Task.async(function(value) return value == s, value, s.inner end, s)
    local same, value, inner = Task.await(task)
    assert.is_true(same)
    assert.equal(s, value)
    assert.equal(s.inner, inner)
    local agent = Agent.start_link(function() return s end)
    assert.equal(s, Agent.get(agent, function(state) return state end))
    Agent.stop(agent)
    local other = share{s, list = {s.inner}}
    assert.equal(s, other[1])
    assert.equal(s.inner, other.list[1])
    send(self(), other)
    assert.equal(s, receive()[1])
  end)

  it("SHARE-04 costs no more to send when it is large", function()
    local function echo()
      while true do
        local from, value = table.unpack(receive())
        send(from, value)
      end
    end
    local pid = Process.spawn(echo, {scheduler = "here"})
    local function took(value)
      local used = os.clock()
      for _ = 1, 2000 do
        send(pid, {self(), value})
        receive()
      end
      return os.clock() - used
    end
    local items = {}
    for i = 1, 20000 do items[i] = {i, "item " .. i} end
    local small, large = share{1}, share(items)
    took(small)
    local best = math.huge
    for _ = 1, 10 do -- the shortest of some: a busy machine makes any of them longer
      best = math.min(best, took(large) / took(small))
      if best < 1.5 then break end
    end
    assert.is_true(best < 1.5, ("%.2f times as long"):format(best))
    Process.exit(pid, "kill")
  end)

  it("SHARE-05 is matched like a table", function()
    local s = share{"point", 2, 3, name = "p", inner = {x = 1}}
    assert.same({true, 2, 3}, {mb.match({"point", any, is.number}, s)})
    assert.is_true(mb.match(is.table, s))
    local fields = share{name = "p", inner = {x = 1}}
    assert.is_true((mb.match({inner = {x = 1}}, fields)))
    assert.is_false((mb.match({inner = {x = 2}}, fields)))
    assert.is_false((mb.match({inner = {x = 1}}, s))) -- it has other items
    assert.is_false((mb.match({"point", 2}, s)))
    assert.same({true, s.inner}, {mb.match({inner = is.table}, {inner = s.inner})})
    local _, more = mb.match({"point", mb.rest}, s)
    assert.same({2, 3}, more)
    assert.is_true(mb.match({"point", 2, 3, mb.maybe, none = mb.maybe}, s))
    assert.is_false((mb.match("point", s)))
    send(self(), "other")
    send(self(), s)
    assert.equal(2, receive{ {{"point", any, 3}} })
    spawn(function(to, value) send(to, value) end, self(), s)
    assert.equal("p", receive{ {{"point", 2, 3, name = any}} })
    assert.equal("other", receive())
    assert.equal("shared{1, {a = {2}}}", mb.inspect(share{1, {a = {2}}}))
  end)

  it("SHARE-06 gives its memory back when nobody has any of it", function()
    collectgarbage()
    local before = core.shared_blocks()
    local chain = share{}
    for _ = 1, 20000 do chain = share{chain} end
    assert.is_true(core.shared_blocks() >= 20001)
    chain = nil -- luacheck: ignore
    until_gone(before)
    local pids = {}
    for i = 1, 20 do
      pids[i] = Process.spawn(function() receive{ {"never"} } end, {scheduler = "here"})
      send(pids[i], share{i, {i}})
    end
    for _, pid in ipairs(pids) do Process.exit(pid, "kill") end
    until_gone(before)
  end)

  it("SHARE-06 stays while a message, a timer, a reason or a part of it is there", function()
    collectgarbage()
    local before = core.shared_blocks()
    local inner = share{inner = {"part"}}.inner
    local pid, ref = Process.spawn(function() mb.exit(share{"reason"}) end, {scheduler = "here", monitor = true})
    Process.send_after(self(), share{"later"}, 1)
    local timer = Process.send_interval(self(), share{"again"}, 1)
    send(self(), share{"message"})
    send(self(), {share{"one"}, share{"two"}})
    collectgarbage()
    assert.equal("part", inner[1])
    local reason = receive{ {{"DOWN", ref, "process", pid, any}}, after = helper.patience }
    assert.equal("reason", reason[1])
    assert.equal("later", helper.await{"later"}[1])
    for _ = 1, 3 do
      assert.equal("again", helper.await{"again"}[1])
      collectgarbage()
    end
    Process.cancel_timer(timer)
    assert.equal("message", helper.await{"message"}[1])
    local two = receive{ {{{"one"}, any}} }
    assert.equal("two", two[1])
    inner, reason, two = nil, nil, nil -- luacheck: ignore
    repeat until receive(0) == nil
    until_gone(before)
  end)

  it("SHARE-06 goes when the work of a task of a supervisor's has it", function()
    local supervisor = assert(Task.Supervisor.start_link())
    collectgarbage()
    local before = core.shared_blocks()
    for i = 1, 10 do
      local s = share{i}
      assert.equal(i, Task.await(Task.Supervisor.async(supervisor, function(value) return value[1] end, s)))
    end
    until_gone(before)
    mb.Supervisor.stop(supervisor)
  end)

  it("SHARE-06 goes when a state closes whose finalizers still read it, and one that takes it away while it is sent",
    function()
      local output, code = helper.run_script([[
        local mb = require "moonbeam"
        local s = mb.share{inner = {1}}
        K = setmetatable({}, {__gc = function() local _ = s.inner[1], mb.share{2} end})
        collectgarbage("incremental", 100, 1000, 4)
        local env = {}
        for i = 1, 1500 do env["g" .. i] = assert(load("return g" .. (i + 1) .. ", h" .. i, "x", "t", env)) end
        env.g1501 = 1
        local t, cycles, since = {mb.share{"secret"}, env.g1}, 0, nil
        local function mark()
          setmetatable({}, {__gc = function()
            cycles = cycles + 1
            if since and cycles - since > 60 then t[1] = nil end
            if cycles < 100000 then mark() end
          end})
        end
        mark() collectgarbage() collectgarbage()
        since = cycles
        mb.send(mb.self(), t)
        local got = mb.receive()
        io.write(got[1] == nil and "taken away" or got[1][1])
        os.exit(true, true)
      ]])
      assert.is_true(output == "secret" or output == "taken away", output)
      assert.equal(0, code)
    end)

  it("SHARE-06 goes when a global of the script's that other schedulers have got has another value", function()
    local output, code = helper.run_script([[
      local mb, core = require "moonbeam", require "moonbeam.core"
      local function on_each(fn, ...)
        for k = 1, #mb.schedulers() do
          local _, ref = mb.Process.spawn(fn, {scheduler = k, monitor = true}, ...)
          local reason = mb.receive{ {{"DOWN", ref, "process", mb.any, mb.any}, function(_, why) return why end} }
          assert(reason == "normal", mb.inspect(reason))
        end
      end
      for i = 1, 50 do
        settings = mb.share{i}
        on_each(function(n) assert(settings[1] == n) end, i)
      end
      on_each(function() collectgarbage() collectgarbage() end)
      collectgarbage() collectgarbage()
      io.write(core.shared_blocks() < 10 and "gone" or core.shared_blocks() .. " are left")
    ]], "", "MOONBEAM_SCHEDULERS=4")
    assert.equal("gone", output)
    assert.equal(0, code)
  end)

  it("SHARE-07 is text in the log, and stays where settings are kept", function()
    collectgarbage()
    local me, before = self(), core.shared_blocks()
    mb.Logger.configure{level = "info", handler = function(entry) send(me, {"logged", entry.message}) end}
    mb.Logger.info(share{answer = 42})
    assert.equal("shared{answer = 42}", helper.await{"logged", any})
    mb.Logger.configure{level = "none", handler = "default"}
    until_gone(before)
    mb.Config.put("kept by a spec", share{answer = 42})
    collectgarbage()
    assert.equal(42, mb.Config.get("kept by a spec").answer)
    mb.Config.delete("kept by a spec")
  end)
end)

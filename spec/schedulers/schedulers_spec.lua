local helper = require "spec.helper"

-- Each test is a program of its own, with as many schedulers as it wants. It prints "ok" when it is content.
local function run(schedulers, source)
  local output, code = helper.run_script("local mb = require 'moonbeam' mb.import()\n" .. source, "2>&1",
    "MOONBEAM_SCHEDULERS=" .. schedulers)
  return output, code
end

local function holds(schedulers, source)
  local output, code = run(schedulers, source .. "\nprint 'ok'")
  assert.equal("ok\n", output)
  assert.equal(0, code)
end

-- As holds, on two schedulers that preempt by time.
local function holds_by_time(source)
  local output = helper.run_script("local mb = require 'moonbeam' mb.import()\n" .. source .. "\nprint 'ok'", "2>&1",
    "MOONBEAM_PREEMPT= MOONBEAM_SCHEDULERS=2")
  assert.equal("ok\n", output)
end

describe("placement", function()
  it("of a process is where it was asked for", function()
    holds(3, [[
      local me = self()
      for at = 1, 3 do
        Process.spawn(function() send(me, Process.info(self(), "scheduler")) end, {scheduler = at})
        assert(receive() == at)
      end
      Process.spawn(function()
        local here, outer, me = Process.info(self(), "scheduler"), me, self()
        for _ = 1, 100 do
          Process.spawn(function() send(me, Process.info(self(), "scheduler")) end, {scheduler = "here"})
          assert(receive() == here)
        end
        send(outer, "done")
      end, {scheduler = 2, link = true})
      assert(receive() == "done")
    ]])
  end)

  it("refuses schedulers that do not exist", function()
    holds(2, [[
      for _, bad in ipairs{0, 3, 1.5, "there", true} do
        local ok, text = pcall(Process.spawn, print, {scheduler = bad})
        assert(not ok and text:find('Process.spawn', 1, true) and text:find('"here" or 1 to 2', 1, true), text)
      end
    ]])
  end)

  it("keeps what one process begins and waits for, however long it ran before #time", function()
    holds_by_time([[
      local me, stayed = self(), 0
      for _ = 1, 20 do
        local started = monotonic_time()
        repeat until monotonic_time() - started > 1.5 -- a tick passes, and nobody is there to give way to
        spawn(function() send(me, Process.info(self(), "scheduler")) end)
        if receive() == Process.info(me, "scheduler") then stayed = stayed + 1 end
      end
      assert(stayed >= 10, stayed)
    ]])
  end)

  it("gives some of few processes away that run for long, though none of them is cut #time", function()
    holds_by_time([[
      local me, there, rounds = self(), 0, 0
      repeat -- the other thread may get no processor in the time of one round
        rounds = rounds + 1
        for _ = 1, 24 do
          spawn(function()
            local started = monotonic_time()
            repeat until monotonic_time() - started > 0.5
            send(me, Process.info(self(), "scheduler"))
          end)
        end
        for _ = 1, 24 do if receive() ~= Process.info(me, "scheduler") then there = there + 1 end end
      until there > 0 or rounds == 100
      assert(there > 0)
    ]])
  end)

  it("spreads a flood of work", function()
    holds(2, [[
      local me, n, rounds = self(), 40, 0
      local at = {0, 0}
      repeat -- a thread may get no processor in the time of one round
        rounds = rounds + 1
        for _ = 1, n do
          spawn(function()
            local until_ = monotonic_time() + 5
            while monotonic_time() < until_ do end
            send(me, Process.info(self(), "scheduler"))
          end)
        end
        for _ = 1, n do
          local i = receive()
          at[i] = at[i] + 1
        end
      until at[1] > 0 and at[2] > 0 or rounds == 20
      assert(at[1] + at[2] == rounds * n and at[1] > 0 and at[2] > 0, at[1] .. " and " .. at[2])
    ]])
  end)
end)

describe("schedulers", function()
  it("are one in stock Lua unless start says otherwise", function()
    local build = os.getenv("MOONBEAM_BUILD") or "build/release"
    if os.getenv("MOONBEAM_BUILD") and build:find("san$") then return end -- no stock Lua loads a sanitized module
    local lua = ("env -u MOONBEAM_SCHEDULERS LUA_PATH='./lua/?.lua;./lua/?/init.lua;;' "
      .. "LUA_CPATH='./%s/lib/lua/5.4/?.so;;' lua5.4"):format(build)
    assert.equal("1\n", (helper.run(lua .. [[ -e 'print(#require "moonbeam".schedulers())']])))
    assert.equal("3\n", (helper.run(lua .. [[ -e 'local mb = require "moonbeam" mb.start{schedulers = 3}
      mb.Process.spawn(function() end, {scheduler = 3}) print(#mb.schedulers())']])))
  end)

  it("cannot be changed when they run", function()
    holds(2, [[
      local _, ref = Process.spawn(function() end, {scheduler = 2, monitor = true})
      receive{ {{"DOWN", ref, "process", any, any}} }
      local ok, text = pcall(mb.start, {schedulers = 4})
      assert(not ok and text:find("2 schedulers are running already", 1, true), text)
      assert(not pcall(mb.start, {schedulers = 0}))
      assert(mb.start{schedulers = 2})
    ]])
  end)

  it("tell what they do", function()
    holds(2, [[
      local me = self()
      local pid = Process.spawn(function() send(me, "there") receive() end, {scheduler = 2})
      receive()
      local list = mb.schedulers()
      assert(#list == 2)
      for _, s in ipairs(list) do
        for _, key in ipairs{"processes", "run_queue", "steals", "wakeups"} do
          assert(math.type(s[key]) == "integer" and s[key] >= 0, key)
        end
        assert(s.utilisation >= 0 and s.utilisation <= 1)
      end
      assert(list[1].processes == 1 and list[2].processes == 1)
      assert(Process.info(pid, "scheduler") == 2)
    ]])
  end)

  it("find modules where one process has put them", function()
    local name = os.tmpname()
    os.remove(name)
    os.execute("mkdir " .. name)
    local file = assert(io.open(name .. "/elsewhere.lua", "w"))
    file:write("return {answer = function() return 42 end}")
    file:close()
    local ok, text = pcall(holds, 2, ([[
      package.path = package.path .. ";%s/?.lua"
      local me = self()
      Process.spawn(function() send(me, require("elsewhere").answer()) end, {scheduler = 2})
      assert(receive() == 42)
      local m = require "elsewhere"
      Process.spawn(function() send(me, m.answer()) end, {scheduler = 2})
      assert(receive() == 42)
    ]]):format(name))
    os.execute("rm -r " .. name)
    assert(ok, text)
  end)

  it("leave a package.path that is no string to the process that has put it there", function()
    holds(2, [[
      local me, path = self(), package.path
      local pid = Process.spawn(function()
        package.path = {}
        send(me, "ready")
        receive()
        send(me, {pcall(require, "no-such-module")})
      end, {scheduler = 2})
      assert(receive() == "ready")
      package.path = path .. ";./another/?.lua"
      pcall(require, "no-such-module")
      package.path = path
      pcall(require, "no-such-module")
      send(pid, "go on")
      local m = receive()
      assert(not m[1] and m[2]:find("'package.path' must be a string", 1, true), m[2])
    ]])
  end)

  it("get what a program has added to Lua's library by value, and a clear word where that cannot be", function()
    holds(2, [[
      function string.trim(s) return (s:gsub("^%s+", "")) end
      local me, trim = self(), string.trim
      Process.spawn(function() send(me, trim("  x")) end, {scheduler = 2})
      assert(receive() == "x")
      Logger.configure{level = "none"}
      function Task.late() end
      Process.spawn(Task.late, {scheduler = 2, monitor = true})
      local reason = receive()[5]
      assert(reason[2]:find("module 'moonbeam.task' has no field 'late' on scheduler 2;", 1, true), reason[2])
    ]])
  end)

  it("do not hide a deadlock", function()
    local output, code = run(3, [[
      for at = 1, 3 do Process.spawn(function() receive() end, {scheduler = at}) end
      receive()
    ]])
    assert.matches("deadlock", output)
    assert.equal(1, code)
  end)

  it("use no processor time when nothing happens", function()
    holds(3, [[
      local me = self()
      for at = 1, 3 do Process.spawn(function() send(me, at) receive() end, {scheduler = at}) end
      for _ = 1, 3 do receive() end
      sleep(50)
      local before = os.clock()
      sleep(300)
      assert(os.clock() - before < 0.03, os.clock() - before)
    ]])
  end)
end)

describe("output", function()
  it("of different processes never mixes within a line", function()
    local output, code = run(4, [[
      local me, text = self(), ("x"):rep(200)
      for i = 1, 8 do
        Process.spawn(function()
          for k = 1, 200 do
            if k % 2 == 0 then print(i, k, text) else io.write(i, "\t", k, "\t", text, "\n") end
          end
          send(me, "done")
        end, {scheduler = i % 4 + 1})
      end
      for _ = 1, 8 do receive() end
    ]])
    assert.equal(0, code)
    local last, lines = {}, 0
    for line in output:gmatch("[^\n]*\n") do
      local i, k = line:match("^(%d)\t(%d+)\t" .. ("x"):rep(200) .. "\n$")
      assert.truthy(i, line)
      assert.equal((last[i] or 0) + 1, tonumber(k))
      last[i] = tonumber(k)
      lines = lines + 1
    end
    assert.equal(1600, lines)
  end)
end)

describe("the end", function()
  local crowd = [[
    local me = self()
    for i = 1, 6 do
      Process.spawn(function()
        local guard <close> = setmetatable({}, {__close = function() io.write("closed\n") end})
        send(me, "ready")
        if i % 2 == 0 then receive() end
        while true do pcall(function() while true do end end) end
      end, {scheduler = i % 3 + 1})
    end
    for _ = 1, 6 do receive() end
  ]]

  for how, want in pairs{
    ["return"] = 0,
    ["os.exit(7, true)"] = 7,
    ["os.exit(8)"] = helper.is_host and 8 or nil,
    ["table.sort({1, 2}, function() os.exit(6) end)"] = helper.is_host and 6 or nil,
    ["Process.spawn(function() table.sort({1, 2}, function() os.exit(5) end) end, {scheduler = 2}) receive()"] =
      helper.is_host and 5 or nil,
    ["os.exit(true, true)"] = 0,
    ["error('the end', 0)"] = 1,
    ["Process.spawn(function() os.exit(9, true) end, {scheduler = 3}) receive()"] = helper.is_host and 9 or nil,
  } do
    it("closes what is open and gives the status that was asked for: " .. how, function()
      local output, code = run(3, crowd .. how)
      local _, closed = output:gsub("closed\n", "")
      assert.equal(6, closed)
      assert.equal(want, code)
    end)
  end

  it("closes what a process has open that waits for the one that ends the program", function()
    local output, code = run(3, [[
      local asker = Process.spawn(function()
        local guard <close> = setmetatable({}, {__close = function() io.write("outer\n") end})
        local pid = Process.spawn(function()
          receive()
          table.sort({1, 2}, function() os.exit(4) end)
        end, {scheduler = "here"})
        receive()
        coroutine.wrap(function()
          local guard <close> = setmetatable({}, {__close = function() io.write("inner\n") end})
          send(pid, "go")
          receive()
        end)()
      end, {scheduler = 1})
      Process.send_after(asker, "go", 10) -- so that no other waits below it
      receive()
    ]])
    if not helper.is_host then return end
    assert.equal("inner\nouter\n", output)
    assert.equal(4, code)
  end)
end)

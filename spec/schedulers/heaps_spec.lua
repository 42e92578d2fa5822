local helper = require "spec.helper"

-- Each test is a program of its own, on one scheduler whose Lua states have `most` processes each. It prints "ok" when
-- it is content.
local function holds(most, source)
  local output, code = helper.run_script([[
    local mb = require "moonbeam"
    mb.import()
    local me = self()
    local function heaps() return mb.schedulers()[1].heaps end
    local function idle(n, fn) -- n processes that wait
      local pids = {}
      for i = 1, n do
        pids[i] = spawn(function()
          send(me, {"waits", self()})
          if fn then fn() end
          receive{ {"stop"} }
        end)
      end
      for _, pid in ipairs(pids) do receive{ {{"waits", pid}} } end
      return pids
    end
    local function stop(pids)
      for _, pid in ipairs(pids) do
        local ref = monitor(pid)
        send(pid, "stop")
        receive{ {{"DOWN", ref, "process", any, any}} }
      end
    end
  ]] .. source .. "\nprint 'ok'", nil, "MOONBEAM_SCHEDULERS=1 MOONBEAM_HEAP_PROCESSES=" .. most)
  assert.equal("ok\n", output)
  assert.equal(0, code)
end

describe("the Lua states of a scheduler", function()
  it("HEAP-01 are as many as its processes need, and go with them", function()
    holds(10, [[
      assert(heaps() == 1)
      local pids = idle(95)
      local s = mb.schedulers()[1]
      assert(s.heaps >= 10 and s.heaps <= 11, s.heaps)
      assert(s.coroutines >= 95 and s.coroutines <= 96, s.coroutines)
      assert(s.heap_bytes > 100000, s.heap_bytes)
      stop(pids)
      while heaps() > 2 do sleep(1) end -- one without processes is kept
      assert(mb.schedulers()[1].coroutines <= 1)
      for _ = 1, 3 do
        local more = idle(15)
        assert(heaps() <= 3, heaps())
        stop(more)
      end
    ]])
  end)

  it("HEAP-02 have children live with their parents while there is room", function()
    holds(20, [[
      -- what a module keeps is shared in a state, and only there
      package.preload.counter = function() return {count = 0} end
      local function count() local c = require "counter" c.count = c.count + 1 return c.count end
      idle(25)
      local pid = spawn(function()
        local parent, counts = self(), {}
        for i = 1, 3 do
          spawn(function() send(parent, count()) receive() end)
          counts[i] = receive()
        end
        send(me, counts)
      end)
      local counts = receive()
      assert(counts[1] == 1 and counts[2] == 2 and counts[3] == 3, table.concat(counts, " "))
    ]])
  end)

  it("HEAP-03 do not show in what processes send, link, monitor, name and ask each other", function()
    holds(1, [[
      Logger.configure{level = "none"}
      local function double(n) return 2 * n end
      local pid = spawn(function()
        while true do
          receive{
            {{"call", any, any, any}, function(from, f, v) send(from, {"reply", f(v), string.rep, self()}) end},
            {{"fail", any}, function(why) exit(why) end},
          }
        end
      end)
      send(pid, {"call", me, double, 21})
      local reply = receive()
      assert(reply[2] == 42 and reply[3] == string.rep and reply[4] == pid)
      Process.register(pid, "other")
      send("other", {"call", me, double, 4})
      assert(receive()[2] == 8)
      local info = Process.info(pid)
      assert(info.status == "waiting" and info.registered_name == "other" and info.memory > 500 and info.parent == me)
      assert(Process.info(pid, "message_queue_len") == 0)
      assert(select(2, pcall(table.sort, {2, 1}, function(a, b)
        assert(Process.info(pid, "status") == "waiting") -- where nothing can wait
        return a < b
      end)) == nil)
      local ref = monitor(pid)
      send(pid, {"fail", {"out", "of", {"order"}}})
      local _, _, _, _, reason = table.unpack(receive())
      assert(reason[1] == "out" and reason[3][1] == "order" and _ == pid)
      Process.flag("trap_exit", true)
      local linked = spawn_link(function() error("a bug", 0) end)
      local exit = receive()
      assert(exit[1] == "EXIT" and exit[2] == linked and exit[3][2] == "a bug")
      local agent = Agent.start_link(function() return {n = 1} end)
      Agent.update(agent, function(s) s.n = s.n + 1 return s end)
      assert(Agent.get(agent).n == 2)
      assert(Task.await(Task.async(function(a, b) return a + b end, 1, 2)) == 3)
      local sum = 0
      for ok, n in Task.async_stream({1, 2, 3, 4, 5, 6}, double) do assert(ok) sum = sum + n end
      assert(sum == 42)
      assert(heaps() > 1)
    ]])
  end)

  it("HEAP-04 have what the program changes in Lua's own tables and its globals", function()
    holds(1, [[
      function string.shout(s) return s:upper() .. "!" end
      shared = {value = 1}
      local ref, pid
      pid = spawn(function()
        while true do
          local from = receive()
          send(from, {("x"):shout(), string.later and string.later() or "no", shared and shared.value})
        end
      end)
      send(pid, me)
      local first = receive()
      assert(first[1] == "X!" and first[2] == "no" and first[3] == 1)
      function string.later() return "later" end
      send(pid, me)
      assert(receive()[2] == "later")
      local changed = spawn(function() function math.mine() return 7 end send(me, "changed") receive() end)
      assert(receive() == "changed")
      spawn(function() send(me, math.mine()) end)
      assert(receive() == 7)
      assert(math.mine() == 7)
    ]])
  end)

  it("run the functions of on_scheduler_start, each once", function()
    holds(5, [[
      mb.on_scheduler_start(function() send(me, "started") end)
      assert(receive() == "started")
      local pids = idle(12)
      local n = 0
      while receive{ {"started"}, after = 0 } == "started" do n = n + 1 end
      assert(n == heaps() - 1, n .. " and " .. heaps())
    ]])
  end)

  it("give sockets and listeners to each other's processes", function()
    holds(1, [[
      local listener = net.listen{"127.0.0.1", 0}
      local server = spawn(function()
        local socket = listener:accept()
        send(me, "accepted")
        local other = spawn(function()
          local s = receive{ {{"socket", any, any}, function(s) return s end} }
          for line in function() return s:recv("line") end do s:send(line:upper() .. "\n") end
        end)
        assert(socket:give_away(other))
      end)
      local socket = net.connect("127.0.0.1", listener:sockname().port)
      socket:send("hello\n")
      assert(receive() == "accepted")
      assert(socket:recv("line") == "HELLO")
      socket:close()
      listener:close()
    ]])
  end)

  it("are all visited when a module is loaded anew", function()
    holds(3, [[
      local dir = os.tmpname()
      os.remove(dir)
      assert(os.execute("mkdir " .. dir))
      local function write(n)
        local f = assert(io.open(dir .. "/answer.lua", "w"))
        f:write("local M = {} function M.init() return 'ok', 0 end function M.handle_call(_, _, s) return 'reply', "
          .. n .. ", s end return M")
        f:close()
      end
      write(1)
      package.path = dir .. "/?.lua;" .. package.path
      local servers = {}
      for i = 1, 8 do servers[i] = GenServer.start(require "answer") end
      assert(heaps() > 2)
      for _, s in ipairs(servers) do assert(GenServer.call(s, "ask") == 1) end
      write(2)
      local changed = GenServer.reload("answer")
      assert(changed == 8, tostring(changed))
      for _, s in ipairs(servers) do assert(GenServer.call(s, "ask") == 2) end
      os.execute("rm -r " .. dir)
    ]])
  end)

  it("tell what a large process takes that lives in another one", function()
    holds(1, [[
      local pid = spawn(function()
        local t = {}
        for i = 1, 20000 do t[i] = {i} end
        send(me, "made")
        receive()
        return t
      end)
      receive()
      assert(Process.info(pid, "memory") > 1000000, Process.info(pid, "memory"))
    ]])
  end)

  it("close the to-be-closed variables of processes that are killed", function()
    holds(2, [[
      local pids = idle(9, function()
        spawn_link(function()
          local _ <close> = setmetatable({}, {__close = function() send(me, "closed") end})
          send(me, "opened")
          receive()
        end)
      end)
      for _ = 1, 9 do receive{ {"opened"} } end
      for _, pid in ipairs(pids) do Process.exit(pid, "kill") end
      for _ = 1, 9 do receive{ {"closed"} } end
      while heaps() > 2 do sleep(1) end
    ]])
  end)

  it("have their values finalized when they close", function()
    holds(2, [[
      idle(2)
      local pids = idle(8, function() kept = setmetatable({}, {__gc = function() send(me, "gone") end}) end)
      stop(pids)
      for _ = 1, 6 do receive{ {"gone"} } end
    ]])
  end)
end)

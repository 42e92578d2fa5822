local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, spawn, Task = mb.self, mb.send, mb.receive, mb.spawn, mb.Task

-- The processor time that run(prepare(n)) takes, so many times, while nobody's garbage is collected.
local function cost(times, n, prepare, run)
  local took = 0
  collectgarbage()
  collectgarbage("stop")
  local _ <close> = setmetatable({}, {__close = function() collectgarbage("restart") end})
  for _ = 1, times do
    local what, started = prepare(n), os.clock()
    run(what)
    took = took + os.clock() - started
  end
  return took
end

-- Sixteen times as many may cost a few times as much for each: memory is farther away. Their square costs sixteen times
-- as much. Both are the least of a few times, of which the small ones are as long as the large ones.
local function grows_with_its_size(n, prepare, run)
  local few, many = math.huge, math.huge
  for _ = 1, 3 do
    few = math.min(few, cost(16, n, prepare, run))
    many = math.min(many, cost(1, 16 * n, prepare, run))
  end
  assert(many < 6 * few, ("16 times %d: %.1f ms, %d: %.1f ms"):format(n, few * 1000, 16 * n, many * 1000))
end

describe("the cost of", function()
  helper.setup()

  it("awaiting tasks grows with their number", function()
    grows_with_its_size(800, function(n)
      local tasks = {}
      for i = 1, n do tasks[i] = Task.async(function() return i end) end
      return tasks
    end, function(tasks)
      for i, task in ipairs(tasks) do assert(Task.await(task, helper.patience * 10) == i) end
    end)
  end)

  it("awaiting tasks backwards grows with their number, whatever is in the mailbox before their answers", function()
    grows_with_its_size(400, function(n)
      for i = 1, n do send(self(), {"message", i}) end
      local tasks = {}
      for i = 1, n do tasks[i] = Task.async(function() return i end) end
      for i = 1, n do helper.reason_of(tasks[i].pid) end
      return tasks
    end, function(tasks)
      for i = #tasks, 1, -1 do assert(Task.await(tasks[i], 0) == i) end
      for i = 1, #tasks do assert(receive(0)[2] == i) end
    end)
  end)

  it("awaiting tasks grows with their number, whatever else comes between their answers", function()
    grows_with_its_size(400, function(n)
      for i = 1, n do send(self(), {"message", i}) end
      local tasks = {}
      for i = 1, n do tasks[i] = Task.async(function() return i end) end
      return tasks
    end, function(tasks)
      for i, value in ipairs(Task.await_many(tasks, helper.patience * 10)) do assert(value == i) end
      for i = 1, #tasks do assert(receive(0)[2] == i) end
    end)
  end)

  it("receiving from many senders is not that of a long mailbox", function()
    local longest = helper.run_script([[
      local mb = require "moonbeam"
      local senders, each = 20, 2000
      local function send_all(to)
        for i = 1, each do mb.send(to, i) end
      end
      local pid, ref = mb.spawn_monitor(function()
        local me, longest = mb.self(), 0
        for _ = 1, senders do mb.spawn(send_all, me) end
        for i = 1, senders * each do
          mb.receive()
          if i % 100 == 0 then longest = math.max(longest, mb.Process.info(me, "message_queue_len")) end
        end
        mb.exit(longest)
      end)
      print(mb.receive{ {{"DOWN", ref, "process", pid, mb.any}} })
    ]], "", "MOONBEAM_PREEMPT=off MOONBEAM_SCHEDULERS=1") -- slices are counted by what is done
    assert(tonumber(longest) < 10000, longest)
  end)

  it("sending to who does not read is not that of more turns", function()
    local others = helper.run_script([[
      local mb = require "moonbeam"
      local idle = mb.spawn(function() mb.receive{ {"never"} } end)
      local other, ref = mb.spawn_monitor(function()
        local done = 0
        while mb.receive(0) == nil do done = done + 1 end
        mb.exit(done)
      end)
      mb.spawn(function()
        for i = 1, 40000 do mb.send(idle, i) end
        mb.send(other, "stop")
      end)
      print(mb.receive{ {{"DOWN", ref, "process", other, mb.any}} })
      mb.Process.exit(idle, "kill")
    ]], "", "MOONBEAM_PREEMPT=off MOONBEAM_SCHEDULERS=1")
    assert(tonumber(others) < 100000, others) -- a slice of 4,000 for each of the sender's
  end)

  it("ending monitors grows with their number, whatever is in the mailbox", function()
    local idle = helper.idle()
    grows_with_its_size(1000, function(n)
      for i = 1, n do send(self(), {"message", i}) end
      return n
    end, function(n)
      for _ = 1, n do mb.demonitor(mb.monitor(idle), "flush") end
      for _ = 1, n do receive() end
    end)
    mb.Process.exit(idle, "kill")
  end)

  it("a function grows with the number of globals that it names", function()
    grows_with_its_size(1000, function(n)
      local lines = {}
      for i = 1, n do lines[i] = ("global_%d = global_%d or 1"):format(i, i) end
      return load(table.concat(lines, "\n"))
    end, function(f)
      local pid, ref = spawn(f), nil
      ref = mb.monitor(pid)
      helper.await{"DOWN", ref, "process", pid, mb.any}
    end)
  end)

  it("a message grows with the number of functions in it", function()
    grows_with_its_size(250, function(n)
      local functions = {}
      for i = 1, n do functions[i] = load(("return %d + %d"):format(n, i)) end
      return functions
    end, function(functions)
      send(self(), functions)
      assert(#receive(0) == #functions)
    end)
  end)
end)

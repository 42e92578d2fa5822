local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, spawn, Task = mb.self, mb.send, mb.receive, mb.spawn, mb.Task

-- The least processor time that run(prepare(n)) takes, of a few times.
local function cost(n, prepare, run)
  local least = math.huge
  for _ = 1, 3 do
    local what = prepare(n)
    collectgarbage()
    local started = os.clock()
    run(what)
    least = math.min(least, os.clock() - started)
  end
  return least
end

-- Eight times as many may cost three times as much for each: memory is farther away. Their square costs eight times as much.
local function grows_with_its_size(n, prepare, run)
  local few, many = cost(n, prepare, run), cost(8 * n, prepare, run)
  assert(many < 24 * few, ("%d: %.1f ms, %d: %.1f ms"):format(n, few * 1000, 8 * n, many * 1000))
end

describe("the cost of", function()
  helper.setup()

  it("awaiting tasks grows with their number", function()
    grows_with_its_size(1500, function(n)
      local tasks = {}
      for i = 1, n do tasks[i] = Task.async(function() return i end) end
      return tasks
    end, function(tasks)
      for i, task in ipairs(tasks) do assert(Task.await(task, helper.patience * 10) == i) end
    end)
  end)

  it("ending monitors grows with their number, whatever is in the mailbox", function()
    local idle = helper.idle()
    grows_with_its_size(2000, function(n)
      for i = 1, n do send(self(), {"message", i}) end
      return n
    end, function(n)
      for _ = 1, n do mb.demonitor(mb.monitor(idle), "flush") end
      for _ = 1, n do receive() end
    end)
    mb.Process.exit(idle, "kill")
  end)

  it("a function grows with the number of globals that it names", function()
    grows_with_its_size(2000, function(n)
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
    grows_with_its_size(500, function(n)
      local functions = {}
      for i = 1, n do functions[i] = load(("return %d + %d"):format(n, i)) end
      return functions
    end, function(functions)
      send(self(), functions)
      assert(#receive(0) == #functions)
    end)
  end)
end)

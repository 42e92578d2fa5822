-- What Ctrl-C leaves behind when it breaks a wait: nothing of what that had set up.
local helper = require "spec.helper"

-- Each program sends itself one SIGINT, when its script's process waits: the next would end it.
local prelude = [[
  local me, own = self(), io.open("/proc/self/stat"):read("n")
  Process.send_after(spawn(function() receive{ {"never"} } end), "a timer", 600000) -- so that no wait looks hopeless
  function interrupt() io.popen("kill -INT " .. own):close() end
  -- Interrupt fn, which waits; what it left in this process.
  function interrupted(fn)
    local monitors, links = #Process.info(me, "monitors"), #Process.info(me, "links")
    spawn(function()
      repeat sleep(1) until Process.info(me, "status") == "waiting"
      interrupt()
    end)
    local ok, message = pcall(fn)
    print(ok, (tostring(message):gsub("^.*: ", "")), #Process.info(me, "monitors") - monitors,
      #Process.info(me, "links") - links)
  end
  -- A server that answers and starts when it is told.
  Slow = {}
  function Slow.init(hold) if hold then receive{ {"go"} } end return "ok", 0 end
  function Slow.handle_call(request, from, n) receive{ {"go"} } return "reply", "late", n end
]]

local function run(source)
  for _, environment in ipairs{
    "MOONBEAM_SCHEDULERS=1", "MOONBEAM_SCHEDULERS=4", "MOONBEAM_SCHEDULERS=4 MOONBEAM_PREEMPT=100",
  } do
    assert.equal("false\tinterrupted!\t0\t0\n", (helper.run_script(prelude .. source, "", environment)))
  end
end

describe("an interrupt", function()
  it("forgets a call: neither its reply nor a DOWN comes", function()
    run[[
      local server = GenServer.start(Slow)
      interrupted(function() GenServer.call(server, "request") end)
      send(server, "go")
      Process.exit(server, "shutdown")
      while Process.alive(server) do sleep(1) end
      assert(receive(20) == nil)
    ]]
  end)

  it("gives up a server that is being started", function()
    for _, start in ipairs{"start", "start_link"} do
      run(([[
        Process.flag("trap_exit", true)
        interrupted(function() GenServer.%s(Slow, true, {name = "slow"}) end)
        while Process.whereis("slow") do sleep(1) end
        assert(receive(20) == nil)
      ]]):format(start))
    end
  end)

  it("leaves the queue of a lock", function()
    run[[
      Registry.start_link{keys = "unique", name = "r"}
      local holder = spawn(function() Registry.lock("r", "k", function() send(me, "held") receive{ {"go"} } end) end)
      assert(receive() == "held")
      interrupted(function() Registry.lock("r", "k", print) end)
      local task = Task.async(function() return Registry.lock("r", "k", function() return "got it" end) end)
      send(holder, "go")
      assert(Task.await(task) == "got it")
    ]]
  end)

  it("forgets a stop, a call to many, and the shutdown of a task", function()
    run[[
      Slow.terminate = function() receive{ {"go"} } end
      local server = GenServer.start(Slow)
      interrupted(function() GenServer.stop(server) end)
      send(server, "go")
      while Process.alive(server) do sleep(1) end
      assert(receive(20) == nil)
    ]]
    run[[
      local server = GenServer.start(Slow, nil, {name = "slow"})
      interrupted(function() GenServer.multi_call("slow", "request") end)
      send(server, "go")
      Process.exit(server, "shutdown")
      while Process.alive(server) do sleep(1) end
      assert(receive(20) == nil)
    ]]
    run[[
      local task = Task.Supervisor.async_nolink(Task.Supervisor.start_link(), function()
        Process.flag("trap_exit", true) send(me, "up") receive{ {"never"} }
      end)
      assert(receive() == "up")
      interrupted(function() Task.shutdown(task, "infinity") end)
      assert(Task.shutdown(task, "brutal_kill") == nil)
    ]]
  end)

  it("leaves a task that can be awaited again", function()
    run[[
      local task = Task.async(function() receive{ {"go"} } return "done" end)
      interrupted(function() Task.await(task) end)
      send(task.pid, "go")
      assert(Task.await(task) == "done")
    ]]
  end)
end)

describe("what cannot wait where it is called", function()
  it("leaves nothing of what it had set up", function()
    local text = helper.run_script([[
      local before = #Process.list()
      local Server = {}
      function Server.init() return "ok", 0 end
      local server = GenServer.start(Server)
      local function inside(fn) print(pcall(table.sort, {1, 2}, function() fn() end)) end
      inside(function() GenServer.call(server, 1) end)
      inside(function() GenServer.start_link(Server) end)
      while #Process.list() > before + 1 do sleep(1) end
      print(#Process.info(self(), "monitors"), #Process.info(self(), "links"))
    ]])
    assert.equal("0\t0\n", text:match("[^\n]*\n$"))
  end)
end)

local helper = require "spec.helper"

describe("the library's modules", function()
  local function run(source) return (helper.run_script("local mb = require 'moonbeam' mb.import()\n" .. source)) end

  it("are loaded when they are first used, in the same table", function()
    assert.equal("nil\tnil\ntrue\ttrue\ttrue\nnil\n", run([[
      print(next(Task), package.loaded["moonbeam.task.process"])
      print(Task == require "moonbeam.task", Task == mb.Task, type(Task.async) == "function")
      print(getmetatable(Task))
    ]]))
  end)

  it("are loaded by pairs, by inspect and by an assignment", function()
    assert.equal("true\ntrue\ntrue\n", run([[
      for name in pairs(Agent) do if name == "start_link" then print(true) end end
      print(inspect(Registry):find("lookup", 1, true) ~= nil)
      Supervisor.mine = 1
      print(Supervisor.mine == 1 and Supervisor.start_link ~= nil)
    ]]))
  end)

  it("are found by functions that come from elsewhere", function()
    assert.equal("7\n", run([[
      require("moonbeam").start{schedulers = 2}
      local me = self()
      Process.spawn(function()
        local task = Task.async(function() return Agent.get(Agent.start_link(function() return 7 end)) end)
        send(me, Task.await(task))
      end, {scheduler = 2})
      print(receive(5000))
    ]]))
  end)

  it("report a file that cannot be loaded each time", function()
    assert.equal("false\tfalse\n", run([[
      package.path, package.cpath = "", ""
      package.searchers[2], package.searchers[3] = function() return "gone" end, nil
      print((pcall(function() return Agent.get end)), (pcall(function() return Agent.get end)))
    ]]))
  end)
end)

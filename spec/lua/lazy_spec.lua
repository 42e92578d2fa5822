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
      print(receive())
    ]]))
  end)

  it("are not the program's before it requires them, whoever looks at them meanwhile", function()
    assert.equal("_G coroutine debug io math os package string table utf8 \n0 twice, 5 of 5 seen\ntrue\ntrue\n", run([[
      package.loaded.moonbeam = nil -- which stock Lua has required
      local names, seen, twice, mine = {}, {}, 0, 0
      for name in pairs(package.loaded) do names[#names + 1] = name end
      table.sort(names)
      for _, name in ipairs(names) do io.write(name, " ") end
      print()
      for i = 1, 5 do package.loaded["mine." .. i] = {mb} end
      for name, module in pairs(package.loaded) do
        if seen[name] then twice = twice + 1 end
        seen[name] = true
        for _, value in pairs(module) do
          if type(value) == "table" then
            for _, inner in pairs(value) do if type(inner) == "table" then for _ in pairs(inner) do end end end
          end
        end
      end
      for i = 1, 5 do if seen["mine." .. i] then mine = mine + 1 end end
      print(("%d twice, %d of 5 seen"):format(twice, mine))
      print(require "moonbeam.task" == Task and package.loaded["moonbeam.task"] == Task)
      print(require "moonbeam" == mb and package.loaded.moonbeam == mb)
    ]]))
  end)

  it("are found when the program has changed where modules are found", function()
    assert.equal("function\n", run([[
      package.path, package.cpath, package.searchers = "", "", {}
      print(type(Agent.get))
    ]]))
  end)

  -- The host's are beside it.
  if not helper.is_host then
    it("report a file that cannot be loaded each time", function()
      local directory = os.tmpname()
      os.remove(directory)
      assert(os.execute("cp -r lua " .. directory))
      assert.equal("false\tfalse\n", helper.run_script(([[
        package.path = %q .. "/?.lua;" .. %q .. "/?/init.lua"
        local mb = require "moonbeam"
        os.remove(%q .. "/moonbeam/agent.lua")
        print((pcall(function() return mb.Agent.get end)), (pcall(function() return mb.Agent.get end)))
      ]]):format(directory, directory, directory)))
      os.execute("rm -r " .. directory)
    end)
  end
end)

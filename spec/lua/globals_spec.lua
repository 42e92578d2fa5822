local helper = require "spec.helper"

describe("the library", function()
  -- The script keeps for itself what it needs, then `change` is applied to every function of Lua's that a script can
  -- reach.
  local function run(change)
    return helper.run_script([[
      local mb = require "moonbeam" mb.import()
      local print, pcall, next, type, error, concat, rawset = print, pcall, next, type, error, table.concat, rawset
      local Counter = {}
      function Counter.init(n) return "ok", n end
      function Counter.handle_call(_, _, n) return "reply", n, n + 1 end
      function Counter.handle_cast(n) return "noreply", n end
      local change = ]] .. change .. [[

      local kept = {print = true, require = true, _G = true}
      for _, library in next, {string, table, math, utf8, coroutine, os} do
        for name, value in next, library do
          if type(value) == "function" then rawset(library, name, change(name)) end
        end
      end
      for name, value in next, _G do
        if type(value) == "function" and not kept[name] and not mb[name] then rawset(_G, name, change(name)) end
      end
      local me = self()

      print(inspect{1, {key = "value\n"}, me ~= nil})
      local t = Task.async(function(n) return n + 1 end, 1)
      print((Task.await(t)))
      local sum = 0
      for ok, n in Task.async_stream({1, 2, 3}, function(n) return n * n end) do sum = sum + (ok and n or 0) end
      print(sum)
      local agent = Agent.start_link(function() return {n = 1} end)
      Agent.update(agent, function(s) s.n = s.n + 1 return s end)
      print((Agent.get(agent, function(s) return s.n end)))
      local sup = Supervisor.start_link({{id = "a", start = {GenServer.start_link, Counter, 7, {name = "counter"}}}},
        {strategy = "one_for_one"})
      print(GenServer.call("counter", "next"), #Supervisor.which_children(sup))
      print((pcall(GenServer.call, "counter", "next", -1)))
      GenServer.cast("counter", "ignored")
      Registry.start_link{keys = "duplicate", name = "rooms"}
      Registry.register("rooms", {"lobby"}, 1)
      Registry.dispatch("rooms", {"lobby"}, function(entries) print(#entries) end)
      local dynamic = DynamicSupervisor.start_link()
      print(#DynamicSupervisor.which_children(dynamic))
      Logger.configure{handler = function(event) send(me, event.level .. " " .. event.message) end}
      Logger.info({a = 1}, {metadata = true})
      print(receive())
      Logger.configure{handler = "default", format = "$level $metadata$message", metadata = "all"}
      Logger.error("told", {b = 2, a = 1})
      Logger.flush()
      print(next(Task) ~= nil, mb.match({any, is.string}, {1, "x"}))
      send(me, 1)
      flush()
      Supervisor.stop(sup)
      print "done"
    ]], "2>&1")
  end

  local expected = [[{1, {key = "value\n"}, true}
2
14
2
7	1
false
1
0
info {a = 1}
error a=1 b=2 told
true	true	1	x
1
done
]]

  it("does not miss what a script takes away from Lua's globals and libraries", function()
    assert.equal(expected, (run "function() return nil end"))
  end)

  it("does not use what a script puts in their place", function()
    assert.equal(expected,
      (run "function(name) return function() error('the script\\'s own ' .. name .. ' was called', 0) end end"))
  end)

  it("shows a module that has not been loaded to pairs, whatever next is by then", function()
    local output = helper.run_script([[
      local mb = require "moonbeam" mb.import()
      next = nil
      local n = 0
      for name in pairs(Task) do n = n + (name == "await" and 1 or 0) end
      print(n)
    ]])
    assert.equal("1\n", output)
  end)

  it("need not be loaded for its C core to work", function()
    if helper.is_host then return assert.is_true(helper.is_host) end
    local output = helper.run_script([[
      local core = require "moonbeam.core"
      local pid, ref = core.spawn_monitor(function() core.exit(coroutine.create(print)) end)
      print(core.take()[5])
      local server = core.spawn(function() error({}) end)
      while core.process_alive(server) do core.sleep(1) end
      print("ended")
    ]])
    -- Other schedulers load the library, and have words of its own for what cannot be copied.
    assert.matches("^[^\n]*thread[^\n]*\n.*%[error%] [^\n]+\nended\n$", output)
  end)
end)

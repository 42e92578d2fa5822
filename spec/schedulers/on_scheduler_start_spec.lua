local helper = require "spec.helper"
local holds = require "spec.everywhere".holds

describe("on_scheduler_start", function()
  local files = {["settings.lua"] = "local M = {value = 'default'} function M.get() return M.value end return M"}

  it("runs a function in the state of every scheduler", function()
    holds([[
      local wanted = "wanted"
      assert(on(2, function() return require("settings").get() end) == "default")
      mb.on_scheduler_start(function() require("settings").value = wanted end)
      assert(require("settings").get() == "wanted")
      for at = 1, 3 do assert(on(at, function() return require("settings").get() end) == "wanted") end
      on(3, function() require("moonbeam").on_scheduler_start(function() require("settings").value = "from 3" end) end)
      for at = 1, 3 do assert(on(at, function() return require("settings").get() end) == "from 3") end
    ]], files)
  end)

  it("runs before what processes that exist already get next", function()
    holds([[
      local me = self()
      local pid = Process.spawn(function()
        local settings = require "settings"
        while true do receive() send(me, settings.get()) end
      end, {scheduler = 2})
      send(pid, "what?")
      assert(receive() == "default")
      mb.on_scheduler_start(function() require("settings").value = "new" end)
      send(pid, "what?")
      assert(receive() == "new")
      Process.exit(pid, "kill")
    ]], files)
  end)

  local refused = [[
    local me = self()
    local function try()
      local tried = {
        self = self, receive = receive, sleep = function() sleep(1) end,
        put = function() Process.put("key", "strange") end,
        flag = function() Process.flag("trap_exit", true) end, link = function() link(me) end,
        exit = function() exit("why") end,
        monitor = function() monitor(me) end, spawn_link = function() spawn_link(print) end,
        call = function() GenServer.call(me, 1) end, await = function() Task.await(Task.async(print)) end,
        select = function() receive{ {"never"}, after = 0 } end,
        start = function() GenServer.start({init = function() return "ok", 0 end}) end,
        coroutine = function() coroutine.wrap(self)() end,
      }
      local wrong = {}
      for name, fn in pairs(tried) do
        local ok, e = pcall(fn)
        e = tostring(e)
        local expected = ": a function of on_scheduler_start is outside of any process, whichever one is running: let"
        if ok or not e:find(expected, 1, true) then
          wrong[#wrong + 1] = name .. ": " .. e
        end
      end
      local child = spawn(function() send(me, "spawned") end)
      send(me, {"ran", table.concat(wrong, "\n"), child})
    end
    local function heard(wrong)
      local text = receive{ {{"ran", is.string, is.pid}}, after = 10000 }
      if text ~= "" then error(text) end
      assert(receive{ {"spawned"}, after = 10000 })
    end
  ]]

  it("is outside of any process, here and elsewhere, on schedulers that run and that start", function()
    holds(refused .. [[
      mb.on_scheduler_start(try)
      heard()
      for at = 2, 3 do
        on(at, function()
          assert(Process.get("key") == nil and Process.flag("trap_exit", false) == false)
          assert(#Process.info(self(), "links") == 0 and #Process.info(self(), "monitors") <= 1)
        end)
        heard()
      end
      on(3, function() mb.on_scheduler_start(try) end) -- in a process, too; they run by now
      heard()
      for _, at in ipairs{1, 2} do
        on(at, function() end)
        heard()
      end
      assert(Process.get("key") == nil and Process.flag("trap_exit", false) == false)
    ]])
  end)

  it("goes on when it ends the process in whose time it runs", function()
    holds [[
      local me = self()
      local victim, ref = Process.spawn(function()
        receive()
        send(me, "went on")
        receive{ {"never"} }
      end, {scheduler = 2, monitor = true})
      while Process.info(victim, "status") ~= "waiting" do sleep(1) end
      mb.on_scheduler_start(function()
        if not Process.whereis("victim") then return end
        Process.exit(Process.whereis("victim"), "kill")
        send(me, "set up")
      end)
      Process.register(victim, "victim")
      mb.on_scheduler_start(function()
        if Process.whereis("victim") and not Process.alive(Process.whereis("victim")) then send(me, "alive?") end
      end)
      send(victim, "go")
      receive{ {"set up"}, after = 10000 }
      assert(receive{ {{"DOWN", ref, "process", victim, any}}, after = 10000 } == "killed")
      assert(on(2, function() return "runs" end) == "runs")
    ]]
  end)

  it("ends with the process that calls it, and with the program", function()
    holds [[
      local me = self()
      mb.long_schedule(0)
      local pid, ref = Process.spawn(function()
        mb.on_scheduler_start(function() send(me, "up") while true do end end)
      end, {scheduler = 2, monitor = true})
      receive{ {"up"}, after = 10000 }
      Process.exit(pid, "kill")
      assert(receive{ {{"DOWN", ref, "process", pid, any}}, after = 10000 } == "killed")
      assert(self() == me)
    ]]
    local text, code = helper.run_script([[
      local mb = require "moonbeam"
      mb.import()
      local me = self()
      mb.at_exit(function(status) print("at_exit", status) end)
      package.loaded.first = true
      mb.on_scheduler_start(function()
        if package.loaded.first then return end
        send(me, "up")
        while true do end
      end)
      Process.spawn(function() end, {scheduler = 2})
      receive()
      print("ends")
    ]], "", "MOONBEAM_SCHEDULERS=2 MOONBEAM_LONG_SCHEDULE=0")
    assert.matches("^ends\nat_exit\t[^\n]+\n", text)
    assert.equal(0, code)
  end)

  it("may end the program", function()
    local text, code = helper.run_script([[
      local mb = require "moonbeam"
      mb.import()
      mb.at_exit(function() print(type(self())) end)
      mb.on_scheduler_start(function() os.exit(3, true) end)
    ]])
    assert.equal("userdata\n", text)
    assert.equal(3, code)
  end)

  it("raises here, and elsewhere logs the place and goes on", function()
    holds [[
      local ok, text = pcall(mb.on_scheduler_start, function() error("not here") end)
      assert(not ok and text:find("not here", 1, true))
      ok, text = pcall(mb.on_scheduler_start, 5)
      assert(not ok and text:find("bad argument #1 to 'on_scheduler_start' (function expected, got number)", 1, true),
        text)
      local file = io.tmpfile()
      ok, text = pcall(mb.on_scheduler_start, function() file:write("x") end)
      assert(not ok and text:find('upvalue "file" is a userdata', 1, true), text)

      local me = self()
      Logger.configure{handler = function(event) send(me, event.message) end}
      local here = debug.getinfo(1, "l").currentline
      package.loaded.first = true -- does not travel
      mb.on_scheduler_start(function() if not package.loaded.first then error("not there") end end)
      assert(on(2, function() return "runs" end) == "runs")
      text = receive{ {is.string} }
      assert(text:find("on_scheduler_start at .-:" .. here + 2 .. " failed on scheduler 2: .*not there"), text)
      Logger.configure{handler = "default"}
    ]]
  end)
end)

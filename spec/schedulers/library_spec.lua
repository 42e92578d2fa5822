local helper = require "spec.helper"

-- Each test is a program of its own on three schedulers; with `on(n, fn, ...)` a function's results come from a new process
-- on scheduler n. It prints "ok" when it is content.
local function holds(source, files)
  local directory = os.tmpname()
  os.remove(directory)
  os.execute("mkdir " .. directory)
  for name, text in pairs(files or {}) do
    local file = assert(io.open(directory .. "/" .. name, "w"))
    file:write(text)
    file:close()
  end
  local output = helper.run_script(([[
    local mb = require "moonbeam"
    mb.import()
    package.path = %q .. "/?.lua;" .. package.path
    local function on(n, fn, ...)
      local me, ref = self(), make_ref()
      Process.spawn(function(fn, ...)
        local results = table.pack(pcall(fn, ...))
        send(me, {ref, results})
      end, {scheduler = n}, fn, ...)
      local results = receive{ {{ref, any}}, after = %d }
      assert(type(results) == "table", "no answer")
      return table.unpack(results, 2, results.n)
    end
  ]]):gsub("\n", " "):format(directory, helper.patience * 5) .. source .. "\nprint 'ok'", "2>&1", "MOONBEAM_SCHEDULERS=3")
  os.execute("rm -r " .. directory)
  assert.equal("ok\n", output)
end

describe("what a program adds to Lua's library", function()
  it("is there for the processes of every scheduler", function()
    holds [[
      local calls = 0
      function string.shout(s) calls = calls + 1 return s:upper() .. "!" end
      math.twice, utf8.name, table.width, os.era, io.mode, coroutine.kind, debug.level =
        function(x) return 2 * x end, "UTF-8", 7, "now", true, {"a"}, 1.5
      for at = 1, 3 do
        assert(on(at, function() return ("a"):shout() end) == "A!")
        assert(on(at, function() return math.twice(4) end) == 8)
        assert(on(at, function()
          return table.concat({utf8.name, table.width, os.era, tostring(io.mode), coroutine.kind[1], debug.level}, " ")
        end) == "UTF-8 7 now true a 1.5")
      end
    ]]
  end)

  it("has what is changed inside the tables that were added, with the next process", function()
    holds [[
      string.kit = {level = 1, deep = {}}
      getmetatable("").__index = setmetatable({}, {__index = string})
      local methods = getmetatable("").__index
      assert(on(2, function() return string.kit.level end) == 1)
      string.kit.level, string.kit.deep.list = 2, {"x"}
      function methods.shout(s) return s:upper() .. "!" end
      for at = 1, 3 do
        assert(on(at, function() return string.kit.level .. string.kit.deep.list[1] end) == "2x")
        assert(on(at, function() return ("a"):shout() end) == "A!")
      end
      string.kit.deep.list = nil
      assert(on(3, function() return string.kit.deep.list == nil end))
      assert(methods == getmetatable("").__index)
    ]]
  end)

  it("passes on only what was changed inside of a table by the scheduler that has added it", function()
    holds [[
      local kit = {level = 1}
      math.kit = kit
      assert(on(2, function() math.kit.level = 2 return math.kit.level end) == 2)
      assert(on(3, function() return math.kit.level end) == 1)
      assert(math.kit == kit and kit.level == 1)
      on(2, function() math.kit = {level = 3} end)
      assert(math.kit.level == 3 and on(3, function() return math.kit.level end) == 3)
    ]]
  end)

  it("is seen by a process that runs already, with the next message", function()
    holds [[
      local me = self()
      local pid = Process.spawn(function()
        send(me, string.late == nil and "absent" or "present")
        assert(receive() == "go")
        send(me, ("x"):late())
        for f in receive do send(me, f()) end
      end, {scheduler = 2})
      assert(receive() == "absent")
      function string.late(s) return s .. " late" end
      send(pid, "go")
      assert(receive() == "x late")
      function string.late(s) return s .. " later" end
      send(pid, function() return ("y"):late() end)
      assert(receive() == "y later")
      Process.exit(pid, "kill")
    ]]
  end)

  it("reaches agents, servers, tasks and children elsewhere", function()
    holds [[
      local me = self()
      local agent = on(2, function() return (Agent.start(function() return 1 end)) end)
      math.add = function(a, b) return a + b end
      Agent.update(agent, function(n) return math.add(n, 4) end)
      assert(Agent.get(agent) == 5)
      math.add = function(a, b) return a + b + 100 end
      assert(Agent.get(agent, function(n) return math.add(n, 1) end) == 106)
      Agent.stop(agent)
      assert(on(3, function() return Task.await(Task.async(function() return math.add(1, 1) end)) end) == 102)
      assert(on(3, function()
        local child = {id = 1, start = {Agent.start_link, function() return math.add(2, 2) end}}
        local sup = Supervisor.start_link({child}, {strategy = "one_for_one"})
        local n = Agent.get(Supervisor.which_children(sup)[1][2])
        Supervisor.stop(sup)
        return n
      end) == 104)
    ]]
  end)

  it("may come from a process, and replaces what was there", function()
    holds [[
      on(2, function() function string.from(s) return s .. " from 2" end end)
      assert(on(1, function() return ("x"):from() end) == "x from 2")
      on(3, function() function string.from(s) return s .. " from 3" end end)
      for at = 1, 3 do assert(on(at, function() return ("x"):from() end) == "x from 3") end
      assert(("x"):from() == "x from 3")
    ]]
  end)

  it("goes when it is taken away, and what it replaced comes back", function()
    holds [[
      local rep = string.rep
      string.rep, string.gone = function() return "other" end, function() return "gone" end
      assert(on(2, function() return ("a"):rep(3) .. ("x"):gone() end) == "othergone")
      string.rep, string.gone = rep, nil
      for at = 1, 3 do assert(on(at, function() return ("a"):rep(3) .. tostring(string.gone) end) == "aaanil") end
    ]]
  end)

  it("may be taken back after another scheduler has changed it", function()
    holds [[
      local old = function() return "old" end
      string.said = old
      assert(on(2, function() return ("x"):said() end) == "old")
      on(2, function() function string.said() return "new" end end)
      assert(("x"):said() == "new")
      string.said = old
      assert(on(2, function() return ("x"):said() end) == "old")
    ]]
  end)

  it("keeps what its functions share", function()
    holds [[
      local seen = {}
      function string.remember(s) seen[s] = true end
      function string.remembered(s) return seen[s] == true end
      for at = 2, 3 do
        assert(on(at, function() local s = "n" .. at s:remember() return s:remembered() and not ("x"):remembered() end))
      end
    ]]
  end)

  it("stays where it is when it cannot be copied, and takes nothing along", function()
    holds [[
      string.file, string.fine = io.tmpfile(), "fine"
      math.big = ("x"):rep(200000)
      assert(on(2, function() return string.fine end) == "fine")
      assert(on(2, function() return string.file == nil end))
      assert(string.file)
      string.file = "a string now"
      assert(on(2, function() return string.file end) == "a string now")
      string.file = io.tmpfile()
      assert(on(2, function() return string.file == nil end))
    ]]
  end)

  it("may be a function of a module", function()
    holds([[
      local texts = require "texts"
      string.quote = texts.quote
      for at = 1, 3 do assert(on(at, function() return ("a"):quote() end) == "<a>") end
    ]], {["texts.lua"] = "return {quote = function(s) return '<' .. s .. '>' end}"})
  end)

  it("is found by whoever it comes to before the runtime was loaded", function()
    local output = helper.run_script([[
      function string.early(s) return s .. " early" end
      math.tau = 6.28
      local mb = require "moonbeam"
      mb.import()
      local me = self()
      for at = 1, 2 do
        Process.spawn(function() send(me, ("x"):early() .. math.tau) end, {scheduler = at})
        assert(receive() == "x early6.28")
      end
      print "ok"
    ]], "2>&1", "MOONBEAM_SCHEDULERS=2")
    assert.equal("ok\n", output)
  end)
end)

describe("metatables of types", function()
  it("are the same on every scheduler", function()
    holds [[
      local strings = getmetatable("")
      strings.__add = function(a, b) return a .. "+" .. b end
      strings.__index = function(s, k) return math.type(k) == "integer" and s:sub(k, k) or string[k] end
      debug.setmetatable(1, {__index = math})
      debug.setmetatable(nil, {__index = function() return nil end})
      debug.setmetatable(true, {__len = function(b) return b and 1 or 0 end})
      debug.setmetatable(print, {__concat = function() return "composed" end})
      for at = 1, 3 do
        assert(on(at, function()
          local nothing
          return table.concat({"a" + "b", ("abc")[2], ("x"):upper(), (16):sqrt(), tostring(nothing.x), #true,
            print .. print}, " ")
        end) == "a+b b X 4.0 nil 1 composed")
      end
      debug.setmetatable(nil, nil)
      assert(on(2, function() return not pcall(function() local nothing return nothing.x end) end))
    ]]
  end)

  it("of the library's tables travel, too", function()
    holds [[
      setmetatable(string, {__index = function(_, name) return function(s) return name .. " of " .. s end end})
      for at = 1, 3 do assert(on(at, function() return ("x"):anything() end) == "anything of x") end
      setmetatable(string, nil)
      assert(on(2, function() return string.anything == nil end))
    ]]
  end)

  it("of files has the methods that were added", function()
    holds [[
      getmetatable(io.stdout).__index.kind = function() return "a file" end
      assert(on(2, function() return io.stdout:kind() end) == "a file")
    ]]
  end)
end)

describe("package", function()
  it("has the program's preloaded modules on every scheduler", function()
    holds [[
      package.preload["made.up"] = function(name) return {name = name} end
      for at = 1, 3 do assert(on(at, function() return require("made.up").name end) == "made.up") end
    ]]
  end)

  it("has the program's path when a process starts, and later", function()
    holds([[
      local me, directory = self(), package.path:match("^(.-)/%?")
      local path = package.path
      package.path = "./?.lua"
      local pid = Process.spawn(function()
        while true do receive() send(me, (pcall(require, "found"))) end
      end, {scheduler = 2})
      send(pid, "look")
      assert(receive() == false)
      package.path = path
      send(pid, "look")
      assert(receive() == true)
      Process.exit(pid, "kill")
      local n = 50 -- given away rather than placed
      for i = 1, n do
        spawn(function()
          for _ = 1, 50000 do end
          send(me, (pcall(require, "found")))
        end)
      end
      for i = 1, n do assert(receive() == true) end
    ]], {["found.lua"] = "return true"})
  end)

  it("has the fields that were added, changed or taken away", function()
    holds [[
      package.era, package.tools = "now", {f = function() return "f" end}
      local searchpath = package.searchpath
      package.searchpath = nil
      for at = 1, 3 do
        assert(on(at, function() return package.era .. package.tools.f() .. tostring(package.searchpath) end) == "nowfnil")
      end
      package.searchpath, package.era = searchpath, nil
      assert(on(2, function() return package.era == nil and package.searchpath end) == searchpath)
    ]]
  end)

  it("has the program's searchers on every scheduler, in order", function()
    holds [[
      local known = {answer = 42}
      table.insert(package.searchers, 2, function(name)
        if known[name] then return function() return known[name] end end
        return "no " .. name .. " is known"
      end)
      local n = #package.searchers
      for at = 1, 3 do
        assert(on(at, function() return #package.searchers end) == n)
        assert(on(at, function() return require("answer") end) == 42)
        local _, text = on(at, pcall, require, "nothing.of.the.kind")
        assert(text:find("no nothing.of.the.kind is known", 1, true), text)
      end
      table.remove(package.searchers, 2)
      assert(on(2, function() return #package.searchers end) == n - 1)
    ]]
  end)
end)

describe("modules", function()
  local files = {["reader.lua"] = [[
    local M = {}
    function M.get(name) return _ENV[name] end
    function M.raw(name) return rawget(_G, name) end
    function M.set(name, value) _ENV[name] = value end
    function M.names() local t = {} for k in pairs(_G) do t[k] = true end return t end
    return M]], ["other.lua"] = "return {name = 'other'}",
    ["once.lua"] = "io.write('loaded ') return {}"}

  it("have the script's globals on every scheduler", function()
    holds([[
      arg = {"one", "two"}
      LEVEL, CONFIG, double = 3, {deep = {"value"}}, function(x) return LEVEL * x end
      for at = 1, 3 do
        assert(on(at, function() return require("reader").get("LEVEL") end) == 3)
        assert(on(at, function() return require("reader").get("CONFIG").deep[1] end) == "value")
        assert(on(at, function() return require("reader").raw("arg")[2] end) == "two")
        assert(on(at, function() return require("reader").get("double")(5) end) == 15)
        assert(on(at, function() local names = require("reader").names() return names.LEVEL and names.arg and names.print end))
      end
    ]], files)
  end)

  it("see what becomes of them", function()
    holds([[
      local me = self()
      LEVEL, CONFIG = 1, {n = 1}
      local pid = Process.spawn(function()
        local reader = require "reader"
        while true do
          local name = receive()
          send(me, {reader.get(name)})
        end
      end, {scheduler = 2})
      local function seen(name) send(pid, name) return receive()[1] end
      assert(seen("LEVEL") == 1)
      LEVEL = 2
      assert(seen("LEVEL") == 2)
      LEVEL = nil
      assert(seen("LEVEL") == nil)
      CONFIG.n = 2 -- with the next process
      assert(on(2, function() return require("reader").get("CONFIG").n end) == 2)
      Process.exit(pid, "kill")
    ]], files)
  end)

  it("keep what they set on their scheduler", function()
    holds([[
      on(2, function() require("reader").set("MINE", "of 2") end)
      assert(on(2, function() return require("reader").get("MINE") end) == "of 2")
      assert(on(3, function() return require("reader").get("MINE") end) == nil)
      assert(MINE == nil)
    ]], files)
  end)

  it("are not loaded elsewhere because a global of the script holds one", function()
    holds([[
      other, once = require "other", nil
      MODULES = {other}
      assert(on(2, function() return package.loaded.other == nil end))
      assert(on(2, function() return require("reader").get("other").name end) == "other")
      assert(on(3, function() return require("reader").names().MODULES end))
      assert(on(3, function() return require("reader").get("MODULES")[1] == require("other") end))
    ]], files)
  end)

  it("live with a strict table of globals", function()
    holds([[
      DECLARED = 1
      local declared = {late = true}
      setmetatable(_G, {
        __index = function(_, name) if not declared[name] then error("undeclared " .. tostring(name), 2) end end,
        __newindex = function(t, name, value) declared[name] = true rawset(t, name, value) end,
      })
      local get = require("reader").get
      for at = 1, 3 do
        assert(on(at, get, "DECLARED") == 1)
        assert(on(at, get, "late") == nil)
        assert(not on(at, pcall, get, "unknown"))
        on(at, function() require("reader").set("mine", at) end)
        assert(on(at, get, "mine") == at)
      end
    ]], files)
  end)
end)

describe("a process's globals", function()
  it("are its own on every scheduler", function()
    holds [[
      SETTING = "the script's"
      for at = 1, 3 do
        assert(on(at, function() return SETTING end) == "the script's")
        assert(on(at, function() return rawget(_G, "OTHER") == nil end))
        assert(on(at, function() SETTING = "changed" return _G.SETTING end) == "changed")
        assert(on(at, function() return load("return UNNAMED")() end) == nil)
      end
      assert(SETTING == "the script's")
    ]]
  end)
end)

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
        self = self, receive = receive, sleep = function() sleep(1) end, put = function() Process.put("key", "strange") end,
        flag = function() Process.flag("trap_exit", true) end, link = function() link(me) end, exit = function() exit("why") end,
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
        if ok or not e:find(": a function of on_scheduler_start is outside of any process, whichever one is running: let it spawn") then
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
      assert(not ok and text:find("bad argument #1 to 'on_scheduler_start' (function expected, got number)", 1, true), text)
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

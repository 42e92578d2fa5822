-- What a program changes in Lua's library.
local helper = require "spec.helper"
local holds = require "spec.everywhere".holds

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

  it("is there for those who are given away when the script waits for the first time", function()
    holds [[
      mb.start{schedulers = 3}
      function string.shout(s) return s:upper() .. "!" end
      local me, elsewhere, work = self(), 0, function(seconds)
        local deadline = os.clock() + seconds
        while os.clock() < deadline do end
      end
      for _ = 1, 20 do
        spawn(function()
          work(0.005)
          send(me, {Process.info(self(), "scheduler"), ("a").shout and ("a"):shout()})
        end)
      end
      work(0.02) -- so that some are given away before any has begun
      for _ = 1, 20 do
        local scheduler, text = table.unpack(receive())
        assert(text == "A!", scheduler)
        if scheduler ~= 1 then elsewhere = elsewhere + 1 end
      end
      assert(elsewhere > 0)
    ]]
  end)

  it("is there with a message to a scheduler that is only starting", function()
    holds [[
      local me = self()
      local pid = Process.spawn(function()
        assert(receive() == "go")
        send(me, string.late or "absent")
      end, {scheduler = 2})
      string.late = "present"
      send(pid, "go")
      assert(receive() == "present")
    ]]
  end)

  it("is not undone by a scheduler that starts with what was there before", function()
    holds [[
      mb.start{schedulers = 3}
      local me, path = self(), "./nowhere/?.lua;" .. package.path
      package.path = path
      for i = 1, 20 do spawn(function() send(me, i) end) end
      local deadline = os.clock() + 0.02
      while os.clock() < deadline do end
      for _ = 1, 20 do
        receive()
        assert(package.path == path, package.path)
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
        assert("nowfnil" ==
          on(at, function() return package.era .. package.tools.f() .. tostring(package.searchpath) end))
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

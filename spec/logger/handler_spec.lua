local mb = require "moonbeam"
local helper = require "spec.helper"
local logging = require "spec.logging"
local self, send, receive, any, Logger, Process = mb.self, mb.send, mb.receive, mb.any, mb.Logger, mb.Process
local await, output_of = helper.await, logging.output_of

describe("a handler", function()
  helper.setup()
  logging.setup()

  it("runs in a process of its own, one event at a time, with state in its upvalues", function()
    local me, count = self(), 0
    Logger.configure{handler = function()
      count = count + 1
      send(me, {"handled", mb.self(), count})
    end}
    Logger.error("one")
    Logger.error("two")
    local first, one = await{"handled", any, any}
    local second, two = await{"handled", any, any}
    assert.equal(first, second)
    assert.is_true(first ~= me)
    assert.same({1, 2}, {one, two})
    assert.equal(0, count)
  end)

  it("gets events in the order of each process, from every scheduler", function()
    local pids = {}
    for i = 1, 8 do
      pids[i] = mb.spawn(function() for n = 1, 100 do mb.Logger.error("event", {n = n}) end end)
    end
    local last = {}
    for _ = 1, 800 do
      local event = logging.next_event()
      assert.equal((last[event.pid] or 0) + 1, event.metadata.n)
      last[event.pid] = event.metadata.n
    end
    for _, pid in ipairs(pids) do assert.equal(100, last[pid]) end
  end)

  it("handles what was logged before another one is set", function()
    local me = self()
    local function handler(name) return function(event) send(me, {name, event.message}) end end
    Logger.configure{handler = handler("first")}
    Logger.error("for the first")
    Logger.configure{handler = handler("second")}
    Logger.error("for the second")
    Logger.configure{handler = "default", level = "none"}
    Logger.configure{handler = handler("third"), level = "info"}
    Logger.error("for the third")
    assert.same({"first", "for the first"}, receive(helper.patience))
    assert.same({"second", "for the second"}, receive(helper.patience))
    assert.same({"third", "for the third"}, receive(helper.patience))
  end)

  it("is not counted by the census, nor are events that wait", function()
    local before = mb.census()
    local me = self()
    Logger.configure{handler = function(event) send(me, {"handling", mb.self()}) mb.receive{ {"go on"} } end}
    Logger.error("held")
    local pid = await{"handling", any}
    assert.equal(before.processes, mb.census().processes)
    send(pid, "go on")
    assert.is_true(Logger.flush())
  end)

  it("may wait, call and log itself", function()
    local agent = mb.Agent.start(function() return {} end)
    Logger.configure{handler = function(event)
      mb.sleep(1)
      mb.Logger.debug("below the level") -- what it logs goes to the default
      mb.Agent.update(agent, function(t) t[#t + 1] = event.message end)
    end}
    Logger.error("one")
    Logger.error("two")
    assert.is_true(Logger.flush())
    assert.same({"one", "two"}, mb.Agent.get(agent))
    mb.Agent.stop(agent)
  end)

  it("that is too slow is told how many entries are missing, of which none is a crash's", function()
    logging.check_told(function(handler) Logger.configure{handler = handler} end)
  end)

  it("must be able to travel", function()
    local file <close> = assert(io.open("/dev/null"))
    local ok, message = pcall(Logger.configure, {handler = function() file:write("x") end})
    assert.is_false(ok)
    assert.matches("cannot set handler: .*file.* is a userdata", message)
    Logger.error("the old one stays")
    assert.equal("the old one stays", logging.next_event().message)
  end)

  it("may be a table that can be called", function()
    local me = self()
    local handler = setmetatable({}, {__call = function(_, event) send(me, {"called", event.message}) end})
    Logger.configure{handler = handler}
    Logger.error("text")
    assert.equal("text", await{"called", any})
  end)
end)

describe("a handler that fails", function()
  helper.setup()

  it("is reported and replaced by the default, which gets what it had not handled", function()
    local text, code = output_of[[
      Logger.configure{handler = function(event) error("bad handler") end}
      Logger.error("one")
      Logger.info("two")
      Logger.flush()
      Logger.error("three")
      Logger.flush()
      print(mb.census().processes)
    ]]
    assert.equal(0, code)
    assert.matches("TIME %[error%] Logger's handler failed; the default handler takes over\n%*%* %(error%) [^\n]*"
      .. "bad handler\nstack traceback:", text)
    assert.matches("\nTIME %[error%] one\nTIME %[info%] two\nTIME %[error%] three\n", text)
    assert.matches("1\n", text)
  end)

  it("loses no crash report", function()
    local text = output_of[[
      Logger.configure{handler = function(event) mb.exit("away") end}
      for i = 1, 20 do mb.spawn_monitor(function() error("crash " .. i .. ".") end) end
      for i = 1, 20 do mb.receive() end
    ]]
    assert.matches("exit: away", text)
    for i = 1, 20 do assert.matches("crash " .. i .. "%.\n", text) end
  end)

  it("is replaced when it is killed", function()
    local text = output_of[[
      local me = mb.self()
      Logger.configure{handler = function(event) mb.send(me, mb.self()) mb.receive{ {"never"} } end}
      Logger.error("being handled")
      Logger.error("waiting")
      local pid = mb.receive()
      local ref = mb.monitor(pid)
      mb.Process.exit(pid, "kill")
      mb.receive{ {{"DOWN", ref, "process", pid, "killed"}} }
      Logger.error("later")
      Logger.configure{handler = function(event) mb.send(me, event.message) end}
      Logger.error("to another")
      print(mb.receive())
    ]]
    assert.matches('Logger\'s handler, process #PID<[%d.]+>, has ended: "killed"; the default handler takes over', text)
    local rest, count = text:gsub("to another\n", "")
    assert.equal(1, count)
    assert.matches("\nTIME %[error%] being handled\nTIME %[error%] waiting\nTIME %[error%] later\n", rest)
  end)

  it("can be set anew", function()
    local text = output_of[[
      local me = mb.self()
      Logger.configure{handler = function(event) error("bad") end}
      Logger.error("one")
      Logger.flush()
      Logger.configure{handler = function(event) mb.send(me, event.message) end}
      Logger.error("two")
      print("got", mb.receive())
    ]]
    assert.matches("got\ttwo\n", text)
  end)
end)

describe("a handler that another one is to follow", function()
  helper.setup()

  local CUT = "Logger's handler, process #PID<[%d.]+>, is cut off: it has been at one entry for 1000 ms, "
    .. "while another handler is to take its place; the default handler "

  for how, hang in pairs{waits = 'mb.receive{ {"never"} }', computes = "while true do end"} do
    it("and never comes to an end, is cut off after a second: it " .. how, function()
      local text = output_of([[
        local me = mb.self()
        Logger.configure{handler = function(event) mb.send(me, "handling") ]] .. hang .. [[ end}
        Logger.error("one")
        mb.receive()
        Logger.error("two")
        Logger.configure{handler = function(event) mb.send(me, event.message) end}
        Logger.error("three")
        print("got", mb.receive())
        Logger.flush()
        Logger.error("four")
        print("got", mb.receive())
      ]])
      local _, to = text:find(CUT .. "takes what is left for it\n")
      assert.is_truthy(to, text)
      local rest, n = text:sub(to + 1):gsub("got\t(%a+)\n", "")
      assert.equal(2, n)
      assert.equal("TIME [error] one\nTIME [error] two\n", rest)
    end)
  end

  it("gives way to the default one, too", function()
    local text = output_of[[
      local me = mb.self()
      Logger.configure{handler = function(event) mb.send(me, mb.self()) mb.receive{ {"never"} } end}
      Logger.error("one")
      local ref = mb.monitor(mb.receive())
      Logger.configure{handler = "default"}
      mb.receive{ {{"DOWN", ref, "process", mb.any, "killed"}} }
      Logger.flush()
    ]]
    assert.matches("^TIME %[error%] " .. CUT .. "takes over\nTIME %[error%] one\n$", text)
  end)

  for how, ending in pairs{fails = 'error("bad")', ends = 'mb.exit("away")'} do
    it("does so when it " .. how, function()
      local text = output_of([[
        local me = mb.self()
        Logger.configure{handler = function(event) mb.send(me, mb.self()) mb.receive() ]] .. ending .. [[ end}
        Logger.error("one")
        local first = mb.receive()
        Logger.configure{handler = function(event) mb.send(me, event.message) end}
        Logger.error("two")
        mb.send(first, "go on")
        print("got", mb.receive())
        Logger.flush()
        Logger.error("three")
        print("got", mb.receive())
      ]])
      assert.matches("the default handler takes what is left for it", text)
      assert.matches("got\ttwo\n", text)
      assert.matches("got\tthree\n", text)
    end)
  end

  it("does so when the default format for what is left does not come to an end", function()
    local text = output_of[[
      local me = mb.self()
      Logger.configure{handler = function(event) mb.send(me, mb.self()) mb.receive{ {"never"} } end}
      Logger.error("one")
      local first = mb.receive()
      Logger.error("two")
      Logger.configure{format = function() mb.receive{ {"never"} } end}
      Logger.configure{handler = function(event) mb.send(me, event.message) end}
      Logger.error("three")
      print("got", mb.receive())
      Logger.configure{format = "default"}
    ]]
    assert.matches("got\tthree\n", text)
    assert.matches("TIME %[error%] one\nTIME %[error%] two\n", text)
  end)
end)

describe("a handler and the end of the program", function()
  helper.setup()

  it("what was logged is handled, or written", function()
    local text = output_of[[
      Logger.configure{handler = function(event) io.stdout:write("handled ", event.message, "\n") io.stdout:flush() end}
      for i = 1, 50 do Logger.error(tostring(i)) end
    ]]
    local seen, count = {}, 0
    for how, number in text:gmatch("(%S+) (%d+)\n") do
      -- A stock interpreter runs no process after the main chunk's end.
      if helper.is_host then assert.equal("handled", how) end
      assert.is_nil(seen[number])
      seen[number], count = true, count + 1
    end
    assert.equal(50, count)
  end)

  it("one that does not return holds it up for a second at most", function()
    local text, code = output_of[[
      Logger.configure{handler = function(event) while true do end end}
      Logger.error("held")
      Logger.error("behind")
    ]]
    assert.equal(0, code)
    assert.matches("TIME %[error%] held\nTIME %[error%] behind\n", text)
  end)

  it("a handler that waits does not keep a deadlock from being found", function()
    local text, code = output_of[[
      Logger.configure{handler = function() end}
      Logger.error("handled")
      Logger.flush()
      mb.receive()
    ]]
    assert.equal(1, code)
    assert.matches(helper.is_host and "deadlock" or "nothing is left that could send one", text)
  end)
end)

describe("Logger.flush", function()
  helper.setup()
  logging.setup()

  it("waits for the handler", function()
    local me = self()
    Logger.configure{handler = function(event)
      send(me, "handling")
      mb.receive{ {"go on"} }
      send(me, "handled")
    end}
    Logger.error("text")
    await("handling")
    local late, reason = Logger.flush(1)
    assert.is_nil(late)
    assert.equal("timeout", reason)
    for _, pid in ipairs(Process.list()) do send(pid, pid == me and "mine" or "go on") end
    assert.is_true(Logger.flush())
    await("handled")
    await("mine")
    assert.is_nil((receive(0)))
  end)

  it("waits for the writer", function()
    Logger.configure{handler = "default"}
    assert.is_true(Logger.flush())
    assert.is_nil((receive(0)))
  end)

  it("refuses what is no timeout", function()
    assert.has_error(function() Logger.flush(-1) end)
  end)
end)

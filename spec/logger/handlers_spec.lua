local mb = require "moonbeam"
local helper = require "spec.helper"
local logging = require "spec.logging"
local self, send, any, Logger = mb.self, mb.send, mb.any, mb.Logger
local await, output_of = helper.await, logging.output_of

-- Call inside describe: entries from level info on are logged, and the handlers are as at first after each test.
local function setup()
  helper.setup()
  before_each(function() Logger.configure{level = "info", handler = function() end} end)
  after_each(function()
    Logger.configure{level = "none", handler = "default"}
    for name in pairs(Logger.handlers()) do
      if name ~= "default" then Logger.remove_handler(name) end
    end
    Logger.update_handler("default", {level = "all", filters = {}})
    assert.is_true(Logger.flush(helper.patience))
  end)
end

-- Add a handler whose events come to the test as {name, event, text}.
local function add(name, opts)
  local me = self()
  opts = opts or {}
  opts.handler = function(event, text) send(me, {name, event, text or false}) end
  assert.is_true(Logger.add_handler(name, opts))
end

local function next_of(name)
  local event, text = await{name, any, any}
  return event, text
end


describe("handlers", function()
  setup()

  it("LOG-20 each gets all events in order, in a process of its own", function()
    local me = self()
    Logger.configure{handler = function(event) send(me, {"default", event.message, mb.self()}) end}
    for _, name in ipairs{"one", "two"} do
      assert.is_true(Logger.add_handler(name, {handler = function(event) send(me, {name, event.message, mb.self()}) end}))
    end
    for i = 1, 20 do Logger.info(tostring(i)) end
    local pids = {}
    for _, name in ipairs{"default", "one", "two"} do
      local pid
      for i = 1, 20 do
        local message, by = await{name, any, any}
        assert.equal(tostring(i), message)
        pid = pid or by
        assert.equal(pid, by)
      end
      assert.is_nil(pids[pid])
      pids[pid] = true
    end
    assert.is_nil(pids[me])
  end)

  it("LOG-21 are known by name", function()
    add("one", {level = "error", format = "$message"})
    local reason = select(2, Logger.add_handler("one", {handler = "default"}))
    assert.same({"already_exist", "one"}, reason)
    local all = Logger.handlers()
    assert.equal("default", all.default.handler == "function" and "default")
    assert.equal("error", all.one.level)
    assert.equal("function", type(all.one.handler))
    assert.is_true(Logger.remove_handler("one"))
    assert.is_nil(Logger.handlers().one)
    assert.same({"not_found", "one"}, select(2, Logger.remove_handler("one")))
    assert.same({"not_found", "one"}, select(2, Logger.update_handler("one", {level = "info"})))
    add("one")
    Logger.info("to the new one")
    assert.equal("to the new one", next_of("one").message)
  end)

  it("LOG-22 have levels of their own, above that of all", function()
    add("errors", {level = "error"})
    add("everything")
    Logger.configure{level = "notice"}
    for _, level in ipairs{"info", "notice", "error", "critical"} do Logger.log(level, level) end
    assert.equal("error", next_of("errors").message)
    assert.equal("critical", next_of("errors").message)
    for _, level in ipairs{"notice", "error", "critical"} do assert.equal(level, next_of("everything").message) end
  end)

  it("LOG-23 what none of them wants costs no call of its function", function()
    Logger.update_handler("default", {level = "error"})
    add("errors", {level = "critical"})
    local calls = 0
    local function message()
      calls = calls + 1
      return "made"
    end
    Logger.warning(message)
    assert.equal(0, calls)
    Logger.error(message)
    assert.equal(1, calls)
    Logger.update_handler("errors", {level = "info"})
    Logger.warning(message)
    assert.equal("made", next_of("errors").message)
    assert.equal("warning", Logger.configure{level = "warning"} and Logger.level())
  end)

  it("LOG-24 can be changed, what is not named stays", function()
    add("one", {level = "error", format = "$level: $message"})
    assert.is_true(Logger.update_handler("one", {level = "info"}))
    Logger.info("text")
    assert.equal("info: text", select(2, next_of("one")))
    assert.is_true(Logger.update_handler("one", {format = "<$message>"}))
    Logger.info("text")
    assert.equal("<text>", select(2, next_of("one")))
    assert.equal("info", Logger.handlers().one.level)
  end)

  it("LOG-25 the default one can be taken away, and comes back when it is configured", function()
    local me = self()
    assert.is_true(Logger.remove_handler("default"))
    assert.is_nil(Logger.handlers().default)
    add("one")
    Logger.info("for one alone")
    assert.equal("for one alone", next_of("one").message)
    Logger.configure{handler = function(event) send(me, {"default", event}) end}
    Logger.info("for both")
    assert.equal("for both", await{"default", any}.message)
    assert.equal("for both", next_of("one").message)
  end)

  it("LOG-26 get reports of crashes as they are", function()
    add("one", {level = "error"})
    local pid = mb.spawn(function() error("a crash", 0) end)
    helper.reason_of(pid)
    local event = next_of("one")
    assert.equal("crash", event.kind)
    assert.equal("a crash", event.metadata.report.error)
    assert.equal(pid, event.metadata.report.pid)
  end)

  it("LOG-27 another one may have the default one's name, until a handler is configured", function()
    local me = self()
    assert.is_true(Logger.remove_handler("default"))
    add("default", {format = "$message"})
    Logger.configure{format = "not its format"}
    Logger.info("to the other one")
    assert.equal("to the other one", select(2, next_of("default")))
    Logger.configure{handler = function(event) send(me, {"configured", event.message}) end, format = "default"}
    Logger.info("to the first one")
    assert.equal("to the first one", await{"configured", any})
    assert.equal("function", Logger.handlers().default.handler)
    assert.is_nil((mb.receive(0)))
  end)

  it("there may be 31 beside the default one", function()
    for i = 1, 31 do assert.is_true(Logger.add_handler("h" .. i, {handler = function() end})) end
    local ok, reason = Logger.add_handler("one more", {handler = function() end})
    assert.is_nil(ok)
    assert.equal("too many handlers", reason)
    Logger.remove_handler("h7")
    assert.is_true(Logger.flush())
    repeat ok = Logger.add_handler("one more", {handler = function() end}) until ok -- its process may still be ending
  end)

  it("refuse options that they do not know", function()
    local function fn() end
    for text, call in pairs{
      ["a handler's name expected, a string, got number"] = function() Logger.add_handler(5, {handler = fn}) end,
      ["a handler's name expected, a string, got an empty one"] = function() Logger.add_handler("", {handler = fn}) end,
      ["table of options expected, got nil"] = function() Logger.add_handler("a") end,
      ['handler is a function, "default" or "file", got nil'] = function() Logger.add_handler("a", {}) end,
      ['handler is a function, "default" or "file", got "console"'] = function()
        Logger.add_handler("a", {handler = "console"})
      end,
      ["unknown option path = \"x\"; options: handler, level, filters"] = function()
        Logger.add_handler("a", {handler = fn, path = "x"})
      end,
      ["path is a string, got nil"] = function() Logger.add_handler("a", {handler = "file"}) end,
      ["max_bytes is an integer >= 1 or \"infinity\", got 0"] = function()
        Logger.add_handler("a", {handler = "file", path = "x", max_bytes = 0})
      end,
      ["filters is a sequence of functions, got one with a string"] = function()
        Logger.add_handler("a", {handler = fn, filters = {"x"}})
      end,
      ["metadata selects what a text shows"] = function() Logger.add_handler("a", {handler = fn, metadata = {"x"}}) end,
      ["filter_default is \"log\" or \"stop\", got x"] = function()
        Logger.add_handler("a", {handler = fn, filter_default = "x"})
      end,
      ["format has %$bad, which stands for nothing"] = function()
        Logger.add_handler("a", {handler = "default", format = "$bad"})
      end,
      ["a handler stays what it is"] = function() Logger.update_handler("default", {handler = fn}) end,
    } do
      local ok, message = pcall(call)
      assert.is_false(ok)
      assert.matches("handlers_spec.lua:%d+: .*" .. text, message)
    end
  end)
end)

describe("filters", function()
  setup()

  it("LOG-30 say yes, no, or nothing, in order", function()
    add("one", {filters = {
      function(event) return event.message ~= "no" and "ignore" end,
      function(event) if event.message == "yes" then return true end end,
      function(event) return event.message == "late yes" or nil end,
    }, filter_default = "stop"})
    for _, message in ipairs{"no", "unknown", "yes", "late yes"} do Logger.info(message) end
    assert.equal("yes", next_of("one").message)
    assert.equal("late yes", next_of("one").message)
  end)

  it("LOG-31 may give another event, which the other handlers do not see", function()
    add("changed", {filters = {
      function(event)
        event.message, event.metadata.password = event.message .. " changed", nil
        return event
      end,
      function(event) return event.message == "text changed" end,
    }})
    add("plain")
    Logger.info("text", {password = "secret", user = "ann"})
    local changed, plain = next_of("changed"), next_of("plain")
    assert.equal("text changed", changed.message)
    assert.same({user = "ann"}, changed.metadata)
    assert.equal("text", plain.message)
    assert.same({password = "secret", user = "ann"}, plain.metadata)
  end)

  it("LOG-32 that fail are reported once and say nothing", function()
    local text = output_of[[
      Logger.add_handler("one", {handler = "default", format = "one: $message", filters = {
        function() error("bad filter") end, function() return {} end,
        function() Logger.info("logged by a filter") end,
      }})
      Logger.update_handler("default", {level = "none"})
      Logger.info("a")
      Logger.info("b")
    ]]
    assert.equal(2, select(2, text:gsub("a filter of Logger's handler \"one\" failed, and counts as \"ignore\"", "")))
    assert.matches("bad filter\n", text)
    assert.matches("it returned no event\n", text)
    assert.equal(2, select(2, text:gsub("TIME %[info%] logged by a filter\n", "")))
    assert.matches("\none: a\n.*\none: b\n", text)
  end)

  it("LOG-33 the default handler has them, too", function()
    assert.equal("TIME [info] yes\n", output_of[[
      Logger.update_handler("default", {filters = {function(event) return event.message == "yes" end}})
      Logger.info("no")
      Logger.info("yes")
    ]])
  end)
end)

describe("a handler that is added", function()
  setup()

  it("LOG-40 and fails is reported and taken away; what it has left is shown, unless it has been", function()
    local text = output_of[[
      Logger.add_handler("audit", {handler = function(event) error("bad handler") end})
      Logger.error("one")
      Logger.flush()
      assert(not Logger.handlers().audit)
      Logger.error("two")
      Logger.remove_handler("default")
      Logger.add_handler("audit", {handler = function(event) mb.exit("away") end})
      Logger.error("three")
      Logger.error("four")
      Logger.flush()
      Logger.error("five")
      mb.spawn_monitor(function() error("the crash", 0) end)
      mb.receive()
    ]]
    assert.matches('TIME %[error%] Logger\'s handler "audit" failed; the default handler takes over\n[^\n]*bad handler', text)
    for _, message in ipairs{"one", "two", "three", "four", "five"} do
      assert.equal(1, select(2, text:gsub("TIME %[error%] " .. message .. "\n", "")), message .. " in " .. text)
    end
    assert.equal(1, select(2, text:gsub("the crash", "")), text)
  end)

  it("LOG-49 and whose format fails gets a text that says so", function()
    add("one", {format = function(event) return event.message .. nil end})
    Logger.info("text")
    local _, text = next_of("one")
    assert.matches("%d%d:%d%d:%d%d%.%d%d%d %[info%] text\n%(Logger's formatter failed: [^\n]*concatenate a nil value", text)
    Logger.info("it goes on")
    assert.matches("it goes on", select(2, next_of("one")))
  end)

  it("LOG-41 and is killed is reported and taken away", function()
    local text = output_of[[
      local me = mb.self()
      Logger.remove_handler("default")
      Logger.add_handler("audit", {handler = function(event) mb.send(me, mb.self()) mb.receive{ {"never"} } end})
      Logger.error("one")
      Logger.error("two")
      local pid = mb.receive()
      local ref = mb.monitor(pid)
      mb.Process.exit(pid, "kill")
      mb.receive{ {{"DOWN", ref, "process", pid, "killed"}} }
      Logger.flush()
      Logger.error("three")
      print(Logger.handlers().audit)
    ]]
    assert.matches('Logger\'s handler "audit", process #PID<[%d.]+>, has ended: "killed"; the default handler takes over', text)
    assert.matches("TIME %[error%] one\nTIME %[error%] two\nTIME %[error%] three\n", text)
    assert.matches("nil\n$", (text:gsub("nil\n(.*)$", "%1nil\n")))
  end)

  it("LOG-42 and is slow holds up no other one", function()
    local me = self()
    assert.is_true(Logger.add_handler("slow", {handler = function()
      send(me, {"holding", mb.self()})
      mb.receive{ {"go on"} }
    end}))
    add("fast")
    for i = 1, 100 do Logger.info(tostring(i)) end
    for i = 1, 100 do assert.equal(tostring(i), next_of("fast").message) end
    for _ = 1, 100 do send(await{"holding", any}, "go on") end
  end)

  it("LOG-43 and logs does not get that, nor does another one", function()
    local text = output_of[[
      local me = mb.self()
      for _, name in ipairs{"one", "two"} do
        Logger.add_handler(name, {handler = function(event)
          mb.Logger.info(name .. " logs")
          mb.send(me, name)
        end})
      end
      Logger.info("text")
      mb.receive() mb.receive()
      Logger.flush()
      assert(mb.receive(0) == nil)
    ]]
    assert.equal(1, select(2, text:gsub("one logs\n", "")))
    assert.equal(1, select(2, text:gsub("two logs\n", "")))
  end)

  it("LOG-44 and is too slow is told what is missing, of which none is a crash's", function()
    logging.check_told(function(handler) assert.is_true(Logger.add_handler("slow", {handler = handler})) end)
  end)

  it("LOG-45 is waited for by flush", function()
    local me = self()
    assert.is_true(Logger.add_handler("slow", {handler = function()
      send(me, {"holding", mb.self()})
      mb.receive{ {"go on"} }
    end}))
    Logger.info("text")
    local pid = await{"holding", any}
    assert.is_nil((Logger.flush(1)))
    send(pid, "go on")
    assert.is_true(Logger.flush(helper.patience))
  end)

  it("LOG-46 and is taken away handles what it has been given", function()
    local me = self()
    assert.is_true(Logger.add_handler("slow", {handler = function(event)
      if event.message == "first" then
        send(me, {"holding", mb.self()})
        mb.receive{ {"go on"} }
      end
      send(me, {"handled", event.message})
    end}))
    Logger.info("first")
    Logger.info("second")
    local pid = await{"holding", any}
    Logger.remove_handler("slow")
    Logger.info("third")
    send(pid, "go on")
    assert.equal("first", await{"handled", any})
    assert.equal("second", await{"handled", any})
    assert.is_true(Logger.flush(helper.patience))
    assert.is_nil((mb.receive(0)))
  end)

  it("LOG-47 is not counted by the census", function()
    local before = mb.census().processes
    add("one")
    Logger.info("text")
    next_of("one")
    assert.equal(before, mb.census().processes)
  end)

  it("LOG-48 has handled everything when the program ends", function()
    if not helper.is_host then return end -- a stock interpreter runs no process after the main chunk's end
    local text = output_of[[
      Logger.configure{level = "none"}
      Logger.add_handler("one", {handler = function(event) io.stdout:write(event.message, "\n") io.stdout:flush() end})
      Logger.remove_handler("default")
      Logger.configure{level = "info"}
      for i = 1, 50 do Logger.error(tostring(i)) end
    ]]
    local expected = {}
    for i = 1, 50 do expected[i] = i .. "\n" end
    assert.equal(table.concat(expected), text)
  end)
end)

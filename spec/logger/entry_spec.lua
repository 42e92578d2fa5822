local mb = require "moonbeam"
local helper = require "spec.helper"
local logging = require "spec.logging"
local self, Logger = mb.self, mb.Logger

describe("an entry", function()
  helper.setup()
  logging.setup()

  it("is a table for the handler", function()
    local before = os.time() * 1000
    assert.is_true(Logger.warning("the text", {key = 1}))
    local event = logging.next_event()
    assert.equal("warning", event.level)
    assert.equal("the text", event.message)
    assert.same({key = 1}, event.metadata)
    assert.equal(self(), event.pid)
    assert.is_true(math.type(event.time) == "integer" and event.time >= before and event.time < before + 60000)
  end)

  it("of a table is that table, whatever its fields say: no report of the runtime's", function()
    for _, kind in ipairs{"crash", "supervisor", "trace", "user"} do
      local value = {kind = kind, context = "shutdown", text = "GET /", ms = 12, pid = self()}
      Logger.info(value)
      local event = logging.next_event()
      assert.equal(mb.inspect(value), event.message)
      assert.same(value, event.metadata.report)
      assert.is_nil(event.kind)
    end
    mb.spawn(function() error("a crash", 0) end)
    local report, event = logging.next_report()
    assert.same({"crash", "crash"}, {report.kind, event.kind})
  end)

  it("is made from its level on", function()
    for _, level in ipairs{"debug", "info", "warning", "error"} do
      Logger.configure{level = level}
      local seen = {}
      for _, each in ipairs{"debug", "info", "warning", "error"} do Logger[each](each) end
      Logger.error("last")
      repeat
        local event = logging.next_event()
        seen[#seen + 1] = event.level
      until event.message == "last"
      assert.equal(level, seen[1])
    end
    Logger.configure{level = "none"}
    Logger.error("nobody sees it")
    Logger.configure{level = "error"}
    Logger.error("seen")
    assert.equal("seen", logging.next_event().message)
  end)

  it("costs no call of its function below the level", function()
    local calls = 0
    local function message()
      calls = calls + 1
      return "made", {made = true}
    end
    Logger.debug(message)
    assert.equal(0, calls)
    Logger.info(message, {given = true})
    assert.equal(1, calls)
    local event = logging.next_event()
    assert.equal("made", event.message)
    assert.same({made = true, given = true}, event.metadata)
  end)

  it("raises what its function raises, in the process that logs", function()
    local ok, message = pcall(Logger.error, function() error("no text") end)
    assert.is_false(ok)
    assert.matches("no text", message)
    Logger.error("goes on")
    assert.equal("goes on", logging.next_event().message)
  end)

  it("may be any value; a table is a report", function()
    Logger.error(nil)
    assert.equal("nil", logging.next_event().message)
    Logger.error(12.5)
    assert.equal("12.5", logging.next_event().message)
    Logger.error{a = {1, 2}}
    local event = logging.next_event()
    assert.equal("{a = {1, 2}}", event.message)
    assert.same({a = {1, 2}}, event.metadata.report)
    Logger.error(setmetatable({}, {__tostring = function() return "own text" end}))
    assert.equal("own text", logging.next_event().message)
  end)

  it("has the text of what cannot travel", function()
    Logger.error("a file", {file = io.stdout, other = {1, {io.stdout}}, plain = 1, [self()] = true})
    local metadata = logging.next_event().metadata
    assert.matches("file", metadata.file)
    assert.matches("file", metadata.other[2][1])
    assert.equal(1, metadata.plain)
    assert.is_true(metadata[self()])
  end)

  it("refuses arguments of the wrong type", function()
    for call, text in pairs{
      [function() Logger.error() end] = "bad argument #1 to 'Logger.error' %(message expected, got no value%)",
      [function() Logger.info("text", "metadata") end] =
        "bad argument #2 to 'Logger.info' %(table of metadata expected",
      [function() Logger.metadata(1) end] = "bad argument #1 to 'Logger.metadata'",
      [function() Logger.configure(1) end] = "bad argument #1 to 'Logger.configure' %(table expected, got number%)",
      [function() Logger.configure{level = "loud"} end] = "unknown level loud",
      [function() Logger.configure{handler = 5} end] = 'handler is a function or "default", got number',
      [function() Logger.configure{format = 5} end] = "format is a string or a function, got number",
      [function() Logger.configure{metadata = 5} end] = 'metadata is a sequence of keys or "all", got number',
      [function() Logger.configure{colour = "red"} end] = "unknown option colour",
    } do
      local ok, message = pcall(call)
      assert.is_false(ok)
      assert.matches("entry_spec.lua:%d+: .*" .. text, message)
    end
    assert.equal("info", Logger.configure{})
  end)
end)

describe("a process's metadata", function()
  helper.setup()
  logging.setup()

  it("is in all of its events, under what an entry gives", function()
    helper.in_process(function()
      mb.Logger.metadata{user = "ann", request = 1}
      mb.Logger.metadata{request = 2}
      mb.Logger.error("one", {request = 3, more = true})
      mb.Logger.error("two")
    end)
    assert.same({user = "ann", request = 3, more = true}, logging.next_event().metadata)
    assert.same({user = "ann", request = 2}, logging.next_event().metadata)
    Logger.error("mine")
    assert.same({}, logging.next_event().metadata)
  end)

  it("can be read, as a copy, and set anew", function()
    helper.in_process(function()
      local Log = mb.Logger
      assert(next(Log.metadata()) == nil)
      Log.metadata{a = 1}
      Log.metadata().a = 2
      assert(Log.metadata().a == 1)
      assert(Log.reset_metadata{b = 1} == true)
      local now = Log.metadata()
      assert(now.a == nil and now.b == 1)
      Log.reset_metadata()
      assert(next(Log.metadata()) == nil)
    end)
  end)

  it("is in the report of its crash", function()
    mb.spawn(function()
      mb.Logger.metadata{request = 17}
      error("crash")
    end)
    local event = logging.next_event()
    assert.equal(17, event.metadata.request)
    assert.equal("crash", event.metadata.report.kind)
  end)
end)

describe("the text of an entry", function()
  helper.setup()

  -- What a program writes to stderr, without the times.
  local function stderr_of(source)
    local output, code = helper.run_script('local mb = require "moonbeam"; local Logger = mb.Logger\n' .. source)
    assert.equal(0, code, output)
    return (output:gsub("%d%d:%d%d:%d%d%.%d%d%d", "TIME"))
  end

  it("has time and level", function()
    assert.equal("TIME [info] one\nTIME [error] two\nlines\n", stderr_of[[
      Logger.debug("not at first")
      Logger.info("one")
      Logger.error("two\nlines")
    ]])
  end)

  it("follows a template", function()
    assert.equal("error|the text|a=1 b={1} |#PID<0.1.0>|$5 $\nTIME [error] as at first\n", stderr_of[[
      Logger.configure{format = "$level|$message|$metadata|$pid|$5 $", metadata = {"a", "b", "none"}}
      Logger.error("the text", {a = 1, b = {1}, c = 2})
      Logger.configure{format = "default", metadata = {}}
      Logger.error("as at first", {a = 1})
    ]])
    assert.matches("^%d%d%d%d%-%d%d%-%d%d TIME x=1 y=2 \n$", stderr_of[[
      Logger.configure{format = "$date $time $metadata", metadata = "all"}
      Logger.error("text", {y = "2", x = 1})
    ]])
  end)

  it("has the metadata that is asked for before the level", function()
    assert.equal("TIME user=ann [error] text\n", stderr_of[[
      Logger.configure{metadata = {"user"}}
      Logger.error("text", {user = "ann"})
    ]])
  end)

  it("may be made by a function, on every scheduler, for crashes too", function()
    local text = stderr_of[[
      mb.start{schedulers = 2}
      local prefix = "formatted "
      Logger.configure{format = function(event) return prefix .. event.level .. " " .. event.message .. "\n" end}
      for i = 1, 2 do
        local _, ref = mb.Process.spawn(function() Logger.error("by " .. i) end, {scheduler = i, monitor = true})
        mb.receive()
      end
      mb.spawn_monitor(function() error("the crash") end)
      mb.receive()
    ]]
    assert.matches("^formatted error by 1\nformatted error by 2\nformatted error Process #PID<[%d.]+> terminating\n",
      text)
    assert.matches("the crash", text)
  end)

  it("is as at first when the format's function fails, and says so", function()
    local text = stderr_of[[
      Logger.configure{format = function(event) error("bad format") end}
      Logger.error("the text")
      Logger.configure{format = function(event) return 5 end}
      Logger.error("another")
    ]]
    assert.matches("^TIME %[error%] the text\n%(Logger's formatter failed: [^\n]*bad format%)\n", text)
    assert.matches("TIME %[error%] another\n%(Logger's formatter failed: it returned a number, no string%)\n$", text)
  end)
end)

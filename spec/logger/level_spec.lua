local mb = require "moonbeam"
local helper = require "spec.helper"
local logging = require "spec.logging"
local self, Logger = mb.self, mb.Logger

local LEVELS = {"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"}

-- What of the entries of all levels, each made by log(level), comes to the handler.
local function seen(log)
  for _, level in ipairs(LEVELS) do log(level) end
  Logger.log("emergency", "last")
  local levels = {}
  while true do
    local event = logging.next_event()
    if event.message == "last" then return levels end
    levels[#levels + 1] = event.level
  end
end

local function by_name(level) Logger[level](level) end

local function from(level)
  for i, name in ipairs(LEVELS) do
    if name == level then return {table.unpack(LEVELS, i)} end
  end
end

describe("a level", function()
  helper.setup()
  logging.setup()

  after_each(function() Logger.delete_process_level(self()) end)

  it("LOG-01 there are eight, each with a function of its name and the name for log", function()
    for _, level in ipairs(LEVELS) do
      Logger.configure{level = level}
      assert.equal(level, Logger.level())
      assert.same(from(level), seen(by_name))
      assert.same(from(level), seen(function(name) assert.is_true(Logger.log(name, name, {a = 1})) end))
    end
    local names = Logger.levels()
    for i, level in ipairs(LEVELS) do assert.equal(level, names[#LEVELS + 1 - i]) end
    assert.equal(#LEVELS, #names)
  end)

  it("LOG-02 \"all\" lets everything through and \"none\" nothing", function()
    assert.equal("info", Logger.configure{level = "all"})
    assert.equal("all", Logger.level())
    assert.same(LEVELS, seen(by_name))
    assert.equal("all", Logger.configure{level = "none"})
    by_name("emergency")
    Logger.configure{level = "info"}
    Logger.info("seen")
    assert.equal("seen", logging.next_event().message)
  end)

  it("LOG-03 is compared with another one", function()
    assert.equal("gt", Logger.compare_levels("error", "info"))
    assert.equal("lt", Logger.compare_levels("debug", "notice"))
    assert.equal("eq", Logger.compare_levels("alert", "alert"))
  end)

  it("LOG-04 warn is another name of warning", function()
    Logger.warn("old")
    local event = logging.next_event()
    assert.same({"warning", "old"}, {event.level, event.message})
  end)

  it("is refused when there is none of the name, with those there are", function()
    local known = '%(levels: [^)]*"debug", "info", "notice", "warning", "error", "critical", "alert", "emergency"'
    for _, call in ipairs{
      function() Logger.log("loud", "text") end,
      function() Logger.log(nil, "text") end,
      function() Logger.log("none", "text") end,
      function() Logger.configure{level = "loud"} end,
      function() Logger.compare_levels("info", "loud") end,
      function() Logger.put_process_level(self(), "loud") end,
      function() Logger.put_module_level("a", "loud") end,
      function() Logger.add_handler("a", {handler = "default", level = "loud"}) end,
    } do
      local ok, message = pcall(call)
      assert.is_false(ok)
      assert.matches("level_spec.lua:%d+: .*unknown level .*" .. known, message)
    end
  end)

  it("LOG-05 a message's values are no arguments: the way out is said", function()
    for _, call in ipairs{function() Logger.error("failed: %s", "x") end,
      function() Logger.log("error", "failed: %s", "x") end} do
      local ok, message = pcall(call)
      assert.is_false(ok)
      assert.matches('table of metadata expected, got string; [^\n]*%("failed: %%s"%):format%(%.%.%.%), or a function',
        message)
    end
    Logger.configure{level = "none"}
    assert.is_true(Logger.error("failed: %s", "x")) -- costs nothing below the level, and checks nothing
  end)
end)

describe("the level of a process", function()
  helper.setup()
  logging.setup()

  it("LOG-06 counts before that of all, lower or higher, for itself alone", function()
    local pid = self()
    assert.is_nil(Logger.get_process_level(pid))
    assert.is_true(Logger.put_process_level(pid, "debug"))
    assert.equal("debug", Logger.get_process_level(pid))
    assert.same(LEVELS, seen(by_name))
    Logger.put_process_level(pid, "alert")
    assert.same(from("alert"), seen(by_name))
    helper.in_process(function()
      assert(mb.Logger.get_process_level(mb.self()) == nil)
      mb.Logger.debug("below the level of all")
      mb.Logger.info("another process")
    end)
    assert.equal("another process", logging.next_event().message)
    assert.is_true(Logger.delete_process_level(pid))
    assert.same(from("info"), seen(by_name))
  end)

  it("LOG-07 \"none\" says that it does not log at all, but the report of its crash comes", function()
    assert.is_true(Logger.enabled())
    local pid = mb.spawn(function()
      mb.Logger.put_process_level(mb.self(), "none")
      assert(not mb.Logger.enabled(mb.self()))
      mb.Logger.emergency("not seen")
      error("the crash", 0)
    end)
    helper.reason_of(pid)
    local report, event = logging.next_report()
    assert.equal("the crash", report.error)
    assert.equal(pid, event.pid)
  end)

  it("LOG-08 is the process's own to change", function()
    local other = helper.idle()
    for _, call in ipairs{function() Logger.put_process_level(other, "info") end,
      function() Logger.get_process_level(other) end, function() Logger.delete_process_level(other) end,
      function() Logger.enabled(other) end} do
      local ok, message = pcall(call)
      assert.is_false(ok)
      assert.matches("level_spec.lua:%d+: .*the calling process's own pid expected, self%(%)", message)
    end
    assert.is_false((pcall(Logger.put_process_level, "name", "info")))
    mb.Process.exit(other, "kill")
  end)
end)

describe("the level of a module", function()
  helper.setup()

  local directory
  helper.with_directory(function(made) directory = made end)

  -- The entries of a program with two modules, each of which logs at a level by M.log(level).
  local function entries(source)
    for _, name in ipairs{"noisy", "quiet"} do
      local file <close> = assert(io.open(("%s/%s.lua"):format(directory, name), "w"))
      file:write(([[
        local M = {}
        function M.log(level) require("moonbeam").Logger.log(level, "%s " .. level) end
        return M]]):format(name))
    end
    local output, code = helper.run_script(([[
      local mb = require "moonbeam"
      local Logger = mb.Logger
      package.path = "%s/?.lua;" .. package.path
      local noisy, quiet = require "noisy", require "quiet"
    ]]):format(directory) .. source .. " mb.Logger.flush()")
    assert.equal(0, code, output)
    return (output:gsub("%d%d:%d%d:%d%d%.%d%d%d ", ""))
  end

  it("LOG-09 counts before that of all for the calls in its file, lower or higher", function()
    assert.equal("[debug] noisy debug\n[info] quiet info\n[error] quiet error\n", entries[[
      Logger.put_module_level("noisy", "debug")
      noisy.log("debug") quiet.log("debug") quiet.log("info")
      Logger.put_module_level({"noisy", quiet}, "error")
      noisy.log("info") quiet.log("warning") quiet.log("error")
    ]])
  end)

  it("LOG-10 counts behind that of a process", function()
    assert.equal("[info] noisy info\n", entries[[
      Logger.put_module_level("noisy", "none")
      noisy.log("emergency")
      Logger.put_process_level(mb.self(), "info")
      noisy.log("info") noisy.log("debug")
    ]])
  end)

  it("LOG-11 can be asked for and taken away", function()
    assert.equal("[info] noisy info\n[info] noisy info\n", entries[[
      Logger.put_module_level({"noisy", "quiet", "other"}, "error")
      assert(Logger.get_module_level(noisy) == "error")
      assert(Logger.get_module_level("unknown") == nil)
      local some = Logger.get_module_level{"noisy", "unknown"}
      assert(some.noisy == "error" and next(some, next(some)) == nil)
      assert(Logger.delete_module_level("noisy"))
      noisy.log("info") quiet.log("info")
      assert(Logger.get_module_level().quiet == "error" and Logger.get_module_level().noisy == nil)
      Logger.put_module_level("noisy", "error")
      assert(Logger.delete_all_module_levels())
      assert(next(Logger.get_module_level()) == nil)
      noisy.log("info")
    ]])
  end)

  it("refuses what is no module", function()
    for _, module in ipairs{5, "", {}, {"a", 5}} do
      local ok, message = pcall(Logger.put_module_level, module, "info")
      assert.is_false(ok)
      assert.matches("a module's name expected", message)
    end
  end)
end)

describe("a process's metadata", function()
  helper.setup()

  it("LOG-12 loses keys that are deleted", function()
    helper.in_process(function()
      local Log = mb.Logger
      Log.metadata{a = 1, b = 2, c = 3}
      assert(Log.delete_metadata("a", "c", "unknown") == true)
      local now = Log.metadata()
      assert(now.a == nil and now.b == 2 and now.c == nil)
    end)
    assert.has_error(function() Logger.delete_metadata(nil) end)
  end)
end)

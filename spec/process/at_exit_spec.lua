local mb = require "moonbeam"
local helper = require "spec.helper"

describe("at_exit", function()
  helper.setup()

  -- What a script prints that has given functions and then ends so; and its exit status.
  local function ending(how, schedulers)
    return helper.run_script([[
      local mb = require "moonbeam"
      mb.import()
      local me = self()
      mb.at_exit(function(status) print("first", status) end)
      mb.at_exit(function(status)
        sleep(1)
        print("second", status, self() ~= me, Agent.get(Agent.start(function() return "waits" end)))
      end)
    ]] .. how, "", "MOONBEAM_SCHEDULERS=" .. (schedulers or 1))
  end

  it("has functions called at the end, the last given first, in processes that may wait", function()
    local ends = {[""] = 0, ['error("e", 0)'] = 1, ["os.exit(4, true)"] = 4}
    if helper.is_host then
      for how, status in pairs{
        ["exit('r')"] = 1, ["os.exit(5)"] = 5, ["table.sort({1, 2}, function() os.exit(6) end)"] = 6,
        ["package.preload.x = function() os.exit(7) end require 'x'"] = 7, ["receive()"] = 1,
        ["Process.exit(self(), 'kill')"] = 1,
        ["Process.spawn(function() os.exit(8) end, {scheduler = 2}) receive(600000)"] = 8,
        ["local function sort() table.sort({1, 2}, function() os.exit(9) end) end " ..
          "Process.spawn(sort, {scheduler = 2}) receive(600000)"] = 9,
      } do ends[how] = status end
    end
    for how, status in pairs(ends) do
      for _, schedulers in ipairs{2, 4} do
        local text, code = ending(how, schedulers)
        local known = helper.is_host and tostring(status) or "nil"
        assert.matches("second\t" .. known .. "\ttrue\twaits\nfirst\t" .. known .. "\n", text)
        assert.equal(status, code)
      end
    end
  end)

  it("calls the others when one fails", function()
    local text, code = ending('mb.at_exit(function() error("fails", 0) end) mb.at_exit(function() exit("why") end)')
    assert.matches("%(error%) fails", text)
    assert.matches("second\t[^\n]*waits\nfirst\t", text)
    assert.equal(0, code)
  end)

  if helper.is_host then
    it("is over when a function calls os.exit, however the program ends: those that are left are not called", function()
      for _, exits in ipairs{"os.exit(7)", "os.exit(7, true)", "table.sort({1, 2}, function() os.exit(7) end)"} do
        for _, how in ipairs{"", 'error("e", 0)', "os.exit(4)",
          "Process.spawn(function() os.exit(4) end, {scheduler = 2}) receive()"} do
          local source = "mb.at_exit(function() print('exits') %s print('goes on') end) %s"
          local text, code = ending(source:format(exits, how), 2)
          assert.matches("exits\n$", text)
          assert.equal(7, code)
        end
      end
    end)
  end

  it("kills what takes too long, says where, and calls no more", function()
    local text, code = ending("mb.shutdown_timeout(50) mb.at_exit(function() sleep(600000) end)")
    assert.matches("a function of at_exit, at [^\n]+, is cut off after 50 ms", text)
    assert.matches("a function of at_exit is not called: no time is left", text)
    assert.not_matches("second", text)
    assert.equal(0, code)
  end)

  it("takes a copy, from any process and scheduler", function()
    local text = ending([[
      local value = "as it was"
      local pid, ref = Process.spawn(function() mb.at_exit(function() print(value) end) end,
        {scheduler = 2, monitor = true})
      receive()
      value = "changed"]], 2)
    assert.matches("^as it was\n", text)
  end)

  it("refuses what is no function or cannot be copied", function()
    assert.is_false(pcall(mb.at_exit, 1))
    local co = coroutine.create(function() end)
    local ok, message = pcall(mb.at_exit, function() return co end)
    assert.is_false(ok)
    assert.matches("cannot copy argument #1 of at_exit: ", message)
  end)

  it("has the time that shutdown_timeout sets", function()
    local before = mb.shutdown_timeout(123)
    assert.equal(123, mb.shutdown_timeout(before))
    assert.is_false(pcall(mb.shutdown_timeout, -1))
    assert.equal("77\n", (helper.run_script('print(require "moonbeam".shutdown_timeout())', "",
      "MOONBEAM_SHUTDOWN_TIMEOUT=77")))
  end)
end)

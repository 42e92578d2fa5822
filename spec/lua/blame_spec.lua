local mb = require "moonbeam"
local helper = require "spec.helper"

local Registry = mb.Registry

-- Whom errors name: never a line of the library's own.
describe("an error", function()
  helper.setup()

  local here = debug.getinfo(1, "S").short_src

  -- What fn raises, when that is an error's text, and the line of the call.
  local function raised(fn, value)
    local line = debug.getinfo(1, "l").currentline + 1
    local ok, e = pcall(function() fn(value) end)
    return not ok and type(e) == "string" and e or nil, line
  end

  local function check(name, fn)
    for _, value in ipairs{true, -1.5, io.stdout} do
      local pid, ref = mb.spawn_monitor(function() mb.exit{"raised", raised(fn, value)} end)
      local reason = helper.await_end(pid, ref)
      if type(reason) == "table" and reason[1] == "raised" and reason[2] then
        assert.equal(("%s:%d: "):format(here, reason[3]), reason[2]:match("^.-:%d+: "), name .. ": " .. reason[2])
      end
    end
  end

  it("about a first argument names the line of the call, for all public functions", function()
    local count = 0
    local function walk(prefix, module)
      for name, value in pairs(module) do
        if type(value) == "function" and type(name) == "string" and name ~= "pry" then -- that takes none, and prints
          count = count + 1
          check(prefix .. name, value)
        end
      end
    end
    walk("", mb)
    for name, value in pairs(mb) do
      if type(value) == "table" and type(name) == "string" and name:match("^%u") then walk(name .. ".", value) end
    end
    walk("Task.Supervisor.", mb.Task.Supervisor)
    assert.truthy(count > 140, count)
  end)

  it("that a function of the user's blames on its caller does not name the library", function()
    local takers = {
      function(fn) Registry.dispatch("blame", "key", fn) end,
      function(fn) Registry.update_value("blame", "key", fn) end,
      function(fn) Registry.lock("blame", "key", fn) end,
      function(fn) mb.on_scheduler_start(fn) end,
    }
    helper.in_process(function()
      Registry.start_link{keys = "unique", name = "blame"}
      Registry.register("blame", "key", "no number")
      for _, taker in ipairs(takers) do
        assert.equal("the caller's fault", select(2, pcall(taker, function() error("the caller's fault", 2) end)))
        assert.matches("^bad argument #1 to ", select(2, pcall(taker, math.floor)))
      end
      mb.Process.flag("trap_exit", true)
      mb.GenServer.stop("blame")
    end)
  end)

  it("that a value cannot be called names the line of the call", function()
    local uncallable = setmetatable({}, {__call = 5})
    local message, line = raised(mb.Agent.start_link, uncallable)
    assert.equal(("%s:%d: bad argument #1 to 'Agent.start_link' (function expected, got table)"):format(here, line),
      message)
    local pid = mb.Agent.start_link(setmetatable({}, {__call = setmetatable({}, {__call = function() return 7 end})}))
    assert.equal(7, mb.Agent.get(pid))
    mb.Agent.stop(pid)
  end)
end)

-- What a slice that lasts too long is reported by.
local mb = require "moonbeam"
local helper = require "spec.helper"
local run_script = helper.run_script

describe("a scheduler", function()
  helper.setup()

  local reporting = "MOONBEAM_LONG_SCHEDULE= MOONBEAM_PREEMPT= MOONBEAM_SCHEDULERS=1"
  local alone = "while Process.info(me, 'status') ~= 'waiting' do sleep(1) end " -- once the main process waits
  local somebody = "spawn(function() while true do sleep(1) end end) " -- who often wants the scheduler

  it("reports a slice that cannot be cut, once per place #time", function()
    local output = run_script([[
      local mb = require "moonbeam"
      mb.import()
      ]] .. somebody .. [[
      local me = self()
      print(mb.long_schedule(20))
      spawn(function()
        Process.register(self(), "hog")
        for _ = 1, 2 do
          table.sort({1, 2, 3}, function(a, b)
            local started = os.clock()
            while os.clock() - started < 0.05 do end
            return a < b
          end)
        end
        send(me, "done")
      end)
      receive{ {"done"} }
    ]], "2>&1", reporting)
    local _, found = output:gsub("%[warning%] Process #PID<[%d.]+> %(hog%) has held scheduler %d+ for %d+ ms", "")
    assert.equal(1, found, output)
    assert.truthy(output:find("^50\n"), output)
    assert.truthy(output:find("stack traceback:\n\t[%w/_.]+:%d+: in function <"), output)
    assert.truthy(output:find("in function 'table.sort'", 1, true), output)
    assert.is_false(pcall(mb.long_schedule, -1))
  end)

  local long_call = [[
      local me = self()
      local function compute()
        local started = os.clock()
        while os.clock() - started < 0.1 do end
      end
      spawn(function()
        Process.register(self(), "caller")
        ]] .. alone .. [[
        compute();
        (("a"):rep(8000)):find("^.-.-b") -- the long call
        compute()
        send(me, "done")
      end)
      print(receive{ {"done"} })
  ]]

  local function line_of(program, what)
    local before = program:sub(1, program:find(what, 1, true))
    return select(2, before:gsub("\n", "\n")) + 1
  end

  it("reports a long call by its line, and nothing else that the process does #time", function()
    local program = 'require "moonbeam".import() require "moonbeam".long_schedule(20)\n' .. somebody .. long_call
    local output = run_script(program, "2>&1", reporting)
    assert.equal(1, select(2, output:gsub("%(caller%) has held scheduler 1", "")), output)
    assert.truthy(output:find("\n\t%[C%]: in [^\n]*find'\n[^\n]*:" .. line_of(program, "-- the long call") .. ": "),
      output)
    assert.truthy(output:find("done\n", 1, true), output)
  end)

  it("reports nothing where nobody waits #time", function()
    local program = 'require "moonbeam".import() require "moonbeam".long_schedule(20)\n' .. long_call
    assert.equal("done\n", (run_script(program, "2>&1", reporting)))
  end)

  it("reports with a place, or not at all, what fails in a slice that is long #time", function()
    local output = helper.run_script([[
      require("moonbeam").import()
      local _, ref = spawn_monitor(function()
        local function f() return 1 + f() end
        f()
      end)
      spawn(function() receive() end)
      receive{ {{"DOWN", ref, "process", any, any}} }
    ]], "2>&1", reporting)
    assert.truthy(output:find("stack overflow", 1, true), output)
    assert.is_nil(output:find("stack traceback:\n[^\t]"), output)
  end)

  it("reports no sum of what could be cut in between #time", function()
    local output = run_script([[
      local mb = require "moonbeam"
      mb.import()
      ]] .. somebody .. [[
      local me = self()
      spawn(function()
        local started, values = os.clock(), {}
        while os.clock() - started < 0.5 do
          for i = 1, 3000 do values[i] = i * 7919 % 3001 end
          table.sort(values, function(a, b) return a < b end)
        end
        send(me, "done")
      end)
      print(receive())
    ]], "2>&1", reporting)
    assert.equal("done\n", output)
  end)

  it("reports a call that waits outside of Lua, in which it was not interrupted #time", function()
    local output = run_script([[
      local mb = require "moonbeam"
      mb.import()
      mb.long_schedule(20)
      ]] .. somebody .. [[
      local me = self()
      spawn(function()
        os.execute("sleep 0.2")
        local started = os.clock()
        while os.clock() - started < 0.05 do end
        send(me, "done")
      end)
      print(receive())
    ]], "2>&1", reporting)
    -- while it starts the other program it may be met computing, and then its return is seen
    local _, waited = output:gsub("has held scheduler 1 for %d+ ms while it waited inside a C function", "")
    local report = "has held scheduler 1 for %d+ ms without[^\n]*\n[^\n]*\n[^\n]*\n%s*%[C%]: in [^\n]*execute'"
    local _, seen = output:gsub(report, "")
    assert.equal(1, waited + seen, output)
  end)

  it("tells which process hangs while others wait, before it is over #time", function()
    local file = os.tmpname()
    local function hang(beside, how, settings)
      return (run_script(([[
        local mb = require "moonbeam"
        mb.import()
        ]] .. beside .. [[
        local me = self()
        spawn(function()
          Process.register(self(), "server")
          ]] .. alone .. [[
          os.execute(%q)
          send(me, "done")
        end)
        print(receive{ {"done"} })
      ]]):format(how .. "; echo slept >&2"), "2>&1 | tee " .. file, settings))
    end
    for _, settings in ipairs{reporting, (reporting:gsub("PREEMPT=", "PREEMPT=100"))} do
      local output = hang(somebody,
        ("for i in $(seq 600); do grep -q 'has held' %s && break; sleep 0.1; done"):format(file), settings)
      local told, _, ms = output:find("warning] Process #PID<[%d.]+> %(server%), spawned at [^\n]*:4, "
        .. "has held scheduler 1 for (%d+) ms")
      local over = output:find("slept")
      assert.truthy(told and over and told < over, output)
      assert.is_true(tonumber(ms) >= 2000, output)
      assert.equal(1, select(2, output:gsub("does not return", "")), output)
    end
    assert.equal("slept\ndone\n", hang("", "sleep 3", reporting))
    os.remove(file)
  end)

  it("reports no long slice where slices are counted, unless that is wanted", function()
    for setting, threshold in pairs{
      ["MOONBEAM_PREEMPT="] = "50", ["MOONBEAM_PREEMPT=100"] = "0",
      ["MOONBEAM_PREEMPT=100 MOONBEAM_LONG_SCHEDULE=7"] = "7",
    } do
      assert.equal(threshold .. "\n", (run_script([[print(require "moonbeam".long_schedule())]], "",
        "MOONBEAM_LONG_SCHEDULE= " .. setting)))
    end
  end)

  it("reports a deep stack at about the cost of a traceback of it #time", function()
    local output = run_script([[
      local mb = require "moonbeam"
      mb.import()
      local me = self()
      local function long() return (("a"):rep(8000)):find("^.-.-b") end
      local function cost(fn) -- of the processor
        local started = os.clock()
        fn()
        return os.clock() - started
      end
      mb.long_schedule(0)
      local alone = cost(long)
      mb.long_schedule(1)
      ]] .. somebody .. [[
      spawn(function()
        local function deep(n)
          if n > 0 then return 1 + deep(n - 1) end
          send(me, {cost(long), cost(debug.traceback)})
          return n
        end
        deep(150000)
      end)
      local reported, traceback = table.unpack(receive())
      print(reported < 20 * (alone + traceback), reported, alone, traceback)
    ]], "2>&1", "MOONBEAM_PREEMPT= MOONBEAM_SCHEDULERS=1")
    assert.truthy(output:find("has held scheduler 1", 1, true), output)
    assert.truthy(output:find("\ntrue"), output)
  end)
end)

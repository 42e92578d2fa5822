local feed = require "spec.repl.feed".lines
local helper = require "spec.helper"
local moonbeam = require "spec.repl.feed".moonbeam
local terminal = require "spec.repl.terminal"

describe("the prompt's helpers", function()
  it("REPL-14: h() is a way to all names: every helper, every module, every name of the library", function()
    local text = feed("h()")
    local names = helper.run(moonbeam .. [[ -e '
      for name in pairs(require "moonbeam.shell.helpers") do print(name) end
      for name in pairs(require "moonbeam") do if name ~= "_VERSION" then print(name) end end']])
    local count = 0
    for name in names:gmatch("%S+") do
      count = count + 1
      assert.is_truthy(text:find("%f[%w_]" .. name .. "%f[^%w_]"), name)
    end
    assert.is_true(count > 40)
    for line in text:gmatch("[^\n]+") do assert.is_true(#line <= 100, line) end
  end)

  it("REPL-15: exports(module) lists the functions of a module, and how they are called", function()
    local text = feed("exports(Agent)")
    assert.matches("^cast%(agent, fn%)\n", text)
    assert.matches("\nget%(agent %[, fn %[, ms = 5000%]%]%)\n", text)
    assert.equal(text, feed("exports('Agent')"))
    assert.equal(text, feed("exports('moonbeam.agent')"))
    assert.matches("start_child%(supervisor, fn, %.%.%.%)\n", (feed("exports('Task.Supervisor')")))
    assert.equal("{} has no functions\nf(a, b, ...)  g()\n",
      (feed("exports{}", "exports{g = function() end, f = function(a, b, ...) end, x = 1}")))
    assert.matches("rep%(%.%.%.%)", (feed("exports('string')")))
    for argument, got in pairs{["'nobody'"] = "'nobody'", ["nil"] = "nil", ["5"] = "number"} do
      assert.matches("mb%(1%):1: bad argument #1 to 'exports' %(module or name of one expected, got " .. got .. "%)",
        (feed("exports(" .. argument .. ")")))
    end
  end)

  it("REPL-16: b(module) tells the callbacks of a module, what they take and return; of one also when it is called",
      function()
    local text = feed("b(GenServer)")
    for name in ("init handle_call handle_cast handle_info handle_continue terminate code_change format_status")
        :gmatch("%S+") do
      assert.matches("%f[%w_]" .. name .. "%([%l, ]+%)[^\n]*\n    %-> ", text)
    end
    assert.matches('handle_call%(request, from, state%)   %(optional%)\n    %-> "reply", value, state', text)
    assert.equal(text, feed("b('GenServer')"))
    assert.matches('^init%(arg%)\n    %-> "ok", state .*\n\nThe server has been started', (feed("b('GenServer.init')")))
    assert.matches("^init%(arg%)\n    %-> Supervisor.init", (feed("b(Supervisor)")))
    assert.matches("^init%(arg%)\n    %-> DynamicSupervisor.init", (feed("b(DynamicSupervisor)")))
    assert.matches('^handle_event%(event_type, event, state, data%)   %(optional%)\n    %-> "next_state", state, data ',
      (feed("b('StateMachine.handle_event')")))
    assert.matches("^stop%(state%).*\n\nThe application has stopped", (feed("b('Application.stop')")))
    assert.equal("No callbacks for Task were found\n", (feed("b(Task)")))
    assert.equal("No callbacks for string were found\n", (feed("b('string')")))
    assert.matches("bad argument #1 to 'b' %(module or name of one expected, got 'GenServer.nothing'%)",
      (feed("b('GenServer.nothing')")))
  end)

  it("REPL-17: runtime_info() tells versions, memory, and what there is of what is limited", function()
    local text = feed("runtime_info()")
    for _, line in ipairs{"## System", "Moonbeam version: +%d+%.%d+%.%d+", "Lua version: +Lua 5.4", "Schedulers: +%d+",
        "## Memory", "Resident: +%d+ MB", "## Statistics / limits", "Uptime: +%d+ %a+",
        "Processes: +%d+ / %d+ %(0%% used%)"} do
      assert.matches("%f[^\n%z]" .. line .. "\n", text)
    end
    local one = feed("runtime_info('memory')")
    assert.matches("^## Memory\n", one)
    assert.equal(nil, one:find("## System", 1, true))
    assert.matches('mb%(1%):1: bad argument #1 to \'runtime_info\' %("system", "memory", "limits" expected, got "x"%)',
      (feed("runtime_info('x')")))
  end)

  it("REPL-18: clear() clears the screen of a terminal", function()
    assert.equal("The screen cannot be cleared: this prompt is on no terminal\n", (feed("clear()")))
    local t = terminal.prompt()
    t:enter("'some text'", "text")
    t:enter("clear()", "^\n*mb%(3%)>$")
    t:stop()
  end)
end)

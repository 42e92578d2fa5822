-- Reasons that are tables: what they are for programs, and the text that people see.
local mb = require "moonbeam"
local helper = require "spec.helper"
local GenServer, Agent, Supervisor, Task = mb.GenServer, mb.Agent, mb.Supervisor, mb.Task
local any, receive, self, send = mb.any, mb.receive, mb.self, mb.send

-- The reason of a process that runs fn, from its DOWN.
local function reason_of(fn, ...)
  local pid, ref = mb.spawn_monitor(fn, ...)
  return helper.await{"DOWN", ref, "process", pid, any}
end

local NO_PROCESS = "** (EXIT) no process: the process is not alive or there's no process currently associated with " ..
  "the given name"

describe("a reason that is a table", function()
  helper.setup()

  it("EXIT-21 is text where Lua makes text of it", function()
    local raised = reason_of(function() error("no", 0) end)
    assert.matches("^an exception was raised:\n    %*%* %(error%) no\n    stack traceback:\n    \t", tostring(raised))
    assert.equal("shutdown: 7", tostring(reason_of(mb.exit, {"shutdown", 7})))
    assert.equal('{"odd", {1}}', tostring(reason_of(mb.exit, {"odd", {1}})))
    local called = reason_of(GenServer.call, "reason_text_nobody", 1)
    assert.equal('exited in: GenServer.call("reason_text_nobody", 5000)\n    ' .. NO_PROCESS, tostring(called))
  end)

  it("EXIT-21 so is one of an EXIT message, of a start that failed and of an exit that is caught", function()
    mb.Process.flag("trap_exit", true)
    local pid = mb.spawn_link(mb.exit, {"shutdown", "x"})
    assert.equal('shutdown: "x"', tostring((helper.await{"EXIT", pid, any})))
    mb.Process.flag("trap_exit", false)
    local a = Agent.start(function() return 1 end, {name = "reason_text_agent"})
    local none, why = Agent.start(function() return 1 end, {name = "reason_text_agent"})
    assert.is_nil(none)
    assert.equal("already started: " .. tostring(a), tostring(why))
    assert.same({"already_started", a}, why)
    Agent.stop(a)
    local S = {init = function() return "stop", {"disk", 1} end}
    assert.equal('{"disk", 1}', tostring(select(2, GenServer.start(S))))
    local caught = select(2, pcall(GenServer.call, "reason_text_nobody", 1))
    assert.equal('exited in: GenServer.call("reason_text_nobody", 5000)\n    ' .. NO_PROCESS, tostring(caught.reason))
    assert.equal("exit: " .. tostring(caught.reason), tostring(caught))
  end)

  it("EXIT-21 keeps that in messages to other schedulers", function()
    local me = self()
    local why = reason_of(mb.exit, {"shutdown", 7})
    mb.Process.spawn(function() send(me, {tostring(why), why}) end, {})
    local text, back = helper.await{any, any}
    assert.equal("shutdown: 7", text)
    assert.equal("shutdown: 7", tostring(back))
  end)

  it("EXIT-21 is a plain table otherwise", function()
    local why = reason_of(mb.exit, {"odd", {1}, x = 2})
    assert.same({"odd", {1}, x = 2}, why)
    assert.equal('{"odd", {1}, x = 2}', mb.inspect(why))
    assert.equal("table", mb.type(why))
    local keys = 0
    for _ in pairs(why) do keys = keys + 1 end
    assert.equal(3, keys)
    assert.is_true(mb.match({"odd", {1}}, why))
    assert.is_true(mb.match(why, {"odd", {1}, x = 2}))
    send(self(), {"DOWN", why})
    assert.is_true(receive{ {{"DOWN", why}, function() return true end}, after = {0, function() return false end} })
    assert.is_true(rawequal(setmetatable(why, nil), why))
  end)

  it("EXIT-21 keeps a metatable of its own", function()
    local why = reason_of(function()
      mb.exit(setmetatable({"own"}, {__tostring = function(t) return "mine: " .. t[1] end}))
    end)
    assert.equal("mine: own", tostring(why))
  end)

  it("tells calls within calls, children that failed, and what a task gave", function()
    local function start() return nil, "no disk" end
    local function supervisor()
      mb.Process.flag("trap_exit", true)
      return mb.exit(select(2, Supervisor.start_link({{id = "a", start = {start}}}, {strategy = "one_for_one"})))
    end
    assert.equal('shutdown: failed to start child: "a"\n    ** (EXIT) "no disk"', tostring(reason_of(supervisor)))
    local late = reason_of(function() Task.await(Task.async(mb.sleep, 60000), 1) end)
    assert.matches("^exited in: Task.await%(task #PID<[%d.]+>, 1%)\n    %*%* %(EXIT%) time out$", tostring(late))
    local twice = reason_of(function()
      local task = Task.async(function() return 1 end)
      Task.await(task)
      Task.await(task, 1)
    end)
    assert.matches("%*%* %(EXIT%) time out: what the task has replied was taken before$", tostring(twice))
  end)
end)

describe("nil that is no pid", function()
  helper.setup()

  local function told(fn, ...)
    return (select(2, pcall(fn, ...)):gsub("^[^:]*:%d+: ", ""):gsub("[%w/.]*spec/[^:]*", "here"))
  end

  it("EXIT-23 is said to come of the start that the process has failed last", function()
    local S = {init = function(why) return "error", why end}
    helper.in_process(function()
      assert.equal("bad argument #1 to 'GenServer.call' (pid or name expected, got nil)", told(GenServer.call, nil, 1))
      GenServer.start_link(S, "no disk")
      GenServer.start(S, {"shutdown", "later"})
      assert.matches("^bad argument #1 to 'Agent.get' %(pid or name expected, got nil; " ..
        'GenServer.start at here:%d+ has failed: shutdown: "later"%)$', told(Agent.get, nil))
      local function fails() error("x") end
      Agent.start(fails)
      for _, each in ipairs{{"send", send, nil, 1}, {"GenServer.cast", GenServer.cast, nil, 1},
        {"GenServer.stop", GenServer.stop, nil}} do
        assert.matches("^bad argument #1 to '" .. each[1] .. "' %(pid or name expected, got nil; Agent.start at " ..
          "here:%d+ has failed: an exception was raised: %*%* %(error%) here:%d+: x%)$",
          told(table.unpack(each, 2, 4)))
      end
      -- what has failed in another file may be long over
      assert(load("require('moonbeam').Agent.start(function() error 'y' end)", "=elsewhere"))()
      assert.equal("bad argument #1 to 'Agent.get' (pid or name expected, got nil)", told(Agent.get, nil))
    end)
  end)
end)

describe("a traceback", function()
  helper.setup()

  local function trace_of(fn) return (reason_of(fn)[3]:gsub("[^\n\t<]*reason_text_spec.lua:%d+", "here")) end

  it("EXIT-22 has one line where the library's code is", function()
    assert.equal("stack traceback:\n\t[C]: in function 'Agent.get'\n\there: in function <here>",
      trace_of(function() Agent.get(nil) end))
    assert.equal("stack traceback:\n\t[C]: in function 'receive'\n\there: in function <here>",
      trace_of(function() receive{ {"x"}, after = "1s" } end))
    assert.equal("stack traceback:\n\t[C]: in function 'Process.register'\n\there: in function <here>",
      trace_of(function() mb.Process.register(1, 2) end))
    assert.equal("stack traceback:\n\t[C]: in function 'Task.await'\n\t(...tail calls...)",
      trace_of(function() return Task.await(nil) end))
  end)

  it("EXIT-22 also where that calls the user's", function()
    local trace = trace_of(function()
      mb.Registry.start_link{keys = "duplicate", name = "reason_text_registry"}
      mb.Registry.register("reason_text_registry", "k", 1)
      mb.Registry.dispatch("reason_text_registry", "k", function() error("in it") end)
    end)
    assert.equal("stack traceback:\n\t[C]: in function 'error'\n\there: in function <here>\n" ..
      "\t[C]: in function 'Registry.dispatch'\n\there: in function <here>", trace)
  end)

  it("EXIT-22 and none below a server's callback", function()
    local S = {init = function() return "ok", 0 end, handle_call = function() error("in it") end}
    local server, ref = GenServer.start(S)
    ref = mb.monitor(server)
    pcall(GenServer.call, server, 1)
    local reason = helper.await{"DOWN", ref, "process", server, any}
    assert.equal("stack traceback:\n\t[C]: in function 'error'\n\there: in function 'handle_call'",
      (reason[3]:gsub("[^\n\t<]*reason_text_spec.lua:%d+", "here")))
  end)

  it("of many levels leaves out those in the middle", function()
    local function deep(n)
      if n == 0 then error("deep") end
      deep(n - 1)
      return n
    end
    for _, n in ipairs{15, 50, 500} do
      local trace = trace_of(function() deep(n) end)
      local _, lines = trace:gsub("\n", "")
      assert.equal(n == 15 and 18 or 22, lines)
      if n > 15 then assert.matches(("\n\t%%.%%.%%.\t%%(skipping %d levels%%)\n"):format(n + 3 - 22), trace) end
    end
  end)
end)

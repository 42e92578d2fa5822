local helper = require "spec.helper"

-- What names a module that can be loaded on the first scheduler alone. Each test is a program of its own.
describe("a message that cannot be made", function()
  local directory = os.tmpname()

  setup(function()
    os.remove(directory)
    assert(os.execute("mkdir " .. directory))
    local function write(name, text)
      local file = assert(io.open(directory .. "/" .. name .. ".lua", "w"))
      file:write(text)
      file:close()
    end
    write("only_first", [[
      local mb = require "moonbeam"
      if mb.Process.info(mb.self(), "scheduler") ~= 1 then error("not here", 0) end
      return {f = function(x) return x end}
    ]])
    write("only_second", [[
      local mb = require "moonbeam"
      if mb.Process.info(mb.self(), "scheduler") == 1 then error("not on the first", 0) end
      return {f = function(x) return x end}
    ]])
    write("greedy", [[
      local mb = require "moonbeam"
      if mb.Process.info(mb.self(), "scheduler") ~= 1 then
        mb.send(mb.self(), {"loaded, and took", mb.receive(0), mb.receive(0)})
      end
      return {f = function(x) return x end}
    ]])
  end)

  teardown(function() os.execute("rm -r " .. directory) end)

  -- What is logged, and what the program prints.
  local function run(source)
    local output, code = helper.run_script(([[
      package.path = %q .. "/?.lua;" .. package.path
      local mb = require 'moonbeam' mb.import()
      local only_first, greedy, me = require "only_first", require "greedy", self()
      local function there(fn) return Process.spawn(fn, {scheduler = 2}) end
    ]]):format(directory) .. source, "", "MOONBEAM_SCHEDULERS=2")
    local logged, printed = {}, {}
    for line in output:gmatch("[^\n]+") do
      local text = line:match("^%d+:%d+:%d+%.%d+ %[error%] (.*)$")
      table.insert(text and logged or printed, text or line)
    end
    return logged, printed, code
  end

  local cannot = "a message from #PID<[%d.]+> to #PID<[%d.]+>.* cannot be made and has been dropped: " ..
    "cannot receive: module 'only_first' cannot be loaded on scheduler 2: not here"

  it("raises in the receive that meets it, once, and is gone", function()
    local logged, printed, code = run[[
      local p = there(function()
        receive{ {"go"} }
        for i = 1, 2 do
          local ok, message = pcall(receive)
          send(me, {ok, tostring(message), Process.info(self(), "message_queue_len")})
        end
      end)
      send(p, {only_first.f})
      send(p, "next")
      send(p, "go")
      for i = 1, 2 do print(table.unpack(receive())) end
    ]]
    assert.matches("^false\t[^\t]+:%d+: " .. cannot .. "\t1$", printed[1])
    assert.equal("true\tnext\t0", printed[2])
    assert.equal(2, #printed)
    assert.equal(1, #logged)
    assert.matches("^" .. cannot .. "$", logged[1])
    assert.equal(0, code)
  end)

  it("is passed over by a selective receive, which goes on", function()
    local logged, printed = run[[
      local p = there(function()
        local got = receive{ {{any}}, {"go"} }
        send(me, {got, Process.info(self(), "message_queue_len")})
      end)
      send(p, {only_first.f})
      send(p, {"next"})
      print(table.unpack(receive()))
    ]]
    assert.same({"next\t0"}, printed)
    assert.matches("^" .. cannot .. "$", logged[1])
  end)

  it("does not end a server", function()
    local logged, printed = run[[
      local Echo = {init = function() return "ok", 0 end}
      function Echo.handle_cast(_, n) return "noreply", n + 1 end
      function Echo.handle_call(request, _, n) return "reply", {request, n}, n end
      function Echo.handle_info(_, n) return "noreply", n + 10 end
      there(function()
        local server
        repeat server = GenServer.start(Echo, nil) until Process.info(server, "scheduler") == 2
        Process.register(server, "echo")
        send(me, server)
      end)
      local server = receive()
      GenServer.cast(server, only_first.f)
      send(server, only_first.f)
      print(select(2, pcall(GenServer.call, server, only_first.f, "infinity")).reason[1])
      GenServer.cast(server, "counted")
      print(table.unpack(GenServer.call(server, "request")))
    ]]
    assert.matches("^" .. cannot .. "$", printed[1])
    assert.equal("request\t1", printed[2])
    assert.equal(3, #logged)
    for _, text in ipairs(logged) do assert.matches("%(echo%) cannot be made", text) end
  end)

  it("is told of to whoever waits for its answer, at once", function()
    local _, printed = run[[
      local Echo = {init = function() return "ok", 0 end}
      function Echo.handle_call(request, _, n) return "reply", n, n end
      there(function()
        local server, agent, sup
        repeat server = GenServer.start(Echo, nil) until Process.info(server, "scheduler") == 2
        repeat agent = Agent.start(function() return 0 end) until Process.info(agent, "scheduler") == 2
        repeat sup = DynamicSupervisor.start_link() until Process.info(sup, "scheduler") == 2
        Process.register(server, "echo")
        send(me, {server, agent, sup})
        receive{ {"never"} }
      end)
      local server, agent, sup = table.unpack(receive())
      local function try(what, fn, ...)
        local ok, e = pcall(fn, ...)
        print(what, ok, type(e) == "table" and e.reason and e.reason[1] or inspect(e))
      end
      try("call", GenServer.call, server, only_first.f, "infinity")
      try("agent", Agent.get, agent, only_first.f, "infinity")
      try("state", GenServer.replace_state, server, only_first.f, "infinity")
      try("child", DynamicSupervisor.start_child, sup, {id = 1, start = {only_first.f}})
      print("multi", inspect(select(2, GenServer.multi_call("echo", only_first.f))))
      print("left", #Process.info(self(), "monitors"), Process.info(self(), "message_queue_len"),
        inspect(Process.info(server, "monitored_by")), GenServer.call(server, "request"))
    ]]
    for i, what in ipairs{"call", "agent", "state", "child"} do
      assert.matches("^" .. what .. "\tfalse\t" .. cannot .. "$", printed[i])
    end
    assert.equal('multi\t{"nonode@nohost"}', printed[5])
    assert.equal("left\t0\t0\t{}\t0", printed[6])
  end)

  it("ends the task whose work it is", function()
    local _, printed = run[[
      there(function()
        local sup
        repeat sup = Task.Supervisor.start_link() until Process.info(sup, "scheduler") == 2
        send(me, sup)
        receive{ {"never"} }
      end)
      local sup, e = receive()
      Logger.configure{level = "none"}
      repeat
        local ok
        ok, e = pcall(Task.await, Task.Supervisor.async_nolink(sup, only_first.f, 1), "infinity")
      until not ok -- it was elsewhere
      print(e.reason[1][2])
      print(#Task.Supervisor.children(sup))
    ]]
    assert.matches("^" .. cannot .. "$", printed[1])
    assert.equal("0", printed[2])
  end)

  it("raises at who has called, when it is the reply", function()
    local _, printed = run[[
      there(function()
        local ok, message = pcall(GenServer.call, me, "request")
        local again = select(2, pcall(Task.await, Task.async(function() return "fine" end)))
        send(me, {ok, message, again, #Process.info(self(), "monitors"), Process.info(self(), "message_queue_len")})
      end)
      GenServer.reply(receive()[2], only_first.f)
      print(table.unpack(receive()))
    ]]
    assert.matches("^false\t[^\t]+ cannot be made and has been dropped: [^\t]+\tfine\t0\t0$", printed[1])
  end)

  it("is shown as text by Process.info", function()
    local logged, printed = run[[
      local p = there(function() sleep("infinity") end)
      send(p, only_first.f)
      send(p, "plain")
      print(inspect(Process.info(p, "messages")))
    ]]
    assert.same({'{"(only_first.f, whose module is not loaded on scheduler 2)", "plain"}'}, printed)
    assert.same({}, logged)
  end)

  local unmade = "(only_second.f, which cannot be made here: " ..
      "module 'only_second' cannot be loaded on scheduler 1: not on the first)"

  it("is shown by Process.info of another scheduler's process without what cannot be made here", function()
    local logged, printed = run[[
      there(function()
        local f = require("only_second").f
        Process.put("plain", 1)
        Process.put("value", {f, "kept", f})
        Process.put(f, "key")
        send(self(), {message = f, n = 1})
        send(me, self())
        receive{ {"never"} }
      end)
      local p = receive()
      local dictionary = Process.info(p, "dictionary")
      print(dictionary.plain, dictionary.value[2], dictionary.value[1] == dictionary.value[3])
      print(dictionary.value[1])
      for key, value in pairs(dictionary) do if value == "key" then print(key) end end
      local message = Process.info(p, "messages")[1]
      print(message.n, message.message)
      print(Process.info(p).dictionary.plain)
    ]]
    assert.same({"1\tkept\ttrue", unmade, unmade, "1\t" .. unmade, "1"}, printed)
    assert.same({}, logged)
  end)

  it("costs only itself in what a handler of the log gets", function()
    local logged, printed = run[[
      Logger.configure{handler = function(event) send(me, event) end}
      there(function()
        Process.put("$callers", {me})
        error(setmetatable({require("only_second").f, "kept"}, {__tostring = function() return "the error" end}))
      end)
      local event = receive()
      local report = event.metadata.report
      print(event.kind, event.level, event.message:match("^Process #PID<[%d.]+> terminating") ~= nil, report.kind)
      print(report.error[1])
      print(tostring(report.error), report.error[2], report.reason[1], report.callers[1] == me)
      there(function() Logger.info("a text", {f = require("only_second").f, n = 1}) end)
      event = receive()
      print(event.message, event.metadata.n, event.metadata.f == report.error[1])
    ]]
    assert.same({"crash\terror\ttrue\tcrash", unmade, "the error\tkept\terror\ttrue", "a text\t1\ttrue"}, printed)
    assert.same({}, logged)
  end)

  it("tries each module once for what is told of its values", function()
    local _, printed = run[[
      there(function()
        local f = require("only_second").f
        for i = 1, 100 do Process.put(i, f) end
        send(me, self())
        receive()
      end)
      local p, tried = receive(), 0
      table.insert(package.searchers, 2, function(name) if name == "only_second" then tried = tried + 1 end end)
      print(#Process.info(p, "dictionary"), tried)
    ]]
    assert.same({"100\t1"}, printed)
  end)

  it("is a text in a reason", function()
    local logged, printed = run[[
      there(function()
        Process.flag("trap_exit", true)
        local p, ref = Process.spawn(function() receive() end, {monitor = true, link = true, scheduler = 1})
        send(me, p)
        local down = receive{ {{"DOWN", ref, "process", p, any}} }
        local exit = receive{ {{"EXIT", p, any}} }
        send(me, {down, exit})
      end)
      Process.exit(receive(), {"shutdown", {only_first.f}})
      for _, reason in ipairs(receive()) do print(reason[1], reason[2][1]) end
    ]]
    for i = 1, 2 do
      assert.equal("shutdown\t(only_first.f, which cannot be made here: " ..
      "module 'only_first' cannot be loaded on scheduler 2: not here)",
        printed[i])
    end
    assert.same({}, logged)
  end)

  it("is a text in the reason that the script is ended by", function()
    local _, printed, code = run[[
      Process.spawn(function() exit{require("only_second").f} end, {scheduler = 2, link = true})
      receive{ {"never"} }
    ]]
    assert.equal(1, code)
    assert.truthy(table.concat(printed):find(unmade, 1, true), table.concat(printed))
  end)

  it("may take others while its module is loaded", function()
    local _, printed = run[[
      local p = there(function()
        receive{ {"go"} }
        send(me, {receive(), receive(), Process.info(self(), "message_queue_len")})
      end)
      for _, message in ipairs{{"first", greedy.f}, "second", "third", "go"} do send(p, message) end
      local first, note, left = table.unpack(receive())
      print(first[1], type(first[2]), inspect(note), left)
    ]]
    assert.same({'first\tfunction\t{"loaded, and took", "second", "third"}\t0'}, printed)
  end)

  it("is dropped when there is not the memory for it, and the receiver goes on", function()
    local logged, printed = run[[
      local core = require "moonbeam.core"
      local Counter = {init = function() return "ok", 0 end}
      function Counter.handle_info(message, n) return "noreply", n + #message end
      function Counter.handle_call(_, _, n) return "reply", n, n end
      there(function()
        local server
        repeat server = GenServer.start(Counter, nil) until Process.info(server, "scheduler") == 2
        local taker = Process.spawn(function()
          local ok, message = pcall(receive)
          send(me, {ok, message, receive()})
        end, {scheduler = "here"})
        core.memory_limit(2 ^ 20 // 1)
        send(me, {server, taker})
      end)
      local server, taker = table.unpack(receive())
      local large = {}
      for i = 1, 100000 do large[i] = tostring(i) end
      for _, to in ipairs{server, taker} do
        send(to, large)
        send(to, "next")
      end
      print(table.unpack(receive()))
      print(GenServer.call(server, "count"))
    ]]
    assert.matches("^false\t.*not enough memory\tnext$", printed[1])
    assert.equal("4", printed[2])
    assert.equal(2, #logged)
  end)
end)

-- How a program ends: what runs before that, what its status is, and that nothing keeps it up.
local helper = require "spec.helper"

local moonbeam = helper.interpreter()

local function write(source)
  local name = os.tmpname()
  local file = assert(io.open(name, "w"))
  file:write(source)
  file:close()
  return name
end

-- Run a script and send it signals, each as soon as it has printed a word: "up", or what stands before the signal, as
-- in "HUP done:TERM". What it prints, and its status.
local function signalled(source, signals, environment)
  local name, out = write(source), os.tmpname()
  local text, code = helper.run(([[
    %s %s %s >%s 2>&1 & p=$!
    for s in %s; do
      case $s in *:*) word=${s%%%%:*};; *) word=up;; esac
      until grep -q $word %s || ! kill -0 $p 2>/dev/null; do sleep 0.02; done
      kill -${s#*:} $p
    done
    wait $p 2>/dev/null; s=$?; cat %s; (exit $s)]]):format(environment or "", moonbeam, name, out, signals, out, out))
  os.remove(name)
  os.remove(out)
  return text:gsub("[^\n]*Terminated[^\n]*\n?", ""):gsub("[^\n]*Hangup[^\n]*\n?", ""), code
end

local tree = [[
  local Worker = {}
  function Worker.init(n) Process.flag("trap_exit", true) return "ok", n end
  function Worker.terminate(reason, n) sleep(1) print("terminate", n, reason) end
  local function worker(n) return {id = n, start = {GenServer.start_link, Worker, n}} end
  Supervisor.start_link({worker(1), worker(2)}, {strategy = "one_for_one"})
  local inner = {id = "inner", type = "supervisor",
    start = {Supervisor.start_link, {worker(3), worker(4)}, {strategy = "one_for_all"}}}
  Supervisor.start_link({inner, worker(5)}, {strategy = "one_for_one"})
  require "moonbeam".at_exit(function(status) print("at_exit", status) end)
  local _ <close> = setmetatable({}, {__close = function() print("the script is closed") end})
  print("up")
]]
local in_order = "up\nterminate\t5\tshutdown\nterminate\t4\tshutdown\nterminate\t3\tshutdown\n" ..
  "terminate\t2\tshutdown\nterminate\t1\tshutdown\nat_exit\t%d\nthe script is closed\n"

describe("SIGTERM and SIGHUP", function()
  it("stop the supervisors in reverse, call what at_exit was given, and end the script", function()
    for _, waits in ipairs{"sleep(600000)", "while true do end", "while true do pcall(receive, 600000) end"} do
      for signal, status in pairs{TERM = 143, HUP = 129} do
        local text, code = signalled(tree .. waits, signal)
        assert.equal(in_order:format(status), text)
        assert.equal(status, code)
      end
    end
  end)

  it("end a program that has nothing to do first", function()
    for _, waits in ipairs{"while true do end", "table.sort({1, 2, 3}, function() while true do end end)"} do
      local text, code = signalled([[
        local _ <close> = setmetatable({}, {__close = function() print("the script is closed") end})
        print("up") ]] .. waits, "TERM")
      assert.equal("up\nthe script is closed\n", text)
      assert.equal(143, code)
    end
  end)

  it("end it at once the second time", function()
    local text, code = signalled([[
      local Worker = {}
      function Worker.init(n) Process.flag("trap_exit", true) return "ok", n end
      function Worker.terminate() print("terminate") sleep(600000) end
      Supervisor.start_link({{id = 1, start = {GenServer.start_link, Worker, 1}, shutdown = "infinity"}},
        {strategy = "one_for_one"})
      print("up") sleep(600000)]], "TERM terminate:TERM")
    assert.equal("up\nterminate\n", text)
    assert.equal(143, code)
  end)

  it("wait for supervisors only as long as shutdown_timeout says, and log whom they have not waited for", function()
    local text, code = signalled([[
      local Worker = {}
      function Worker.init(n) Process.flag("trap_exit", true) return "ok", n end
      function Worker.terminate() while true do end end
      Supervisor.start_link({{id = 1, start = {GenServer.start_link, Worker, 1}, shutdown = "infinity"}},
        {strategy = "one_for_one"})
      require "moonbeam".at_exit(function() print("at_exit") end)
      print("up") sleep(600000)]], "TERM", "MOONBEAM_SHUTDOWN_TIMEOUT=100")
    assert.matches("supervisor #PID<[%d.]+> is cut off after 100 ms", text)
    assert.matches("at_exit\n", text)
    assert.equal(143, code)
  end)

  it("end a script that computes, all by itself", function()
    for _, loop in ipairs{"while true do end", "table.sort({1, 2, 3}, function() while true do end end)"} do
      local text, code = signalled([[
        local kept <close> = setmetatable({}, {__close = function() print("closed") end})
        print("up") ]] .. loop, "TERM")
      assert.equal("up\nclosed\n", text)
      assert.equal(143, code)
    end
  end)

  it("end a script that computes where Lua cannot yield", function()
    local text, code = signalled([[
      require "moonbeam".at_exit(function(status) print("at_exit", status) end)
      print("up") table.sort({1, 2, 3}, function() while true do end end)]], "TERM")
    assert.equal("up\nat_exit\t143\n", text)
    assert.equal(143, code)
  end)

  it("end such a script, and bound clean-up code, where slices are not cut", function()
    local text, code = signalled(tree .. "while true do end", "TERM", "MOONBEAM_PREEMPT=off")
    assert.equal(in_order:format(143), text)
    assert.equal(143, code)
    text, code = signalled([[
      require "moonbeam".at_exit(function(status) print("at_exit", status) end)
      print("up") table.sort({1, 2, 3}, function() while true do end end)]], "TERM", "MOONBEAM_PREEMPT=off")
    assert.equal("up\nat_exit\t143\n", text)
    assert.equal(143, code)
    text, code = helper.run(("MOONBEAM_PREEMPT=off %s -e '%s' 2>&1"):format(moonbeam, [[
      local me = self()
      local p, ref = spawn_monitor(function()
        local _ <close> = setmetatable({}, {__close = function() while true do end end})
        send(me, "up")
        receive()
      end)
      receive{ {"up"} }
      Process.exit(p, "kill")
      print(receive{ {{"DOWN", ref, "process", p, any}} } or "down")
      Logger.flush()]]))
    assert.matches("code is cut off", text)
    assert.equal(0, code)
  end)

  it("have written out what was buffered, though another scheduler is inside a C function", function()
    for _, stuck in ipairs{'io.popen("sleep 4"):read("a")', '("a"):rep(34):find(("a?"):rep(34) .. ("a"):rep(34))'} do
      local file = os.tmpname()
      local text, code = signalled(([[
        io.stdout:setvbuf("full")
        local me = self()
        Process.spawn(function() send(me, "here"); %s end, {scheduler = 2})
        receive{ {"here", function() end} }
        local f = io.open(%q, "w")
        f:write("important")
        print("up") io.stdout:flush() print("buffered")
        sleep(600000)]]):format(stuck, file), "TERM", "MOONBEAM_SCHEDULERS=2")
      local opened = assert(io.open(file))
      local written = opened:read("a")
      opened:close()
      os.remove(file)
      assert.equal("important", written)
      assert.equal("up\nbuffered\n", (text:gsub("moonbeam: the end[^\n]*\n", "")))
      assert.equal(143, code)
    end
  end)

  it("leave SIGHUP ignored when it was at the start", function()
    local text, code = signalled([[
      os.execute("kill -HUP " .. io.open("/proc/self/stat"):read("n"))
      sleep(100)
      print("up")
      sleep(600000)]], "TERM", "trap '' HUP;")
    assert.equal("up\n", text)
    assert.equal(143, code)
  end)
end)

describe("the end of a program", function()
  local schedulers = {1, 4}

  local function each(source, check)
    for _, n in ipairs(schedulers) do check(helper.run_script(source, "", "MOONBEAM_SCHEDULERS=" .. n)) end
  end

  it("writes out what was buffered, though another scheduler is inside a C function", function()
    local file = os.tmpname()
    local source = [[
      Process.spawn(function() %s end, {scheduler = 2})
      sleep(20)
      local f = io.open(%q, "w")
      f:write("important")
      %s]]
    for _, case in ipairs{
      {'os.execute("sleep 3")', "", 0}, {'os.execute("sleep 3")', "os.exit(7)", 7},
      {'io.popen("sleep 3"):read("a")', 'exit("x")', 1},
      {'("a"):rep(34):find(("a?"):rep(34) .. ("a"):rep(34))', "os.exit(8, true)", 8},
    } do
      local stuck, ending, status = table.unpack(case)
      local _, code = helper.run_script(source:format(stuck, file, ending), "", "MOONBEAM_SCHEDULERS=2")
      local opened = assert(io.open(file))
      assert.equal("important", opened:read("a"))
      opened:close()
      os.remove(file)
      assert.equal(status, code)
    end
  end)

  it("comes from clean-up code, too", function()
    each([[
      require "moonbeam".at_exit(function(status) print("at_exit", status) end)
      local me = self()
      local pid = spawn(function()
        local _ <close> = setmetatable({}, {__close = function() os.exit(3) end})
        send(me, "up")
        receive()
      end)
      receive() Process.exit(pid, "kill") sleep(600000)]], function(text, code)
      assert.equal("at_exit\t3\n", text)
      assert.equal(3, code)
    end)
  end)

  it("is not kept up by what shows its reason or its error", function()
    local endless = "setmetatable({}, {__tostring = function() while true do end end})"
    for _, how in ipairs{"exit", "error"} do
      each(("%s(%s)"):format(how, endless), function(text, code)
        assert.matches("is cut off after 1000 ms\nstack traceback:", text)
        assert.equal(1, code)
      end)
    end
  end)

  it("is not kept up by clean-up code, functions of at_exit or finalizers, and says what it cut", function()
    local programs = {
      [ [[local me = self()
          spawn(function()
            local _ <close> = setmetatable({}, {__close = function() while true do end end})
            send(me, "up")
            receive()
          end)
          receive()]] ] = "clean%-up code is cut off after 50 ms",
      [ [[require "moonbeam".shutdown_timeout(50) require "moonbeam".at_exit(function() while true do end end)]] ] =
        "a function of at_exit, at [^\n]+:1, is cut off after 50 ms",
      [ [[setmetatable({}, {__gc = function() while true do end end})]] ] = "the end of the program is cut off",
      [ [[local me = self()
          spawn(function()
            coroutine.wrap(function()
              local _ <close> = setmetatable({}, {__close = function() while true do end end})
              send(me, "up")
              receive()
            end)()
          end)
          receive()]] ] = "clean%-up code is cut off after 50 ms",
    }
    for source, pattern in pairs(programs) do
      for i, ending in ipairs{"", ' error("e", 0)'} do
        local text, code = helper.run_script(source .. ending, "", "MOONBEAM_SCHEDULERS=" .. schedulers[i])
        assert.matches(pattern, text)
        assert.equal(i - 1, code)
      end
    end
  end)

  it("by os.exit has all that a hanging handler of the log has not taken written, however long that takes", function()
    each([[
      Logger.configure{handler = function() sleep("infinity") end}
      for i = 1, 4000 do Logger.info{number = i, pad = ("x"):rep(100)} end
      os.exit(3)]], function(text, code)
      local expected = 0
      for number in text:gmatch("number = (%d+)") do
        expected = expected + 1
        assert.equal(expected, tonumber(number))
      end
      assert.equal(4000, expected)
      assert.is_nil(text:find("cut off", 1, true), text:match("[^\n]*cut off[^\n]*"))
      assert.equal(3, code)
    end)
  end)

  it("ends what clean-up code and finalizers spawn meanwhile", function()
    each([[
      for _ = 1, 20 do
        spawn(function()
          Process.flag("trap_exit", true)
          local _ <close> = setmetatable({}, {__close = function()
            for _ = 1, 100 do spawn(function() while true do end end) end
          end})
          KEEP = setmetatable({}, {__gc = function() pcall(spawn, function() end) end})
          while true do receive() end
        end)
      end
      sleep(20) print("done")]], function(text, code)
      assert.equal("done\n", text)
      assert.equal(0, code)
    end)
  end)
end)

local terminal = require "spec.repl.terminal"

describe("the prompt on a terminal", function()
  local t

  after_each(function()
    if t then t:stop() end
    t = nil
  end)

  it("REPL-01: flush prints the mailbox and empties it", function()
    t = terminal.prompt()
    t:enter('send(self(), "m1") send(self(), {1, "m2"})', "mb%(2%)>$")
    t:enter("flush()", '"m1"\n{1, "m2"}\ntrue\nmb%(3%)>$')
    t:enter("flush()", "mb%(3%)> flush%(%)\ntrue\nmb%(4%)>$")
  end)

  it("REPL-02: errors and exits are printed; pid, globals and mailbox stay", function()
    t = terminal.prompt()
    t:enter("me = self() x = 5 send(me, 'kept')", "mb%(2%)>$")
    t:enter("error('oops')",
      "%*%* %(error%) stdin:1: oops\nstack traceback:\n[^\n]*in function 'error'\n%s+stdin:1: in main chunk\n")
    t:enter("error({code = 7})", "%*%* %(error%) {code = 7}")
    t:enter("exit('reason')", '%*%* %(exit%) "reason"')
    t:enter("exit('normal')", "%*%* %(exit%) normal\nmb%(2%)>$")
    t:enter("self() == me, x, receive()", 'true\n5\n"kept"\nmb%(3%)>$')
  end)

  it("REPL-03: a linked process that exits takes the shell with it; a new one has the globals", function()
    t = terminal.prompt()
    t:enter("me = self() x = 5 Process.put('k', 1) send(me, 'gone')", "mb%(2%)>$")
    local screen = t:enter("spawn_link(function() exit('boom') end) receive('infinity') receive('infinity')",
      '%*%* %(EXIT from #PID<[%d.]+>%) shell process exited with reason: "boom"\nmb%(2%)>$')
    local pid = screen:match("EXIT from (#PID%b<>)")
    t:enter("tostring(me) == '" .. pid .. "', self() == me, x, Process.get('k'), receive(0)",
      'true\nfalse\n5\nnil\nnil\n"timeout"\nmb%(3%)>$')
    t:enter("spawn_link(function() error('oops') end) receive()",
      "shell process exited with reason: an exception was raised:\n    %*%* %(error%) stdin:1: oops\n")
  end)

  it("REPL-04: a linked process that ends normally changes nothing", function()
    t = terminal.prompt()
    t:enter("me = self() monitor(spawn_link(function() end))", "mb%(2%)>$")
    t:enter("receive()[5], self() == me", '"normal"\ntrue\nmb%(3%)>$')
  end)

  it("REPL-05: a shell that traps exits gets them as messages", function()
    t = terminal.prompt()
    t:enter("Process.flag('trap_exit', true)", "false\nmb%(2%)>$")
    t:enter("ref = monitor(spawn_link(function() exit('why') end))", "mb%(3%)>$")
    t:enter("receive{ {{'DOWN', ref, any, any, 'why'}} } ~= nil", "true\nmb%(4%)>$")
    t:enter("flush()", '{"EXIT", #PID<[%d.]+>, "why"}\ntrue')
  end)

  it("REPL-06: a shell that is killed is replaced", function()
    t = terminal.prompt()
    t:enter("x = 6 Process.exit(self(), 'kill')",
      "%*%* %(EXIT from #PID<[%d.]+>%) shell process exited with reason: killed\nmb%(1%)>$")
    t:enter("x", "6\nmb%(2%)>$")
  end)

  it("REPL-07: the crash of another process is logged above the line being typed", function()
    t = terminal.prompt()
    t:enter("me = self() p = spawn(function() receive() error('crashed') end)", "mb%(2%)>$")
    t:enter("Process.send_after(p, 'now', 300)", "mb%(3%)>$")
    t:type("half a li")
    t:await("%[error%] Process #PID<[%d.]+> terminating\n%*%* %(error%) stdin:1: crashed\n.*\nmb%(3%)> half a li$")
    t:press("C-u")
    t:enter("self() == me", "true\nmb%(4%)>$")
  end)

  it("REPL-08: the shell is an ordinary process", function()
    t = terminal.prompt()
    t:enter("me = self() Process.register(me, 'shell')", "mb%(2%)>$")
    t:enter("spawn(function() send('shell', {'hello', self()}) end)", "mb%(3%)>$")
    t:enter("receive()[1], self() == Process.whereis('shell')", '"hello"\ntrue\n')
    t:enter("function double(n) return n * factor end factor = 2", "mb%(5%)>$")
    t:enter("Task.await(Task.async(double, 21))", "\n42\n")
    t:enter("Process.info(self(), 'status'), coroutine.isyieldable()", '"running"\nfalse\n')
  end)

  it("REPL-09: what others print does not break the line being typed", function()
    t = terminal.prompt(nil, {width = 40})
    t:enter("p = spawn(function() for i = 1, 3 do receive() print('line ' .. i) end io.write('part') end)", "mb%(2%)>$")
    t:enter("for i = 1, 3 do Process.send_after(p, i, 300) end", "mb%(3%)>$")
    t:type("one_that_takes_more_than_a_row='of this terminal'")
    local line = "mb%(3%)> one_that_takes_more_than_a_row='o\nf this terminal'"
    t:await("line 1\nline 2\nline 3\npart\n" .. line .. "$")
    t:press("Enter")
    local screen = t:enter("one_that_takes_more_than_a_row", '"of this terminal"\nmb%(5%)>$')
    assert.equal(1, select(2, screen:gsub("mb%(3%)>", "")))
  end)

  it("REPL-10: unfinished input goes on; a syntax error is printed; the end of the input leaves", function()
    t = terminal.prompt()
    t:enter("function f()", "mb%(1%)%.%.$")
    t:enter("return 'f', nil", "mb%(1%)%.%.$")
    t:enter("end", "mb%(2%)>$")
    t:enter("f()", '"f"\nnil\nmb%(3%)>$')
    t:enter("x y", "%*%* %(error%) stdin:1: syntax error near 'y'\nmb%(3%)>$")
    t:press("C-d")
    t:await("status=0\nicanon$")
  end)

  it("leaves with exit()", function()
    t = terminal.prompt()
    t:enter("exit()", "status=0\nicanon$")
  end)

  it("shows values in colours, unless NO_COLOR is set", function()
    t = terminal.prompt()
    t:enter('{1, "two \\"2\\"", x = true}', 'x = true}\nmb%(2%)>$')
    local screen = t:screen(true)
    assert.matches('{\27%[33m1\27%[39m, \27%[32m"two \\"2\\""\27%[39m, x = \27%[35mtrue\27%[39m}', screen)
    t:stop()
    t = terminal.prompt(nil, {environment = "NO_COLOR=1"})
    t:enter('{1, "two"}', '{1, "two"}\nmb%(2%)>$')
    assert.equal(nil, t:screen(true):find("\27%[3"))
  end)

  it("runs in the script's process, after the script", function()
    local file = assert(io.open("/tmp/moonbeam_shell_spec.lua", "w"))
    file:write("scripted, me = 'yes', self()")
    file:close()
    t = terminal.prompt("-i -e 'line = 1' /tmp/moonbeam_shell_spec.lua")
    t:enter("scripted, line, me == self()", '"yes"\n1\ntrue\n')
    os.remove("/tmp/moonbeam_shell_spec.lua")
  end)
end)

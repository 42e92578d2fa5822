local from_pipe = require "spec.repl.feed"
local helper = require "spec.helper"
local terminal = require "spec.repl.terminal"

local moonbeam = from_pipe.moonbeam

local SCRIPT = [[
local shared = "up"
local function inner(a, b, ...)
  local x, t = 10, {1}
  local function add() x = x + 1 end
  local done, why = pry()
  print("went on", done, why, a, b, x, t[1], shared, add ~= nil)
  return x
end
function outer() local result = inner("one", 2, "rest", nil) return result end
]]

describe("pry", function()
  local directory, file, open

  -- A prompt that has run the script, and what it writes.
  local function feed(...) return (from_pipe.with({options = file}, ...)) end

  local function keep(t)
    open[#open + 1] = t
    return t
  end

  before_each(function()
    open = {}
    directory = helper.run("mktemp -d"):match("%S+")
    file = directory .. "/script.lua"
    local script <close> = assert(io.open(file, "w"))
    script:write(SCRIPT)
  end)

  after_each(function()
    for _, t in ipairs(open) do t:stop() end
    helper.run("rm -rf " .. directory)
  end)

  it("REPL-20: opens a prompt where it stands: what is local there can be read and set; continue() goes on", function()
    assert.equal("Pry at " .. file .. [[:5

       3:   local x, t = 10, {1}
       4:   local function add() x = x + 1 end
->     5:   local done, why = pry()
       6:   print("went on", done, why, a, b, x, t[1], shared, add ~= nil)
       7:   return x

"one"
2
"rest"
nil
10
"up"
2
51
nil
went on	true	nil	A	2	51	changed	UP	true
51
true
"UP"
]], feed("outer()", "a, b, ...", "x, shared, select('#', ...)", "x = 50", "add()", "x", "t[1], a = 'changed', 'A'",
      "shared = 'UP' global = true", "nobody", "continue()", "global", "debug.getupvalue(outer, 1) and 'UP'"))
  end)

  it("REPL-20: is a prompt like others: numbers, results, errors, helpers, lines that go on", function()
    local output = feed("v = 'a global'", "v = nil", "outer()", "{x,", "a}", "v(1)[1]", "error('e')", "nobody.field",
      "x +", "", "1", "exit('why')", "i(x)", "x y", "x = 1, pid('0.5.0')", "continue()", "1", "continue()")
    output = output:gsub("^.-\n\n.-\n\n", "")
    assert.matches('^{10, "one"}\n10\n%*%* %(error%) pry%(3%):1: e\nstack traceback:\n\t%[C%]: in function \'error\'\n' ..
      "\tpry%(3%):1: in [^\n]*\n%*%* %(error%) pry%(3%):1: attempt to index a nil value %(global 'nobody'%)\n", output)
    assert.matches("\n11\n%*%* %(exit%) \"why\"\nValue\n  10\n.*\n%*%* %(error%) pry%(5%):1: syntax error near 'y'\n" ..
      "went on\ttrue\tnil\tone\t2\t1\t1\tup\ttrue\n1\n1\n%*%* %(error%) mb%(5%):1: continue%(%) is for the prompt", output)
  end)

  it("REPL-20: functions that are made there, spawned and sent are like others", function()
    local output = feed("outer()", "function keep() return x, shared end", "me = self()",
      "spawn(function() send(me, {x, shared, keep()}) end)", "receive()", "x = 11", "keep()", "continue()", "keep()")
    assert.matches('\n{10, "up", 10, "up"}\n10\n"up"\nwent on.-\n11\n10\n"up"\n$', output)
  end)

  it("REPL-20: the end of the input goes on, too, as does exit()", function()
    assert.matches("\nwent on\ttrue\tnil\tone\t2\t10\t1\tup\ttrue\n10\n$", (feed("outer()")))
    assert.matches("\nwent on\ttrue.*\n7\n$", (feed("outer()", "exit()", "7")))
  end)

  it("REPL-20: has no locals to show in a tail call, nor where C has called it", function()
    for _, body in ipairs{"return pry()", "return (pcall(pry))"} do
      assert.matches("\nnil\ntrue\n.-7\n$", (feed("function f(secret) " .. body .. " end", "f(1)", "secret", "continue()", "7")))
    end
  end)

  it("REPL-20: pry may be called again at its own prompt", function()
    assert.matches("\n10\n.*\n3\ntrue\n10\nwent on", (feed("outer()", "x", "(function(y) local d = pry() return d end)(3)",
      "y", "continue()", "x", "continue()")))
  end)

  it("REPL-21: another process asks for the prompt, and waits; the answer is y or n", function()
    local function ask(scheduler) -- and the shell waits for what comes of it
      return "me = self() p = Process.spawn(function() local x = outer() send(me, {self(), x}) end, {scheduler = " ..
        scheduler .. "}) m = receive()"
    end
    for _, scheduler in ipairs{"'here'", "2"} do
      local output = from_pipe.with({options = "--schedulers 2 " .. file}, ask(scheduler), "what is this", "y",
        "x, self() == me", "x = 12", "print('from there')", "continue()", "m[1] == p, m[2]")
      output = output:gsub("^Request to pry #PID<[%d.]+> at [^\n]*script.lua:5\n\n.-\n\n", "")
      assert.equal("y for yes or n for no is expected\n10\nfalse\nfrom there\n" ..
        "went on\ttrue\tnil\tone\t2\t12\t1\tup\ttrue\ntrue\n12\n", output)
    end
    assert.matches("\nwent on\tnil\trefused\tone.*\n10\n$", (feed(ask("'here'"), "n", "m[2]")))
  end)

  it("REPL-21: a server may ask while the shell waits for its reply", function()
    local t = keep(terminal.prompt("-i " .. file))
    t:enter("S = {} function S.init(n) return 'ok', n end " ..
      "function S.handle_call(x, from, n) local d = pry() return 'reply', n, n end", "mb%(2%)>$")
    t:enter("GenServer.call(GenServer.start(S, 1), 'get', 'infinity')", "Request to pry #PID.*Allow%? %[Y/n%]$")
    t:press("C-c") -- which is no, and leaves the call alone
    t:await("\n1\nmb%(3%)>$")
    t:enter("GenServer.call(GenServer.start(S, 1), 'get', 'infinity')", "Request to pry #PID.*Allow%? %[Y/n%]$")
    t:enter("", "pry%(1%)>$")
    t:enter("n = n + 1", "pry%(2%)>$")
    t:type("half")
    t:await("half$")
    t:press("C-c")
    t:await("half^C\n[^\n]+\npry%(2%)>$")
    t:enter("continue()", "\n2\nmb%(4%)>$")
    t:enter("print('begun') while true do end", "\nbegun$")
    t:press("C-c")
    t:await("%(error%) interrupted!\n.*mb%(4%)>$")
    t:enter("GenServer.call(GenServer.start(S, 1), 'get', 'infinity')", "Request to pry #PID.*Allow%? %[Y/n%]$")
    t:enter("", "pry%(1%)>$")
    t:press("C-d")
    t:await("\n1\nmb%(5%)>$")
    t:enter("print('begun') Process.send_after(self(), 1, 100) receive() while true do end", "\nbegun$")
    t:press("C-c")
    t:await("%(error%) [^\n]*interrupted!\n.*mb%(5%)>$")
  end)

  it("REPL-21: those who ask are let in one after the other; who has died meanwhile is not asked about", function()
    local output = feed("me = self() function ask(n) local next = ask pry() send(me, n) end spawn(ask, 1) one = receive()",
      "y", "n", "ps = {} for k = 2, 3 do ps[k] = Process.spawn(next, {scheduler = 'here'}, k) " ..
      "while Process.info(ps[k], 'status') ~= 'waiting' do sleep(1) end end Process.exit(ps[2], 'kill')", "continue()",
      "y", "n", "Process.exit(self(), 'kill')", "'back'", "one, receive(0)")
    assert.equal(2, select(2, output:gsub("Request to pry", "")))
    assert.matches('%f[^\n]1\nRequest.*%f[^\n]3\n"back"\n1\nnil\n"timeout"\n$', output)
  end)

  it("REPL-22: goes on with a note where there is no prompt, and where it cannot wait", function()
    local place = "Cannot pry #PID<[%d.]+> at " .. file:gsub("%p", "%%%0") .. ":5: no prompt is there; [^\n]*\n"
    assert.matches("^" .. place .. "went on\tnil\tno_prompt\tone", (helper.run(moonbeam .. " -e 'dofile(\"" .. file ..
      "\") io.stdout:setvbuf(\"no\") outer()' 2>&1 </dev/null")))
    if not moonbeam:find("san/") then
      local build = os.getenv("MOONBEAM_BUILD") or "build/release"
      assert.matches("went on\tnil\tno_prompt\tone", (helper.run(("LUA_PATH='./lua/?.lua;./lua/?/init.lua;;' " ..
        "LUA_CPATH='./%s/lib/lua/5.4/?.so;;' lua5.4 -l moonbeam -e 'moonbeam.import() dofile(\"%s\") outer()' 2>&1")
        :format(build, file))))
    end
    assert.matches("^Cannot pry #PID<[%d.]+> at mb%(1%):1: attempt to yield across a C%-call boundary[^\n]*\nnil\n\"cannot_wait\"\n",
      (feed("p, done, why = nil table.sort({1, 2}, function() local r = {pry()} done, why = r[1], r[2] end)", "done, why")
      :gsub("^%*.-\n", "")))
  end)

  it("REPL-23: a script that is run with -i has the prompt already", function()
    local output, code = from_pipe.with({options = "-e 'dofile(\"" .. file .. "\") print(outer()) print(\"over\")'"},
      "x, a", "x = 3", "continue()", "'after'")
    assert.matches('^Pry #PID<0.1.0> at [^\n]*:5\n\n.*\n\n10\n"one"\nwent on[^\n]*\n3\nover\n"after"\n$', output)
    assert.equal(0, code)
  end)

  it("REPL-20: on a terminal names are completed, and Ctrl-C breaks what runs there", function()
    local t = keep(terminal.prompt("-i " .. file))
    t:enter("outer()", "pry%(1%)>$")
    t:type("shar")
    t:press("Tab")
    t:await("pry%(1%)> shared$")
    t:press("Enter")
    t:await('"up"\npry%(2%)>$')
    t:enter("print('begun') while true do end", "\nbegun$")
    t:press("C-c")
    t:await("%(error%) interrupted!\n.*pry%(2%)>$")
    t:type("half")
    t:await("half$")
    t:press("C-c")
    t:await("half^C\n[^\n]+\npry%(2%)>$")
    t:press("C-d")
    t:await("went on.*\n10\nmb%(2%)>$")
    t:enter("Process.spawn(outer, {scheduler = 1})", "half.*Request to pry #PID<[%d.]+> at .*Allow%? %[Y/n%]$")
    t:press("Enter")
    t:await("pry%(1%)>$")
    t:enter("print('begun') while true do end", "\nbegun$")
    t:press("C-c")
    t:await("%(error%) interrupted!\n.*pry%(1%)>$")
    t:press("C-d")
    t:await("went on.*\nmb%(3%)>$")
    t:press("Up") -- the answer is no line for the history
    t:await("mb%(3%)> print%('begun'%) while true do end$")
  end)

  it("REPL-21: asks at the attached prompt that gets what it prints, and talks there", function()
    local server = keep(terminal.start(moonbeam .. " --listen " .. directory .. "/s -e 'dofile(\"" .. file ..
      "\") Process.register(self(), \"main\") print(\"listening\") while true do receive() outer() end'"))
    server:await("listening")
    local first = keep(terminal.prompt("--remote " .. directory .. "/s --no-dot-file"))
    local second = keep(terminal.prompt("--remote " .. directory .. "/s --no-dot-file"))
    second:enter("outer = nil function f(x) local d = pry() print('f went on', d, x) end", "mb%(2%)>$")
    second:enter("spawn(f, 1)", "Request to pry #PID.*Allow%? %[Y/n%]$")
    second:enter("y", "pry%(1%)>$")
    second:enter("x = 2 print('there')", "\nthere\npry%(2%)>$")
    second:enter("continue()", "f went on%s+true%s+2\n.*mb%(3%)>$")
    first:enter("send('main', 'go')", "Request to pry #PID<0.1.0> at .*script.lua:5\n.*Allow%? %[Y/n%]$")
    first:enter("y", "pry%(1%)>$")
    first:enter("x", "\n10\npry%(2%)>$")
    first:stop()
    server:await("went on%s+true")
    second:enter("1", "\n1\nmb%(4%)>$")
  end)
end)

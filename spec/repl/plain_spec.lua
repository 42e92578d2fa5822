local helper = require "spec.helper"
local from_pipe = require "spec.repl.feed"

local moonbeam, feed = from_pipe.moonbeam, from_pipe.lines

describe("the prompt without a terminal", function()
  it("writes plain lines, and leaves with 0 at the end of the input", function()
    local output, code = feed("x = 20", "x + 1", "nil, 'two'", "function f()", "return x end", "f()", "= 5")
    assert.equal('21\nnil\n"two"\n20\n5\n', output)
    assert.equal(0, code)
    output, code = helper.run("printf 'error(\"e\")' | " .. moonbeam .. " -i 2>/dev/null | tail -n +2")
    assert.equal("", output)
    assert.equal(0, code)
  end)

  it("prints what is wrong and goes on", function()
    assert.equal("** (error) mb(1):1: e\nstack traceback:\n\t[C]: in function 'error'\n\tmb(1):1: in main chunk\n1\n",
      (feed("error('e')", "1")))
    assert.matches("^%*%* %(error%) mb%(1%):1: syntax error near 'y'\n1\n$", (feed("x y", "1")))
    assert.equal("** (error) mb(1):1: unfinished at the end of the input: 'end' expected near <eof>\n",
      (feed("for i = 1, 2 do")))
    assert.equal("** (error) mb(1):2: unfinished at the end of the input: unexpected symbol near <eof>\n",
      (feed("1000 +", "1 +")))
    assert.matches('^%*%* %(exit%) "why"\ntrue\n$', (feed("me = self() exit('why')", "me == self()")))
    assert.matches('^%*%* %(EXIT from #PID<[%d.]+>%) shell process exited with reason: {"a", 1}\n7\n$',
      (feed("x = 7 spawn_link(function() exit{'a', 1} end) receive()", "x")))
  end)

  it("REPL-11: what is not finished goes on in the next line, expressions too", function()
    local output, code = feed("1000 +", "1", "{", "1, -- one", "", "2}", "('a'", "):rep(2)", '"a" ..', '"b"', "function()",
      " return 5 end)()", "(function()", " return 5", "end)()", "x = [[a", "b]]", "x", "--[[ a", "comment ]] 6", '"c\\',
      'd"', "= 7 +", "1")
    assert.equal('1001\n{1, 2}\n"aa"\n"ab"\n** (error) mb(5):2: <eof> expected near \')\'\n5\n"a\\nb"\n6\n"c\\nd"\n8\n',
      output)
    assert.equal(0, code)
    for line, message in pairs{["x = 'a"] = "unfinished string near ''a'", ["1 + + 2"] = "unexpected symbol near '+'",
        ["'a' 'b'"] = "<eof> expected near ''b''", ["f)"] = "syntax error near ')'", ["x y ("] = "syntax error near 'y'",
        ["for = 1"] = "<name> expected near '='"} do
      assert.equal("** (error) mb(1):1: " .. message .. "\n1\n", (feed(line, "1")))
    end
  end)

  it("REPL-12: each input has a name of its own, by which errors, functions and processes tell where they are from",
      function()
    assert.matches("mb%(2%):1: attempt to index a nil value %(global 'nobody'%)\nstack traceback:\n\tmb%(2%):1: in main",
      (feed("1", "nobody.field")))
    assert.matches("mb%(1%):2: attempt to index", (feed("{1,", "nobody.field}")))
    for _, line in ipairs{"nobody.field -- of one", "-nobody", "nobody .. 1", "{nobody.x}", "nobody()", "#nobody"} do
      assert.matches("^%*%* %(error%) mb%(1%):1: attempt to ", (feed(line)))
    end
    assert.matches("mb%(1%):1: e\nstack traceback:\n\t%[C%]: in function 'error'\n\tmb%(1%):1: in function 'f'\n\tmb%(3%):1:",
      (feed("function f() error('e') end", "2", "f()")))
    assert.equal("nil\n\"mb(1):1\"\n", (feed("..., Process.info(spawn(function() sleep(50) end), 'initial_location')")))
    assert.equal("1\n2\n", (feed("function two() return 1, 2 end two()", "two()")))
  end)

  it("shows exit reasons as Elixir does", function()
    local function shown(reason) return (feed("exit(" .. reason .. ")"):gsub("^%*%* %(exit%) ", ""):gsub("\n$", "")) end
    assert.equal("normal", shown("'normal'"))
    assert.equal("killed", shown("'killed'"))
    assert.equal('shutdown: "late"', shown("{'shutdown', 'late'}"))
    assert.equal("bad return value: 5", shown("{'bad_return_value', 5}"))
    assert.equal("an exception was raised:\n    ** (error) e\n    trace", shown("{'error', 'e', 'trace'}"))
    assert.matches('^exited in: GenServer.call%("nobody", 5000%)\n    %*%* %(EXIT%) no process: ',
      (feed("GenServer.call('nobody', 1)"):gsub("^%*%* %(exit%) ", "")))
    assert.equal('{"other", 1}', shown("{'other', 1}"))
  end)

  it("has helpers that work in processes of every scheduler", function()
    local output = helper.run(([[
      printf '%%s\n' \
        'me = self()' \
        'function run(f) send(me, table.pack(pcall(f))) end' \
        'function on(f) Process.spawn(run, {scheduler = 2}, f) return receive() end' \
        'on(function() return pid("0.5.0") end)' \
        'on(function() return #processes() > 0 end)' \
        'on(function() h("Task.await") i(5) end)' \
        'on(function() return v() end)' | %s --schedulers 2 -i
    ]]):format(moonbeam))
    assert.matches("{true, #PID<0.5.0>, n = 2}", output, 1, true)
    assert.matches("{true, true, n = 2}", output, 1, true)
    assert.matches("Task.await(task", output, 1, true)
    assert.matches("Kind\n  integer", output, 1, true)
    assert.matches("v(-1) is out of bounds", output, 1, true)
  end)

  it("leaves io.read what follows", function()
    assert.equal('"the next line"\n2\n', (feed("io.read()", "the next line", "1 + 1")))
  end)

  it("lets others go on while it waits for a line", function()
    local output = helper.run(([[
out=$(mktemp)
{
  echo 'spawn(function() receive{after = {50, print}} print("ticked") end)'
  until grep -q ticked $out || [ $((n += 1)) -gt 3000 ]; do sleep 0.01; done
  echo '"after"'
} | %s -i >$out
tail -n 2 $out; rm $out]]):format(moonbeam))
    assert.equal('ticked\n"after"\n', output)
  end)

  it("reads a program when it is not asked to prompt", function()
    assert.equal("3\n", (helper.run("echo 'print(1 + 2)' | " .. moonbeam)))
  end)
end)

describe("the prompt's helpers", function()
  it("v gives earlier results", function()
    assert.equal("1\n2\n3\n2\n3\n1\n1\n2\n3\n", (feed("1", "2, 3", "v(2)", "v(1)", "v()", "v(-3)")))
    assert.matches("mb%(1%):1: bad argument #1 to 'v' %(v%(9%) is out of bounds%)", (feed("v(9)")))
  end)

  it("v keeps the results of the last 20 inputs, and lets older ones go", function()
    local lines = {'setmetatable({}, {__gc = function() print("collected") end, '
      .. '__tostring = function() return "it" end})'}
    for i = 2, 20 do lines[i] = tostring(i) end
    lines[20] = "collectgarbage() print(v(1))" -- 20 inputs, the first among them
    lines[21] = "collectgarbage() collectgarbage() print('21 inputs')"
    lines[22] = "collectgarbage() collectgarbage() print('22 inputs')"
    lines[23] = "v(1)"
    lines[24] = "v(-20)"
    local output = feed(table.unpack(lines))
    assert.matches("^it\n2\n.*\n19\nit\n.*collected\n.*22 inputs\n", output)
    assert.matches("\n3\n$", output)
    assert.matches("bad argument #1 to 'v' %(the results of input 1 are no longer kept, "
      .. "only those of the last 20 inputs%)", output)
  end)

  it("pid reads the text of one", function()
    assert.equal("true\ntrue\n#PID<0.5.0>\n", (feed("pid(tostring(self())) == self()",
      "pid(tostring(self()):match('[%d.]+')) == self()", "pid('0.5.0')")))
    assert.matches("mb%(1%):1: bad argument #1 to 'pid' %('x' is no pid; one looks like 0.5.0%)", (feed("pid('x')")))
  end)

  it("i tells about values", function()
    local output = feed("i(self())", "i('höt')", "i(function(a, b) end)", "i{1, x = 2}", "i(7)", "i(Task)", "i(spawn)")
    for _, part in ipairs{
        "Type\n  pid\nAlive\n  true\nName\n  not registered", "Length\n  4 bytes\nText\n  valid UTF%-8, 3 characters",
        "Defined in\n  mb%(3%):1\nParameters\n  %(a, b%)", "Items\n  1, and 1 other fields",
        "Kind\n  integer\nHexadecimal\n  0x7", "Module\n  moonbeam%.task\n",
        "Description\n  Run a function in a new process"} do
      assert.matches(part, output)
    end
  end)

  it("h shows the documentation, by name and by value", function()
    local by_name, by_value = feed("h('Task.await')"), feed("h(Task.await)")
    assert.equal(by_name, by_value)
    assert.matches("^Task.await%(task %[, ms = 5000%]%)\n\nWait for a task's results.*" ..
      "\nParameters\n  task\n.*\nExample\n", by_name)
    assert.matches("^send%(dest, msg%)\n\nSend a copy of a message", (feed("h(send)")))
    assert.matches("^inspect%(value %[, opts%]%)\n\nA text for people", (feed("h(inspect)")))
    assert.matches("Functions\n.*  Agent.update\n", (feed("h(Agent)")))
    assert.matches('^v%(%[n = %-1%]%)', (feed("h(v)")))
    assert.matches('^No documentation for "?nothing', (feed("h('nothing')")))
    assert.matches("h%(name%).*processes%(%[by%]%)", (feed("h()")))
  end)

  it("h knows every public function", function()
    local output = helper.run(moonbeam .. [[ -e '
      local docs, mb = require "moonbeam.shell.docs", require "moonbeam"
      for name, value in pairs(mb) do
        if name ~= "_VERSION" and not docs.about(value) then print(name) end
        for field, inner in pairs(type(value) == "table" and name:find("^%u") and value or {}) do
          if type(inner) == "function" and not docs.about(inner) then print(name .. "." .. field) end
        end
      end']])
    assert.equal("", output)
  end)

  it("processes is a table of rows, sorted, that shows as one", function()
    local output = feed("p = spawn(function() receive{ {'never'} } end)",
      "Process.register(p, 'worker') send(p, 1) send(p, 2)",
      "processes('mailbox')", "processes('mailbox')[1].pid == p, processes('memory').count", "processes('size')")
    assert.matches("^pid +name or function +reductions +memory +mailbox +current\n" ..
      "#PID<[%d.]+> +worker +%d+ +%d+ +2 +mb%(1%):1\n", output)
    assert.matches("\ntrue\n3\n", output)
    assert.matches("mb%(%d+%):1: bad argument #1 to 'processes'", output)
  end)

  it("c loads a module again, in its own table and on every scheduler", function()
    local directory = helper.run("mktemp -d"):match("%S+")
    local function say(n)
      return ("f = io.open('%s/mod.lua', 'w') f:write('return {n = %s}') f:close()"):format(directory, n)
    end
    local output = helper.run(([[cat > %s/in <<'END'
package.path = "%s/?.lua;" .. package.path
%s
m = require "mod"
function tell(to) send(to, require("mod").n) end
function there() Process.spawn(tell, {scheduler = 2}, self()) return receive() end
m.n, there()
%s
c("mod") == m, m.n, there()
%s
c("mod")
m.n, require("mod") == m
c("nomodule")
END
%s --schedulers 2 -i < %s/in 2>&1 | tail -n +2
]]):format(directory, directory, say(1), say(2), say("+"), moonbeam, directory))
    helper.run("rm -rf " .. directory)
    assert.matches("^1\n1\ntrue\n2\n2\n%*%* %(error%).*mod.lua.*\n2\ntrue\n" ..
      "%*%* %(error%) mb%(%d+%):1: module 'nomodule' not found", output)
  end)

  it("keeps out of the way of the program's own names", function()
    local output = helper.run("printf 'h, i\\nv(1)' | " .. moonbeam .. " -e 'h, i = 1, 2' -i | tail -n +2")
    assert.equal("1\n2\n1\n2\n", output)
  end)
end)

local helper = require "spec.helper"
local terminal = require "spec.repl.terminal"

describe("an attached prompt", function()
  local server, directory, socket, open

  local function attach()
    local own = helper.run("mktemp -d " .. directory .. "/XXXXXX"):match("%S+")
    local t = terminal.prompt("--remote " .. socket, {directory = own})
    open[#open + 1] = t
    return t
  end

  before_each(function()
    open = {}
    directory = helper.run("mktemp -d"):match("%S+")
    socket = directory .. "/socket"
    server = terminal.start(terminal.moonbeam .. " --listen " .. socket ..
      [[ -e 'secret = 1 Process.register(self(), "main") print("listening", io.open("/proc/self/stat"):read("n"))' ]] ..
      [[-e 'while true do print("got", receive()) end']])
    server:await("listening")
  end)

  after_each(function()
    for _, t in ipairs(open) do t:stop() end
    server:stop()
    helper.run("rm -rf " .. directory)
  end)

  it("runs in the host, with globals of its own; the socket is for this user alone", function()
    assert.equal("600\n", (helper.run("stat -c %a " .. socket)))
    local t = attach()
    t:enter("secret, Process.whereis('main') ~= self()", "\nnil\ntrue\n")
    t:enter("send('main', 'a message')", '"a message"\nmb%(3%)>$')
    server:await("got%s+a message")
    t:enter("print('printed here') x = 5", "x = 5\nprinted here\nmb%(4%)>$")
    t:enter("spawn(function() receive{after = {300, print}} print('by another process') end)", "mb%(5%)>$")
    t:type("half a li")
    t:await("by another process\nmb%(5%)> half a li$")
    t:press("C-u")
    t:enter("error('oops')", "%(error%) mb%(5%):1: oops")
    t:enter("spawn_link(function() exit('boom') end) receive()", 'shell process exited with reason: "boom"\nmb%(5%)>$')
    t:enter("x", "\n5\nmb%(6%)>$")
    t:type("str")
    t:press("Tab")
    t:await("> string$")
    t:press("C-u", "C-d")
    t:await("status=0\nicanon$")
    assert.equal(nil, server:screen():find("printed here"))
  end)

  it("breaks its own evaluation with Ctrl-C; the host goes on", function()
    local t = attach()
    t:enter("print('begun') while true do end", "\nbegun$")
    t:press("C-c")
    t:await("%(error%) interrupted!\n.*mb%(1%)>$")
    t:type("half")
    t:await("half$")
    t:press("C-c")
    t:await("half^C\n[^\n]+\nmb%(1%)>$")
    t:enter("1 + 1", "\n2\nmb%(2%)>$")
    t:press("C-c")
    t:await("%^C\n[^\n]+\nmb%(2%)>$")
    t:press("C-c")
    t:await("status=130\nicanon$")
    local another = attach()
    another:enter("send('main', 'still there')", "mb%(2%)>$")
    server:await("still there")
  end)

  it("leaves nothing of its values behind", function()
    for _, how in ipairs{"by leaving", "by closing the terminal"} do
      local t = attach()
      t:enter(("x = setmetatable({}, {__gc = function() send('main', 'freed %s') end})"):format(how), "mb%(2%)>$")
      t:enter("x ~= nil, x", "true\n.*mb%(3%)>$")
      if how == "by leaving" then
        t:press("C-d")
        t:await("status=0\nicanon$")
      else
        t:stop()
      end
      local another = attach()
      another:enter("Process.spawn(function() while true do collectgarbage() sleep(10) end end, {scheduler = 'here'})",
        "mb%(2%)>$")
      server:await("got%s+freed " .. how)
      another:stop()
    end
  end)

  it("is one of several; closing one disturbs nothing", function()
    local first, second = attach(), attach()
    first:enter("x = 'first'", "mb%(2%)>$")
    second:enter("x = 'second' Process.register(spawn(function() print('from', receive()) end), 'printer')",
      "mb%(2%)>$")
    first:enter("send('printer', x)", '"first"\nmb%(3%)>$')
    second:await("from%s+first\nmb%(2%)>$")
    second:enter("Process.register(spawn(function() receive() print('an orphan') end), 'orphan')", "mb%(3%)>$")
    second:stop() -- its terminal is gone, in the middle of a prompt
    first:enter("x", '"first"\nmb%(4%)>$')
    first:enter("send('orphan', 'x')", "mb%(5%)>$")
    server:await("an orphan") -- nobody else is left to show it
    local left = helper.run(("printf '#Process.list()\\n' | %s --remote %s"):format(terminal.moonbeam, socket))
    assert.equal("6\n", left) -- the script, who accepts, and a session and an evaluator each for the two clients
  end)

  it("works through pipes, without prompts and colours", function()
    local output, code = helper.run(([[
cat <<'END' | %s --remote %s
x = {1, "two"}
x
print("p")
error("e")
for i = 1, 2 do
print(i) end
END]]):format(terminal.moonbeam, socket))
    assert.equal([[
{1, "two"}
p
** (error) mb(4):1: e
stack traceback:
	[C]: in function 'error'
	mb(4):1: in main chunk
1
2
]], output)
    assert.equal(0, code)
  end)

  it("says so when there is no host, or no longer", function()
    local output, code = helper.run(terminal.moonbeam .. " --remote " .. directory .. "/nothing")
    assert.matches("^%S+: cannot attach to %S+/nothing: ENOENT: no such file or directory\n$", output)
    assert.equal(1, code)
    local t = attach()
    t:type("half")
    t:await("half$")
    server:press("C-c")
    server:await("status=1")
    t:await("has closed the connection\nstatus=1\nicanon$")
    assert.equal("1\n", (helper.run("test -e " .. socket .. "; echo $?")))
  end)

  it("listens again where a host has died, and not where one lives", function()
    local output, code = helper.run(terminal.moonbeam .. " --listen " .. socket .. " -e ''")
    assert.matches("cannot listen on %S+: EADDRINUSE", output)
    assert.equal(1, code)
    helper.run("kill -KILL " .. server:screen():match("listening%s+(%d+)"))
    server:await("status=137")
    output, code = helper.run(terminal.moonbeam .. " --listen " .. socket .. " -e 'print(1)'")
    assert.equal("1\n", output)
    assert.equal(0, code)
  end)
end)

local feed = require "spec.repl.feed"
local helper = require "spec.helper"
local terminal = require "spec.repl.terminal"

describe("the prompt's dot file", function()
  local directory, here, home

  local function write(path, text)
    local file <close> = assert(io.open(path, "w"))
    file:write(text)
  end

  local function prompt(options, ...)
    return feed.with({directory = here, environment = "HOME=" .. home, options = options}, ...)
  end

  before_each(function()
    directory = helper.run("mktemp -d"):match("%S+")
    here, home = directory .. "/here", directory .. "/home"
    helper.run(("mkdir %s %s"):format(here, home))
  end)

  after_each(function() helper.run("rm -rf " .. directory) end)

  it("REPL-13: .moonbeam.lua of the current directory, or else of the home directory, is run first", function()
    assert.equal("nil\n", (prompt("", "where")))
    write(home .. "/.moonbeam.lua", "where = 'home'")
    assert.equal('"home"\n', (prompt("", "where")))
    write(here .. "/.moonbeam.lua", "#! a first line\nwhere = 'here' local hidden = 1 " ..
      "function f() return v, pid end print('begun', ...) return 'dropped'")
    assert.equal('begun\n"here"\nnil\ntrue\n', (prompt("", "where", "hidden", "f() == v")))
    assert.equal("nil\n", (prompt("--no-dot-file", "where")))
    write(directory .. "/another", "where = 'another'")
    assert.equal('"another"\n', (prompt("--dot-file=../another", "where")))
    assert.equal('"another"\n', (prompt("--dot-file ../another", "where")))
    assert.equal("1\n", (helper.run(("cd %s && HOME=%s %s -e 'print(1)'"):format(here, home, feed.moonbeam))))
  end)

  it("REPL-13: what goes wrong in it is printed, and the prompt begins", function()
    write(here .. "/.moonbeam.lua", "x = 1\nerror('e')")
    assert.equal("** (error) .moonbeam.lua:2: e\nstack traceback:\n\t[C]: in function 'error'\n" ..
      "\t.moonbeam.lua:2: in main chunk\n1\n", (prompt("", "x")))
    write(here .. "/.moonbeam.lua", "x = ")
    assert.equal("** (error) .moonbeam.lua:1: unexpected symbol near <eof>\n1\n", (prompt("", "1")))
    write(here .. "/.moonbeam.lua", "x = 1 exit('why')")
    assert.equal('** (exit) "why"\n1\n', (prompt("", "x")))
    write(here .. "/.moonbeam.lua", ("-- a long line"):rep(100000))
    assert.equal("** (error) .moonbeam.lua: it has more than 1048576 bytes\n1\n", (prompt("", "1")))
    assert.equal("** (error) nothing: No such file or directory\n1\n", (prompt("--dot-file nothing", "1")))
    assert.equal("** (error) .: Is a directory\n1\n", (prompt("--dot-file .", "1")))
  end)

  it("REPL-13: it is run once in a session, whatever becomes of the shell", function()
    write(here .. "/.moonbeam.lua", "times = (times or 0) + 1")
    assert.matches("1\n%*%* %(EXIT from .*killed\n1\n$", (prompt("", "times", "Process.exit(self(), 'kill')", "times")))
  end)

  it("REPL-13: an attached prompt runs that of its own side in the other program", function()
    local socket = directory .. "/socket"
    write(here .. "/.moonbeam.lua", "where = 'attached' who = Process.whereis('main') print('begun')")
    local server = terminal.start(feed.moonbeam .. " --listen " .. socket ..
      " -e 'Process.register(self(), \"main\") print(\"listening\") receive()'")
    server:await("listening")
    local function attached(options)
      return helper.run(("cd %s && printf 'where\\nmb.type(who)\\n' | HOME=%s %s --remote %s %s"):format(here, home,
        feed.moonbeam, socket, options or ""))
    end
    assert.matches('^begun\n"attached"\n', attached())
    assert.matches("^nil\n", (attached("--no-dot-file")))
    write(here .. "/.moonbeam.lua", "\nerror('e')")
    assert.matches("^%*%* %(error%) %.moonbeam%.lua:2: e\n", (attached()))
    server:stop()
  end)
end)

local helper = require "spec.helper"

describe("the text of an entry", function()
  helper.setup()

  -- What a program writes to stderr, without the times.
  local function stderr_of(source, environment)
    local output, code = helper.run_script('local mb = require "moonbeam"; local Logger = mb.Logger\n' .. source, "",
      environment)
    assert.equal(0, code, output)
    return (output:gsub("%d%d:%d%d:%d%d%.%d%d%d", "TIME"))
  end

  it("LOG-50 is cut off where it is wanted, between characters", function()
    assert.equal(table.concat({"TIME [info] 12345", "TIME [info] 1234é", "TIME [info] 12345é6 (truncated)",
      "TIME [info] 123456 (truncated)", "TIME [info] 1234😀 (truncated)", "TIME [info] 123456\128 (truncated)",
      "TIME [info] 12345678901"}, "\n") .. "\n", stderr_of[[
      Logger.configure{truncate = 8}
      for _, text in ipairs{"12345", "1234é", "12345é67", "123456😀", "1234😀5", "123456\128\128\128\128\128\128"} do
        if text == "123456😀" then Logger.configure{truncate = 9} end
        if text:byte(-1) == 128 then Logger.configure{truncate = 7} end
        if text == "1234😀5" then Logger.configure{truncate = 8} end
        Logger.info(text)
      end
      Logger.configure{truncate = "infinity"}
      Logger.info("12345678901")
    ]])
  end)

  it("LOG-51 has the node, and says what it does not know", function()
    assert.equal("nonode@nohost [info] text\n", stderr_of[[
      Logger.configure{format = "$node [$level] $message"}
      Logger.info("text")
      assert(not pcall(Logger.configure, {format = "$bad"}))
    ]])
  end)

  it("LOG-52 has the place of the call where it is asked for", function()
    local text = stderr_of[[
      Logger.configure{metadata = {"line", "function", "file", "user"}}
      local function logs() Logger.info("text", {user = "ann"}) return true end
      logs()
      Logger.info("main", {line = "own"})
      pcall(Logger.info, "in a protected call")
      Logger.configure{metadata = {"user"}, location = true, format = "$metadata$message"}
      Logger.info("text")
    ]]
    local place = "line=(%d+) function=([%w ]+) file=([^\n]*) "
    local line, name, file, user = text:match("^TIME " .. place .. "user=(%a+) %[info%] text\n")
    assert.same({"3", "logs", "ann"}, {line, name, user})
    assert.matches("/lua_%w+$", file)
    assert.matches("\nTIME line=own function=main chunk file=[^\n]* %[info%] main\n", text)
    assert.matches("\nTIME line=6 function=main chunk file=[^\n]* %[info%] in a protected call\ntext\n$", text)
  end)

  it("LOG-53 has colours where it is wanted, and none by itself in a pipe", function()
    local text = stderr_of[[
      Logger.error("plain")
      Logger.configure{level = "all", colors = {enabled = true}}
      for _, level in ipairs(Logger.levels()) do Logger.log(level, level) end
      Logger.configure{colors = {info = "light_green", error = "normal"}}
      Logger.info("info")
      Logger.error("two\nlines\n")
      Logger.configure{colors = {enabled = false, warning = "blue"}}
      Logger.warning("plain")
      Logger.configure{colors = {}}
      Logger.warning("as at first")
    ]]
    local red, yellow, cyan, off = "\27[31m", "\27[33m", "\27[36m", "\27[0m"
    assert.equal(table.concat({"TIME [error] plain", red .. "TIME [emergency] emergency" .. off,
      red .. "TIME [alert] alert" .. off, red .. "TIME [critical] critical" .. off, red .. "TIME [error] error" .. off,
      yellow .. "TIME [warning] warning" .. off, "TIME [notice] notice", "TIME [info] info",
      cyan .. "TIME [debug] debug" .. off, "\27[92mTIME [info] info" .. off, "TIME [error] two\nlines",
      "TIME [warning] plain", "TIME [warning] as at first"}, "\n") .. "\n", text)
  end)

  -- What is written to a terminal; script(1) gives it one.
  local function on_terminal(environment)
    local name = os.tmpname()
    local file <close> = assert(io.open(name, "w"))
    file:write(([[
      %s -e 'require("moonbeam").Logger.error("text")'
    ]]):format(helper.interpreter()))
    file:flush()
    local output = helper.run(("%s script -qec 'sh %s' /dev/null </dev/null"):format(environment, name))
    os.remove(name)
    return output
  end

  it("LOG-54 has them on a terminal, unless NO_COLOR is set or it has none", function()
    assert.matches("\27%[31m%d%d:%d%d:%d%d%.%d%d%d %[error%] text\27%[0m\r\n", on_terminal("TERM=xterm NO_COLOR="))
    for _, environment in ipairs{"TERM=xterm NO_COLOR=1", "TERM=dumb NO_COLOR=", "TERM= NO_COLOR="} do
      local text = on_terminal(environment)
      assert.matches("%[error%] text\r\n", text)
      assert.is_nil(text:find("\27", 1, true), environment)
    end
  end)

  it("LOG-55 goes to stderr as often as there are handlers for it, each in its way", function()
    assert.equal("TIME [info] text\n<text>\nTIME [error] worse\n<worse>\nerror\n", stderr_of[[
      Logger.add_handler("again", {handler = "default", format = "<$message>"})
      Logger.add_handler("errors", {handler = "default", format = "$level", level = "error"})
      Logger.info("text")
      Logger.error("worse")
    ]])
  end)
end)

describe("an entry as JSON", function()
  helper.setup()

  -- The objects that a program writes, as text; the times and the pid are left out.
  local function json_of(source)
    local output, code = helper.run_script('local mb = require "moonbeam"; local Logger = mb.Logger\n'
      .. 'Logger.configure{format = "json"}\n' .. source)
    assert.equal(0, code, output)
    output = output:gsub('"time":"%d%d%d%d%-%d%d%-%d%dT%d%d:%d%d:%d%d%.%d%d%dZ",', "")
    return (output:gsub('"pid":"#PID<0%.1%.0>",', ""))
  end

  it("LOG-60 is an object in a line", function()
    assert.equal('{"level":"info","message":"text","metadata":{}}\n' ..
      '{"level":"error","message":"two\\nlines","metadata":{"user":"ann"}}\n', json_of[[
      Logger.info("text")
      Logger.configure{colors = {enabled = true}} -- which are for people
      Logger.error("two\nlines", {user = "ann"})
    ]])
  end)

  it("LOG-61 escapes what has to be, and replaces what is no UTF-8", function()
    assert.equal('{"level":"info","message":"\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u001f\\u007fé😀","metadata":{}}\n' ..
      '{"level":"info","message":"a\u{FFFD}b\u{FFFD}\u{FFFD}c\u{FFFD}","metadata":{"k\\"\u{FFFD}":"v"}}\n', json_of[[
      Logger.info("\"\\/\b\f\n\r\t\0\31\127é😀")
      Logger.info("a\255b\237\160c\195", {["k\"\128"] = "v"})
    ]]:gsub("\u{FFFD}\u{FFFD}+c", "\u{FFFD}\u{FFFD}c"), nil)
  end)

  it("LOG-62 has metadata of any kind", function()
    assert.equal('{"level":"info","message":"text","metadata":{"1":"number","array":[1,2.5,-3,true],"by":"#PID<0.1.0>",' ..
      '"deep":{"a":{"b":{}}},"f":"function","inf":"inf","nan":"nan","real":1e+300,"s":"x"}}\n',
      (json_of[[
      Logger.info("text", {s = "x", array = {1, 2.5, -3, true}, deep = {a = {b = {}}}, by = mb.self(), f = print,
        inf = math.huge, nan = 0/0, real = 1e300, [1] = "number"})
    ]]:gsub('"f":"[^"]*"', '"f":"function"'):gsub('"%-nan"', '"nan"'):gsub('1.0000000000000001e%+300', "1e+300")))
  end)

  it("LOG-63 has only the metadata that is asked for, with the place of the call", function()
    assert.matches('^{"level":"info","message":"text","metadata":{"line":3,"user":"ann"}}\n$', json_of[[
      Logger.configure{metadata = {"user", "line", "none"}} Logger.info("text", {user = "ann", other = 1})
    ]])
  end)

  it("LOG-64 is bounded, however large or deep the metadata is", function()
    local text = json_of[[
      local deep = {}
      for _ = 1, 100000 do deep = {deep} end
      local cycle = {}
      cycle.cycle = cycle
      local wide = {}
      for i = 1, 100000 do wide[i] = i end
      Logger.info("text", {deep = deep, cycle = cycle, wide = wide})
    ]]
    assert.equal(1, select(2, text:gsub("\n", "")))
    assert.is_true(#text < 2000000)
  end)

  it("LOG-65 says of a crash that it is one", function()
    local text = json_of[[
      mb.spawn_monitor(function() error("a crash", 0) end)
      mb.receive()
    ]]
    assert.matches('^{"level":"error","message":"Process #PID<0.2.0> terminating\\n%*%* %(error%) a crash', text)
    assert.matches('"pid":"#PID<0.2.0>","kind":"crash","metadata":{"report":{.*"error":"a crash"', text)
  end)
end)

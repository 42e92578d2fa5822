local helper = require "spec.helper"

-- Globals need a table of globals that is like a script's; busted gives its specs one of their own.
local function run(source)
  local output, code = helper.run_script("local mb = require 'moonbeam' mb.import()\n" .. source)
  assert.equal(0, code, output)
  return output
end

describe("a table of globals with an __index of its own", function()
  helper.setup()

  it("may raise for a name that the code that is sent does not read", function()
    assert.equal("worker 2\nworker 2\nnil\n", run[[
      setmetatable(_G, {
        __index = function(_, name) error("undeclared variable " .. name, 2) end,
        __newindex = function(_, name) error("undeclared variable " .. name, 2) end,
      })
      local me = self()
      local function worker(undeclared)
        local unpack = table.unpack or unpack
        local value
        if undeclared then value = no_such_name end
        send(me, undeclared and tostring(value) or "worker " .. select("#", unpack{1, 2}))
      end
      spawn(worker)
      print(receive())
      send(me, worker)
      receive()()
      print(receive())
      spawn(worker, true) -- elsewhere globals need not be declared
      print(receive())
    ]])
  end)

  it("passes on the names that it makes up", function()
    assert.equal("made up: first, nil\n", run[[
      setmetatable(_G, {__index = function(_, name)
        if name == "second" then error{"a table", "for an error"} end
        return name == "first" and "made up: first" or nil
      end})
      local me = self()
      spawn(function() send(me, first .. ", " .. tostring(second)) end)
      print(receive())
    ]])
  end)

  it("hides a standard name that it forbids", function()
    assert.equal("nil true\n", run[[
      local env = setmetatable({}, {__index = function(_, name)
        if name == "os" then error("forbidden") end
        return _G[name]
      end})
      env._G = env
      local me = self()
      local f = load("return function(me) send(me, tostring(os) .. ' ' .. tostring(type ~= nil)) end", "f", "t", env)()
      spawn(f, me)
      print(receive())
    ]])
  end)

  it("can neither wait nor send half a message while its names are looked up", function()
    assert.equal("table\nafterwards\n", run[[
      local me = self()
      setmetatable(_G, {__index = function(_, name)
        if name == "waits" then return receive() end
        if name == "sends" then send(me, {"afterwards", function() return also_sends end}) return 1 end
      end})
      send(me, {function() return waits, sends end, ("x"):rep(100)})
      local first, second = receive(), receive()
      if first[1] == "afterwards" then first, second = second, first end
      print(type(first))
      print(second[1])
    ]])
  end)
end)

describe("globals", function()
  helper.setup()

  it("of any number travel, whatever their names' length", function()
    assert.equal("ok\n", run[[
      local me, lines = self(), {"local sum = 0"}
      for i = 1, 3000 do
        local name = i % 3 == 0 and ("a_rather_long_name_of_a_global_"):rep(2) .. i or "g" .. i
        _G[name] = i
        lines[#lines + 1] = ("sum = sum + %s"):format(name)
      end
      lines[#lines + 1] = "return sum"
      spawn(function(f) send(me, f()) end, load(table.concat(lines, "\n")))
      local sum = receive()
      print(sum == 3000 * 3001 // 2 and "ok" or sum)
    ]])
  end)

  -- 100,000 names, each used twice. What grows with the square of them takes thousands of times as long as to compile
  -- them.
  it("of a hundred thousand names are found at once", function()
    assert.equal("ok\n", run[[
      local lines = {}
      for i = 1, 100000 do lines[i] = ("g%d = g%d"):format(i, i) end
      local code, started = table.concat(lines, "\n"), os.clock()
      local functions = {load(code), load("local function f() " .. code .. " end return f")()}
      local compiled = os.clock()
      for _, f in ipairs(functions) do
        spawn_monitor(f)
        assert(receive()[5] == "normal")
      end
      local took = (os.clock() - compiled) / (compiled - started)
      print(took < 100 and "ok" or took)
    ]])
  end)
end)

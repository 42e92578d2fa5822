local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, spawn, spawn_monitor, any = mb.self, mb.send, mb.receive, mb.spawn, mb.spawn_monitor, mb.any
local Process, await = mb.Process, helper.await

describe("in Lua's corners", function()
  helper.setup()

  it("LUA-01 waiting works inside pcall and xpcall, and a kill there cannot be caught", function()
    local me = self()
    local pid, ref = spawn_monitor(function()
      local ok, v = pcall(receive)
      local ok2, v2 = xpcall(receive, debug.traceback)
      mb.sleep(1)
      send(me, {ok, v, ok2, v2})
      pcall(receive)
      send(me, "caught it")
    end)
    send(pid, 1)
    send(pid, 2)
    assert.same({true, 1, true, 2}, receive(helper.patience))
    Process.exit(pid, "kill")
    assert.equal("killed", await{"DOWN", ref, "process", pid, any})
    assert.is_nil(receive(0))
  end)

  it("LUA-02 waiting where Lua cannot yield raises in that process only", function()
    local me = self()
    helper.in_process(function()
      send(me, {
        select(2, pcall(table.sort, {3, 1, 2}, function(a, b) receive() return a < b end)),
        select(2, pcall(string.gsub, "abc", ".", function() mb.sleep(1) end)),
        select(2, pcall(tostring, setmetatable({}, {__tostring = function() receive() end}))),
      })
    end)
    local messages = receive(helper.patience)
    for i = 1, 3 do assert.matches("attempt to yield across a C%-call boundary", messages[i]) end
  end)

  it("LUA-02 but not the main chunk of stock Lua", function()
    if helper.is_host then return assert.is_true(helper.is_host) end
    Process.send_after(self(), "m", 1)
    local got
    table.sort({2, 1}, function(a, b) got = got or receive(helper.patience) return a < b end)
    assert.equal("m", got)
  end)

  it("LUA-07 processes that start processes are resumed flat", function()
    local me = self()
    local function nest(n)
      if n == 0 then return send(me, "bottom") end
      spawn(nest, n - 1)
      receive{ {"never"}, after = 1 }
    end
    spawn(nest, 1000)
    assert.equal("bottom", await("bottom"))
  end)

  it("LUA-11 the main chunk is a process", function()
    local output, code = helper.run_script[[
      local mb = require "moonbeam"
      mb.send(mb.self(), "x")
      print(mb.receive(), select(2, mb.receive(1)), mb.Process.alive(mb.self()))
      local pid = mb.spawn(function() local m = mb.receive() mb.send(m, "hello main") end)
      mb.send(pid, mb.self())
      print(mb.receive())
    ]]
    assert.equal("x\ttimeout\ttrue\nhello main\n", output)
    assert.equal(0, code)
  end)

  it("LUA-12 says so when nothing can wake the script", function()
    local output, code = helper.run_script[[
      local mb = require "moonbeam"
      mb.spawn(function() mb.receive() end)
      mb.receive()
    ]]
    assert.matches("deadlock: .*nothing is left that could", output)
    assert.equal(1, code)
  end)

  it("LUA-12 sleeps until the next event without using the processor", function()
    local output = helper.run_script[[
      local mb = require "moonbeam"
      local before = os.clock()
      mb.sleep(300)
      print(os.clock() - before < 0.1)
    ]]
    assert.equal("true\n", output)
  end)

  it("print looks like the library's", function()
    helper.in_process(function()
      local about = debug.getinfo(print, "u")
      assert(about.isvararg and about.nparams == 0 and about.nups == 0)
    end)
  end)

  it("LUA-15 gives all results, nils in the middle included", function()
    local task = mb.Task.async(function() return 1, nil, 3, nil end)
    assert.equal(4, select("#", mb.Task.await(task)))
    local agent = mb.Agent.start(function() return {a = 1} end)
    local a, b, c = mb.Agent.get(agent, function(s) return s.a, nil, "c" end)
    assert.same({1, "c"}, {a, c})
    assert.is_nil(b)
    mb.Agent.stop(agent)
    task = mb.Task.async(function() return nil, 2 end)
    assert.equal(3, select("#", mb.Task.yield(task, helper.patience)))
  end)
end)

describe("inspect", function()
  it("shows values on one line while they fit", function()
    assert.equal('{1, "two\\n", x = true, ["a b"] = {}}', (mb.inspect({1, "two\n", x = true, ["a b"] = {}})
      :gsub('{1, "two\\n", %["a b"%] = {}, x = true}', '{1, "two\\n", x = true, ["a b"] = {}}')))
    assert.equal("nil", mb.inspect(nil))
    assert.equal("1.5", mb.inspect(1.5))
    assert.matches("^#PID<%d+%.%d+%.%d+>$", mb.inspect(self()))
    assert.matches("^#Reference<%d+%.%d+%.%d+%.%d+>$", mb.inspect(mb.make_ref()))
  end)

  it("breaks lines when they do not", function()
    local text = mb.inspect{("x"):rep(50), ("y"):rep(50)}
    assert.matches("^{\n  \"x+\",\n  \"y+\"\n}$", text)
  end)

  it("takes the results of a call that gives several", function()
    assert.equal("nil", mb.inspect(mb.receive(0)))
    assert.equal("1", mb.inspect(1, 2, 3))
  end)

  it("is safe for cycles, depth and bad metamethods", function()
    local t = {}
    t.t = t
    assert.equal("{t = <cycle>}", mb.inspect(t))
    local deep = {}
    local at = deep
    for _ = 1, 100000 do at[1] = {} at = at[1] end
    assert.is_string(mb.inspect(deep))
    assert.is_string(mb.inspect(setmetatable({}, {__tostring = function() error("no") end})))
    assert.is_string(mb.inspect(setmetatable({1}, {__index = error, __len = error, __pairs = error})))
  end)
end)

describe("flush", function()
  helper.setup()

  it("REPL-01 prints and empties the mailbox without waiting", function()
    local output = helper.run_script[[
      local mb = require "moonbeam"
      mb.send(mb.self(), {"a", 1})
      mb.send(mb.self(), "b")
      print(mb.flush(), mb.receive(0))
      mb.flush()
    ]]
    assert.equal('{"a", 1}\n"b"\ntrue\tnil\ttimeout\n', output)
  end)

  it("what a program has put in the place of debug.traceback before the runtime is loaded stays", function()
    assert.equal("mine\n", (helper.run_script[[
      debug.traceback = function() return "mine" end
      require "moonbeam"
      print(debug.traceback())
    ]]))
  end)
end)

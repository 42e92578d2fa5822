local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, spawn = mb.self, mb.send, mb.receive, mb.spawn

-- Each makes one level around what is inside, and takes it off again.
local kinds = {
  ["functions"] = {
    function(inside) return function() return inside end end,
    function(value) return value() end,
  },
  ["metatables"] = {
    function(inside) return setmetatable({}, {__index = inside}) end,
    function(value) return getmetatable(value).__index end,
  },
  ["tables that are keys"] = {
    function(inside) return {[inside] = true} end,
    function(value) return (next(value)) end,
  },
  ["all kinds of values"] = {
    function(inside)
      local method = function() return {[inside] = 1} end
      return setmetatable({}, {method = method, __index = function() return method end})
    end,
    function(value)
      local mt = getmetatable(value)
      assert(mt.__index() == mt.method) -- one function, and not two
      return (next(mt.method()))
    end,
  },
}

local function wrapped(kind, depth)
  local value = {"core"}
  for _ = 1, depth do value = kinds[kind][1](value) end
  return value
end

local function core(kind, depth, value)
  for _ = 1, depth do value = kinds[kind][2](value) end
  return value
end

describe("the depth of a message", function()
  helper.setup()

  for kind in pairs(kinds) do
    it("has no bound for " .. kind, function()
      for _, depth in ipairs{20, 21, 59, 60, 61, 62, 130, 50000} do
        send(self(), wrapped(kind, depth))
        assert.same({"core"}, core(kind, depth, receive(0)))
      end
    end)
  end

  it("has no bound for what a process is spawned with and answers", function()
    local depth, me = 50000, self()
    local chain = wrapped("functions", depth)
    local pid, ref = mb.spawn_monitor(function(argument) send(me, {chain, argument}) end, wrapped("metatables", depth))
    local answer = helper.await(mb.is.table)
    assert.same({"core"}, core("functions", depth, answer[1]))
    assert.same({"core"}, core("metatables", depth, answer[2]))
    helper.await{"DOWN", ref, "process", pid, "normal"}
  end)

  it("has no bound for a process's reason", function()
    local depth = 50000
    local pid, ref = mb.spawn_monitor(function(reason) mb.exit(reason) end, wrapped("functions", depth))
    assert.same({"core"}, core("functions", depth, helper.await{"DOWN", ref, "process", pid, mb.any}))
  end)

  it("has no bound for globals that name each other", function()
    local output, code = helper.run_script[[
      local mb = require "moonbeam"
      mb.import()
      local me = self()
      g0 = function() return "core" end
      for i = 1, 20000 do _G["g" .. i] = load(("return g%d"):format(i - 1)) end
      spawn(function()
        local value = g20000
        for i = 1, 20000 do value = value() end
        send(me, value())
      end)
      print(receive())
    ]]
    assert.equal("core\n", output)
    assert.equal(0, code)
  end)

  it("leaves variables shared that functions far apart use", function()
    local n = 0
    local function add() n = n + 1 end
    local function get() return n end
    for _, depth in ipairs{58, 59, 60, 61, 200} do
      local deep = {add = add, get = get}
      for _ = 1, depth do
        local inside = deep
        deep = function() return inside end
      end
      send(self(), {add, deep, get})
      local shallow_add, value, shallow_get = table.unpack(receive(0))
      for _ = 1, depth do value = value() end
      shallow_add()
      value.add()
      assert.equal(2, shallow_get())
      assert.equal(2, value.get())
      assert.is_true(value.add == shallow_add)
    end
    assert.equal(0, n)
  end)

  it("does not keep a function from holding itself", function()
    local depth = 300
    local first
    local value = function() return first end
    for _ = 1, depth do
      local inside = value
      value = function() return inside end
    end
    first = value
    send(self(), value)
    local copy = receive(0)
    local at = copy
    for _ = 0, depth do at = at() end
    assert.is_true(at == copy and copy ~= value)
  end)

  it("does not matter to Process.info and inspect", function()
    local chain = wrapped("all kinds of values", 20000)
    local pid = spawn(function() receive() return chain end)
    assert.is_true(mb.Process.info(pid, "memory") > 0)
    assert.is_string(mb.inspect(chain, {depth = math.huge}))
    mb.Process.exit(pid, "kill")
  end)
end)

describe("the refusal of a value that is", function()
  helper.setup()

  local function refusal(value)
    local ok, text = pcall(send, self(), value)
    assert.is_false(ok)
    assert.is_nil(receive(0))
    return text
  end

  it("deep is short, whatever is around it", function()
    for kind in pairs(kinds) do
      local wrap = kinds[kind][1]
      for _, depth in ipairs{20, 40, 70, 20000} do
        local value = io.open("/dev/null")
        for _ = 1, depth do value = wrap(value) end
        local text = refusal(value)
        assert.matches("cannot send message: .*%.%.%..* is a userdata %(FILE%*%)$", text)
        assert.is_true(#text < 1000)
      end
    end
  end)

  it("deep names the beginning of the way, and its end", function()
    local value = {last = {io.open("/dev/null")}}
    for _ = 1, 30 do value = {x = value} end
    assert.matches('field "begin%.x%.x%.x", %.%.%., field "x.*x%.last%[1%]" is a userdata', refusal{begin = value})
    local function f() return value end
    for _ = 1, 100 do value = {x = value} end
    assert.error_matches(function() spawn(print, 1, f) end,
      'cannot spawn: argument 2, %.%.%., .*x%.last%[1%]" is a userdata')
  end)

  it("under long names is short", function()
    local long = ("n"):rep(100000)
    assert.is_true(#refusal{[long] = {[long] = io.open("/dev/null")}} < 1000)
    assert.is_true(#refusal(setmetatable({}, {__name = long, coroutine.create(print)})) < 1000)
  end)

  it("under a key with code of its own does not run that", function()
    local function boom() error("boom") end
    local key = setmetatable({}, {__tostring = boom, __name = "key", __index = boom, __len = boom, __pairs = boom,
      __eq = boom, __concat = boom, __lt = boom})
    assert.matches('field "%[table%]" is a userdata', refusal{[key] = io.open("/dev/null")})
    assert.matches('field "%[1.5%]" is a userdata', refusal{[1.5] = io.open("/dev/null")})
    assert.matches('field "%[true%]%[2%]" is a userdata', refusal{[true] = {1, io.open("/dev/null")}})
    send(self(), {"still", "works", key})
    assert.equal("works", receive(0)[2])
  end)
end)

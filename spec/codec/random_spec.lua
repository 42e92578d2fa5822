-- Values that nobody would write: made at random from a fixed seed, sent, and compared with what arrives.
local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, spawn, Process = mb.self, mb.send, mb.receive, mb.spawn, mb.Process

-- Without those that the runtime has its own of: one that was kept from before is the runtime's where it arrives.
local by_name = {string, table.concat, math, math.floor, select, ipairs, next, mb, mb.GenServer, mb.Task.await}

-- Pairs of functions over the same variables: the first reads them, the second sets them.
local pairs_of_functions = {
  load "local a, b, c = ... return function() return a, b end, function(x, y) a, b = x, y end",
  load "local a, b, c = ... return function() return c, a, print end, function(x, y) a, c = x, y end",
  load "local a, b, c = ... local d = a return function() return d, b end, function(x, y) d, b = x, y end",
}

local function generator(seed)
  return function(n)
    seed = (seed * 6364136223846793005 + 1442695040888963407)
    return (seed >> 33) % n + 1
  end
end

-- A table of random values with cycles, shared parts, metatables and deep places, and, unless all is to be data, shared
-- and joined upvalues and what has a name.
local function random_value(random, only_data)
  local objects, left = {}, only_data and 300 or 80
  local function meet(object) objects[#objects + 1] = object end
  local value
  local scalars = {
    function() return random(300) - 150 end,
    function() return random(1 << 40) end,
    function() return random(1000) / 7 end,
    function() return ("s"):rep(random(200)) .. random(50) end,
    function() return random(2) == 1 end,
    self,
    function() return nil end,
    function() return by_name[random(#by_name)] end,
  }
  if only_data then scalars[#scalars] = math.random end -- a float
  local function random_table()
    local t = {}
    meet(t)
    for i = 1, random(only_data and random(40) or 5) - 1 do t[i] = value() end
    for _ = 1, random(4) - 1 do
      local key = value()
      if key ~= nil then t[key] = value() end
    end
    local mt = objects[random(#objects)]
    if random(4) == 1 and type(mt) == "table" then setmetatable(t, mt) end
    return t
  end
  local function random_function()
    local get, set = pairs_of_functions[random(#pairs_of_functions)](value(), value(), value())
    meet(get)
    meet(set)
    local other = objects[random(#objects)]
    if random(3) == 1 and type(other) == "function" then debug.upvaluejoin(get, 1, other, random(2)) end
    if random(3) == 1 then set(value(), other) end
    return random(2) == 1 and get or set
  end
  local function random_depths(inside)
    local wraps = {
      function(v) return {v} end,
      function(v) return setmetatable({}, {x = v}) end,
      function(v) return {[{v}] = 1} end,
      not only_data and function(v) return function() return v, objects end end or nil,
    }
    for _ = 1, random(only_data and random(2) == 1 and 20 or 300) do
      inside = wraps[random(#wraps)](inside)
      if random(30) == 1 then meet(inside) end
    end
    return inside
  end
  function value()
    left = left - 1
    local kind = random(16)
    if left < 0 or kind <= 6 then return scalars[random(#scalars)]() end
    if kind <= 10 and #objects > 0 then return objects[random(#objects)] end
    return (kind <= 13 or only_data) and random_table() or random_function()
  end
  local root = random_table()
  for i = 1, random(12) do root[i] = value() end
  if random(2) == 1 then root[#root + 1] = random_depths(value()) end
  return root
end

local function is_named(v)
  for _, named in ipairs(by_name) do
    if v == named then return true end
  end
end

-- What differs between two values, as a path; nil: they have the same shape, objects and variables one to one.
local function difference(original, copy)
  local partner, todo = {}, {{original, copy, "root"}}
  local function same(x, y) -- whether x and y are each other's; second: for the first time
    local fresh = partner[x] == nil and partner[y] == nil
    if fresh then partner[x], partner[y] = y, x end
    return partner[x] == y and partner[y] == x, fresh
  end
  local function compare(x, y, path) todo[#todo + 1] = {x, y, path} end
  local function compare_tables(x, y, path)
    local count, object_keys, partners = 0, {}, {}
    compare(getmetatable(x), getmetatable(y), path .. "<metatable>")
    for k, v in next, x do
      count = count + 1
      if type(k) ~= "table" and type(k) ~= "function" or is_named(k) then
        compare(v, rawget(y, k), path .. "." .. tostring(k))
      else
        object_keys[#object_keys + 1] = k
      end
    end
    for k in next, y do
      count = count - 1
      if (type(k) == "table" or type(k) == "function") and not is_named(k) then partners[#partners + 1] = k end
    end
    if #object_keys == 1 and #partners == 1 then
      compare(object_keys[1], partners[1], path .. "<key>")
      compare(x[object_keys[1]], y[partners[1]], path .. "<keyed>")
    end
    return count == 0 and #object_keys == #partners
  end
  local function compare_functions(x, y, path)
    local index = 1
    while true do
      local name, v = debug.getupvalue(x, index)
      local other, w = debug.getupvalue(y, index)
      if name ~= other then return false end
      if not name then return true end
      if name ~= "_ENV" then
        if not same(debug.upvalueid(x, index), debug.upvalueid(y, index)) then return false end
        compare(v, w, path .. "^" .. name)
      end
      index = index + 1
    end
  end
  while #todo > 0 do
    local x, y, path = table.unpack(table.remove(todo), 1, 3)
    if type(x) ~= type(y) or math.type(x) ~= math.type(y) then return path end
    if type(x) ~= "table" and type(x) ~= "function" or is_named(x) then
      if x ~= y then return path end
    else
      local ok, fresh = same(x, y)
      if not ok or x == y then return path end
      if fresh and not (type(x) == "table" and compare_tables or compare_functions)(x, y, path) then return path end
    end
  end
end

describe("random values", function()
  helper.setup()

  it("keep their shape wherever they are sent", function()
    local random = generator(20)
    local me = self()
    for round = 1, 50 do
      local value = random_value(random)
      local function check(copy, how)
        local where = difference(value, copy)
        if where then error(("round %d, %s: %s differs"):format(round, how, where)) end
      end
      send(me, value)
      check(receive(0), "sent")
      local pid, ref = mb.spawn_monitor(function(argument)
        send(me, {argument})
        mb.exit(receive())
      end, value)
      check(helper.await{mb.is.table}, "spawned with, and sent back")
      send(pid, value)
      local reason = helper.await{"DOWN", ref, "process", pid, mb.any}
      if not getmetatable(value) then setmetatable(reason, nil) end -- which makes text of reasons
      check(reason, "sent, and exited with")
    end
  end)

  it("keep their shape between two that wait for each other", function()
    local random = generator(21)
    local me = self()
    local pid = spawn(function()
      while true do send(me, (receive())) end
    end)
    for round = 1, 150 do
      local value = random_value(random, true)
      helper.until_waiting(pid)
      send(pid, value)
      local where = difference(value, receive(helper.patience))
      if where then error(("round %d: %s differs"):format(round, where)) end
    end
    Process.exit(pid, "kill")
  end)

  it("would be told apart if they did not", function()
    local shared = {}
    local function get(x) return function() return x end end
    assert.is_nil(difference({shared, get(1)}, {{}, get(1)}))
    assert.equal("root.1", difference({shared, shared}, {{}, {}}))
    assert.equal("root.1", difference({{}, {}}, {shared, shared}))
    assert.equal("root.1", difference({shared}, {shared}))
    assert.equal("root.1^x", difference({get(1)}, {get(2)}))
    assert.equal("root.1<metatable>", difference({setmetatable({}, {})}, {{}}))
    assert.equal("root.1", difference({1}, {1.0}))
  end)
end)

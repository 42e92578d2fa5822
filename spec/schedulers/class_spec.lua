local helper = require "spec.helper"

-- Run a program on one scheduler and on four: `everywhere(fn, ...)` is the sequence of fn's results from each.
local function holds(source)
  for _, schedulers in ipairs{1, 4} do
    local output, code = helper.run_script(([[
      local mb = require "moonbeam"
      mb.import()
      local function everywhere(fn, ...)
        local me, results = self(), {}
        for n = 1, #mb.schedulers() do
          local pid, ref = Process.spawn(function(...) send(me, {"result", fn(...)}) end,
            {scheduler = n, monitor = true}, ...)
          local reason = receive{ {{"DOWN", ref, "process", pid, any}} }
          assert(reason == "normal", inspect(reason))
          results[n] = receive{ {{"result", any}} }
        end
        return results
      end
      local Point = {}
      Point.__index = Point
      function Point.new(x, y) return setmetatable({x = x, y = y}, Point) end
      function Point:sum() return self.x + self.y end
    ]]):gsub("\n", " ") .. source .. "\nprint 'ok'", "2>&1", "MOONBEAM_SCHEDULERS=" .. schedulers)
    assert.equal("ok\n", output)
    assert.equal(0, code)
  end
end

describe("a class that has been declared", function()
  it("CLASS-01 is the same for objects that are sent, and come back", function()
    holds[[
      assert(mb.class("Point", Point) == Point)
      local function look(p) return getmetatable(p) == Point and p:sum() == 5 end
      for _, same in ipairs(everywhere(look, Point.new(2, 3))) do assert(same) end
      for _, p in ipairs(everywhere(function() return Point.new(3, 4) end)) do
        assert(getmetatable(p) == Point and p:sum() == 7)
      end
      local me = self()
      local echo = spawn(function() while true do send(me, receive()) end end)
      send(echo, {Point.new(1, 1), Point, {deep = {Point.new(1, 2)}}})
      local answer = receive()
      assert(getmetatable(answer[1]) == Point and answer[2] == Point and answer[3].deep[1]:sum() == 3)
    ]]
  end)

  it("CLASS-01 is found before anything that arrives, also where it was met as a name first", function()
    holds[[
      local me = self()
      local workers = {}
      for n = 1, #mb.schedulers() do
        workers[n] = Process.spawn(function()
          while true do
            local object = receive()
            send(me, object:name())
          end
        end, {scheduler = n})
      end
      for i = 1, 20 do
        local C = {}
        C.__index = C
        function C:name() return "class " .. i end
        mb.class("C" .. i, C)
        for n = 1, #workers do
          send(workers[n], setmetatable({}, C))
          assert(receive() == "class " .. i)
        end
      end
    ]]
  end)

  it("CLASS-01 is not copied with each object", function()
    holds[[
      local large = ("x"):rep(100000)
      function Point.large() return #large end
      mb.class("Point", Point)
      local pid = spawn(function() receive{ {"never"} } end)
      local before = Process.info(pid, "memory")
      for i = 1, 100 do send(pid, Point.new(i, i)) end
      assert(Process.info(pid, "memory") - before < 100000)
      assert(everywhere(function() return Point.large() end)[1] == 100000)
    ]]
  end)

  it("CLASS-01 may be declared by any process, and be used in blocking", function()
    holds[[
      local me = self()
      for n = 1, #mb.schedulers() do
        Process.spawn(function()
          local Own = {}
          Own.__index = Own
          function Own:value() return self.v end
          mb.class("Own" .. n, Own)
          send(me, setmetatable({v = n}, Own))
        end, {scheduler = n})
        local object = receive()
        assert(object:value() == n)
        for _, v in ipairs(everywhere(function(o) return o:value() end, object)) do assert(v == n) end
      end
      mb.class("Point", Point)
      local sum, point = mb.blocking(function(p) return p:sum(), Point.new(5, 6) end, Point.new(1, 2))
      assert(sum == 3 and getmetatable(point) == Point)
    ]]
  end)

  it("CLASS-02 has its methods where __index says, and inherits", function()
    holds[[
      local Named = {}
      Named.__index = Named
      function Named:shout() return self.name:upper() end
      local methods = setmetatable({}, Named)
      local Dog = {__index = methods, __eq = function(a, b) return a.name == b.name end}
      function methods:bark() return self.name .. " barks" end
      function methods.new(name) return setmetatable({name = name}, Dog) end
      mb.class("Named", Named)
      mb.class("Dog", Dog)
      local function look(d, other)
        return {d:bark(), d:shout(), d == other, getmetatable(d) == Dog, Dog.__index == methods,
          getmetatable(methods) == Named, methods.new("x"):bark()}
      end
      local seen = everywhere(look, methods.new("rex"), methods.new("rex"))
      for _, s in ipairs(seen) do
        assert(inspect(s) == '{"rex barks", "REX", true, true, true, true, "x barks"}', inspect(s))
      end
    ]]
  end)

  it("CLASS-02 may name another one in its methods, in a circle", function()
    holds[[
      local A, B = {}, {}
      A.__index, B.__index = A, B
      function A:other() return setmetatable({}, B) end
      function B:other() return setmetatable({}, A) end
      mb.class("A", A)
      mb.class("B", B)
      mb.class("A", A) -- whose definition had a copy of B
      for _, same in ipairs(everywhere(function(a)
        return getmetatable(a:other()) == B and getmetatable(a:other():other()) == A
      end, setmetatable({}, A))) do assert(same) end
    ]]
  end)

  it("CLASS-03 gets what is added when it is declared again", function()
    holds[[
      mb.class("Point", Point)
      assert(everywhere(function(p) return p:sum() end, Point.new(1, 2))[1] == 3)
      Point.old = true
      mb.class("Point", Point)
      function Point:product() return self.x * self.y end
      Point.old = nil
      setmetatable(Point, {__call = function(_, x) return Point.new(x, x) end})
      mb.class("Point", Point)
      for _, results in ipairs(everywhere(function(p)
        return {p:product(), Point.old == nil, Point(4):sum(), getmetatable(p) == Point}
      end, Point.new(3, 4))) do assert(inspect(results) == "{12, true, 8, true}", inspect(results)) end
    ]]
  end)

  it("CLASS-03 is kept once, however often it is declared", function()
    holds[[
      Point.n = 0
      mb.class("Point", Point)
      everywhere(function() return true end)
      collectgarbage() collectgarbage()
      local before = collectgarbage("count")
      for n = 1, 300 do
        Point.n, Point.text = n, ("x"):rep(10000)
        mb.class("Point", Point)
      end
      collectgarbage() collectgarbage()
      assert(collectgarbage("count") - before < 1000)
      for _, n in ipairs(everywhere(function() return Point.n end)) do assert(n == 300) end
    ]]
  end)

  it("CLASS-04 has one name, and one table", function()
    holds[[
      local function refused(text, ...)
        local ok, why = pcall(mb.class, ...)
        assert(not ok and why:find(text, 1, true) and why:find("^[^:]+:%d+: "), why)
      end
      mb.class("Point", Point)
      refused("there is a class 'Point' already, which is another table", "Point", {})
      refused("it is declared already, as 'Point'", "Other", Point)
      refused("bad argument #1 to 'class' (string expected, got nil)", nil, {})
      refused("bad argument #1 to 'class' (a name of 1 to 100 bytes expected)", ("x"):rep(101), {})
      refused("bad argument #2 to 'class' (table expected, got number)", "X", 5)
      local Bad = {handle = io.stdout}
      Bad.co = coroutine.create(print)
      refused("the class 'Bad' cannot be declared: field \"co\" is a coroutine", "Bad", Bad)
      local Worse = {__index = {co = Bad.co}}
      refused("the class 'Worse' cannot be declared: field \"__index.co\" is a coroutine", "Worse", Worse)
      Worse.__index.co, Bad.co = nil, nil
      mb.class("Worse", Worse)
      mb.class("Bad.class", Bad)
      assert(everywhere(function(o) return getmetatable(o) == Worse end, setmetatable({}, Worse))[1])
    ]]
  end)
end)

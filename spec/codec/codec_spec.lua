local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, spawn = mb.self, mb.send, mb.receive, mb.spawn

local function copy(v)
  send(self(), v)
  return receive(0)
end

describe("a message", function()
  helper.setup()

  it("keeps numbers, strings and shapes", function()
    local t = {1, -128, 127, 128, math.maxinteger, 1e300, -0.5, "", ("s"):rep(127), ("s"):rep(128), "\0x",
      [12] = "hole", key = {true, false}, [1.5] = "float key", [true] = "bool key"}
    assert.same(t, copy(t))
    assert.equal("float", math.type(copy(2.0)))
    assert.equal("integer", math.type(copy(2)))
    local holes = copy{1, nil, 3}
    assert.equal(3, #holes)
  end)

  it("keeps cycles and shared parts", function()
    local t = {}
    t.self, t[1], t[t] = t, t, t
    local c = copy(t)
    assert.is_true(c.self == c and c[1] == c and c[c] == c and c ~= t)
    local part = {}
    c = copy{part, {part}, x = part}
    assert.is_true(c[1] == c[2][1] and c[1] == c.x)
  end)

  it("may be nested as deep as memory allows", function()
    for _, depth in ipairs{59, 60, 61, 200, 100000} do
      local t = {}
      local at = t
      for i = 1, depth do
        at.next = {i}
        at = at.next
      end
      at.root = t
      local c = copy(t)
      at = c
      for i = 1, depth do
        at = at.next
        assert(at[1] == i)
      end
      assert.is_true(at.root == c)
    end
  end)

  it("carries functions with their upvalues, shared ones shared", function()
    local n = 1
    local fns = copy{
      inc = function() n = n + 1 end,
      get = function() return n end,
    }
    fns.inc()
    assert.equal(2, fns.get())
    assert.equal(1, n)
  end)

  it("carries recursive and mutually recursive locals", function()
    local even
    local function odd(i) if i == 0 then return false end return even(i - 1) end
    function even(i) if i == 0 then return true end return odd(i - 1) end
    assert.is_true(copy(even)(10))
    local function factorial(i) return i < 2 and 1 or i * factorial(i - 1) end
    assert.equal(120, copy(factorial)(5))
    local me = self()
    spawn(function() send(me, {odd(7), even(7), factorial(4)}) end)
    assert.same({true, false, 24}, receive(helper.patience))
  end)

  it("carries functions with very many upvalues", function()
    for _, count in ipairs{1, 60, 190, 200, 250} do
      local source = {}
      local left = count
      -- more than 200 upvalues need nested scopes: a function has at most 200 locals
      local function level(n, first)
        local here = math.min(n, 150)
        for i = first, first + here - 1 do source[#source + 1] = ("local v%d = %d\n"):format(i, i) end
        if n > here then
          source[#source + 1] = "return (function()\n"
          level(n - here, first + here)
          source[#source + 1] = "\nend)()"
        else
          source[#source + 1] = "return function() return 0"
          for i = 1, left do source[#source + 1] = (" + v%d"):format(i) end
          source[#source + 1] = " end"
        end
      end
      level(count, 1)
      local fn = assert(load(table.concat(source)))()
      assert.equal(count * (count + 1) // 2, copy(fn)())
    end
  end)

  it("keeps debug information", function()
    local fn = copy(function() error("here") end)
    local _, message = pcall(fn)
    assert.matches("codec_spec.lua:%d+: here", message)
    assert.equal(debug.getinfo(1, "S").short_src, debug.getinfo(fn, "S").short_src)
  end)

  it("carries the same upvalue table once", function()
    local t = {}
    local c = copy{function() return t end, function() return t end, t}
    assert.is_true(c[1]() == c[2]() and c[1]() == c[3])
  end)

  it("names modules and what is found in them", function()
    local c = copy{string, string.format, mb, mb.GenServer, mb.GenServer.call, tostring, require "spec.helper"}
    assert.is_true(c[1] == string and c[2] == string.format and c[3] == mb and c[4] == mb.GenServer and
      c[5] == mb.GenServer.call and c[6] == tostring and c[7] == helper)
  end)

  it("copies a loaded table that no file stands behind", function()
    local fake = {n = 1}
    package.loaded["spec.no such file"] = fake
    local c = copy(fake)
    package.loaded["spec.no such file"] = nil
    assert.is_true(c ~= fake)
    assert.same({n = 1}, c)
  end)

  it("carries metatables: by name from modules, else by value", function()
    local class = {}
    class.__index = class
    function class:double() return self.n * 2 end
    local c = copy(setmetatable({n = 21}, class))
    assert.equal(42, c:double())
    assert.is_true(getmetatable(c) ~= class)
    local _, e = pcall(mb.exit, "r")
    assert.equal("exit", mb.type(copy(e)))
    assert.is_true(getmetatable(copy(e)) == getmetatable(e))
  end)

  it("is refused with the path to what cannot travel, and nothing is sent", function()
    local sock <close> = assert(io.open("/dev/null"))
    local cases = {
      {{user = {conn = {1, sock}}}, 'cannot send message: field "user.conn%[2%]" is a userdata %(FILE%*%)'},
      {sock, "cannot send message: it is a userdata %(FILE%*%)"},
      {coroutine.create(print), "cannot send message: it is a coroutine"},
      {{f = function() return sock end}, 'field "f", upvalue "sock" is a userdata'},
      {{[sock] = 1}, "a key is a userdata"},
      {{coroutine.wrap(print)}, 'field "%[1%]" is a C function'},
      {setmetatable({}, {x = sock}), 'the metatable, field "x" is a userdata'},
    }
    for _, case in ipairs(cases) do
      local ok, message = pcall(send, self(), case[1])
      assert.is_false(ok)
      assert.matches(case[2], message)
      assert.matches("codec_spec.lua:%d+:", message)
    end
    assert.is_nil(receive(0))
    local before = mb.census().processes
    assert.error_matches(function() spawn(print, 1, {x = sock}) end,
      'cannot spawn: argument 2, field "x" is a userdata')
    assert.error_matches(function() spawn(function() return sock end) end,
      'cannot spawn: the function, upvalue "sock" is a userdata')
    assert.equal(before, mb.census().processes)
  end)

  it("COPY-01 is refused by the number that the argument has for the user", function()
    local sock <close> = assert(io.open("/dev/null"))
    local function bad() return sock end
    local function callbacks() return {init = function() return "ok", 0 end} end
    local cases = {
      {mb.Process.spawn, {print, {}, 1, sock}, "cannot spawn: argument 2 is"},
      {mb.spawn, {mb.GenServer.start, callbacks(), sock}, "cannot spawn: argument 2 is"},
      {mb.Task.async, {bad}, 'cannot copy argument #1 of Task.async: upvalue "sock" is'},
      {mb.Task.async, {print, 1, {sock}}, 'cannot copy argument #3 of Task.async: field "%[1%]" is'},
      {mb.Task.start, {print, sock}, "cannot copy argument #2 of Task.start: it is"},
      {mb.Task.start_link, {bad}, 'cannot copy argument #1 of Task.start_link: upvalue "sock" is'},
      {mb.Agent.start, {bad}, 'cannot copy argument #1 of Agent.start: upvalue "sock" is'},
      {mb.GenServer.start, {callbacks(), {x = sock}}, 'cannot copy argument #2 of GenServer.start: field "x" is'},
      {mb.GenServer.start_link, {{init = bad}},
        'cannot copy argument #1 of GenServer.start_link: field "init", upvalue "sock" is'},
    }
    local before = mb.census()
    for _, case in ipairs(cases) do
      local ok, message = pcall(case[1], table.unpack(case[2]))
      assert.is_false(ok)
      assert.matches("codec_spec.lua:%d+: " .. case[3], message)
    end
    assert.same(before, mb.census())
    assert.same({links = {}, monitors = {}}, mb.Process.info(self(), {"links", "monitors"}))
  end)

  it("COPY-01 is refused with the name of the function that it was given to", function()
    local Task, GenServer, Agent, Supervisor = mb.Task, mb.GenServer, mb.Agent, mb.Supervisor
    local DynamicSupervisor, Registry = mb.DynamicSupervisor, mb.Registry
    local sock <close> = assert(io.open("/dev/null"))
    local function bad() return sock end
    local agent = Agent.start(function() return 1 end)
    local tasks = Task.Supervisor.start_link()
    local dynamic = DynamicSupervisor.start_link()
    local static = Supervisor.start_link({}, {strategy = "one_for_one"})
    Registry.start_link{keys = "unique", name = "refusing"}
    local spec, upvalue = {id = 1, start = {print, sock}}, 'upvalue "sock" is a userdata (FILE*)'
    local one = {strategy = "one_for_one"}
    local cases = {
      ["GenServer.call"] = {GenServer.call, 'argument #2: field "a.b"', agent, {a = {b = sock}}},
      ["GenServer.cast"] = {GenServer.cast, "argument #2: it", agent, sock},
      ["GenServer.reply"] = {GenServer.reply, "argument #2: it", {self(), mb.make_ref()}, sock},
      ["GenServer.stop"] = {GenServer.stop, 'argument #2: field "why"', agent, {why = sock}},
      ["Agent.get"] = {Agent.get, "argument #2: " .. upvalue, agent, bad},
      ["Agent.update"] = {Agent.update, "argument #2: " .. upvalue, agent, bad},
      ["Agent.cast"] = {Agent.cast, "argument #2: " .. upvalue, agent, bad},
      ["Agent.start_link"] = {Agent.start_link, "argument #1: " .. upvalue, bad},
      ["GenServer.start"] = {GenServer.start, "argument #2: it", {init = print}, sock},
      ["GenServer.start_link"] = {GenServer.start_link, "argument #2: " .. upvalue, {init = print}, bad},
      ["GenServer.replace_state"] = {GenServer.replace_state, "argument #2: " .. upvalue, agent, bad},
      ["GenServer.reload"] = {GenServer.reload, "argument #2: it", "spec.helper", sock},
      ["Supervisor.start_link"] = {Supervisor.start_link, 'argument #1: field "[1].start[2]"', {spec}, one},
      ["Supervisor.start_child"] = {Supervisor.start_child, 'argument #2: field "start[2]"', static, spec},
      ["Supervisor.terminate_child"] = {Supervisor.terminate_child, "argument #2: it", static, sock},
      ["DynamicSupervisor.start_link"] = {DynamicSupervisor.start_link, 'argument #1: field "extra_arguments[1]"',
        {extra_arguments = {sock}}},
      ["DynamicSupervisor.start_child"] = {
        DynamicSupervisor.start_child, 'argument #2: field "start[2]"', dynamic, spec},
      ["Task.start"] = {Task.start, "argument #3: it", print, 1, sock},
      ["Task.start_link"] = {Task.start_link, "argument #1: " .. upvalue, bad},
      ["Task.async"] = {Task.async, "argument #2: it", print, sock},
      ["Task.Supervisor.async"] = {Task.Supervisor.async, "argument #4: it", tasks, print, 1, sock},
      ["Task.Supervisor.async_nolink"] = {
        Task.Supervisor.async_nolink, 'argument #3: field "x.y"', tasks, print, {x = {y = sock}}},
      ["Task.Supervisor.start_child"] = {Task.Supervisor.start_child, "argument #2: " .. upvalue, tasks, bad},
      ["GenServer.multi_call"] = {GenServer.multi_call, "argument #3: it", {"nonode@nohost"}, "refusing", sock},
      ["GenServer.abcast"] = {GenServer.abcast, "argument #2: it", "refusing", sock},
      ["blocking"] = {mb.blocking, 'argument #2: field "x"', print, {x = sock}},
      ["at_exit"] = {mb.at_exit, "argument #1: " .. upvalue, bad},
      ["PartitionSupervisor.start_link"] = {mb.PartitionSupervisor.start_link,
        'argument #1: field "child_spec.start[2]", ' .. upvalue, {name = "refusing", child_spec = {Agent, bad}}},
      ["Task.async_stream"] = {function(...) for _ in Task.async_stream(...) do break end end, "item 2: it",
        {1, sock}, print},
      ["Task.Supervisor.async_stream"] = {function(...) for _ in Task.Supervisor.async_stream(...) do break end end,
        'item 1: field "x"', tasks, {{x = sock}}, print},
      ["Task.Supervisor.async_stream_nolink"] = {
        function(...) for _ in Task.Supervisor.async_stream_nolink(...) do break end end,
        "argument #3: " .. upvalue, tasks, {1}, bad},
      ["Registry.register"] = {Registry.register, "argument #3: it", "refusing", "k", sock},
      ["Registry.put_meta"] = {Registry.put_meta, 'argument #3: field "[1]"', "refusing", "k", {sock}},
      ["Process.send_after"] = {mb.Process.send_after, "argument #2: it", self(), sock, 10},
    }
    for name, case in pairs(cases) do
      local ok, message = pcall(case[1], table.unpack(case, 3))
      assert.is_false(ok)
      local expected = case[2]:find("is a userdata") and case[2] or case[2] .. " is a userdata (FILE*)"
      assert.equal("cannot copy " .. expected:gsub(":", " of " .. name .. ":", 1),
        message:match("codec_spec%.lua:%d+: (.*)$"))
    end
    for _, restart in ipairs{"temporary", "transient"} do
      for expected, start in pairs{
        [upvalue] = {bad}, ["it is a userdata (FILE*)"] = {print, 1, sock},
        ['field "x[1].y" is a userdata (FILE*)'] = {print, {x = {{y = sock}}}},
      } do
        local ok, message = pcall(Task.Supervisor.start_child, tasks, {start = start, restart = restart})
        assert.is_false(ok)
        local i = #start
        local inside = expected:gsub("^it", ('field "start[%d]"'):format(i)):gsub('^field "x', ('field "start[%d].x'):format(i))
          :gsub("^upvalue", ('field "start[%d]", upvalue'):format(i))
        assert.equal("cannot copy argument #2 of Task.Supervisor.start_child: " .. inside, message:match("%d+: (.*)$"))
      end
    end
    assert.same({}, Task.Supervisor.children(tasks))
    local ok, message = pcall(send, self(), sock) -- nothing of theirs is left
    assert.is_false(ok)
    assert.matches("cannot send message: it is a userdata %(FILE%*%)$", message)
    for name, call in pairs{
      ["Task.Supervisor.async"] = function() Task.Supervisor.async(nil, print) end,
      ["Task.Supervisor.start_child"] = function() Task.Supervisor.start_child(nil, print) end,
      ["Task.Supervisor.children"] = function() Task.Supervisor.children(nil) end,
      ["Task.Supervisor.terminate_child"] = function() Task.Supervisor.terminate_child(nil, self()) end,
      ["Task.Supervisor.async_stream"] = function() Task.Supervisor.async_stream(nil, {}, print) end,
      ["Agent.get"] = function() Agent.get(nil) end,
      ["Supervisor.which_children"] = function() Supervisor.which_children(nil) end,
    } do
      ok, message = pcall(call)
      assert.is_false(ok)
      assert.matches("bad argument #1 to '" .. name .. "' %(pid or name expected, got nil%)", message)
    end
    for _, server in ipairs{agent, tasks, dynamic, static, "refusing"} do GenServer.stop(server) end
  end)
end)

-- Globals need a table of globals that is like a script's; busted gives its specs one of their own.
describe("globals", function()
  helper.setup()

  local function run(source)
    local output, code = helper.run_script("local mb = require 'moonbeam' mb.import()\n" .. source)
    assert.equal(0, code, output)
    return output
  end

  it("that a function names travel with it, nested functions included", function()
    assert.equal("15 25 nil\n", run[[
      x, unused = 5, coroutine.create(print)
      function add(n) return n + x end
      local me = self()
      spawn(function()
        local function nested() return add(20) end
        send(me, {add(10), nested(), rawget(_G, "unused")})
      end)
      local m = receive()
      print(m[1], m[2], m[3])
    ]]:gsub("\t", " "))
  end)

  it("are private on the other side and never leak back", function()
    assert.equal("true 5 6\n", run[[
      x = 5
      local me = self()
      local pid, ref = spawn_monitor(function()
        x = x + 1
        y = "new"
        send(me, {_G.x == 6 and _G.y == "new" and _G._G == _G and x})
      end)
      local m = receive()
      print(m[1] and y == nil, x, m[1])
    ]]:gsub("\t", " "))
  end)

  it("are shared by the functions that travel together", function()
    assert.equal("3\n", run[[
      function bump() count = (count or 0) + 1 end
      local me = self()
      spawn(function() bump() bump() count = count + 1 send(me, count) end)
      print(receive())
    ]])
  end)

  it("that are the standard ones or the kernel's are found everywhere", function()
    assert.equal("3.0 true\n", run[[
      local me = self()
      spawn(function() send(me, {math.sqrt(9), type(self) == "function" and GenServer ~= nil}) end)
      local m = receive()
      print(m[1], m[2])
    ]]:gsub("\t", " "))
  end)

  it("that were taken away are not there, changed ones are changed", function()
    assert.equal("nil mine\n", run[[
      print_ = print
      tonumber, tostring = nil, function() return "mine" end
      local me = self()
      spawn(function() send(me, {type(tonumber), tostring(5)}) end)
      local m = receive()
      print_(m[1] .. " " .. m[2])
    ]])
  end)

  it("of loaded code are the process's own", function()
    assert.equal("7 nil\n", run[[
      local me = self()
      spawn(function()
        z = 3
        load("z = z + 4")()
        send(me, z)
      end)
      local n = receive()
      print(n .. " " .. tostring(z))
    ]])
  end)

  it("work for the classic global loop", function()
    assert.equal("done\n", run[[
      function loop(n, to) if n == 0 then return send(to, "done") end return loop(n - 1, to) end
      spawn(loop, 10, self())
      print(receive())
    ]])
  end)
end)

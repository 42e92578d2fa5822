local mb = require "moonbeam"
local helper = require "spec.helper"
local Process, send, receive, self = mb.Process, mb.send, mb.receive, mb.self

-- Run fn(...) in a process of this scheduler and wait for its end: its results.
local function elsewhere(fn, ...)
  local me, ref = self(), mb.make_ref()
  local _, monitor = Process.spawn(function(f, ...) send(me, {ref, table.pack(f(...))}) end,
    {scheduler = "here", monitor = true}, fn, ...)
  local results = helper.await{ref, mb.any}
  helper.await{"DOWN", monitor, "process", mb.any, mb.any}
  return table.unpack(results, 1, results.n)
end

local function draw(n)
  local numbers = {}
  for i = 1, n do numbers[i] = math.random(1000000) end
  return table.concat(numbers, " ")
end

describe("math.random", function()
  helper.setup()

  it("goes on with the process's own sequence whatever others draw", function()
    math.randomseed(11)
    local expected = draw(10)
    math.randomseed(11)
    local first = draw(4)
    elsewhere(function() math.randomseed(5) math.random() end)
    assert.equal(expected, first .. " " .. draw(6))
  end)

  it("draws the same numbers after the same seed in every process", function()
    math.randomseed(3, 4)
    local expected = draw(5)
    for _ = 1, 2 do
      assert.equal(expected, elsewhere(function(draw) math.randomseed(3, 4) return draw(5) end, draw))
    end
  end)

  it("begins with a seed of its own in every process", function()
    math.randomseed(1)
    local seen = {}
    for _ = 1, 20 do
      local numbers = elsewhere(draw, 4)
      assert.is_nil(seen[numbers])
      seen[numbers] = true
    end
  end)

  it("keeps apart processes that take turns", function()
    local me = self()
    local function player(seed)
      math.randomseed(seed)
      while true do receive() send(me, math.random(1000000)) end
    end
    local a = Process.spawn(player, {scheduler = "here"}, 21)
    local b = Process.spawn(player, {scheduler = "here"}, 22)
    local turns = {[a] = {}, [b] = {}}
    for i = 1, 5 do
      for _, pid in ipairs{a, b} do
        send(pid, "next")
        turns[pid][i] = receive(helper.patience)
      end
    end
    math.randomseed(21)
    assert.equal(draw(5), table.concat(turns[a], " "))
    math.randomseed(22)
    assert.equal(draw(5), table.concat(turns[b], " "))
    Process.exit(a, "kill")
    Process.exit(b, "kill")
  end)

  it("is the library's, errors included", function()
    local ok, text = pcall(math.random, 2, 1)
    assert.is_false(ok)
    assert.matches("interval is empty", text)
    assert.is_false((pcall(math.randomseed, "x")))
  end)
end)

describe("the default files", function()
  local name
  helper.setup()
  before_each(function() name = os.tmpname() end)
  after_each(function()
    io.output(io.stdout)
    io.input(io.stdin)
    os.remove(name)
  end)

  local function contents()
    local file = assert(io.open(name))
    local text = file:read("a")
    file:close()
    return text
  end

  it("of a process are its own", function()
    assert.is_true(elsewhere(function(name)
      io.output(name)
      return io.write("from there") == io.output() and io.output():close()
    end, name))
    assert.equal("from there", contents())
    assert.equal(io.stdout, io.output())
    assert.is_true(elsewhere(function() return io.output() == io.stdout and io.input() == io.stdin end))
  end)

  it("can be closed without harm to others", function()
    elsewhere(function(name) io.output(name) io.close() end, name)
    assert.is_true(pcall(io.write, ""))
    assert.is_true(elsewhere(function() return (pcall(io.write, "")) end))
  end)

  it("are inherited, and keep a child where they are", function()
    local here = Process.info(self(), "scheduler")
    io.output(name)
    local seen = {}
    for i = 1, 3 do
      local pid = mb.spawn(function(me)
        io.write("child ", i, "\n")
        send(me, {i, Process.info(self(), "scheduler")})
      end, self())
      local ref = mb.monitor(pid)
      helper.await{"DOWN", ref, "process", pid, mb.any}
      seen[i] = helper.await{i, mb.any}
    end
    io.output():close()
    io.output(io.stdout)
    assert.same({here, here, here}, seen)
    assert.equal("child 1\nchild 2\nchild 3\n", contents())
  end)

  it("are read from by read and lines", function()
    local file = assert(io.open(name, "w"))
    file:write("one\ntwo\nthree\n")
    file:close()
    io.input(name)
    assert.equal("one", io.read())
    elsewhere(function(name)
      io.input(name)
      assert(io.read() == "one")
    end, name)
    assert.equal("two", io.read())
    local rest = {}
    for line in io.lines() do rest[#rest + 1] = line end
    assert.same({"three"}, rest)
    io.input():close()
  end)

  it("are the standard ones where a child has been placed elsewhere", function()
    local output = helper.run_script([[
      local mb = require "moonbeam"
      mb.import()
      local me = self()
      io.output(os.tmpname())
      Process.spawn(function() send(me, io.output() == io.stdout) end, {scheduler = 2})
      assert(receive() == true)
      Process.spawn(function() send(me, io.output() == io.stdout) end, {scheduler = "here"})
      assert(receive() == false)
      print "ok"
    ]], "", "MOONBEAM_SCHEDULERS=2")
    assert.equal("ok\n", output)
  end)
end)

describe("collectgarbage", function()
  helper.setup()

  it("refuses a process to change the settings, and says where it may be done", function()
    for _, option in ipairs{"stop", "restart", "incremental", "generational", "setpause", "setstepmul"} do
      local ok, text = elsewhere(pcall, collectgarbage, option)
      assert.is_false(ok)
      assert.matches('collectgarbage("' .. option .. '") is refused in a process', text, 1, true)
      assert.matches("moonbeam.on_scheduler_start", text, 1, true)
    end
    assert.is_true(collectgarbage("isrunning"))
  end)

  it("collects and counts for everybody", function()
    assert.is_true(elsewhere(function()
      return collectgarbage() == 0 and collectgarbage("count") > 0 and collectgarbage("isrunning") and
        type(collectgarbage("step")) == "boolean"
    end))
  end)

  it("may be set by the script and where a scheduler starts", function()
    collectgarbage("stop")
    assert.is_false(collectgarbage("isrunning"))
    collectgarbage("restart")
    local output = helper.run_script([[
      local mb = require "moonbeam"
      mb.import()
      local me = self()
      mb.on_scheduler_start(function() collectgarbage("stop") end)
      for at = 1, 2 do
        Process.spawn(function() send(me, collectgarbage("isrunning")) end, {scheduler = at})
        assert(receive() == false)
      end
      print "ok"
    ]], "", "MOONBEAM_SCHEDULERS=2")
    assert.equal("ok\n", output)
  end)
end)

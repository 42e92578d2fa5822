local helper = require "spec.helper"

-- Sanitizers need more address space than a limit leaves.
local sanitized = helper.scale >= 10

local function run(kilobytes, source)
  return helper.run_script(source, "", ("ulimit -v %d; MOONBEAM_SCHEDULERS=1"):format(kilobytes))
end

describe("under a limit of memory", function()
  helper.setup()

  it("what many small objects have filled is there for objects of any other size", function()
    if sanitized then return end
    local output, code = run(150000, [[
      Logger.configure{level = "none"}
      local kinds = {
        function(last) return {last} end,
        function(last) return {last = last, b = 1, c = 2, d = 3, e = 4} end,
        function(last) return function() return last end end,
        function(last) return {last, ("x"):rep(250)} end,
        function(last) return coroutine.wrap(function() return last end) end,
      }
      for i, make in ipairs(kinds) do
        local ok, text = pcall(function() local last repeat last = make(last) until false end)
        assert(not ok and tostring(text):find "not enough memory", text)
        collectgarbage() collectgarbage()
        assert(#("one large block"):rep(2^20) == 15 * 2^20)
        local strings = {}
        for k = 1, 50000 do strings[k] = ("x"):rep(i * 90) .. k end
      end
      print "ok"
    ]])
    assert.equal("ok\n", output)
    assert.equal(0, code)
  end)

  it("a message that is too large for it ends the process that sends it, and no other", function()
    if sanitized then return end
    local output, code = run(200000, [[
      Logger.configure{level = "none"}
      local me = self()
      local neighbour = spawn(function() while true do send(me, receive()) end end)
      local values = {
        function(last) return function() return last end end,
        function(last) return setmetatable({}, {__index = last}) end,
        function(last) return {[last] = ("x"):rep(100)} end,
      }
      for _, make in ipairs(values) do
        local pid, ref = spawn_monitor(function()
          local last, n = {}, 10000
          while true do
            for _ = 1, n do last = make(last) end
            send(self(), last)
            n = n * 2
          end
        end)
        local reason = receive{ {{"DOWN", ref, "process", pid, any}} }
        assert(reason[1] == "error" and tostring(reason[2]):find "not enough memory", inspect(reason))
        send(neighbour, "alive")
        assert(receive() == "alive")
      end
      print "ok"
    ]])
    assert.equal("ok\n", output)
    assert.equal(0, code)
  end)

  it("a server that fills it ends of that, whoever calls it, and so does one that fills it when it starts", function()
    if sanitized then return end
    local output, code = run(200000, [[
      Logger.configure{level = "none"}
      local function fill(t) while true do t[#t + 1] = ("x"):rep(1000) .. #t end end
      local function is_error(reason)
        assert(reason[1] == "error" and tostring(reason[2]):find "not enough memory", inspect(reason))
      end
      local agent = Agent.start(function() return {} end)
      local ref = monitor(agent)
      local ok, e = pcall(Agent.update, agent, fill, "infinity")
      is_error(not ok and e.reason[1])
      is_error(receive{ {{"DOWN", ref, "process", agent, any}} })
      local Server = {init = function() return "ok", 1, {"continue", 1} end, handle_continue = function() fill{} end}
      local server = GenServer.start(Server)
      local down = monitor(server)
      receive{ {{"DOWN", down, "process", server, any}} }
      local function start() fill{} end
      local sup = Supervisor.start_link({}, {strategy = "one_for_one"})
      local _, reason = Supervisor.start_child(sup, {id = "full", start = {start}})
      is_error(reason[1][2])
      print "ok"
    ]])
    assert.equal("ok\n", output)
    assert.equal(0, code)
  end)

  it("says at which line of the program it was out, not at which of the library", function()
    if sanitized then return end
    local output, code = run(150000, [[
      Logger.configure{level = "none"}
      local me = self()
      local ok, e = pcall(function()
        while true do Process.send_after(me, ("z"):rep(10000), 1e7) end
      end)
      print(ok, (tostring(e):gsub("^.*/", "")))
    ]])
    assert.matches("^false\t[^:/]*:4: not enough memory\n$", output)
    assert.equal(0, code)
  end)

  it("a process that could not begin is the only one that hears of it, whoever comes after it", function()
    local output, code = helper.run_script([[
      Logger.configure{level = "none"}
      local core = require "moonbeam.core"
      local failed = 0
      collectgarbage()
      for extra = 1, 4000, 8 do
        local pid, ref = spawn_monitor(receive)
        collectgarbage()
        core.memory_limit(extra)
        sleep(1)
        core.memory_limit(nil)
        local reason = receive{ {{"DOWN", ref, "process", pid, any}}, after = 0 }
        if reason ~= nil then
          assert(inspect(reason):find "not enough memory", inspect(reason))
          failed = failed + 1
          local _, second = spawn_monitor(function() exit("began") end)
          reason = receive{ {{"DOWN", second, "process", any, any}, function(_, why) return why end} }
          assert(reason == "began", inspect(reason))
        end
      end
      print(failed > 0)
    ]], "", "MOONBEAM_SCHEDULERS=1")
    assert.equal("true\n", output)
    assert.equal(0, code)
  end)
end)

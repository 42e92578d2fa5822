local mb = require "moonbeam"
local helper = require "spec.helper"
local GenServer = mb.GenServer

local function start(callbacks)
  local module = {init = function(state) return "ok", state end}
  for k, v in pairs(callbacks) do module[k] = v end
  return assert(GenServer.start(module, 0))
end

describe("hibernate", function()
  helper.setup()

  it("may be the last part of every callback's results", function()
    local pid = start{
      init = function() return "ok", 0, "hibernate" end,
      handle_call = function(request, _, n) return "reply", request, n + 1, "hibernate" end,
      handle_cast = function(_, n) return "noreply", n + 1, "hibernate" end,
      handle_info = function(_, n) return "noreply", n + 1, {"continue", 1} end,
      handle_continue = function(_, n) return "noreply", n + 1, "hibernate" end,
    }
    assert.equal("a", GenServer.call(pid, "a"))
    GenServer.cast(pid, 1)
    mb.send(pid, 1)
    assert.equal("b", GenServer.call(pid, "b"))
    assert.equal(5, GenServer.get_state(pid))
    GenServer.stop(pid)
  end)

  it("gives back what the server has let go, without further messages", function()
    -- In a program of its own: it looks at the memory of a heap.
    local output, code = helper.run_script([[
      local mb = require "moonbeam"
      local S = {
        init = function() return "ok", nil end,
        handle_call = function(bytes, _, state) return "reply", collectgarbage("count"), ("x"):rep(bytes) end,
        handle_cast = function(parent) mb.send(parent, collectgarbage("count")) return "noreply", nil, "hibernate" end,
      }
      mb.spawn_monitor(function()
        local pid = mb.GenServer.start(S)
        local before = mb.GenServer.call(pid, 20 * 1024 * 1024)
        mb.GenServer.cast(pid, mb.self())
        local full = mb.receive()
        mb.GenServer.get_state(pid) -- it goes on hibernating
        while mb.Process.info(pid, "status") ~= "waiting" do mb.sleep(1) end
        print(full - before > 19 * 1024, collectgarbage("count") - before < 1024)
      end)
      mb.receive()
    ]], "", "MOONBEAM_SCHEDULERS=1")
    assert.equal(0, code, output)
    assert.equal("true\ttrue\n", output)
  end)

  it("forgets the last message", function()
    local pid = start{handle_cast = function(_, n) return "noreply", n, "hibernate" end}
    GenServer.cast(pid, "large")
    assert.is_nil(GenServer.get_status(pid).last_message)
    GenServer.stop(pid)
  end)

  it("costs little when there is nothing to collect", function()
    local pid = start{handle_call = function(x, _, n) return "reply", x, n, "hibernate" end}
    for i = 1, 2000 do assert.equal(i, GenServer.call(pid, i)) end
    GenServer.stop(pid)
  end)

  -- Whether the server has forgotten its last message, as one that hibernates does.
  local function hibernates(pid) return GenServer.get_status(pid).last_message == nil end

  local function until_hibernating(pid)
    local deadline = mb.monotonic_time() + helper.patience
    repeat
      helper.until_waiting(pid)
      if hibernates(pid) then return true end
    until mb.monotonic_time() > deadline
  end

  it("GSI-10 comes after so many ms without a message", function()
    local module = {
      init = function(state) return "ok", state end,
      handle_call = function(request, _, n) return "reply", request, n end,
      handle_info = function() error("a timeout") end,
    }
    local pid = GenServer.start(module, 0, {hibernate_after = 0})
    for i = 1, 3 do
      assert.equal(i, GenServer.call(pid, i))
      assert.is_true(until_hibernating(pid))
    end
    GenServer.stop(pid)
    local agent = mb.Agent.start(function() return 1 end, {hibernate_after = 0})
    assert.equal(1, mb.Agent.get(agent))
    assert.is_true(until_hibernating(agent))
    mb.Agent.stop(agent)
    pid = GenServer.start(module, 0, {hibernate_after = "infinity"})
    GenServer.call(pid, 1)
    assert.is_false(hibernates(helper.until_waiting(pid)))
    GenServer.stop(pid)
  end)

  it("GSI-10 leaves a timeout of the server's own alone", function()
    local me = mb.self()
    local pid = GenServer.start({
      init = function() return "ok", 0, 1 end,
      handle_info = function(message, n)
        mb.send(me, message)
        return "noreply", n
      end,
    }, 0, {hibernate_after = 0})
    helper.await("timeout")
    GenServer.stop(pid)
  end)
end)

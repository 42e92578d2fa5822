local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, any, exit = mb.self, mb.send, mb.receive, mb.any, mb.exit
local Process, GenServer, await, exit_reason = mb.Process, mb.GenServer, helper.await, helper.exit_reason

-- A server whose init is fn.
local function with_init(fn) return {init = fn} end
local plain = with_init(function(arg) return "ok", arg end)

describe("GenServer.start", function()
  helper.setup()

  it("GSS-01 returns when init, which runs in the new process, has", function()
    local me = self()
    helper.in_process(function()
      local pid = GenServer.start_link(with_init(function(arg)
        send(me, {"init in", self(), arg})
        return "ok", arg
      end), 5)
      send(me, {"started", pid, Process.info(pid, "links")[1] == self()})
      GenServer.stop(pid)
      local unlinked = GenServer.start(plain)
      send(me, {"unlinked", #Process.info(unlinked, "links")})
      GenServer.stop(unlinked)
    end)
    local pid, arg = await{"init in", any, any}
    assert.equal(5, arg)
    assert.same({"started", pid, true}, receive(helper.patience))
    assert.same({"unlinked", 0}, receive(helper.patience))
  end)

  it("GSS-02 passes ignore on; the process is gone and its name free", function()
    local server = with_init(function() return "ignore" end)
    server.terminate = function() error("must not run") end
    assert.equal("ignore", GenServer.start_link(server, nil, {name = "gss-2"}))
    assert.is_nil(Process.whereis("gss-2"))
    Process.flag("trap_exit", true)
    assert.equal("ignore", GenServer.start_link(server))
    assert.is_nil(receive(0))
  end)

  it("GSS-03 gives nil, reason for stop", function()
    local me = self()
    local server = with_init(function() send(me, self()) return "stop", {"why", 1} end)
    server.terminate = function() send(me, "terminate ran") end
    local pid, reason = GenServer.start(server)
    assert.is_nil(pid)
    assert.same({"why", 1}, reason)
    assert.is_false(Process.alive(receive(0)))
    assert.is_nil(receive(0))
  end)

  it("GSS-04 a linked caller that does not trap dies of the stop", function()
    for _, reason in ipairs{"why", "shutdown"} do
      assert.equal(reason, exit_reason(function()
        GenServer.start_link(with_init(function() return "stop", reason end))
      end))
    end
    local pid, reason = GenServer.start_link(with_init(function() return "stop", "normal" end))
    assert.same({nil, "normal"}, {pid, reason})
  end)

  it("GSS-05 a linked caller that traps gets nil, reason and no EXIT", function()
    Process.flag("trap_exit", true)
    local pid, reason = GenServer.start_link(with_init(function() return "stop", "why" end))
    assert.is_nil(pid)
    assert.equal("why", reason)
    assert.is_nil((receive(5)))
  end)

  it("GSS-06 an error in init is the reason", function()
    local bad = with_init(function() error("in init", 0) end)
    local _, reason = GenServer.start(bad)
    assert.same({"error", "in init"}, {reason[1], reason[2]})
    assert.matches("traceback", reason[3])
    assert.equal("in init", exit_reason(function() GenServer.start_link(bad) end)[2])
  end)

  it("GSS-07 so are an exit and a bad return", function()
    assert.equal("E", select(2, GenServer.start(with_init(function() exit("E") end))))
    assert.same({"bad_return_value", "junk"}, select(2, GenServer.start(with_init(function() return "junk" end))))
    assert.same({"bad_return_value", {"ok", 1, 2, 3}},
      select(2, GenServer.start(with_init(function() return "ok", 1, 2, 3 end))))
    for _, extra in ipairs{"soon", -1, 1.5, 0 / 0, {"carry on", 1}, true} do
      local pid, reason = GenServer.start(with_init(function() return "ok", 1, extra end))
      assert.is_nil(pid)
      assert.same({"bad_return_value", "ok"}, {reason[1], reason[2][1]})
    end
    for _, extra in ipairs{"hibernate", "infinity", math.huge, 60000, 60000.0} do
      GenServer.stop((assert(GenServer.start(with_init(function() return "ok", 1, extra end)))))
    end
  end)

  it("GSS-08 error is soft: a linked caller lives", function()
    local pid, reason = GenServer.start_link(with_init(function() return "error", "R" end), nil, {name = "gss-8"})
    assert.is_nil(pid)
    assert.equal("R", reason)
    assert.is_nil(Process.whereis("gss-8"))
  end)

  it("GSS-09 a name that is taken gives the holder; init does not run", function()
    local me = self()
    local first = GenServer.start(plain, 1, {name = "gss-9"})
    for _, start in ipairs{GenServer.start, GenServer.start_link} do
      local pid, reason = start(with_init(function() send(me, "init ran") return "ok", 1 end), nil, {name = "gss-9"})
      assert.is_nil(pid)
      assert.same({"already_started", first}, reason)
    end
    assert.is_nil(receive(0))
    assert.same({}, Process.info(me, "links"))
    GenServer.stop(first)
  end)

  it("GSS-10 registers the name before init", function()
    local pid = GenServer.start(with_init(function() return "ok", Process.whereis("gss-10") == self() end), nil,
      {name = "gss-10"})
    assert.equal(pid, GenServer.whereis("gss-10"))
    GenServer.stop("gss-10")
  end)

  it("GSS-11 frees the name when init fails", function()
    GenServer.start(with_init(function() return "stop", "x" end), nil, {name = "gss-11"})
    assert.is_nil(Process.whereis("gss-11"))
  end)

  it("GSS-12 refuses what is no name", function()
    local before = mb.census().processes
    for _, bad in ipairs{5, true, "", "nil", "undefined"} do
      assert.is_false(pcall(GenServer.start, plain, 1, {name = bad}))
    end
    assert.is_false(pcall(GenServer.start, "no module"))
    assert.equal(before, mb.census().processes)
    GenServer.stop(assert(GenServer.start(plain, 1, {name = nil})))
  end)

  it("GSS-13 kills a server whose init takes too long", function()
    local me = self()
    local slow = with_init(function() send(me, self()) receive{ {"never"} } end)
    Process.flag("trap_exit", true)
    for _, start in ipairs{GenServer.start, GenServer.start_link} do
      local server
      repeat -- until it has come to init before its time was over
        local pid, reason = start(slow, nil, {timeout = 10 * helper.scale, name = "gss-13"})
        assert.same({nil, "timeout"}, {pid, reason})
        server = receive(0)
      until server
      assert.is_false(Process.alive(server))
      assert.is_nil(Process.whereis("gss-13"))
      assert.is_nil(receive(0))
    end
    Process.flag("trap_exit", false)
    assert.equal("timeout", select(2, GenServer.start_link(slow, nil, {timeout = 5 * helper.scale})))
    receive(0)
  end)
end)

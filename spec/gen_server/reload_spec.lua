local mb = require "moonbeam"
local helper = require "spec.helper"
local any, Process, GenServer = mb.any, mb.Process, mb.GenServer
local await = helper.await

describe("GenServer.reload", function()
  helper.setup()

  -- A module of its own for every test: each heap keeps what it has loaded.
  local directory, path, name
  local count = 0

  -- The module's file, from now on.
  local function write(source)
    local file = assert(io.open(directory .. "/" .. name .. ".lua", "w"))
    file:write(source)
    file:close()
  end

  local function version(number, more)
    return ([[
      local mb = require "moonbeam"
      local S = {vsn = %d}
      function S.init(state) return "ok", state end
      function S.handle_call(request, _, state)
        if request == "version" then return "reply", {%d, state}, state end
        mb.Process.put("waits", true)
        mb.receive{ {"go on"} }
        return "reply", {%d, state}, state
      end
      function S.version(server) return mb.GenServer.call(server, "version"), %d end
      %s
      return S
    ]]):format(number, number, number, number, more or "")
  end

  before_each(function()
    count = count + 1
    directory, path, name = os.tmpname(), package.path, "reloaded_server_" .. count
    os.remove(directory)
    assert(os.execute("mkdir " .. directory))
    package.path = directory .. "/?.lua;" .. path
    write(version(1))
  end)

  after_each(function()
    package.path = path
    package.loaded[name] = nil
    os.execute("rm -r " .. directory)
  end)

  it("lets running servers go on with the new code and what it makes of their state", function()
    local S = require(name)
    local pids = {}
    for i = 1, 5 do pids[i] = assert(GenServer.start(S, i)) end
    write(version(2, [[
      function S.code_change(old, state, extra) return "ok", {from = old, state = state, extra = extra} end
    ]]))
    local changed, failures = GenServer.reload(name, "extra")
    assert.same({}, failures)
    assert.equal(5, changed)
    for i, pid in ipairs(pids) do
      assert.same({2, {from = 1, state = i, extra = "extra"}}, (S.version(pid)))
      GenServer.stop(pid)
    end
  end)

  it("keeps the module's table, with the new functions and without the old", function()
    write(version(1, "function S.only_old() end"))
    local S = require(name)
    write(version(2, "function S.only_new() return 'new' end"))
    assert.equal(0, GenServer.reload(S))
    assert.equal(S, require(name))
    assert.equal(2, S.vsn)
    assert.is_nil(S.only_old)
    assert.equal("new", S.only_new())
    mb.spawn(function(to) mb.send(to, {"did", S.only_new()}) end, mb.self())
    assert.equal("new", await{"did", any})
  end)

  it("leaves the state when the new code has no code_change", function()
    local S = require(name)
    local pid = assert(GenServer.start(S, {a = 1}))
    write(version(2))
    assert.equal(1, GenServer.reload(name))
    assert.same({2, {a = 1}}, (S.version(pid)))
    GenServer.stop(pid)
  end)

  it("changes a server between two messages, with all that were sent before handled by the old code", function()
    local S = require(name)
    local pid = assert(GenServer.start(S, 0))
    local task = mb.Task.async(function() return mb.GenServer.call(pid, "wait") end)
    while not Process.info(pid, "dictionary").waits do mb.sleep(1) end
    local second = mb.Task.async(function()
      while Process.info(pid, "message_queue_len") == 0 and not mb.receive(1) do end
      return mb.GenServer.call(pid, "version")
    end)
    write(version(2, 'function S.code_change() return "ok", "changed" end'))
    local changed, failures = GenServer.reload(name, nil, 10)
    assert.equal(0, changed)
    assert.same({{pid, "timeout"}}, failures)
    mb.send(pid, "go on")
    assert.same({1, 0}, mb.Task.await(task))
    assert.same({2, "changed"}, mb.Task.await(second))
    GenServer.stop(pid)
  end)

  it("changes suspended servers, which stay suspended", function()
    local S = require(name)
    local pid = assert(GenServer.start(S, 0))
    GenServer.suspend(pid)
    write(version(2, 'function S.code_change(_, n) return "ok", n + 1 end'))
    assert.equal(1, GenServer.reload(name))
    assert.equal("suspended", GenServer.get_status(pid).status)
    GenServer.resume(pid)
    assert.same({2, 1}, (S.version(pid)))
    GenServer.stop(pid)
  end)

  it("stops a server whose state cannot be changed; the others change", function()
    local S = require(name)
    local pids = {}
    for i, state in ipairs{"fine", "error", "raise", "bad"} do pids[i] = assert(GenServer.start(S, state)) end
    write(version(2, [[
      function S.code_change(_, state)
        if state == "error" then return "error", "no way" end
        if state == "raise" then error("raised") end
        if state == "bad" then return "what" end
        return "ok", state
      end
    ]]))
    local changed, failures = GenServer.reload(name)
    assert.equal(1, changed)
    assert.equal(3, #failures)
    local reasons = {}
    for _, failure in ipairs(failures) do reasons[failure[1]] = failure[2] end
    assert.same({"code_change", "no way"}, reasons[pids[2]])
    assert.matches("raised$", reasons[pids[3]][2])
    assert.same({"bad_return_value", "what"}, reasons[pids[4]])
    for i = 2, 4 do assert.is_false(Process.alive(pids[i])) end
    GenServer.stop(pids[1])
  end)

  it("lets a supervisor start with the new code what could not change", function()
    local S = require(name)
    local sup = assert(mb.Supervisor.start_link({{id = "s", start = {GenServer.start_link, S, 1}}},
      {strategy = "one_for_one"}))
    local pid = mb.Supervisor.which_children(sup)[1][2]
    local ref = mb.monitor(pid)
    write(version(2, 'function S.code_change() return "error", "no" end'))
    GenServer.reload(name)
    await{"DOWN", ref, "process", pid, any}
    local new = mb.Supervisor.which_children(sup)[1][2]
    assert.is_true(new ~= pid)
    assert.same({2, 1}, (S.version(new)))
    mb.Supervisor.stop(sup)
  end)

  it("changes nothing when the module cannot be loaded", function()
    local S = require(name)
    local pid = assert(GenServer.start(S, 0))
    for source, text in pairs{
      ["this is no Lua"] = "syntax error", ["error('at the start')"] = "at the start",
      ["return 5"] = "is a number, no table",
    } do
      write(source)
      local ok, message = GenServer.reload(name)
      assert.is_nil(ok)
      assert.matches(text, message)
      assert.same({1, 0}, (S.version(pid)))
      assert.equal(S, require(name))
    end
    GenServer.stop(pid)
  end)

  it("knows only what is loaded", function()
    local ok, message = GenServer.reload("no such module")
    assert.is_nil(ok)
    assert.equal("module 'no such module' is not loaded", message)
    for _, bad in ipairs{5, true, {}} do
      ok, message = pcall(GenServer.reload, bad)
      assert.is_false(ok)
      assert.matches("reload_spec.lua:%d+: bad argument #1 to 'GenServer.reload' "
        .. "%(a loaded module's name or table expected", message)
    end
  end)

  it("can be done again and again, servers started in between included", function()
    local S = require(name)
    local pids = {}
    for n = 2, 6 do
      pids[#pids + 1] = assert(GenServer.start(S, {}))
      write(version(n, 'function S.code_change(old, s) s[#s + 1] = old return "ok", s end'))
      assert.equal(#pids, GenServer.reload(name))
    end
    assert.same({6, {1, 2, 3, 4, 5}}, (S.version(pids[1])))
    assert.same({6, {5}}, (S.version(pids[5])))
    for _, pid in ipairs(pids) do GenServer.stop(pid) end
  end)

  it("reaches the servers of every scheduler", function()
    name = "server_of_all"
    write(version(1))
    local output, code = helper.run_script(([[
      package.path = %q .. package.path
      local mb = require "moonbeam"
      local S = require "server_of_all"
      local pids = {}
      for i = 1, 40 do
        local start = function(to) mb.send(to, {"started", mb.GenServer.start(S, i)}) mb.receive{ {"end"} } end
        mb.Process.spawn(start, {scheduler = (i - 1) %% 4 + 1}, mb.self())
        pids[i] = mb.receive()[2]
      end
      local f = io.open(%q, "w")
      f:write([=[%s]=])
      f:close()
      print(mb.GenServer.reload("server_of_all"))
      for i, pid in ipairs(pids) do
        local answer = S.version(pid)
        assert(answer[1] == 2 and answer[2] == -i, mb.inspect(answer))
      end
    ]]):format(directory .. "/?.lua;", directory .. "/server_of_all.lua",
      version(2, 'function S.code_change(_, n) return "ok", -n end')), "", "MOONBEAM_SCHEDULERS=4")
    assert.equal(0, code, output)
    assert.matches("^40\t", output)
  end)

  it("STM-17 lets state machines go on, too", function()
    local function machine(number, more)
      return ([[
        local M = {vsn = %d}
        function M.init(data) return "ok", "first", data end
        function M.first(kind, _, data) return "keep_state_and_data", {"reply", kind[2], {%d, data}} end
        %s
        return M
      ]]):format(number, number, more or "")
    end
    write(machine(1))
    local M = require(name)
    local pid = assert(mb.StateMachine.start(M, 5))
    assert.same({1, 5}, mb.StateMachine.call(pid, 1))
    assert.equal(name, GenServer.get_status(pid).module)
    write(machine(2, [[
      function M.second(kind, _, data) return "keep_state_and_data", {"reply", kind[2], {2, data}} end
      function M.code_change(old, state, data, extra) return "ok", "second", {old, state, data, extra} end
    ]]))
    assert.equal(1, (GenServer.reload(name, "extra")))
    assert.same({2, {1, "first", 5, "extra"}}, mb.StateMachine.call(pid, 1))
    write(machine(3, "function M.code_change() return 'error', 'why' end"))
    local changed, failures = GenServer.reload(name)
    assert.same({0, {{pid, {"code_change", "why"}}}}, {changed, failures})
  end)
end)

local helper = require "spec.helper"

describe("a C module", function()
  local function run(source)
    return (helper.run_script(([[
      local mb = require "moonbeam"
      mb.import()
      package.cpath = %q .. ";" .. package.cpath
      local me = self()
      local function in_process(f)
        local _, ref = Process.spawn(f, {scheduler = "here", monitor = true})
        return receive{ {{"DOWN", ref, "process", any, any}} }
      end
    ]]):format(helper.c_modules()) .. source))
  end

  it("is opened on the main thread, whoever requires it, with its name and file", function()
    assert.equal("true\tkeeper\ttrue\n", run([[
      in_process(function()
        coroutine.wrap(function()
          local keeper = require "keeper"
          send(me, {select(2, keeper.opened_by()), keeper.name, keeper.file:match("keeper%.so$") ~= nil})
        end)()
      end)
      print(table.unpack(receive(0), 1, 3))
    ]]))
  end)

  it("is so wherever its opener comes from: preload, loadlib, the library of the package above", function()
    assert.equal("true\ttrue\ttrue\n", run([[
      in_process(function()
        package.preload.thread = coroutine.running
        local thread, main = require "thread", nil
        local file = package.searchpath("keeper", package.cpath)
        local opened = package.loadlib(file, "luaopen_keeper")()
        thread, main = thread == opened.opened_by(), select(2, opened.opened_by())
        send(me, {thread, main, require "keeper.requires" == require "keeper"})
      end)
      print(table.unpack(receive(0), 1, 3))
    ]]))
  end)

  it("fails to open with the error that its opener raised", function()
    assert.equal("an error that is a table\nno keeper.text today\nfalse\tyield\n", run([[
      in_process(function()
        local _, failure = pcall(require, "keeper.fails")
        local _, text = pcall(require, "keeper.text")
        local ok, boundary = pcall(require, "keeper.yields")
        send(me, {failure.text, text, ok, boundary:match("yield")})
      end)
      local r = receive(0)
      print(r[1]) print(r[2]) print(r[3], r[4])
    ]]))
  end)

  it("runs what it calls back clear of every process's stack", function()
    assert.equal("0 strange messages of 20\n", run([[
      in_process(function() require "keeper" end) -- its coroutine is the next one's
      local waiting = {}
      for i = 1, 20 do
        waiting[i] = Process.spawn(function() local m = receive() send(me, type(m) == "table" and m[1] == i) end,
          {scheduler = "here"})
      end
      for i = 1, 20 do
        repeat sleep(0) until Process.info(waiting[i], "status") == "waiting"
      end
      Process.spawn(function()
        require "keeper".call(function() for i = 1, 20 do send(waiting[i], {i}) end end)
      end, {scheduler = "here"})
      local strange = 0
      for _ = 1, 20 do if not receive() then strange = strange + 1 end end
      print(strange .. " strange messages of 20")
    ]]))
  end)

  it("may send, spawn, exit and raise in what it calls back, and not wait", function()
    assert.equal("spawned\ntrue\nexit\tgone\nfalse\ta bug\nfalse\tattempt to yield\nstill here\n", run([[
      Process.spawn(function()
        local keeper = require "keeper"
        local _, pid = keeper.call(spawn, function() send(me, "spawned") end)
        local ref = monitor(pid)
        receive{ {{"DOWN", ref, "process", pid, any}} }
        send(me, (keeper.call(send, me, (keeper.call(type, 1)))))
        local _, e = keeper.call(exit, "gone")
        send(me, {mb.type(e), e.reason})
        send(me, {keeper.call(error, "a bug", 0)})
        local ok, text = keeper.call(receive)
        send(me, {ok, (text:match("attempt to yield"))})
        send(me, "still here")
      end, {scheduler = "here"})
      print(receive())
      print(receive() and receive())
      for _ = 1, 3 do print(table.unpack(receive(), 1, 2)) end
      print(receive())
    ]]))
  end)

  describe("whose signal handler sets a hook", function()
    local function signalled(source)
      return run([[
        local keeper = require "keeper"
        local seen = 0
        keeper.on_signal(keeper.SIGUSR1, function(count) seen = count end)
      ]] .. source)
    end

    it("interrupts a script that computes alone", function()
      assert.equal("1\n", signalled([[
        keeper.raise(keeper.SIGUSR1)
        while seen == 0 do end
        print(seen)
      ]]))
    end)

    -- In stock Lua it is the main chunk's own hook, and fires when that goes on.
    if helper.is_host then
      it("interrupts a process that computes", function()
        assert.equal("1\n", signalled([[
          Process.spawn(function()
            keeper.raise(keeper.SIGUSR1)
            local until_then = monotonic_time() + 60000
            repeat local now = monotonic_time() until keeper.handled() > 0 or now > until_then
            send(me, keeper.handled())
          end, {scheduler = "here"})
          print(receive())
        ]]))
      end)
    end

    it("is heard when the script has waited", function()
      assert.equal("1\n", signalled([[
        Process.spawn(function() keeper.raise(keeper.SIGUSR1) send(me, "go on") end, {scheduler = "here"})
        receive()
        for _ = 1, 1000 do end
        print(seen)
      ]]))
    end)
  end)
end)

-- mb.await_uv: a call that takes a callback suspends the calling process alone.
local helper = require "spec.helper"
local mb = require "moonbeam"
local Process = mb.Process

local has_luv, uv = pcall(require, "luv")

describe("await_uv", function()
  helper.setup()

  it("LUV-08 gives what resume was given, nils included", function()
    assert.same({n = 3, 1, nil, "x"}, table.pack(mb.await_uv(function(resume) resume(1, nil, "x") end)))
    assert.same({n = 0}, table.pack(mb.await_uv(function(resume) resume() end)))
  end)

  it("LUV-08 waits until another process resumes, while others run", function()
    local resumed
    local got = {mb.await_uv(function(resume)
      -- a function of the same heap, in place of a callback of the loop
      resumed = resume
      mb.Process.send_after(mb.self(), "poke", 5)
      assert(mb.receive() == "poke")
      resume("late")
      resume("later")
    end)}
    assert.same({"late"}, got)
    resumed("too late")
  end)

  it("LUV-09 is late: nil, and what was begun is cancelled", function()
    local cancelled = 0
    local value, text, code = mb.await_uv(function() return function() cancelled = cancelled + 1 end end, 5)
    assert.same({nil, "ETIMEDOUT: connection timed out", "ETIMEDOUT"}, {value, text, code})
    assert.equal(1, cancelled)
  end)

  it("LUV-09 does not cancel what was done", function()
    local cancelled = 0
    mb.await_uv(function(resume)
      resume()
      return function() cancelled = cancelled + 1 end
    end, 5)
    assert.equal(0, cancelled)
  end)

  it("LUV-09 cancels when the process is killed", function()
    local me, send = mb.self(), mb.send
    local await_uv = mb.await_uv
    local pid = mb.spawn(function()
      await_uv(function() return function() send(me, "cancelled") end end)
    end)
    helper.until_waiting(pid)
    Process.exit(pid, "kill")
    helper.await("cancelled")
  end)

  it("LUV-10 raises the starter's error at the caller, and wrong arguments", function()
    assert.has_error(function() mb.await_uv(function() error({"mine"}) end) end, {"mine"})
    local ok, text = pcall(mb.await_uv, 5)
    assert.is_false(ok)
    assert.matches("bad argument #1 to 'await_uv' %(function expected, got number%)", text)
    ok, text = pcall(mb.await_uv, function() end, -1)
    assert.is_false(ok)
    assert.matches("bad argument #2 to 'await_uv' %(timeout_value", text)
    ok, text = pcall(mb.await_uv, function() return 7 end)
    assert.is_false(ok)
    assert.matches("await_uv: the function returned a number, not a function that cancels", text)
  end)

  it("says where the process waits", function()
    local await_uv = mb.await_uv
    local pid = mb.spawn(function() await_uv(function() end) end)
    helper.until_waiting(pid)
    assert.matches("await_uv_spec.lua:%d+", Process.info(pid, "current_location"))
    Process.exit(pid, "kill")
  end)

  it("LUV-11 cannot be sent away", function()
    mb.await_uv(function(resume)
      local ok, text = pcall(mb.send, mb.self(), resume)
      assert.is_false(ok)
      assert.matches("cannot send message", text)
      resume()
    end)
  end)

  if not has_luv then return pending("luv is not installed (Debian: lua-luv)") end

  it("suspends a process for a call of luv's", function()
    local stat = mb.await_uv(function(resume)
      local request = uv.fs_stat(".", function(err, found) resume(found, err) end)
      return function() uv.cancel(request) end
    end)
    assert.equal("directory", stat.type)
  end)

  it("works in many processes at once", function()
    local me, send, await_uv = mb.self(), mb.send, mb.await_uv
    for i = 1, 100 do
      mb.spawn(function()
        local luv = require "luv"
        local n = await_uv(function(resume)
          local timer = luv.new_timer()
          timer:start(1 + i % 5, 0, function()
            timer:close()
            resume(i)
          end)
        end, 5000)
        send(me, {"done", n})
      end)
    end
    local sum = 0
    for _ = 1, 100 do sum = sum + helper.await{"done", mb.any} end
    assert.equal(5050, sum)
  end)
end)

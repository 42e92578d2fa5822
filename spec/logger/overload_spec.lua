local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, any, Logger, GenServer = mb.self, mb.send, mb.any, mb.Logger, mb.GenServer
local await = helper.await

local BIG = ("x"):rep(20000)

-- A handler that is held in its first event, until it is told to go on; what it handles comes to the calling process.
local function held_handler()
  local me, held = self(), true
  Logger.configure{level = "info", handler = function(event)
    if held then
      held = false
      send(me, {"holding", mb.self()})
      mb.receive{ {"go on"} }
    else
      send(me, {"handled", event.message:sub(1, 200), event.metadata.dropped or 0, event.kind or "entry"})
    end
  end}
  Logger.error("held")
  return await{"holding", any}
end

local CRASH_LINE = debug.getinfo(1, "l").currentline + 3

local function crash(text)
  local _, ref = mb.spawn_monitor(function() error(text, 0) end)
  await{"DOWN", ref, "process", any, any}
end

describe("a log that nobody takes", function()
  helper.setup()

  after_each(function() mb.Logger.configure{level = "none", handler = "default", format = "default"} end)

  it("keeps 4 MB of crash reports, and counts more by the place they come from", function()
    local handler = held_handler()
    for _ = 1, 400 do crash(BIG) end
    crash("the same place, another error")
    local _, ref = mb.spawn_monitor(function() error("elsewhere", 0) end) local line = debug.getinfo(1, "l").currentline
    await{"DOWN", ref, "process", any, any}
    send(handler, "go on")
    local reports, dropped, places = 0, 0, {}
    while reports + dropped < 402 do
      local message, n, kind = await{"handled", any, any, any}
      if kind == "crash" then reports = reports + 1 end
      if n > 0 then
        places[#places + 1] = message
        dropped = dropped + n
      end
    end
    assert.equal(402, reports + dropped)
    assert.is_true(reports >= 40 and reports <= 4 * 1024 * 1024 // #BIG)
    assert.equal(2, #places)
    assert.matches("^%d+ more like this: Process spawned at [^\n]*overload_spec.lua:" .. CRASH_LINE .. " ", places[1])
    assert.matches("^1 more like this: Process spawned at [^\n]*overload_spec.lua:" .. line .. " ", places[2])
    assert.is_true(Logger.flush(helper.patience))
  end)

  it("lets crash reports in however many other entries there are, and the other way round", function()
    local handler = held_handler()
    for _ = 1, 500 do Logger.info(BIG) end
    for _ = 1, 400 do crash(BIG) end
    send(handler, "go on")
    local counts = {entry = 0, crash = 0, dropped = 0}
    while counts.entry + counts.crash + counts.dropped < 900 do
      local _, n, kind = await{"handled", any, any, any}
      if n > 0 then counts.dropped = counts.dropped + n else counts[kind] = counts[kind] + 1 end
    end
    assert.is_true(counts.entry >= 100 and counts.crash >= 40)
    assert.is_true(Logger.flush(helper.patience))
  end)

  it("keeps one handler of many that are set, and only so many flushes that are not waited for", function()
    local handler, me = held_handler(), self()
    for _ = 1, 12000 do assert.is_nil((Logger.flush(0))) end
    for i = 1, 2000 do -- from here on the held one is waited for, but not for ever
      Logger.configure{handler = function(event) send(me, {"handler", i, event.message, #BIG}) end}
    end
    Logger.error("at last")
    send(handler, "go on")
    await{"handler", 2000, "at last", #BIG}
    assert.is_true(Logger.flush(helper.patience))
  end)

  -- A server that logs at each call, itself or by a process that it starts for that.
  local function logging_server(by_itself)
    return assert(GenServer.start{
      init = function() return "ok", 0 end,
      handle_call = function(_, _, n)
        if by_itself then
          Logger.info("served")
        else
          local _, ref = mb.spawn_monitor(function() Logger.info("served") end)
          mb.receive{ {{"DOWN", ref, "process", mb.any, mb.any}} }
        end
        return "reply", n + 1, n + 1
      end,
    })
  end

  for _, by_itself in ipairs{true, false} do
    it("does not hold up who its handler waits for: " .. (by_itself and "a server" or "whom that starts"), function()
      local server, me = logging_server(by_itself), self()
      Logger.configure{level = "info", handler = function(event)
        if event.message == "held" then
          send(me, {"holding", mb.self()})
          mb.receive{ {"go on"} }
        elseif event.metadata.number then
          send(me, {"number", event.metadata.number, GenServer.call(server, "next", "infinity")})
        end
      end}
      Logger.error("held")
      local handler = await{"holding", any}
      for i = 1, 150 do Logger.info(BIG, {number = i}) end -- more than half of what there is room for
      send(handler, "go on")
      for i = 1, 60 do await{"number", i, any} end
      Logger.configure{level = "none"}
      Logger.configure{handler = "default"}
      assert.is_true(Logger.flush(helper.patience * 10))
      GenServer.stop(server)
    end)
  end
end)

describe("an entry that is made by code that logs", function()
  helper.setup()

  -- The lines that a program writes to stderr.
  local function lines_of(source)
    local text, code = helper.run_script("local mb = require 'moonbeam' local Logger = mb.Logger\n" .. source,
      "2>&1 >/dev/null")
    assert.equal(0, code)
    return text, select(2, text:gsub("\n", ""))
  end

  it("has one line for each that its format function logs", function()
    local text, count = lines_of[[
      Logger.configure{format = function(event)
        Logger.info("inside")
        Logger.warning({"inside"})
        return "<" .. event.message .. ">"
      end}
      Logger.info("outside")
      mb.spawn_monitor(function() error("a crash", 0) end)
      mb.receive()
      Logger.flush()
    ]]
    assert.matches("%[info%] inside\n", text)
    assert.matches("%[warning%] %(a table", text)
    assert.matches("<outside>\n", text)
    assert.matches("<Process #PID<[%d.]+> terminating\n%*%* %(error%) a crash\n", text)
    assert.is_true(count < 20)
  end)

  it("has one for each that a handler's format function logs", function()
    local text = lines_of[[
      Logger.configure{format = function(event) Logger.info("inside") return "<" .. event.message .. ">" end}
      Logger.configure{handler = function(event) error("bad handler", 0) end}
      for i = 1, 3 do Logger.info("entry " .. i) end
      Logger.flush()
    ]]
    assert.equal(3, select(2, text:gsub("<entry %d>\n", "")))
    assert.equal(1, select(2, text:gsub("Logger's handler failed", "")))
    assert.is_true(select(2, text:gsub("inside", "")) <= 8)
  end)

  it("has one for each that the __tostring of its value logs, which may be the value itself", function()
    local text, count = lines_of[[
      local value = setmetatable({}, {})
      getmetatable(value).__tostring = function() Logger.info(value) return "the value" end
      Logger.info(value)
      Logger.info({value, value})
      Logger.flush()
    ]]
    assert.matches("%[info%] the value\n", text)
    assert.equal(5, count)
  end)
end)

describe("the end of a handler", function()
  helper.setup()

  it("loses no entry, however long their format takes, and writes the later ones behind them", function()
    local text, code = helper.run_script([[
      local mb = require "moonbeam"
      local Logger = mb.Logger
      Logger.configure{format = function(event)
        local text
        for _ = 1, 20 do text = ("%s"):rep(20, "-"):gsub("%%s", event.message:match("^[^\n]*")) end
        return "<" .. text:match("^[^-]*") .. ">"
      end}
      local me = mb.self()
      Logger.configure{handler = function() mb.send(me, mb.self()) mb.sleep("infinity") end}
      Logger.info("entry 0")
      local handler = mb.receive()
      for i = 1, 3000 do Logger.info("entry " .. i) end
      mb.spawn_monitor(function() error("the crash") end)
      mb.receive()
      local ref = mb.monitor(handler)
      mb.Process.exit(handler, "kill")
      mb.receive{ {{"DOWN", ref, "process", handler, "killed"}} }
      Logger.info("entry 3001")
      assert(Logger.flush("infinity"))
    ]], "2>&1")
    assert.equal(0, code)
    local expected = 0
    for n in text:gmatch("<entry (%d+)>\n") do
      assert.equal(expected, tonumber(n))
      expected = expected + 1
    end
    assert.equal(3002, expected)
    assert.matches("<Process #PID<[%d.]+> terminating>\n", text)
    assert.equal(1, select(2, text:gsub("Logger's handler, process #PID", "")))
    assert.not_matches("could not be made", text)
  end)

  it("loses nothing when the program ends as well", function()
    local text, code = helper.run_script([[
      local mb = require "moonbeam"
      local Logger = mb.Logger
      local me = mb.self()
      Logger.configure{format = function(event) return "<" .. event.message .. ">" end}
      Logger.configure{handler = function() mb.send(me, true) while true do end end}
      Logger.info("entry 0")
      mb.receive()
      for i = 1, 3000 do Logger.info("entry " .. i) end
    ]], "2>&1")
    assert.equal(0, code)
    local expected = 0
    for n in text:gmatch("entry (%d+)") do
      assert.equal(expected, tonumber(n))
      expected = expected + 1
    end
    assert.equal(3001, expected)
  end)

  it("is not repeated by a format function that ends the process which writes what is left", function()
    local text, code = helper.run_script([[
      local mb = require "moonbeam"
      local Logger = mb.Logger
      local me = mb.self()
      Logger.configure{handler = function() mb.send(me, mb.self()) mb.sleep("infinity") end}
      Logger.configure{format = function(event)
        if event.pid == me and mb.self() ~= me then mb.Process.exit(mb.self(), "kill") end
        return "<" .. event.message .. ">"
      end}
      Logger.info("one")
      local handler = mb.receive()
      Logger.info("two")
      mb.Process.exit(handler, "kill")
      assert(Logger.flush("infinity"))
      Logger.info("three")
    ]], "2>&1")
    assert.equal(0, code)
    assert.matches("%[info%] one\n[^\n]*%[info%] two\n<three>\n", text)
  end)
end)

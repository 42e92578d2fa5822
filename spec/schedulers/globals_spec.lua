-- The script's globals, which modules see, and those of processes.
local holds = require "spec.everywhere".holds

describe("modules", function()
  local files = {["reader.lua"] = [[
    local M = {}
    function M.get(name) return _ENV[name] end
    function M.raw(name) return rawget(_G, name) end
    function M.set(name, value) _ENV[name] = value end
    function M.names() local t = {} for k in pairs(_G) do t[k] = true end return t end
    return M]], ["other.lua"] = "return {name = 'other'}",
    ["once.lua"] = "io.write('loaded ') return {}"}

  it("have the script's globals on every scheduler", function()
    holds([[
      arg = {"one", "two"}
      LEVEL, CONFIG, double = 3, {deep = {"value"}}, function(x) return LEVEL * x end
      for at = 1, 3 do
        assert(on(at, function() return require("reader").get("LEVEL") end) == 3)
        assert(on(at, function() return require("reader").get("CONFIG").deep[1] end) == "value")
        assert(on(at, function() return require("reader").raw("arg")[2] end) == "two")
        assert(on(at, function() return require("reader").get("double")(5) end) == 15)
        assert(on(at, function()
          local names = require("reader").names()
          return names.LEVEL and names.arg and names.print
        end))
      end
    ]], files)
  end)

  it("see what becomes of them", function()
    holds([[
      local me = self()
      LEVEL, CONFIG = 1, {n = 1}
      local pid = Process.spawn(function()
        local reader = require "reader"
        while true do
          local name = receive()
          send(me, {reader.get(name)})
        end
      end, {scheduler = 2})
      local function seen(name) send(pid, name) return receive()[1] end
      assert(seen("LEVEL") == 1)
      LEVEL = 2
      assert(seen("LEVEL") == 2)
      LEVEL = nil
      assert(seen("LEVEL") == nil)
      CONFIG.n = 2 -- with the next process
      assert(on(2, function() return require("reader").get("CONFIG").n end) == 2)
      Process.exit(pid, "kill")
    ]], files)
  end)

  it("see what a table holds with each process, also where comparing takes a while", function()
    holds([[
      CONFIG = {}
      for i = 1, 30000 do CONFIG[i] = true end
      for i = 1, 10 do
        CONFIG.n = i
        assert(on(2, function() return require("reader").get("CONFIG").n end) == i)
      end
    ]], files)
  end)

  it("keep what they set on their scheduler", function()
    holds([[
      on(2, function() require("reader").set("MINE", "of 2") end)
      assert(on(2, function() return require("reader").get("MINE") end) == "of 2")
      assert(on(3, function() return require("reader").get("MINE") end) == nil)
      assert(MINE == nil)
    ]], files)
  end)

  it("are not loaded elsewhere because a global of the script holds one", function()
    holds([[
      other, once = require "other", nil
      MODULES = {other}
      assert(on(2, function() return package.loaded.other == nil end))
      assert(on(2, function() return require("reader").get("other").name end) == "other")
      assert(on(3, function() return require("reader").names().MODULES end))
      assert(on(3, function() return require("reader").get("MODULES")[1] == require("other") end))
    ]], files)
  end)

  it("live with a strict table of globals", function()
    holds([[
      DECLARED = 1
      local declared = {late = true}
      setmetatable(_G, {
        __index = function(_, name) if not declared[name] then error("undeclared " .. tostring(name), 2) end end,
        __newindex = function(t, name, value) declared[name] = true rawset(t, name, value) end,
      })
      local get = require("reader").get
      for at = 1, 3 do
        assert(on(at, get, "DECLARED") == 1)
        assert(on(at, get, "late") == nil)
        assert(not on(at, pcall, get, "unknown"))
        on(at, function() require("reader").set("mine", at) end)
        assert(on(at, get, "mine") == at)
      end
    ]], files)
  end)
end)

describe("a process's globals", function()
  it("are its own on every scheduler", function()
    holds [[
      SETTING = "the script's"
      for at = 1, 3 do
        assert(on(at, function() return SETTING end) == "the script's")
        assert(on(at, function() return rawget(_G, "OTHER") == nil end))
        assert(on(at, function() SETTING = "changed" return _G.SETTING end) == "changed")
        assert(on(at, function() return load("return UNNAMED")() end) == nil)
      end
      assert(SETTING == "the script's")
    ]]
  end)
end)

local helper = require "spec.helper"

-- The modules that the library's Lua files use: a script can have them, too.
describe("internal modules", function()
  -- Call every function of a module with all kinds of arguments, each time in a process that is ended soon.
  local function call_all(module)
    return helper.run_script(([[
      local mb = require "moonbeam" mb.import()
      Logger.configure{level = "none"}
      local name = %q
      local module = require(name)
      local never = function() receive{ {"never"} } end
      local idle, dead, server = spawn(never), spawn(function() end), Agent.start(function() return 1 end)
      Registry.start_link{keys = "unique", name = "registry"}
      Registry.register("registry", "key", 1)
      local circle = {} circle.circle = circle
      local values = {
        false, true, 0, 1, -1, 2, 1.5, 0 / 0, math.huge, -math.huge, math.mininteger, 2 ^ 53,
        "", "/no/such/directory/x", "normal", "infinity", "registry", "info", ("long"):rep(1000), "a zero \0 inside",
        {}, {1, 2, 3}, {{}}, {{any}}, {{any, 1}}, {after = 1}, {1, after = "x"}, circle,
        {"via", Registry, {"registry", "key"}},
        setmetatable({}, {__index = function() error "index" end, __tostring = function() error "tostring" end}),
        {link = true}, {scheduler = 99}, function() end, print, idle, dead, server, make_ref(), monitor(dead), any,
        is.string, is(function() error "predicate" end),
      }
      local by_name = {}
      -- what would end the program, starve it, or make files
      local with_care = {
        end_with = "number", listen = "number", connect = "number", private_file = "number", process_exit = "table",
        memory_limit = "table"}
      local function allowed(f, a) return not with_care[f] or type(a) == with_care[f] or a == "" end
      local calls = 0
      local function call(f, ...)
        if not allowed(f, (...)) then return end
        local pid, ref = spawn_monitor(function(...) pcall(require(name)[f], ...) end, ...)
        local function ended(ms) return receive{ {{"DOWN", ref, any, any, any}}, after = ms } ~= nil end
        if not ended(1) then
          Process.exit(pid, "kill")
          if not ended(%d) then print("does not end", f) os.exit(1, false) end
        end
        calls = calls + 1
      end
      math.randomseed(7)
      for f, value in pairs(module) do
        if type(value) == "function" then by_name[#by_name + 1] = f end
      end
      table.sort(by_name)
      for _, f in ipairs(by_name) do
        call(f)
        for _, value in ipairs(values) do call(f, value) end
        for n = 2, 5 do
          for _ = 1, 5 do
            local arguments = {}
            for i = 1, n do arguments[i] = values[math.random(#values)] end
            call(f, table.unpack(arguments))
          end
        end
      end
      print(#by_name > 15, calls > 15 * #values and "ok")
      os.exit(0)
    ]]):format(module, 20 * helper.patience), "2>/dev/null </dev/null")
  end

  it("check what the functions of the core are given", function()
    local output, code = call_all "moonbeam.core"
    assert.matches("\ntrue\tok\n$", "\n" .. output)
    assert.equal(0, code)
  end)

  it("check what the functions of the host are given, and when", function()
    if not helper.is_host then return assert.is_false(helper.is_host) end
    local output, code = call_all "moonbeam.host"
    assert.matches("\ntrue\tok\n$", "\n" .. output)
    assert.equal(0, code)
  end)
end)

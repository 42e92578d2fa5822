local helper = require "spec.helper"

-- Each test is a program of its own on two schedulers, with modules in a directory of its own.
describe("what modules hold", function()
  local directory

  before_each(function()
    directory = os.tmpname()
    os.remove(directory)
    assert(os.execute("mkdir " .. directory))
  end)

  after_each(function() os.execute("rm -r " .. directory) end)

  local function write(module, source)
    local file = assert(io.open(directory .. "/" .. module .. ".lua", "w"))
    file:write(source)
    file:close()
  end

  -- What a program prints. In it, there(f, ...) gives what f returns on the second scheduler, here(f, ...) on the
  -- first.
  local function run(source)
    return (helper.run_script(([[
      local mb = require "moonbeam"
      mb.start{schedulers = 2}
      mb.import()
      package.path = %q .. "/?.lua;" .. package.path
      package.cpath = %q .. ";" .. package.cpath
      pcall(require, "a module that tells the others the paths")
      local me = self()
      local function on(scheduler, f, ...)
        local pid, ref = Process.spawn(function(...) send(me, {self(), f(...)}) end,
          {scheduler = scheduler, monitor = true}, ...)
        return receive{
          {{pid, any, any, any}},
          {{pid, any, any}},
          {{pid, any}},
          {{"DOWN", ref, "process", pid, is.table}, function(reason) return reason[2] end},
        }
      end
      local function there(...) return on(2, ...) end
      local function here(...) return on(1, ...) end
    ]]):format(directory, helper.c_modules()) .. source, "", "MOONBEAM_SCHEDULERS=2"))
  end

  describe("a table with several names", function()
    before_each(function()
      write("core", "return {core = function() return 'core' end}")
      write("outer", "local M = require 'core' function M.outer() return 'outer' end return M")
      write("other", "local M = require 'core' function M.other() return 'other' end return M")
    end)

    it("has elsewhere what each of its modules adds, and so have functions found in it", function()
      for _, order in ipairs{{"core", "outer", "other"}, {"other", "outer"}, {"outer", "other"}} do
        local source = {}
        for i, name in ipairs(order) do source[i] = ("local m = require %q\n"):format(name) end
        assert.equal("coreouterother\nother\n", run(table.concat(source) .. [[
          print(there(function() return m.core() .. m.outer() .. m.other() end))
          local f = m.other
          print(there(function() return f() end))
        ]]))
      end
    end)

    it("is one key, by whichever names it is known", function()
      assert.equal("1\n", run([[
        local core = require "core"
        Registry.start_link{name = "r", keys = "unique"}
        Registry.register("r", {core}, "value")
        require "outer"
        print(there(function() require "other" return #Registry.lookup("r", {core}) end))
      ]]))
    end)

    it("is one table there, too", function()
      assert.equal("true\n", run([[
        local m = require "outer"
        print(there(function() return m == require "core" and m == require "outer" end))
      ]]))
    end)
  end)

  it("travel by value when the program has put them there itself", function()
    write("real", "return {which = 'the file'}")
    assert.equal("the program\tthe program\tthe file\n", run([[
      require "real"
      local mock = {which = "the program"}
      package.loaded.real = mock
      print(here(function() return mock.which end), there(function() return mock.which, require "real".which end))
    ]]))
  end)

  it("keep their identity when they are userdata or sentinels", function()
    write("codec", [[
      return {
        null = setmetatable({}, {__tostring = function() return "null" end}),
        out = io.tmpfile(),
        data = {1, 2},
      }
    ]])
    assert.equal(("true\ttrue\tfalse\n"):rep(2), run([[
      local codec = require "codec"
      local null, out, data = codec.null, codec.out, codec.data
      local function compare(message)
        local C = require "codec"
        return C.null == null and C.null == message.null, C.out == out and C.out == message.out, C.data == data
      end
      for _, on in ipairs{here, there} do print(on(compare, {null = null, out = out})) end
    ]]))
  end)

  it("keep it whatever has been put into them since", function()
    write("codec", "return {cache = setmetatable({}, {__mode = 'k'})}")
    assert.equal("true\ttrue\n", run([[
      local cache = require "codec".cache
      cache[1] = 1
      print(here(function() return cache == require "codec".cache end),
        there(function() return cache == require "codec".cache end))
    ]]))
  end)

  it("keep it when they are a C module's", function()
    assert.equal("true\ttrue\n", run([[
      local keeper = require "keeper"
      local object, null = keeper.object, keeper.null
      print(there(function() return object == require "keeper".object, null == require "keeper".null end))
    ]]))
  end)

  it("are refused when the program has added them to a module", function()
    write("codec", "return {}")
    assert.equal("false\tcannot spawn: the function, upvalue \"f\", upvalue \"file\" is a userdata (FILE*)\n", run([[
      local codec = require "codec"
      here(function() return codec end)
      codec.file = io.tmpfile()
      local file = codec.file
      local ok, text = pcall(here, function() return file end)
      print(ok, (text:gsub("^[^ ]*: ", "")))
    ]]))
  end)

  it("travel by the name that the module has declared for them", function()
    write("settings", [[
      local mb = require "moonbeam"
      local M = {}
      M.DEFAULT = mb.name({"default"}, "settings.DEFAULT")
      M.make = mb.name(coroutine.wrap(function() while true do coroutine.yield("made") end end), "settings.make")
      return M
    ]])
    assert.equal("true\tdefault\tmade\n", run([[
      local settings = require "settings"
      local default, make = settings.DEFAULT, settings.make
      print(there(function() return default == require "settings".DEFAULT, default[1], make() end))
    ]]))
  end)

  it("are declared by a value that is copied, and a name with a module and a field", function()
    assert.equal([[
bad argument #1 to 'name' (table, function or userdata expected, got number)
bad argument #1 to 'name' (table, function or userdata expected, got pid)
bad argument #1 to 'name' (table, function or userdata expected, got no value)
bad argument #2 to 'name' ("module.field" expected, got nil)
bad argument #2 to 'name' ("module.field" of at most 255 bytes expected, got "field")
bad argument #2 to 'name' ("module.field" of at most 255 bytes expected, got "module.")
bad argument #2 to 'name' ("module.field" of at most 255 bytes expected, got ".field")
bad argument #2 to 'name' (there is no module 'nosuch': it is not loaded, and require does not find it)
true
]], run([[
      package.preload.module = function() return {} end
      local function try(...) print((select(2, pcall(mb.name, ...)):gsub("^[^ ]*: ", ""))) end
      try(1, "m.f") try(self(), "m.f") try() try({}, nil) try({}, "field") try({}, "module.") try({}, ".field")
      try({}, "nosuch.field")
      local t = {}
      print(mb.name(t, "module.field") == t)
    ]]))
  end)

  it("are declared in modules that are loaded or can be found, by whatever finds them", function()
    write("settings", "return {}")
    assert.equal("fine\tfine\tfine\tfine\tfalse\ttrue\n", run([[
      local tried = 0
      table.insert(package.searchers, function(name)
        if name == "generated" then return function() return {F = mb.name({}, "generated.F")} end end
        if name == "raising" then tried = tried + 1 error("never") end
      end)
      local function fine(name) return mb.name({}, name) and "fine" end
      print(fine("settings.A"), fine("string.mine"), fine("moonbeam.task.mine"), require("generated").F and "fine",
        (pcall(mb.name, {}, "raising.f")), tried == 1)
    ]]))
  end)

  it("leave nothing behind when they are gone from package.loaded, whatever their names were", function()
    local output = run([[
      local template = "return {n = %d}"
      table.insert(package.searchers, 2, function(name)
        local n = name:match("^passing(%d+)$")
        return n and load(template:format(n))
      end)
      local function pass(from, to)
        for i = from, to do
          local name = "passing" .. i
          require(name)
          if i % 100 == 0 then
            send(self(), {function() end, 1})
            receive()
          end
          package.loaded[name] = nil
        end
        collectgarbage()
        collectgarbage()
        return collectgarbage("count")
      end
      local before = pass(1, 3000)
      print(pass(3001, 13000) - before < 200)
    ]])
    assert.equal("true\n", output)
  end)

  it("name a field that is missing elsewhere to who receives it", function()
    write("settings", "return {}")
    assert.matches("cannot receive: module 'settings' has no field 'missing' on scheduler 2", run([[
      Logger.configure{level = "none"}
      local t = mb.name({}, "settings.missing")
      print(there(function() return t end))
    ]]))
  end)

  describe("of Lua's library", function()
    it("travel by name, though they are fields of no table", function()
      assert.equal("true\n", run([[
        local values = {
          ipairs = ipairs({}), pairs = pairs({}), strict = utf8.codes("x"), lax = utf8.codes("x", true),
          add = getmetatable("").__add, index = getmetatable("").__index, read = io.stdout.read,
          close = getmetatable(io.stdout).__close, string = getmetatable(""), file = getmetatable(io.stdout),
          searcher = package.searchers[2], searchers = package.searchers, loaded = package.loaded,
          out = io.stdout, err = io.stderr, input = io.stdin, pid = getmetatable(self()).__tostring,
        }
        local here_now = here(function() return values end)
        local same = true
        for k, v in pairs(values) do same = same and here_now[k] == v end
        local ok = there(function()
          local t, codes = {}, {}
          for i, v in values.ipairs, {5, 6}, 0 do t[i] = v end
          for _, c in values.strict, "ab", 0 do codes[#codes + 1] = c end
          return t[2] == 6 and codes[2] == 98 and values.lax ~= values.strict and values.pairs == next
            and values.add("1", 2) == 3 and values.index == string and values.read == io.stderr.read
            and values.close == getmetatable(io.stderr).__close and values.string == getmetatable("")
            and values.file == getmetatable(io.stdin) and values.searchers[2] == values.searcher
            and values.searchers == package.searchers and values.loaded == package.loaded
            and values.pid == getmetatable(self()).__tostring
            and values.out == io.stdout and values.err == io.stderr and values.input == io.stdin
        end)
        print(same and ok)
      ]]))
    end)

    it("are refused by what they are, when they have state", function()
      local text = " is a C function with state (as io.lines, string.gmatch and coroutine.wrap make)\n"
      assert.equal("it" .. text .. "it" .. text .. "it" .. text, run([[
        for _, f in ipairs{io.lines("/dev/null"), ("x"):gmatch("."), coroutine.wrap(print)} do
          print((select(2, pcall(send, me, f)):gsub("^.*cannot send message: ", "")))
        end
      ]]))
    end)
  end)
end)

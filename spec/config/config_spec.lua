local mb = require "moonbeam"
local helper = require "spec.helper"
local Config, Application, fs, system = mb.Config, mb.Application, mb.fs, mb.system

local function message(fn, ...)
  local ok, text = pcall(fn, ...)
  assert.is_false(ok)
  return text
end

local function clear()
  for name in pairs(Config.all()) do Config.delete(name) end
end

describe("Config", function()
  after_each(clear) -- before it is looked for what is left
  helper.setup()
  local directory
  helper.with_directory(function(made) directory = made end)

  local function load(text, name)
    local path = directory .. "/" .. (name or "config.lua")
    assert(fs.write(path, text))
    return Config.load(path)
  end

  it("CONF-01 has values by keys, whose dots lead into tables", function()
    assert.is_true(Config.put("port", 4000))
    assert.is_true(Config.put("db.host", "here"))
    assert.is_true(Config.put({"db", "pool"}, {min = 1, max = 2}))
    assert.is_true(Config.put("servers", {{host = "a"}, {host = "b"}}))
    assert.same({4000, "here", 2}, {Config.get("port"), Config.get("db.host"), Config.get("db.pool.max")})
    assert.same({"b", "b"}, {Config.get("servers.2.host"), Config.get{"servers", 2, "host"}})
    Config.put("servers.2.host", "c")
    assert.same({{host = "a"}, {host = "c"}}, Config.get("servers"))
    assert.is_nil(Config.get("db.host.name"))
    assert.same({5, nil}, {Config.get("none", 5), Config.get("db.none")})
    assert.same({db = {host = "here", pool = {min = 1, max = 2}}, port = 4000,
      servers = {{host = "a"}, {host = "c"}}}, Config.all())
    assert.is_true(Config.delete("db.host"))
    assert.is_true(Config.delete("db.host"))
    assert.same({pool = {min = 1, max = 2}}, Config.get("db"))
    Config.put("flag", false)
    assert.is_false(Config.get("flag", true))
  end)

  it("CONF-02 gives copies", function()
    Config.put("db", {hosts = {"a"}})
    local db = Config.get("db")
    db.hosts[1] = "b"
    assert.same({hosts = {"a"}}, Config.get("db"))
    assert.same({hosts = {"a"}}, Config.get("db"))
  end)

  it("CONF-03 is the same for all processes, on all schedulers", function()
    local pids = {}
    local me, send, receive = mb.self(), mb.send, mb.receive
    for i = 1, #mb.schedulers() do
      pids[i] = mb.Process.spawn(function()
        while true do
          receive()
          send(me, {"value", Config.get("size"), Config.get("db.pool")})
        end
      end, {scheduler = i})
    end
    for n = 1, 5 do
      Config.put("size", n)
      Config.put("db.pool", n)
      for _, pid in ipairs(pids) do send(pid, "go") end
      for _ in ipairs(pids) do helper.await{"value", n, n} end
    end
    for _, pid in ipairs(pids) do mb.Process.exit(pid, "kill") end
  end)

  it("CONF-03 loses nothing when many set fields of one table", function()
    local refs = {}
    for i = 1, 50 do
      local pid, ref = mb.spawn_monitor(function() Config.put("many.k" .. i, i) end)
      refs[i] = {pid, ref}
    end
    for _, one in ipairs(refs) do helper.await_end(one[1], one[2]) end
    for i = 1, 50 do assert.equal(i, Config.get("many.k" .. i)) end
  end)

  it("CONF-04 raises for a key that must be there, and names those there are", function()
    Config.put("db.pool", 1)
    Config.put("db.host", "x")
    assert.equal(1, Config.require("db.pool"))
    assert.matches("config_spec.lua:%d+: the configuration has no db.pol: there are host, pool$",
      message(function() return (Config.require("db.pol")) end))
    assert.matches("has no dbs: there are db$", message(Config.require, "dbs"))
    assert.matches("has no db.pool.max: db.pool.max is in no table$", message(Config.require, "db.pool.max"))
    clear()
    assert.matches("has no db: nothing is set$", message(Config.require, "db"))
  end)

  it("CONF-05 raises for keys that are none", function()
    for _, key in ipairs{"", "a..b", ".a", "a.", 5, {}, {5}} do
      assert.matches('bad argument #1 to \'Config.get\' %(a key is a text as "db.host", or a sequence of keys, got ',
        message(Config.get, key))
    end
    assert.matches("a key is a text", message(Config.get))
    Config.put("port", 5)
    assert.matches("bad argument #1 to 'Config.put' %(port is 5, which has no fields%)",
      message(Config.put, "port.tcp", 1))
    assert.matches("argument #2 of Config.put", message(Config.put, "port", coroutine.create(print)))
    assert.equal(5, Config.get("port"))
  end)

  it("CONF-06 loads a file that assigns names, or returns a table", function()
    assert.is_true(load[[
      local base = "/srv"
      port = 4000 + 1
      logs = base .. "/logs"
      db = {host = ("HERE"):lower(), pool = math.max(1, 5)}
    ]])
    assert.same({port = 4001, logs = "/srv/logs", db = {host = "here", pool = 5}}, Config.all())
    assert.is_true(load("return {port = 1, list = {1, 2}}"))
    assert.same({1, "/srv/logs"}, {Config.get("port"), Config.get("logs")})
    assert.is_true(load("#!/usr/bin/env moonbeam\nport = 2"))
    assert.equal(2, Config.get("port"))
  end)

  it("CONF-07 merges tables of names, and replaces all else", function()
    load("db = {host = 'a', pool = {min = 1, max = 2}, hosts = {1, 2, 3}}")
    load("db = {pool = {max = 5}, hosts = {4}}")
    assert.same({host = "a", pool = {min = 1, max = 5}, hosts = {4}}, Config.get("db"))
    load("db = 5")
    assert.equal(5, Config.get("db"))
  end)

  it("CONF-08 says what is wrong with a file, with the place, and sets nothing", function()
    local path = directory .. "/config.lua"
    local function problem(text)
      local ok, why = load(text)
      assert.is_nil(ok)
      assert.same({}, Config.all())
      return (why:gsub("^" .. path:gsub("%p", "%%%0"), "FILE"))
    end
    assert.equal("FILE:2: unexpected symbol near <eof>", problem("a = 1\nb = 1 +"))
    assert.equal("FILE:2: oops", problem("a = 1\nerror('oops')"))
    assert.equal('FILE: {"oops"}', problem("error{'oops'}"))
    assert.equal("FILE:1: attempt to call a nil value (global 'require')", problem("a = require 'socket'"))
    assert.equal("FILE:1: attempt to index a nil value (global 'io')", problem("a = io.open('x')"))
    assert.equal("FILE: it returns a number; a table is expected, or nothing", problem("return 5"))
    assert.equal("FILE: db.on_error is a function; expected are texts, numbers, booleans and tables of them",
      problem("db = {on_error = function() end}"))
    assert.equal("FILE: 1 is no name", problem("return {5}"))
    assert.matches("^FILE: a[a.]* is a table that contains itself; ", problem("a = {}\na.a = a"))
    local ok, why, code = Config.load(directory .. "/none.lua")
    assert.same({nil, "ENOENT"}, {ok, code})
    assert.matches("^ENOENT: .*none.lua", why)
    assert.matches("path of a file expected, got nil", message(Config.load))
  end)

  it("CONF-08 does not let a file change what others see", function()
    assert.is_true(load("string.upper = nil\nmath.pi = 3\nx = math.pi"))
    assert.equal(3, Config.get("x"))
    assert.equal("A", string.upper("a"))
    assert.is_true(math.pi > 3)
  end)

  it("CONF-09 is the environment of applications", function()
    load("shop = {port = 5}")
    assert.equal(5, Application.get_env("shop", "port"))
    Application.put_env("shop", "host", "x")
    assert.same({port = 5, host = "x"}, Config.get("shop"))
    Config.put("number", 5)
    assert.is_nil(Application.get_env("number", "port"))
    assert.matches("number is configured as 5, not as a table", message(Application.put_env, "number", "a", 1))
  end)
end)

describe("Config.get_env", function()
  helper.setup()
  local NAME = "MOONBEAM_SPEC_VARIABLE"
  after_each(function() system.put_env(NAME, nil) end)

  local function get(text, opts)
    system.put_env(NAME, text)
    return Config.get_env(NAME, opts)
  end

  it("CONF-10 gives a variable of the environment as what it is to be", function()
    assert.equal("text", get("text"))
    assert.equal("", get(""))
    assert.equal(4000, get("4000", {type = "integer"}))
    assert.equal(16, get("0x10", {type = "integer", min = 1, max = 16}))
    assert.equal(1.5, get("1.5", {type = "number"}))
    for _, yes in ipairs{"true", "TRUE", "1", "yes", "on"} do assert.is_true(get(yes, {type = "boolean"})) end
    for _, no in ipairs{"false", "0", "no", "Off"} do assert.is_false(get(no, {type = "boolean", default = true})) end
    assert.same({"a", "b c"}, get(" a, b c,,", {type = "list"}))
    assert.equal("b", get("b", {one_of = {"a", "b"}}))
    assert.equal(2, get("2", {type = "integer", one_of = {1, 2}}))
  end)

  it("CONF-10 gives the default when it is not set, or empty where no text is expected", function()
    assert.same({nil, 5, false}, {get(nil), get(nil, {type = "integer", default = 5}),
      get(nil, {type = "boolean", default = false})})
    assert.equal(5, get("", {type = "integer", default = 5}))
  end)

  it("CONF-11 raises at the user's line for what does not fit, and names variable, value and what is expected", function()
    local function problem(text, opts)
      local e = message(function() return (get(text, opts)) end)
      local line, said = e:match("^[^:]*config_spec.lua(:%d+:) environment variable " .. NAME .. " (.*)$")
      assert(line, e)
      return said
    end
    assert.equal('is "abc"; expected is an integer', problem("abc", {type = "integer"}))
    assert.equal('is "1.5"; expected is an integer', problem("1.5", {type = "integer"}))
    assert.equal('is "0"; expected is an integer from 1 to 65535', problem("0", {type = "integer", min = 1, max = 65535}))
    assert.equal('is "0"; expected is a number, 1 at least', problem("0", {type = "number", min = 1}))
    assert.equal('is "9"; expected is a number, 1 at most', problem("9", {type = "number", max = 1}))
    assert.equal('is "nan"; expected is a number', problem("nan", {type = "number"}))
    assert.equal('is "maybe"; expected is "true" or "false"', problem("maybe", {type = "boolean"}))
    assert.equal('is "c"; expected is one of "a", "b"', problem("c", {one_of = {"a", "b"}}))
    assert.equal("is not set; expected is an integer", problem(nil, {type = "integer", required = true}))
    assert.equal("is not set; expected is a text", problem(nil, {required = true}))
    assert.matches("unknown option typ = \"integer\"; options: type, default", message(Config.get_env, NAME,
      {typ = "integer"}))
    assert.matches("min and max are of numbers", message(Config.get_env, NAME, {min = 1}))
    assert.matches("name of a variable expected, got nil", message(Config.get_env))
  end)

  it("CONF-12 is env in a file, whose failure is that of loading it", function()
    local directory = assert(fs.mkdtemp())
    local path = directory .. "/config.lua"
    fs.write(path, ("\nport = env('%s', {type = 'integer', default = 5})"):format(NAME))
    assert.is_true(Config.load(path))
    assert.equal(5, Config.get("port"))
    system.put_env(NAME, "http")
    assert.same({nil, path .. ":2: environment variable " .. NAME .. ' is "http"; expected is an integer'},
      {Config.load(path)})
    Config.delete("port")
    fs.remove(directory, {recursive = true})
  end)
end)

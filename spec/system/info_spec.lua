-- What system knows: the environment, directories, the machine.
local helper = require "spec.helper"
local mb = require "moonbeam"
local system = mb.system

describe("system", function()
  helper.setup()

  it("SYS-15 gets and sets the environment, as os.getenv and programs see it", function()
    assert.is_true(system.put_env("MOONBEAM_SPEC_VARIABLE", "one"))
    assert.equal("one", system.get_env("MOONBEAM_SPEC_VARIABLE"))
    assert.equal("one", os.getenv("MOONBEAM_SPEC_VARIABLE"))
    assert.equal("one", system.env().MOONBEAM_SPEC_VARIABLE)
    assert.equal("one\n", select(2, system.run("sh", {"-c", "echo $MOONBEAM_SPEC_VARIABLE"})))
    system.put_env("MOONBEAM_SPEC_VARIABLE", "two")
    assert.equal("two", os.getenv("MOONBEAM_SPEC_VARIABLE"))
    system.put_env("MOONBEAM_SPEC_VARIABLE", nil)
    assert.is_nil(system.get_env("MOONBEAM_SPEC_VARIABLE"))
    assert.equal("default", system.get_env("MOONBEAM_SPEC_VARIABLE", "default"))
    assert.is_nil(system.env().MOONBEAM_SPEC_VARIABLE)
  end)

  it("raises at names that cannot be", function()
    for _, name in ipairs{"", "A=B", "A\0B"} do
      local ok, e = pcall(system.put_env, name, "x")
      assert.is_false(ok)
      assert.matches("info_spec.lua:%d+: bad argument #1 to 'system.put_env'", e)
    end
    assert.is_false((pcall(system.put_env, "A", 5)))
  end)

  it("finds programs along PATH, as they are started", function()
    local fs = mb.fs
    local directory = assert(fs.mkdtemp())
    local path, here = system.get_env("PATH"), system.cwd()
    finally(function()
      system.put_env("PATH", path)
      system.chdir(here)
      fs.remove(directory, {recursive = true})
    end)
    directory = fs.realpath(directory)
    fs.mkdir(directory .. "/tool") -- a directory is none, nor is what may not be executed
    fs.mkdir(directory .. "/bin")
    fs.write(directory .. "/plain", "#!/bin/sh\n", {mode = "644"})
    fs.write(directory .. "/bin/tool", "#!/bin/sh\necho here\n", {mode = "755"})
    system.put_env("PATH", directory .. ":/no such directory:" .. directory .. "/bin:" .. path)
    assert.equal(directory .. "/bin/tool", system.find_executable("tool"))
    assert.equal("here\n", select(2, system.run("tool")))
    assert.is_nil(system.find_executable("plain"))
    assert.equal(directory .. "/bin/tool", system.find_executable(directory .. "/bin/tool"))
    assert.is_nil(system.find_executable(directory .. "/plain"))
    system.chdir(directory .. "/bin")
    assert.equal(directory .. "/bin/./tool", system.find_executable("./tool"))
    system.put_env("PATH", ":")
    assert.equal(directory .. "/bin/tool", system.find_executable("tool"))
    for _, none in ipairs{"", "no such program", "/no such program"} do
      assert.is_nil(system.find_executable(none))
    end
    local ok, e = pcall(system.find_executable, 5)
    assert.is_false(ok)
    assert.matches("info_spec.lua:%d+: bad argument #1 to 'system.find_executable' %(a string expected, got number%)", e)
  end)

  it("has a working directory", function()
    local here = assert(system.cwd())
    assert.is_true(system.chdir("/"))
    assert.equal("/", system.cwd())
    assert.is_true(system.chdir(here))
    assert.equal("ENOENT", select(3, system.chdir("/no such directory")))
  end)

  it("knows the machine", function()
    local name = system.os()
    assert.is_string(name.sysname)
    assert.is_string(name.machine)
    assert.is_true(#system.hostname() > 0)
    assert.is_true(system.memory().total >= system.memory().resident)
    assert.is_true(#system.cpu() >= 1)
    assert.equal("integer", math.type(system.cpu()[1].times.user))
    local before = system.hrtime()
    assert.is_true(system.hrtime() >= before)
    assert.is_true(system.pid() > 1)
  end)

  it("is a module of its own, and a name of the host's", function()
    assert.equal(require "moonbeam.system", mb.system)
    assert.equal(mb.system.run, mb.import({}).system.run)
  end)
end)

-- How applications stop when the program ends.
local helper = require "spec.helper"

local APPLICATIONS = [[
require("moonbeam").import()
local Child = {name = "child"}
function Child.start_link(name) return GenServer.start_link(Child, name) end
function Child.init(name)
  Process.flag("trap_exit", true)
  return "ok", name
end
function Child.terminate(reason, name) print(name .. " " .. reason) end
local function start(name, options)
  options = options or {}
  options.name, options.stop = name, function() print(name .. " has stopped") end
  options.children = {Supervisor.child_spec({Child, name .. " 1"}, {id = 1}), Supervisor.child_spec({Child, name .. " 2"},
    {id = 2})}
  assert(Application.start(options))
end
io.stdout:setvbuf("line")
require("moonbeam").at_exit(function(status) print("ended with " .. tostring(status)) end)
]]

local STOPPED = "shop 2 shutdown\nshop 1 shutdown\nshop has stopped\ndb 2 shutdown\ndb 1 shutdown\ndb has stopped\n"

local function run(source) return helper.run_script(APPLICATIONS .. "start('db')\nstart('shop')\n" .. source) end

describe("applications at the end of the program", function()
  it("APP-12 stop in order, the last one first, when the script ends", function()
    local status = helper.is_host and "0" or "nil"
    assert.same({STOPPED .. "ended with " .. status .. "\n", 0}, {run("")})
  end)

  it("APP-12 so they do by os.exit, and when the script fails", function()
    if not helper.is_host then return end -- in stock Lua the interpreter ends without us
    assert.same({STOPPED .. "ended with 7\n", 7}, {run("os.exit(7)")})
    local output, code = run("error('oops', 0)")
    assert.equal(1, code)
    assert.equal("moonbeam: oops", output:match("^[^\n]*/?(moonbeam: oops)"))
    assert.matches(STOPPED .. "ended with 1\n$", output)
  end)

  it("APP-12 so they do by SIGTERM, with other supervisors in between", function()
    if not helper.is_host then return end
    local output, code = run([[
      Supervisor.start_link({{Child, "other"}}, {strategy = "one_for_one"})
      start("last")
      os.execute("kill " .. system.pid())
      receive()
    ]])
    assert.equal(143, code)
    assert.equal("last 2 shutdown\nlast 1 shutdown\nlast has stopped\nother shutdown\n" .. STOPPED ..
      "ended with 143\n", (output:gsub("[^\n]*Terminated\n", "")))
  end)

  it("APP-13 end it when they are permanent and end by themselves", function()
    local output, code = run([[
      start("main", {type = "permanent", supervisor = "root"})
      Process.exit(Process.whereis("root"), "kill")
      receive()
    ]])
    assert.equal(1, code, output)
    assert.matches("main has stopped\n.*shop 2 shutdown\n.*db has stopped\n", output)
    assert.matches("Application main exited: killed\n.*Application main is permanent: the program ends with it", output)
  end)

  it("APP-13 end it when they are transient and that was no ordinary end", function()
    local output, code = run([[
      start("main", {type = "transient", supervisor = "root"})
      Supervisor.stop("root", "shutdown")
      while #Application.started_applications() > 2 do sleep(1) end
      print("goes on")
    ]])
    assert.equal(0, code, output)
    assert.matches("main has stopped\n.*goes on\n", output)
    output, code = run([[
      start("main", {type = "transient", supervisor = "root"})
      Process.exit(Process.whereis("root"), "kill")
      receive()
    ]])
    assert.equal(1, code, output)
    assert.matches("main has stopped\n", output)
  end)
end)

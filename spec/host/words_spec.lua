-- What a program that fails says at its end. What is said to mistakes, word by word, is in mistakes_spec.lua.
local helper = require "spec.helper"

local function said(source)
  local text, code = helper.run_script(source)
  return text:gsub("/tmp/lua_[%w]+", "x.lua"):gsub("^[^\n]*bin/moonbeam: ", "moonbeam: "), code
end

local NO_PROCESS = "    ** (EXIT) no process: the process is not alive or there's no process currently associated with " ..
  "the given name\n"

describe("a script that ends by an exit", function()
  it("HOST-03 says which call has exited, why, and where it was", function()
    local text, code = said("local function ask() return 1 + Agent.get('nobody') end\nask()")
    assert.equal(1, code)
    assert.equal('moonbeam: ** (EXIT) exited in: GenServer.call("nobody", 5000)\n' .. NO_PROCESS ..
      "stack traceback:\n\tx.lua:1: in local 'ask'\n\tx.lua:2: in main chunk\n\t[C]: in ?\n", text)
  end)

  it("HOST-03 says what it was given, when that was its own exit", function()
    for reason, words in pairs{['"boom"'] = "boom", ['"noproc"'] = "noproc", ['{"a", 1}'] = '{"a", 1}',
      ['{"shutdown", 1}'] = "shutdown: 1"} do
      local text, code = said("exit(" .. reason .. ")")
      assert.equal("moonbeam: ** (EXIT) " .. words .. "\n", text)
      assert.equal(1, code)
    end
  end)

  it("HOST-03 says the error of a process that it was linked to, with its traceback", function()
    local text = said("Logger.configure{level = 'none'}\nspawn_link(function() error('no') end)\nreceive()")
    assert.equal("moonbeam: ** (EXIT) an exception was raised:\n    ** (error) x.lua:2: no\n    stack traceback:\n" ..
      "    \t[C]: in function 'error'\n    \tx.lua:2: in function <x.lua:2>\n", text)
  end)

  it("HOST-03 a reason that it raises as an error is text, too", function()
    local text, code = said("assert(Agent.start(function() exit({'shutdown', 'no disk'}) end))")
    assert.equal('moonbeam: shutdown: "no disk"\nstack traceback:\n\t[C]: in function \'assert\'\n' ..
      "\tx.lua:1: in main chunk\n\t[C]: in ?\n", text)
    assert.equal(1, code)
  end)
end)

describe("a reason that is raised as an error", function()
  it("EXIT-21 is words in the report of a process, and at its end", function()
    local text = said([[
      spawn_link(function() error(select(2, pcall(GenServer.call, "nobody", 1)).reason) end)
      receive()]])
    assert.matches('terminating\n%*%* %(error%) exited in: GenServer.call%("nobody", 5000%)\n' ..
      "    %*%* %(EXIT%) no process", text)
    assert.matches("\nmoonbeam: %*%* %(EXIT%) an exception was raised:\n    %*%* %(error%) exited in: Gen", "\n" ..
      text:gsub("[^\n]*bin/moonbeam: ", "moonbeam: "))
  end)
end)

describe("an error about a name that is not there", function()
  it("EXIT-24 says what there is, of Moonbeam's modules", function()
    assert.matches("%(field 'slep'%)\nhint: Process has no function slep; there is Process.sleep\nstack traceback:",
      said("Process.slep(1)"))
    assert.matches("%(method 'cal'%)\nhint: GenServer has no function cal; there is GenServer.call\nstack traceback:",
      said("spawn_monitor(function()\n GenServer:cal(1) end) receive()"))
    assert.matches("hint: Process has no function frobnicate\n", said("Process.frobnicate(1)"))
  end)

  it("EXIT-24 and nothing of others", function()
    for _, program in ipairs{"local t = {} t.slep()", "nobody()", "local Process = {} spawn(nil)", "local t t.x = 1"} do
      assert.is_nil(said(program):find("hint:", 1, true), program)
    end
  end)
end)

-- A door with a code lock, as a state machine: who knows the code opens it, and it locks itself again.
--
--    moonbeam examples/code_lock.lua [code = 1234]
--
-- Three wrong codes, and the lock takes none for a while; whoever asks how it stands meanwhile is answered when that is
-- over. Digits that come too slowly are forgotten.
local mb = require "moonbeam"
mb.import()

local code = arg and arg[1] or "1234"
if not code:match("^%d+$") then error("usage: code_lock.lua [digits]", 0) end
local OPEN, ALARM, SLOW = 1000, 200, 2000 -- ms

local Lock = {name = "lock", callback_mode = {"state_functions", "state_enter"}}

-- data: the code, the digits so far, how many wrong codes there have been
function Lock.init(right) return "ok", "locked", {code = right, digits = "", wrong = 0} end

-- Events that every state takes alike.
local function common(kind, event, state)
  if kind[1] == "call" and event == "state" then return "keep_state_and_data", {"reply", kind[2], state} end
  return "keep_state_and_data"
end

function Lock.locked(kind, event, data)
  if kind == "enter" then
    print("the door is locked")
    data.digits = ""
    return "keep_state", data
  elseif kind == "timeout" then
    print("too slow")
    data.digits = ""
    return "keep_state", data
  elseif kind ~= "cast" then
    return common(kind, event, "locked")
  end
  data.digits = data.digits .. event
  if #data.digits < #data.code then return "keep_state", data, {"timeout", SLOW, "digits"} end
  if data.digits == data.code then return "next_state", "open", data end
  data.digits, data.wrong = "", data.wrong + 1
  print("wrong")
  if data.wrong == 3 then return "next_state", "blocked", data end
  return "keep_state", data
end

function Lock.open(kind, event, data)
  if kind == "enter" then
    print("the door is open")
    data.wrong = 0
    return "keep_state", data, {"state_timeout", OPEN, "lock"}
  elseif kind == "state_timeout" then
    return "next_state", "locked", data
  end
  return common(kind, event, "open")
end

function Lock.blocked(kind, event, data)
  if kind == "enter" then
    print("the lock is blocked")
    return "keep_state", data, {"state_timeout", ALARM, "enough"}
  elseif kind == "state_timeout" then
    data.wrong = 0
    return "next_state", "locked", data
  elseif kind[1] == "call" then
    return "keep_state_and_data", "postpone"
  end
  return common(kind, event, "blocked") -- digits are nothing to it
end

local function press(digits)
  for digit in digits:gmatch("%d") do StateMachine.cast("lock", digit) end
end

local function state() return StateMachine.call("lock", "state") end

assert(Supervisor.start_link({{StateMachine, {Lock, code, {name = "lock"}}}}, {strategy = "one_for_one"}))
print("it is " .. state())
press(code)
print("it is " .. state())
while state() == "open" do sleep(10) end
local wrong = code:gsub("%d", function(digit) return (digit + 1) % 10 end)
for _ = 1, 3 do press(wrong) end
print("it is " .. state()) -- the answer comes when the lock takes codes again
press(code)
print("it is " .. state())

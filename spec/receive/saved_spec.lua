-- Random programs that take answers (replies and the ends of monitors) and other messages out of a mailbox, in any order,
-- beside a model of it that is a plain list.
local mb = require "moonbeam"
local helper = require "spec.helper"
local self, send, receive, monitor, demonitor, any = mb.self, mb.send, mb.receive, mb.monitor, mb.demonitor, mb.any
local GenServer, Process = mb.GenServer, mb.Process

local random = math.random
local Silent = {init = function() return "ok", 0 end, handle_call = function() return "noreply", 0 end}

-- The model: entries {message, ref, kind} in order. What is known of a reference is {ref, server, id, open}.
local Model = {}
Model.__index = Model

function Model:add(message, ref, kind) self.list[#self.list + 1] = {message, ref, kind} end

-- Take the oldest entry that fits out; nil when there is none.
function Model:take(fits)
  for i, entry in ipairs(self.list) do
    if fits(entry) then return table.remove(self.list, i) end
  end
end

function Model:first(ref)
  return self:take(function(entry) return entry[2] == ref end)
end

-- The monitor is over, and nothing of the reference is left.
function Model:flush(asked)
  asked.open = false
  while self:first(asked.ref) do end
end

local function value() return random(8) == 1 and ("long "):rep(300) or random(1000) end

local steps = {}

function steps.send(model)
  local message = {"message", value()}
  send(self(), message)
  model:add(message)
end

function steps.exit(model)
  local reason = {"why", random(1000)}
  Process.exit(self(), reason)
  model:add{"EXIT", self(), reason}
end

function steps.watch(model) -- the dead: its end is told at once
  local ref = monitor(model.dead)
  model:add({"DOWN", ref, "process", model.dead, "noproc"}, ref, "down")
  model.asked[#model.asked + 1] = {ref = ref}
end

function steps.request(model)
  local mortal = random(4) == 1
  local server = mortal and GenServer.start(Silent) or model.server
  local id = GenServer.send_request(server, "work")
  model.asked[#model.asked + 1] = {ref = id.ref, id = id, server = server, mortal = mortal, open = true}
end

function steps.reply(model, asked)
  if not asked.id then return end
  local result = value()
  GenServer.reply({self(), asked.ref}, result)
  if asked.open then model:add({asked.ref, result}, asked.ref, "reply") end
end

function steps.die(model, asked)
  if not asked.mortal then return end
  local ref = monitor(asked.server)
  Process.exit(asked.server, "kill")
  helper.await{"DOWN", ref, "process", asked.server, any} -- the other monitor's has come with it
  asked.mortal = nil
  if asked.open then
    asked.open = false
    model:add({"DOWN", asked.ref, "process", asked.server, "killed"}, asked.ref, "down")
  end
end

function steps.take(model)
  local entry = model:take(function() return true end)
  assert.same(entry and {n = 1, entry[1]} or {n = 2, nil, "timeout"}, table.pack(receive(0)))
end

function steps.take_down(model, asked)
  local entry = model:take(function(e) return e[2] == asked.ref and e[3] == "down" end)
  assert.same(entry and entry[1][5] or nil, (receive{ {{"DOWN", asked.ref, "process", any, any}, function(_, why)
    return why
  end}, after = 0 }))
end

function steps.take_reply(model, asked)
  local entry = model:take(function(e) return e[2] == asked.ref and e[3] == "reply" end)
  assert.same(entry and entry[1][2] or nil, (receive{ {{asked.ref, any}}, after = 0 }))
end

local function answered(model, asked, wait, lets_go)
  if not asked.id then return end
  local entry = model:first(asked.ref)
  local ok, result = wait(asked.id, 0)
  if not entry then
    assert.same({nil, "timeout"}, {ok, result})
  elseif entry[3] == "reply" then
    assert.same({true, entry[1][2]}, {ok, result})
  else
    assert.same({false, {entry[1][5], asked.server}}, {ok, result})
  end
  if entry or lets_go then model:flush(asked) end
end

function steps.wait_response(model, asked) answered(model, asked, GenServer.wait_response, false) end
function steps.receive_response(model, asked) answered(model, asked, GenServer.receive_response, true) end

function steps.flush(model, asked)
  demonitor(asked.ref, "flush")
  model:flush(asked)
end

function steps.demonitor(_, asked)
  demonitor(asked.ref)
  asked.open = false
end

local growing = {"send", "send", "watch", "request", "request", "reply", "reply", "reply", "exit", "wait_response",
  "take_down", "flush"}
local shrinking = {"take", "take", "take_down", "take_reply", "wait_response", "receive_response", "flush", "flush",
  "demonitor", "reply", "die", "watch"}

local function check(model)
  local messages = {}
  for i, entry in ipairs(model.list) do messages[i] = entry[1] end
  assert.same(messages, Process.info(self(), "messages"))
end

local function run(seed)
  math.randomseed(seed)
  Process.flag("trap_exit", true)
  local dead = mb.spawn(function() end)
  helper.reason_of(dead)
  local model = setmetatable({list = {}, asked = {}, dead = dead, server = GenServer.start(Silent)}, Model)
  for phase = 1, 6 do
    local choices = phase % 2 == 1 and growing or shrinking
    for _ = 1, 150 do
      -- references of long ago, and of now
      local known = #model.asked
      local asked = known > 0 and model.asked[random(2) == 1 and random(known) or math.max(1, known - random(0, 5))]
      local step = choices[random(#choices)]
      if asked or step == "send" or step == "watch" or step == "request" then steps[step](model, asked) end
    end
    check(model)
  end
  while #model.list > 0 do steps.take(model) end
  steps.take(model)
  for _, asked in ipairs(model.asked) do
    if asked.server then Process.exit(asked.server, "kill") end
  end
  Process.exit(model.server, "kill")
end

describe("a mailbox of answers and other messages", function()
  helper.setup()

  it("is a list, whoever takes what out of it", function()
    local first = os.time()
    for seed = first, first + math.max(1, 7 // helper.scale) do
      helper.in_process(function()
        local ok, why = pcall(run, seed)
        if not ok then error(("seed %d: %s"):format(seed, type(why) == "table" and tostring(why.message) or why), 0) end
      end)
    end
  end)
end)

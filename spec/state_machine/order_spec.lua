-- The order in which events come: what each of these prints was seen of Erlang's gen_statem.
local mb = require "moonbeam"
local helper = require "spec.helper"
local GenServer, StateMachine = mb.GenServer, mb.StateMachine

local KEEP, DATA = "keep_state_and_data", "data"

local name_of = {
  call = function() return "call" end,
  timeout = function(kind) return "timeout/" .. kind[2] end,
}

-- Events are {name, results...}: they tell the test that they have come, and do what they say.
local Machine = {callback_mode = {"handle_event_function", "state_enter"}}

function Machine.init(how)
  mb.Process.put("how", how)
  return "ok", how.first[1], DATA, how.first[2]
end

local function tell(...) mb.send(mb.Process.get("how").test, {"came", string.format(...)}) end

function Machine.handle_event(kind, event, state)
  if kind == "enter" then
    tell("%s enter from %s", state, event)
    return table.unpack(mb.Process.get("how").enter[state] or {KEEP})
  end
  if type(event) ~= "table" then event = {tostring(event)} end
  tell("%s %s %s", state, type(kind) == "table" and name_of[kind[1]](kind) or kind, event[1])
  if #event == 1 then return KEEP end
  return table.unpack(event, 2)
end

-- A test: these events wait for the machine, which is to tell the expected, and nothing else.
local function scenario(first, enter, events, expected)
  return function()
    local timers = mb.census().timers
    local pid = StateMachine.start(Machine, {test = mb.self(), first = first, enter = enter})
    GenServer.suspend(pid)
    for _, event in ipairs(events) do StateMachine.cast(pid, event) end
    GenServer.resume(pid)
    local came = {}
    for i = 1, #expected do came[i] = helper.await{"came", mb.any} end
    assert.same(expected, came)
    while mb.census().timers > timers do mb.sleep(1) end -- one that comes in spite of all is told of
    GenServer.get_state(pid)
    assert.is_nil((mb.receive(0)))
    StateMachine.stop(pid)
  end
end

describe("inserted events", function()
  helper.setup()

  it("STM-03 what inserted events insert comes before the others", scenario({"s1"}, {}, {
    {"a", KEEP,
      {{"next_event", "internal", {"b", KEEP, {"next_event", "internal", {"d"}}}}, {"next_event", "cast", {"c"}}}},
    {"x"},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 internal b", "s1 internal d", "s1 cast c", "s1 cast x"
  }))

  it("STM-03 an inserted event may be of any type", scenario({"s1"}, {}, {
    {"a", KEEP,
      {{"next_event", {"timeout", "g"}, {"g"}}, {"next_event", "state_timeout", {"st"}},
      {"next_event", "timeout", {"t"}}, {"next_event", "info", {"i"}}}},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 timeout/g g", "s1 state_timeout st", "s1 timeout t", "s1 info i"
  }))
end)

describe("postponed events", function()
  helper.setup()

  it("STM-04 postponed events come again when the state has changed", scenario({"s1"}, {}, {
    {"a", KEEP, "postpone"},
    {"b", KEEP, "postpone"},
    {"c", "next_state", "s2", DATA},
    {"d"},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 cast b", "s1 cast c", "s2 enter from s1", "s2 cast a", "s2 cast b",
    "s2 cast d"
  }))

  it("STM-04 an event may be postponed again", scenario({"s1"}, {}, {
    {"a", KEEP, "postpone"},
    {"b", "next_state", "s2", DATA},
    {"c", "next_state", "s3", DATA},
    {"d"},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 cast b", "s2 enter from s1", "s2 cast a", "s2 cast c", "s3 enter from s2",
    "s3 cast a", "s3 cast d"
  }))

  it("STM-04 inserted events come before postponed ones", scenario({"s1"}, {}, {
    {"a", KEEP, "postpone"},
    {"b", KEEP, "postpone"},
    {"c", "next_state", "s2", DATA, {{"next_event", "internal", {"e"}}, {"next_event", "internal", {"f"}}}},
    {"d"},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 cast b", "s1 cast c", "s2 enter from s1", "s2 internal e", "s2 internal f",
    "s2 cast a", "s2 cast b", "s2 cast d"
  }))

  it("STM-04 a state that is the same is no change", scenario({"s1"}, {}, {
    {"a", KEEP, "postpone"},
    {"b", "next_state", "s1", DATA},
    {"d"},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 cast b", "s1 cast d"
  }))

  it("STM-04 {\"postpone\", false} takes it back", scenario({"s1"}, {}, {
    {"a", KEEP, {"postpone", {"postpone", false}}},
    {"b", "next_state", "s2", DATA},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 cast b", "s2 enter from s1"
  }))

  it("STM-04 the oldest comes first", scenario({"s1"}, {}, {
    {"a", KEEP, "postpone"},
    {"b", KEEP, "postpone"},
    {"c", "next_state", "s2", DATA},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 cast b", "s1 cast c", "s2 enter from s1", "s2 cast a", "s2 cast b"
  }))
end)

describe("the timeout of a state", function()
  helper.setup()

  it("STM-05 repeat_state leaves the timeout of the state alone", scenario({"s1", {"state_timeout", 20, {"st"}}},
    {}, {
    {"b", "repeat_state", DATA},
  }, {
    "s1 enter from s1", "s1 cast b", "s1 enter from s1", "s1 state_timeout st"
  }))

  it("STM-05 comes in its state, whatever comes before", scenario({"s1"}, {}, {
    {"a", KEEP, {"state_timeout", 10, {"st"}}},
    {"b"},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 cast b", "s1 state_timeout st"
  }))

  it("STM-05 is taken away by a change", scenario({"s1"}, {}, {
    {"a", KEEP, {"state_timeout", 10, {"st"}}},
    {"b", "next_state", "s2", DATA},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 cast b", "s2 enter from s1"
  }))

  it("STM-05 is the new state's where it begins with it", scenario({"s1"}, {}, {
    {"a", "next_state", "s2", DATA, {"state_timeout", 10, {"st"}}},
    {"b"},
  }, {
    "s1 enter from s1", "s1 cast a", "s2 enter from s1", "s2 cast b", "s2 state_timeout st"
  }))

  it("STM-05 is left alone by the same state", scenario({"s1"}, {}, {
    {"a", KEEP, {"state_timeout", 10, {"st"}}},
    {"b", "next_state", "s1", DATA},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 cast b", "s1 state_timeout st"
  }))

  it("STM-05 is taken away by \"cancel\" and \"infinity\"", scenario({"s1"}, {}, {
    {"a", KEEP, {"state_timeout", 10, {"st"}}},
    {"b", KEEP, {"state_timeout", "cancel"}},
    {"c", KEEP, {"state_timeout", 10, {"st2"}}},
    {"d", KEEP, {"state_timeout", "infinity", "x"}},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 cast b", "s1 cast c", "s1 cast d"
  }))

  it("STM-05 begins anew", scenario({"s1"}, {}, {
    {"a", KEEP, {"state_timeout", 10, {"st"}}},
    {"b", KEEP, {"state_timeout", 20, {"st2"}}},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 cast b", "s1 state_timeout st2"
  }))

  it("STM-05 is given another event by \"update\"", scenario({"s1"}, {}, {
    {"a", KEEP, {"state_timeout", 10, {"st"}}},
    {"b", KEEP, {"state_timeout", "update", {"st2"}}},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 cast b", "s1 state_timeout st2"
  }))

  it("STM-05 a timeout that changes the state brings postponed events", scenario({"s1"}, {}, {
    {"a", KEEP, "postpone"},
    {"b", KEEP, {"state_timeout", 0, {"st", "next_state", "s2", DATA}}},
    {"c"},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 cast b", "s1 state_timeout st", "s2 enter from s1", "s2 cast a",
    "s2 cast c"
  }))
end)

describe("the timeout of an event", function()
  helper.setup()

  it("STM-06 comes when nothing else does", scenario({"s1"}, {}, {
    {"a", KEEP, {"timeout", 10, {"t"}}},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 timeout t"
  }))

  it("STM-06 may be a number alone", scenario({"s1"}, {}, {
    {"a", KEEP, 10},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 timeout 10"
  }))

  it("STM-06 is taken away by an event", scenario({"s1"}, {}, {
    {"a", KEEP, {"timeout", 10, {"t"}}},
    {"b"},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 cast b"
  }))

  it("STM-06 is taken away by an inserted event", scenario({"s1"}, {}, {
    {"a", KEEP, {{"timeout", 10, {"t"}}, {"next_event", "internal", {"n"}}}},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 internal n"
  }))

  it("STM-06 is taken away by a postponed event that comes again", scenario({"s1"}, {}, {
    {"p", KEEP, "postpone"},
    {"a", "next_state", "s2", DATA, {"timeout", 0, {"t"}}},
    {"b"},
  }, {
    "s1 enter from s1", "s1 cast p", "s1 cast a", "s2 enter from s1", "s2 cast p", "s2 cast b"
  }))

  it("STM-06 is taken away by a timeout of the state, not by entering it", scenario({"s1"},
    {s2 = {KEEP, {"state_timeout", 5, {"st"}}}}, {
    {"a", "next_state", "s2", DATA, {"timeout", 10, {"t"}}},
  }, {
    "s1 enter from s1", "s1 cast a", "s2 enter from s1", "s2 state_timeout st"
  }))

  it("STM-06 may begin where a state is entered", scenario({"s1"}, {s2 = {KEEP, {"timeout", 5, {"t"}}}}, {
    {"a", "next_state", "s2", DATA},
  }, {
    "s1 enter from s1", "s1 cast a", "s2 enter from s1", "s2 timeout t"
  }))

  it("STM-06 is taken away by another timeout", scenario({"s1"}, {}, {
    {"a", KEEP, {{"timeout", 20, {"t"}}, {"state_timeout", 10, {"st"}}}},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 state_timeout st"
  }))

  it("STM-06 may begin with a postponed event", scenario({"s1"}, {}, {
    {"a", KEEP, {"postpone", {"timeout", 5, {"t"}}}},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 timeout t"
  }))

  it("STM-06 is taken away by what was postponed before", scenario({"s1"}, {}, {
    {"a", KEEP, "postpone"},
    {"b", "next_state", "s2", DATA, {"timeout", 5, {"t"}}},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 cast b", "s2 enter from s1", "s2 cast a"
  }))
end)

describe("a timeout with a name", function()
  helper.setup()

  it("STM-07 stays across changes of the state", scenario({"s1"}, {}, {
    {"a", KEEP, {{"timeout", "g"}, 10, {"g"}}},
    {"b", "next_state", "s2", DATA},
    {"c"},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 cast b", "s2 enter from s1", "s2 cast c", "s2 timeout/g g"
  }))

  it("STM-07 each name begins anew, is taken away and updated by itself", scenario({"s1"}, {}, {
    {"a", KEEP, {{{"timeout", "g"}, 10, {"g"}}, {{"timeout", "h"}, 15, {"h"}}, {{"timeout", "i"}, 20, {"i"}}}},
    {"b", KEEP, {{{"timeout", "g"}, 30, {"g2"}}, {{"timeout", "h"}, "cancel"}, {{"timeout", "i"}, "update", {"i2"}}}},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 cast b", "s1 timeout/i i2", "s1 timeout/g g2"
  }))
end)

describe("a timeout of 0 ms", function()
  helper.setup()

  it("STM-08 what is updated and not there comes at once", scenario({"s1"}, {}, {
    {"b", KEEP, {"state_timeout", "update", {"st2"}}},
    {"c"},
  }, {
    "s1 enter from s1", "s1 cast b", "s1 state_timeout st2", "s1 cast c"
  }))

  it("STM-08 one of the state comes before what waits", scenario({"s1"}, {}, {
    {"a", KEEP, {"state_timeout", 0, {"st"}}},
    {"b"},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 state_timeout st", "s1 cast b"
  }))

  it("STM-08 one of the state comes behind inserted events", scenario({"s1"}, {}, {
    {"a", KEEP, {{"state_timeout", 0, {"st"}}, {"next_event", "internal", {"n"}}}},
    {"b"},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 internal n", "s1 state_timeout st", "s1 cast b"
  }))

  it("STM-08 one of the state may be taken away before it comes", scenario({"s1"}, {}, {
    {"a", KEEP, {{"state_timeout", 0, {"st"}}, {"next_event", "internal", {"n", "next_state", "s2", DATA}}}},
    {"b"},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 internal n", "s2 enter from s1", "s2 cast b"
  }))

  it("STM-08 one of an event comes before what waits", scenario({"s1"}, {}, {
    {"a", KEEP, {"timeout", 0, {"t"}}},
    {"b"},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 timeout t", "s1 cast b"
  }))

  it("STM-08 one of an event is taken away by an inserted event", scenario({"s1"}, {}, {
    {"a", KEEP, {{"timeout", 0, {"t"}}, {"next_event", "internal", {"n"}}}},
    {"b"},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 internal n", "s1 cast b"
  }))

  it("STM-08 several come in order, and take away that of the event behind them", scenario({"s1"}, {}, {
    {"a", KEEP,
      {{{"timeout", "g"}, 0, {"g"}}, {"state_timeout", 0, {"st"}}, {"timeout", 0, {"t"}},
      {{"timeout", "h"}, 0, {"h"}}}},
    {"b"},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 timeout/g g", "s1 state_timeout st", "s1 timeout/h h", "s1 cast b"
  }))

  it("STM-08 that of an event comes where it is the first", scenario({"s1"}, {}, {
    {"a", KEEP, {{"timeout", 0, {"t"}}, {"state_timeout", 0, {"st"}}}},
    {"b"},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 timeout t", "s1 state_timeout st", "s1 cast b"
  }))

  it("STM-08 that of an event does not come where it is the last", scenario({"s1"}, {}, {
    {"a", KEEP, {{"state_timeout", 0, {"st"}}, {"timeout", 0, {"t"}}}},
    {"b"},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 state_timeout st", "s1 cast b"
  }))

  it("STM-08 one that begins anew comes once", scenario({"s1"}, {}, {
    {"a", KEEP, {{"state_timeout", 0, {"st"}}, {"state_timeout", 0, {"st2"}}}},
    {"b"},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 state_timeout st2", "s1 cast b"
  }))

  it("STM-08 one may be taken away by the next action", scenario({"s1"}, {}, {
    {"a", KEEP, {{"state_timeout", 0, {"st"}}, {"state_timeout", "cancel"}}},
    {"b"},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 cast b"
  }))

  it("STM-08 one may be given another event by the next action", scenario({"s1"}, {}, {
    {"a", KEEP, {{{"timeout", "g"}, 0, {"g1"}}, {{"timeout", "g"}, "update", {"g2"}}}},
    {"b"},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 timeout/g g2", "s1 cast b"
  }))
end)

describe("entering a state", function()
  helper.setup()

  it("STM-09 repeat_state enters the state anew and leaves postponed events alone", scenario({"s1"}, {}, {
    {"a", KEEP, "postpone"},
    {"b", "repeat_state", DATA},
    {"d"},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 cast b", "s1 enter from s1", "s1 cast d"
  }))

  it("STM-09 what is asked for where a state is entered comes behind inserted events", scenario({"s1"},
    {s2 = {KEEP, {"state_timeout", 0, {"st"}}}}, {
    {"a", "next_state", "s2", DATA, {"next_event", "internal", {"n"}}},
    {"b"},
  }, {
    "s1 enter from s1", "s1 cast a", "s2 enter from s1", "s2 internal n", "s2 state_timeout st", "s2 cast b"
  }))

  it("STM-09 a state that is entered may name itself as the next", scenario({"s1"},
    {s2 = {"next_state", "s2", DATA}}, {
    {"a", "next_state", "s2", DATA},
  }, {
    "s1 enter from s1", "s1 cast a", "s2 enter from s1"
  }))

  it("STM-09 repeat_state_and_data enters the state anew", scenario({"s1"}, {s1 = {KEEP}}, {
    {"a", KEEP, "postpone"},
    {"b", "repeat_state_and_data", {"state_timeout", 5, {"st"}}},
  }, {
    "s1 enter from s1", "s1 cast a", "s1 cast b", "s1 enter from s1", "s1 state_timeout st"
  }))
end)

describe("the first actions", function()
  helper.setup()

  it("STM-11 init's actions are done when the state has been entered",
    scenario({"s1", {{"next_event", "internal", {"n"}}, {"state_timeout", 0, {"st"}}}}, {}, {
    {"a"},
  }, {
    "s1 enter from s1", "s1 internal n", "s1 state_timeout st", "s1 cast a"
  }))
end)

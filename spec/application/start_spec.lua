local mb = require "moonbeam"
local helper = require "spec.helper"
local logging = require "spec.logging"
local worker = require "spec.worker"
local any, Application, Supervisor, Agent = mb.any, mb.Application, mb.Supervisor, mb.Agent
local await, events, spec = helper.await, worker.events, worker.spec

local function message(fn, ...)
  local ok, text = pcall(fn, ...)
  assert.is_false(ok)
  return text
end

-- Log calls of a function: "stop state".
local function teller(what, result)
  local to, send = mb.self(), mb.send
  return function(state)
    send(to, {what, state == nil and "nothing" or state})
    return result
  end
end

describe("Application.start", function()
  helper.setup()

  it("APP-01 starts the children under a root supervisor, which is not linked to the caller", function()
    local links = #mb.Process.info(mb.self(), "links")
    local root = Application.start{name = "app", children = {spec("a"), spec("b")}, supervisor = "app.root"}
    assert.same({"start a", "start b"}, events(2))
    assert.equal(root, mb.Process.whereis("app.root"))
    assert.same({"a pid", "b pid"}, worker.ids(root))
    assert.equal(links, #mb.Process.info(mb.self(), "links"))
    assert.is_true(Application.stop("app"))
  end)

  it("APP-01 has the options of the supervisor", function()
    local root = Application.start{name = "app", strategy = "one_for_all", children = {spec("a"), spec("b")}}
    assert.same({"start a", "start b"}, events(2))
    worker.kill(worker.pid(root, "a"), "boom")
    assert.same({"start a", "start b"}, events(2))
    Application.stop("app")
  end)

  it("APP-02 takes a start function in their place, which may give a state", function()
    local root = Application.start{
      name = "app", prep_stop = teller("prep", "prepared"), stop = teller("stop"),
      start = {function(...)
        return Supervisor.start_link({}, {strategy = "one_for_one"}), {...}
      end, 1, 2},
    }
    assert.is_true(mb.Process.alive(root))
    Application.stop("app")
    assert.same({1, 2}, await{"prep", any})
    assert.equal("prepared", await{"stop", any})
  end)

  it("APP-03 says why it fails, and leaves nothing", function()
    assert.same({nil, "no"}, {Application.start{name = "app", start = function() return nil, "no" end}})
    assert.same({nil, {"bad_return", {"start", 5}}}, {Application.start{name = "app", start = function() return 5 end}})
    assert.same({nil, {"bad_return", {"start", "nil"}}}, {Application.start{name = "app", start = function() end}})
    local _, raised = Application.start{name = "app", start = function() error("oops", 0) end}
    assert.same({"error", "oops"}, {raised[1], raised[2]})
    assert.same({nil, {"shutdown", {"failed_to_start_child", "b", "no"}}}, {Application.start{name = "app", children = {
      spec("a", {trap = true}), {id = "b", start = {function() return nil, "no" end}},
    }}})
    assert.same({"start a", "term a shutdown"}, events(2))
    assert.same({}, Application.started_applications())
  end)

  it("APP-04 refuses a name that runs, and one whose applications do not run", function()
    assert.same({nil, {"not_started", "db"}}, {Application.start{name = "shop", children = {}, applications = {"db"}}})
    Application.start{name = "db", children = {}}
    local root = Application.start{name = "shop", children = {}, applications = {"db"}, description = "sells",
      version = "1.0"}
    assert.same({nil, {"already_started", "shop"}}, {Application.start{name = "shop", children = {}}})
    assert.same({{"db", "", ""}, {"shop", "sells", "1.0"}}, Application.started_applications())
    assert.equal(root, Application.ensure_started{name = "shop", children = {}})
    Application.stop("db")
    assert.same({{"shop", "sells", "1.0"}}, Application.started_applications())
    Application.stop("shop")
    assert.same({nil, {"not_started", "shop"}}, {Application.stop("shop")})
  end)

  it("APP-05 starts several in the order in which they need each other", function()
    local list = {
      {name = "c", children = {spec("c")}, applications = {"a", "b"}}, {name = "a", children = {spec("a")}},
      {name = "b", children = {spec("b")}, applications = {"a"}},
    }
    assert.same({"a", "b", "c"}, Application.ensure_all_started(list))
    assert.same({"start a", "start b", "start c"}, events(3))
    assert.same({}, Application.ensure_all_started(list))
    for _, name in ipairs{"a", "b", "c"} do Application.stop(name) end
    assert.same({nil, {"a", {"not_started", "b"}}}, {Application.ensure_all_started{
      {name = "a", children = {}, applications = {"b"}}, {name = "b", children = {}, applications = {"a"}},
    }})
    assert.same({nil, {"b", "no"}}, {Application.ensure_all_started{
      {name = "a", children = {}}, {name = "b", start = function() return nil, "no" end},
    }})
    Application.stop("a")
  end)

  it("APP-06 raises for what cannot be meant", function()
    local function refusal(opts) return message(Application.start, opts) end
    assert.matches("the option name is a string, got nil", refusal{children = {}})
    assert.matches("an application has children, or a start function", refusal{name = "app"})
    assert.matches("an application has children, or a start function", refusal{name = "app", children = {}, start = print})
    assert.matches("unknown option childen = table; options: name, children, start, strategy", refusal{name = "app",
      childen = {}})
    assert.matches("the option strategy goes with children, not with start", refusal{name = "app", start = print,
      strategy = "one_for_one"})
    assert.matches("has no dots", refusal{name = "a.b", children = {}})
    assert.matches('child "a": unknown field restrat = 1, perhaps restart', refusal{name = "app", children = {
      {id = "a", start = {print}, restrat = 1},
    }})
    assert.matches("sequence of applications expected, got one: put it into braces",
      message(Application.ensure_all_started, {name = "app", children = {}}))
    assert.matches("name of an application expected, got nil", message(Application.stop))
  end)
end)

describe("an application", function()
  helper.setup()
  logging.setup()

  it("APP-07 stops in order: prep_stop, the children from the newest on, stop", function()
    Application.start{
      name = "app", children = {spec("a", {trap = true}), spec("b", {trap = true})},
      prep_stop = teller("prep"), stop = teller("stop"),
    }
    assert.same({"start a", "start b"}, events(2))
    assert.is_true(Application.stop("app"))
    assert.same({"prep nothing", "term b shutdown", "term a shutdown", "stop nothing"}, events(4))
    local event = logging.next_event()
    assert.same({"info", "Application app exited: stopped"}, {event.level, event.message})
  end)

  it("APP-08 that ends by itself is told of, and its functions are called", function()
    local root = Application.start{
      name = "app", children = {spec("a", {trap = true})}, prep_stop = teller("prep"), stop = teller("stop"),
    }
    local pid = await{"start", "a", any}
    local ref = mb.monitor(pid)
    mb.Process.exit(root, "kill")
    await{"DOWN", ref, "process", pid, any}
    await{"stop", "nothing"}
    repeat local event = logging.next_event() until event.message == "Application app exited: killed" and
      event.level == "error"
    while Application.started_applications()[1] do mb.sleep(1) end
    assert.equal("pid", mb.type(Application.start{name = "app", children = {}}))
    Application.stop("app")
  end)

  it("APP-09 stops also when its functions fail", function()
    Application.start{
      name = "app", children = {spec("a", {trap = true})}, prep_stop = function() error("early", 0) end,
      stop = function() error("late", 0) end,
    }
    await{"start", "a", any}
    assert.is_true(Application.stop("app"))
    await{"term", "a", "shutdown", any}
    assert.matches("^Application app has failed in prep_stop: an exception was raised:\n    %*%* %(error%) early",
      logging.next_event().message)
    assert.matches("^Application app has failed in stop: .*late", logging.next_event().message)
  end)
end)

describe("the environment of an application", function()
  helper.setup()

  it("APP-10 is seen by all processes", function()
    assert.is_true(Application.put_env("app", "port", 5))
    assert.same({5, nil, 7}, {Application.get_env("app", "port"), Application.get_env("app", "host"),
      Application.get_env("app", "size", 7)})
    helper.in_process(function()
      assert.equal(5, Application.get_env("app", "port"))
      Application.put_env("app", "host", {"a", "b"})
    end)
    assert.same({port = 5, host = {"a", "b"}}, Application.get_all_env("app"))
    assert.same({"a", "b"}, Application.fetch_env("app", "host"))
    assert.same({nil, "not_found"}, {Application.fetch_env("app", "size")})
    Application.put_env("app", "flag", false)
    assert.is_false(Application.get_env("app", "flag", true))
    for _, key in ipairs{"port", "host", "flag", "none"} do assert.is_true(Application.delete_env("app", key)) end
    assert.same({}, Application.get_all_env("app"))
    assert.matches("name of an application expected, got nil", message(Application.get_env))
    assert.matches("a key is neither nil nor NaN", message(Application.put_env, "app", nil, 1))
  end)

  it("APP-11 has what the application says below what is configured, and stays after it", function()
    Application.put_env("app", "port", 5)
    Application.put_env("app", "db", {pool = 1})
    local env = {port = 7, host = "here", db = {pool = 2, name = "x"}}
    local root = Application.start{name = "app", env = env, children = {
      {Agent, function() return Application.get_all_env("app") end},
    }}
    assert.same({port = 5, host = "here", db = {pool = 1, name = "x"}}, Agent.get(worker.pid(root, "Agent")))
    Application.stop("app")
    assert.equal("here", Application.get_env("app", "host"))
    mb.Config.delete("app")
  end)
end)

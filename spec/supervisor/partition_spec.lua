local mb = require "moonbeam"
local helper = require "spec.helper"
local worker = require "spec.worker"
local any, Agent, GenServer, PartitionSupervisor, Process = mb.any, mb.Agent, mb.GenServer, mb.PartitionSupervisor,
  mb.Process
local await, via = helper.await, PartitionSupervisor.via

local function start(options)
  options.name = options.name or "partitioned"
  options.partitions = options.partitions or 4
  options.child_spec = options.child_spec or worker.spec("w")
  return PartitionSupervisor.start_link(options)
end

local function pids()
  local by_number = {}
  for _, entry in ipairs(PartitionSupervisor.which_children("partitioned")) do by_number[entry[1]] = entry[2] end
  return by_number
end

describe("PartitionSupervisor", function()
  helper.setup()

  it("starts as many children as there are schedulers, or as it is told", function()
    local sup = PartitionSupervisor.start_link{name = "partitioned", child_spec = worker.spec("w")}
    assert.equal(sup, Process.whereis("partitioned"))
    assert.equal(#mb.schedulers(), PartitionSupervisor.partitions("partitioned"))
    assert.equal(#mb.schedulers(), PartitionSupervisor.count_children("partitioned").active)
    PartitionSupervisor.stop("partitioned")
    start{partitions = 3}
    assert.equal(3, PartitionSupervisor.partitions("partitioned"))
    assert.same({"0 pid", "1 pid", "2 pid"}, worker.ids("partitioned"))
    PartitionSupervisor.stop("partitioned")
  end)

  it("PART-01 routes a key to one partition, integers by their remainder", function()
    start{}
    local by_number = pids()
    for key = -9, 9 do
      assert.equal(by_number[math.abs(key) % 4], GenServer.call(via("partitioned", key), "pid"))
      assert.equal(by_number[math.abs(key) % 4], GenServer.whereis(via("partitioned", key + 0.0)))
    end
    local used = {}
    for i = 1, 100 do
      local pid = GenServer.whereis(via("partitioned", "key " .. i))
      assert.equal(pid, GenServer.whereis(via("partitioned", "key " .. i)))
      used[pid] = true
    end
    for _, pid in pairs(by_number) do assert.is_true(used[pid]) end
    PartitionSupervisor.stop("partitioned")
  end)

  it("routes alike on every scheduler", function()
    start{}
    local me, keys = mb.self(), {1, "one", 1.5, true, {"a", 1}, mb.self(), ("long"):rep(1000)}
    for scheduler = 1, #mb.schedulers() do
      Process.spawn(function()
        for i, key in ipairs(keys) do
          mb.send(me, {i, mb.GenServer.whereis(mb.PartitionSupervisor.via("partitioned", key))})
        end
      end, {scheduler = scheduler})
      for i, key in ipairs(keys) do await{i, GenServer.whereis(via("partitioned", key))} end
    end
    PartitionSupervisor.stop("partitioned")
  end)

  it("finds a partition again that was restarted", function()
    start{}
    local pid = GenServer.whereis(via("partitioned", 2))
    for _ = 0, 3 do await{"start", "w", any} end
    worker.kill(pid, "kill")
    local new = await{"start", "w", any}
    assert.are_not.equal(pid, new)
    -- the worker says so before the supervisor has named it
    PartitionSupervisor.count_children("partitioned")
    assert.equal(new, GenServer.call(via("partitioned", 2), "pid"))
    PartitionSupervisor.stop("partitioned")
  end)

  it("PART-03 gives each partition its own arguments", function()
    start{child_spec = {id = "a", start = {function(fn, n) return Agent.start_link(function() return fn(n) end) end,
      function(n) return n * 2 end}}, with_arguments = function(arguments, partition)
      arguments[2] = partition
      return arguments
    end}
    for key = 0, 3 do assert.equal(key * 2, Agent.get(via("partitioned", key))) end
    PartitionSupervisor.stop("partitioned")
  end)

  it("may be made anew with another number of partitions", function()
    for _, count in ipairs{2, 5} do
      start{partitions = count}
      assert.equal(pids()[4 % count], GenServer.whereis(via("partitioned", 4)))
      PartitionSupervisor.stop("partitioned")
    end
    assert.is_nil(GenServer.whereis(via("partitioned", 4)))
    assert.equal("noproc", helper.catch_exit(PartitionSupervisor.partitions, "partitioned")[1])
    assert.equal("noproc", helper.catch_exit(GenServer.call, via("partitioned", 4), "pid")[1])
  end)

  it("PART-02 has a name that stands wherever one may", function()
    start{child_spec = {Agent, function() return 0 end}}
    local key = via("partitioned", {"room", 5})
    local pid = GenServer.whereis(key)
    assert.equal("pid", mb.type(pid))
    assert.is_true(Agent.update(key, function(n) return n + 1 end))
    assert.equal(1, Agent.get(key))
    assert.equal('{"via", PartitionSupervisor, {"partitioned", {"room", 5}}}', mb.inspect(key))
    mb.Logger.configure{level = "none"}
    local ref = mb.monitor(key)
    mb.send(key, "dropped")
    mb.Process.send_after(key, "dropped", 0)
    assert.is_true(GenServer.stop(key, "shutdown"))
    await{"DOWN", ref, "process", mb.any, "shutdown"}
    PartitionSupervisor.stop("partitioned")
    start{child_spec = mb.Task.Supervisor, partitions = 2}
    assert.equal(5, mb.Task.await(mb.Task.Supervisor.async(via("partitioned", mb.self()), function() return 5 end)))
    PartitionSupervisor.stop("partitioned")
    for _, fn in ipairs{Agent.get, GenServer.stop, mb.DynamicSupervisor.which_children} do
      local reason = helper.catch_exit(fn, key)
      assert.same({"noproc", key}, {reason[1], reason[2][3][1]})
    end
  end)

  it("PART-02 is a child of a supervisor, and may partition supervisors", function()
    local sup = mb.Supervisor.start_link({
      {PartitionSupervisor, {name = "partitioned", child_spec = mb.DynamicSupervisor, partitions = 2}},
    }, {strategy = "one_for_one"})
    assert.same({"partitioned pid"}, worker.ids(sup))
    assert.equal(2, PartitionSupervisor.count_children("partitioned").supervisors)
    local agent = mb.DynamicSupervisor.start_child(via("partitioned", 1), {Agent, function() return 5 end})
    assert.equal(5, Agent.get(agent))
    mb.Supervisor.stop(sup)
  end)

  it("refuses children that have names of their own", function()
    Process.flag("trap_exit", true)
    local _, reason = start{partitions = 1, child_spec = worker.spec("w", {name = "own"})}
    assert.same({"shutdown", {"failed_to_start_child", 0, {"already_registered", "own"}}}, reason)
    assert.is_nil(Process.whereis("own"))
  end)

  it("says which option is wrong", function()
    local function message(options)
      local _, text = pcall(PartitionSupervisor.start_link, options)
      return text
    end
    assert.matches("table of options expected, got nil", message(nil))
    assert.matches("the option name is a string, got nil", message{child_spec = worker.spec("w")})
    assert.matches("'nil' cannot be a name", message{name = "nil", child_spec = worker.spec("w")})
    assert.matches("the option child_spec is a child, got nil", message{name = "x"})
    assert.matches("the option partitions is an integer >= 1, got 0", message{name = "x", partitions = 0})
    assert.matches("function expected, got number", message{name = "x", with_arguments = 1})
  end)
end)

-- A work queue under supervision, with back-pressure, while somebody kills its processes at random.
--
--    moonbeam examples/pipeline.lua [jobs = 1000] [kills = 200] [seed]
--
-- Workers take jobs from the queue and hand their results in. The queue holds few jobs: whoever puts one in waits for
-- room. The ledger stands for a database: what it has been told stays, and it alone is not killed. A job whose worker
-- dies is done again; one that fails three times by itself is reported. Each job is in the end done once, or reported.
require("moonbeam").import()

local function number(i, default)
  local n = math.tointeger(tonumber(arg[i] or default))
  return n and n >= 0 and n or error("usage: pipeline.lua [jobs] [kills] [seed]", 0)
end

local jobs, kills, seed = number(1, 1000), number(2, 200), number(3, os.time())
local CAPACITY, WORKERS, TRIES = 8, 4, 3

-- What a job is: it takes some time, and some of them never work.
local function compute(id)
  sleep(math.random(0, 3))
  if id % 100 == 0 then error("job " .. id .. " is broken") end
  return id * id
end

-- The ledger: the jobs that were accepted and what became of them.
local Ledger = {}

function Ledger.init() return "ok", {outcomes = {}, accepted = 0, finished = 0, most = 0, twice = 0} end

local function tell_watcher(state)
  if state.watcher and state.finished == state.watched then GenServer.reply(state.watcher, state) end
end

function Ledger.handle_call(request, from, state)
  local what, id, outcome = table.unpack(request)
  if what == "accept" then -- false: it has been accepted before
    if state.outcomes[id] then return "reply", false, state end
    state.outcomes[id] = "waiting"
    state.accepted = state.accepted + 1
    state.most = math.max(state.most, state.accepted - state.finished)
    return "reply", true, state
  elseif what == "finish" then
    if state.outcomes[id] ~= "waiting" then state.twice = state.twice + 1 end
    state.outcomes[id] = outcome
    state.finished = state.finished + 1
    tell_watcher(state)
    return "reply", true, state
  elseif what == "unfinished" then
    local ids = {}
    for job, known in pairs(state.outcomes) do
      if known == "waiting" then ids[#ids + 1] = job end
    end
    return "reply", ids, state
  end
  state.watcher, state.watched = from, id -- {"watch", n}: the reply comes when n jobs are finished
  tell_watcher(state)
  return "noreply", state
end

local function ledger(...) return GenServer.call("ledger", {...}) end

-- The queue: gives waiting jobs to idle workers, and knows by its monitors which worker has failed with which job.
local Queue = {}

function Queue.init()
  return "ok", {waiting = ledger("unfinished"), idle = {}, putting = {}, running = {}, failures = {}}
end

-- Hand out what there is, and let in whom there is room for.
local function move(state)
  while #state.waiting > 0 and #state.idle > 0 do
    local from, id = table.remove(state.idle, 1), table.remove(state.waiting, 1)
    local ref = monitor(from[1])
    state.running[ref] = {worker = from[1], id = id}
    GenServer.reply(from, id)
  end
  while #state.waiting < CAPACITY and #state.putting > 0 do
    local put = table.remove(state.putting, 1)
    if ledger("accept", put.id) then table.insert(state.waiting, put.id) end
    GenServer.reply(put.from, true)
    if #state.idle > 0 then return move(state) end
  end
  return "noreply", state
end

local function finish(state, ref, outcome)
  ledger("finish", state.running[ref].id, outcome)
  demonitor(ref, "flush")
  state.running[ref] = nil
end

function Queue.handle_call(request, from, state)
  if request[1] == "take" then
    table.insert(state.idle, from)
  elseif request[1] == "put" then
    table.insert(state.putting, {from = from, id = request[2]})
  else -- {"done", id, result}: counts only when it comes from the worker that has the job
    for ref, job in pairs(state.running) do
      if job.worker == from[1] and job.id == request[2] then finish(state, ref, {"done", request[3]}) end
    end
    GenServer.reply(from, true)
  end
  return move(state)
end

function Queue.handle_info(message, state)
  local ref, reason = message[2], message[5] -- a DOWN: the only messages it gets
  local job = state.running[ref]
  if not job then return "noreply", state end
  local by_itself = type(reason) == "table" and reason[1] == "error"
  state.failures[job.id] = (state.failures[job.id] or 0) + (by_itself and 1 or 0)
  if state.failures[job.id] == TRIES then
    finish(state, ref, {"reported", reason[2]})
  else
    state.running[ref] = nil
    table.insert(state.waiting, 1, job.id)
  end
  return move(state)
end

local function work()
  local id = GenServer.call("queue", {"take"}, "infinity")
  GenServer.call("queue", {"done", id, compute(id)}, "infinity")
  return work()
end

-- The tree: when the queue dies, the workers start anew with it.
local function options(strategy, name)
  return {strategy = strategy, name = name, max_restarts = kills + jobs, max_seconds = 1}
end

local workers = {}
for i = 1, WORKERS do workers[i] = {id = i, start = {Task.start_link, work}} end
local children = {
  {id = "ledger", start = {GenServer.start_link, Ledger, nil, {name = "ledger"}}},
  {id = "queue", start = {GenServer.start_link, Queue, nil, {name = "queue"}}},
  {id = "workers", start = {Supervisor.start_link, workers, options("one_for_one", "workers")}, type = "supervisor"},
}

-- The processes that may be killed: all but the ledger and the supervisor on top.
local function victims()
  local pids = {}
  for _, name in ipairs{"queue", "workers"} do pids[#pids + 1] = Process.whereis(name) end
  local ok, entries = pcall(Supervisor.which_children, "workers")
  for _, entry in ipairs(ok and entries or {}) do
    if entry[2] ~= "restarting" and entry[2] ~= "undefined" then pids[#pids + 1] = entry[2] end
  end
  return pids
end

local function kill_at_random()
  math.randomseed(seed)
  local killed = 0
  while killed < kills do
    sleep(math.random(0, 4))
    local pids = victims()
    if #pids > 0 then
      Process.exit(pids[math.random(#pids)], "kill")
      killed = killed + 1
    end
  end
end

-- Put a job in, whatever happens to the queue meanwhile.
local function put(id)
  while not pcall(GenServer.call, "queue", {"put", id}, "infinity") do sleep(1) end
end

Logger.configure{level = "none"} -- there would be a report of every death
local sup = assert(Supervisor.start_link(children, options("rest_for_one")))
local killer = Task.async(kill_at_random)
for id = 1, jobs do put(id) end
Task.await(killer, "infinity")
local state = GenServer.call("ledger", {"watch", jobs}, "infinity")
Supervisor.stop(sup)

local done, reported, wrong = 0, 0, 0
for id, outcome in pairs(state.outcomes) do
  if outcome[1] == "reported" then
    reported = reported + 1
  elseif outcome[2] == id * id then
    done = done + 1
  else
    wrong = wrong + 1
  end
end
print(("%d jobs, %d kills, at most %d jobs in the pipeline"):format(jobs, kills, state.most))
print(("%d done exactly once, %d reported"):format(done, reported))
print(("%d lost, %d done twice, %d wrong"):format(jobs - state.accepted, state.twice, wrong))

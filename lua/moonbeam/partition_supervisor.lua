--- A supervisor of several processes of one kind, the partitions, each of which serves a part of the keys. See Elixir's
-- `PartitionSupervisor`.
--
-- For what would be a bottleneck as one process: `{"via", PartitionSupervisor, {name, key}}`, or
-- `PartitionSupervisor.via(name, key)`, stands for the partition of a key wherever a server's name may stand, without
-- asking anybody. Partitions are numbered from 0; an integer key k belongs to partition |k| % partitions.
-- @module moonbeam.partition_supervisor

local core = require "moonbeam.core"
local child_fields = require "moonbeam.supervisor.child_fields"
local child_spec = require "moonbeam.supervisor.child_spec"
local inspect = require "moonbeam.internal.inspect"
local options = require "moonbeam.internal.options"
local renaming = require "moonbeam.internal.check".renaming
local server = require "moonbeam.partition_supervisor.server"
local Supervisor = require "moonbeam.supervisor"

local type = type

local PartitionSupervisor = setmetatable({}, {__tostring = function() return "PartitionSupervisor" end})

local start_options = options.of({
  {"name", options.plain_name, required = true}, {"partitions", options.integer(1)},
  {"with_arguments", options.callable}, "child_spec", "strategy", "max_restarts", "max_seconds",
  needed = true,
}, "the option ")

-- What a refusal says of a partition's start: {start_partition, name, function, arguments...}.
local argument_names = {'argument #2 of Supervisor.start_link: field "children%[%d+%].start%[(%d+)%]', function(i)
  return string.format('argument #1 of PartitionSupervisor.start_link: field "child_spec.start[%d]', i - 2)
end}

local function check(opts, fname)
  options.check(opts, start_options, fname, 1)
  local spec = child_spec.expand(opts.child_spec)
  child_fields.check(spec, fname, 1)
  if type(spec) ~= "table" or type(spec.start) ~= "table" then
    core.argument_error(fname, 1, "the option child_spec is a child, got " .. inspect(opts.child_spec))
  end
  return spec, opts.partitions or #core.schedulers()
end

--- Start the partitions and their supervisor, linked to the caller. See Elixir's `PartitionSupervisor.start_link/1`.
-- @param opts table: name (a string) and child_spec (a child that does not register a name itself); partitions (how
-- many: as many as there are schedulers), with_arguments (a function of the sequence of the start function's arguments
-- and the partition's number: the arguments for this one), strategy ("one_for_one"), max_restarts, max_seconds
-- @return pid | nil, reason
-- @usage
-- PartitionSupervisor.start_link{name = "counters", child_spec = {Agent, function() return 0 end}, partitions = 4}
-- local agent = PartitionSupervisor.via("counters", "apples")
-- Agent.update(agent, function(n) return n + 1 end)
-- assert(Agent.get(agent) == 1)
function PartitionSupervisor.start_link(opts)
  local spec, partitions = check(opts, "PartitionSupervisor.start_link")
  local name, with_arguments, children = opts.name, opts.with_arguments, {}
  for partition = 0, partitions - 1 do
    local arguments = table.move(spec.start, 2, #spec.start, 1, {})
    if with_arguments then arguments = with_arguments(arguments, partition) end
    if type(arguments) ~= "table" then
      core.argument_error("PartitionSupervisor.start_link", 1,
        "with_arguments returns a sequence of arguments, got " .. core.type(arguments))
    end
    local start = {server.start_partition, server.name_of(name, partition), spec.start[1]}
    children[partition + 1] = child_spec.override(spec, {
      id = partition, start = table.move(arguments, 1, #arguments, #start + 1, start),
    })
  end
  return renaming(argument_names, pcall(Supervisor.start_link, server, {
    children = children,
    options = {
      strategy = opts.strategy or "one_for_one", max_restarts = opts.max_restarts, max_seconds = opts.max_seconds,
    },
  }, {name = name}))
end

-- How many partitions the supervisor of a name has: {pid, count} by name, asked for once in each heap, and again when
-- very many have been asked for.
local MOST_KNOWN = 1000
local known, known_count = {}, 0

local function remember(name, found)
  if known[name] == nil then known_count = known_count + 1 end
  if known_count > MOST_KNOWN then known, known_count = {}, 1 end
  known[name] = found
end

local function partitions(name)
  local pid, found = core.process_whereis(name), known[name]
  if pid == nil then return nil end
  if found == nil or found[1] ~= pid then
    local dictionary = core.process_info(pid, "dictionary") -- answered by its scheduler, whatever the process does
    found = {pid, dictionary and dictionary["$partitions"]}
    if found[2] then remember(name, found) end
  end
  return found[2]
end

--- How many partitions there are. See Elixir's `PartitionSupervisor.partitions/1`.
-- @param name the supervisor's
-- @return integer; exits "noproc" when there is no such supervisor
-- @usage
-- PartitionSupervisor.start_link{name = "counters", child_spec = {Agent, function() return 0 end}, partitions = 4}
-- assert(PartitionSupervisor.partitions("counters") == 4)
function PartitionSupervisor.partitions(name)
  return partitions(name) or core.exit(core.reason{"noproc", {"PartitionSupervisor", "partitions", {name}}})
end

-- A number for a key that is the same in every heap; of long texts some 64 bytes count.
local function hash(key)
  local text = type(key) == "string" and key or type(key) == "table" and inspect(key) or tostring(key)
  local h = #text
  for i = 1, #text, (#text >> 6) + 1 do h = (h * 31 + string.byte(text, i)) & 0x7fffffff end
  return h
end

--- The partition of a key: what makes this module usable in via tables. See Elixir's `GenServer.whereis/1`.
-- @param term {name, key}
-- @return pid | nil
-- @usage
-- PartitionSupervisor.start_link{name = "counters", child_spec = {Agent, function() return 0 end}}
-- assert(Process.alive(PartitionSupervisor.whereis_name{"counters", 7}))
function PartitionSupervisor.whereis_name(term)
  if type(term) ~= "table" then
    core.argument_error("PartitionSupervisor.whereis_name", 1, "{name, key} expected, got " .. core.type(term))
  end
  local name, key = term[1], term[2]
  local count = partitions(name)
  if count == nil then return nil end
  local number = type(key) == "number" and math.tointeger(key)
  return core.process_whereis(server.name_of(name, (number and math.abs(number) or hash(key)) % count))
end

--- What stands for the partition of a key wherever a server's name may stand: Elixir's
-- `{:via, PartitionSupervisor, {name, key}}`.
-- @param name the supervisor's
-- @param key any value; tables count by what they look like
-- @return via table
-- @usage
-- PartitionSupervisor.start_link{name = "counters", child_spec = {Agent, function() return 0 end}}
-- assert(Agent.get(PartitionSupervisor.via("counters", self())) == 0)
function PartitionSupervisor.via(name, key) return {"via", PartitionSupervisor, {name, key}} end

--- The partitions, the last one first. See Elixir's `PartitionSupervisor.which_children/1`.
-- @param name the supervisor's
-- @return sequence of {number, pid | "undefined" | "restarting", type, modules}
-- @usage
-- PartitionSupervisor.start_link{name = "counters", child_spec = {Agent, function() return 0 end}, partitions = 4}
-- assert(PartitionSupervisor.which_children("counters")[1][1] == 3)
function PartitionSupervisor.which_children(name) return Supervisor.which_children(name) end

--- How many partitions there are, by kind. See Elixir's `PartitionSupervisor.count_children/1`.
-- @param name the supervisor's
-- @return table: specs, active, supervisors, workers
-- @usage
-- PartitionSupervisor.start_link{name = "counters", child_spec = {Agent, function() return 0 end}, partitions = 4}
-- assert(PartitionSupervisor.count_children("counters").active == 4)
function PartitionSupervisor.count_children(name) return Supervisor.count_children(name) end

--- Stop the supervisor and the partitions. See Elixir's `PartitionSupervisor.stop/3`.
-- @param name the supervisor's
-- @param[opt="normal"] reason
-- @param[opt="infinity"] ms
-- @return true when it is gone
-- @usage
-- PartitionSupervisor.start_link{name = "counters", child_spec = {Agent, function() return 0 end}}
-- assert(PartitionSupervisor.stop("counters"))
function PartitionSupervisor.stop(name, reason, ms) return Supervisor.stop(name, reason, ms) end

--- How a supervisor starts a partition supervisor. See Elixir's `PartitionSupervisor.child_spec/1`.
-- @param opts as for start_link
-- @return child specification
-- @usage
-- local spec = PartitionSupervisor.child_spec{name = "counters", child_spec = {Agent, function() return 0 end}}
-- assert(spec.id == "counters" and spec.type == "supervisor")
function PartitionSupervisor.child_spec(opts)
  check(opts, "PartitionSupervisor.child_spec")
  return {id = opts.name, start = {PartitionSupervisor.start_link, opts}, type = "supervisor"}
end

return PartitionSupervisor

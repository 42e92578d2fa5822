--- Process groups: which processes belong to a group is known under its name, and a message reaches all of them. See
-- Erlang's `pg`.
--
-- A scope is a server that keeps groups; the one that is named "pg" is meant where no other is named, and
-- `PG.start_link()`, or `PG` as a child of a supervisor, starts it. Whatever can be a key of a `Registry` can name a
-- group. Groups are there while they have members. A process may join one several times, and is a member until it has
-- left as often, or ends. Every function asks the scope's server, and exits as `GenServer.call` does when there is none.
-- @module moonbeam.pg

local core = require "moonbeam.core"
local callbacks = require "moonbeam.pg.server"
local client = require "moonbeam.gen_server.client"
local options = require "moonbeam.internal.options"

local PG = {}

local start_options = options.of{{"name", options.plain_name}}

--- Start a scope, linked to the caller. See Erlang's `pg:start_link/1`.
-- @param[opt] opts table: name, a string ("pg")
-- @return pid | nil, {"already_started", pid}
-- @usage
-- PG.start_link()
-- PG.join("listeners", self())
-- PG.broadcast("listeners", "hello")
-- assert(receive() == "hello")
function PG.start_link(opts)
  local name = options.check(opts, start_options, "PG.start_link", 1).name or "pg"
  return client.start_link(callbacks, nil, {name = name}, "PG.start_link")
end

--- Start a scope without a link. See Erlang's `pg:start/1`.
-- @param[opt] opts as for `start_link`
-- @return pid | nil, {"already_started", pid}
-- @usage assert(PG.start{name = "rooms"} == Process.whereis("rooms"))
function PG.start(opts)
  local name = options.check(opts, start_options, "PG.start", 1).name or "pg"
  return client.start(callbacks, nil, {name = name}, "PG.start")
end

--- How a supervisor starts a scope.
-- @param[opt] opts as for `start_link`
-- @return child specification, whose id is the name
-- @usage
-- Supervisor.start_link({PG, {PG, {name = "rooms"}}}, {strategy = "one_for_one"})
-- PG.join("lobby", self(), "rooms")
function PG.child_spec(opts)
  local name = options.check(opts, start_options, "PG.child_spec", 1).name or "pg"
  return {id = name, start = {PG.start_link, {name = name}}}
end

-- A request to the server of the scope, argument `index` of the function.
local function ask(scope, fname, index, ...)
  if scope == nil then
    scope = "pg"
  elseif type(scope) ~= "string" then
    core.argument_error(fname, index, "the name of a scope is a string, got " .. core.type(scope))
  end
  return client.call(scope, {...}, "infinity", fname)
end

-- The bytes by which groups are equal.
local function key_of(group, fname) return core.registry_key(group, fname, 1) end

local function check_pids(pids, fname)
  if core.type(pids) == "pid" then return {pids} end
  if type(pids) ~= "table" then
    core.argument_error(fname, 2, "pid, or sequence of pids, expected, got " .. core.type(pids))
  end
  local list = {}
  for i = 1, #pids do
    if core.type(pids[i]) ~= "pid" then
      core.argument_error(fname, 2, string.format("sequence of pids expected, item %d is a %s", i, core.type(pids[i])))
    end
    list[i] = pids[i]
  end
  return list
end

--- Let processes join a group, once each time they are named. One that has ended leaves at once. See Erlang's
-- `pg:join/3`.
-- @param group any value that a `Registry` takes as a key
-- @param pids pid, or sequence of pids
-- @param[opt="pg"] scope its name
-- @return true
-- @usage
-- PG.start_link()
-- PG.join({"room", 1}, {self(), spawn(function() receive(100) end)})
-- assert(#PG.members{"room", 1} == 2)
function PG.join(group, pids, scope)
  local key = key_of(group, "PG.join")
  return ask(scope, "PG.join", 3, "join", key, group, check_pids(pids, "PG.join"))
end

--- Let processes leave a group, once each time they are named. See Erlang's `pg:leave/3`.
-- @param group as for `join`
-- @param pids pid, or sequence of pids
-- @param[opt="pg"] scope its name
-- @return true | nil, "not_joined" when none of them is a member
-- @usage
-- PG.start_link()
-- PG.join("room", self())
-- assert(PG.leave("room", self()))
-- assert(select(2, PG.leave("room", self())) == "not_joined")
function PG.leave(group, pids, scope)
  local key = key_of(group, "PG.leave")
  return ask(scope, "PG.leave", 3, "leave", key, group, check_pids(pids, "PG.leave"))
end

--- The members of a group, in no order; one that has joined it several times stands there as often. See Erlang's
-- `pg:get_members/2`.
-- @param group as for `join`
-- @param[opt="pg"] scope its name
-- @return sequence of pids
-- @usage
-- PG.start_link()
-- assert(#PG.members("nobody's") == 0)
function PG.members(group, scope) return ask(scope, "PG.members", 2, "members", key_of(group, "PG.members")) end

--- The members on this node, which are all of them. See Erlang's `pg:get_local_members/2`.
-- @param group as for `join`
-- @param[opt="pg"] scope its name
-- @return sequence of pids
-- @usage
-- PG.start_link()
-- PG.join("room", self())
-- assert(PG.local_members("room")[1] == self())
function PG.local_members(group, scope)
  return ask(scope, "PG.local_members", 2, "members", key_of(group, "PG.local_members"))
end

--- The groups that have members, in no order. See Erlang's `pg:which_groups/1`.
-- @param[opt="pg"] scope its name
-- @return sequence of what was given to `join`
-- @usage
-- PG.start_link()
-- PG.join("room", self())
-- assert(PG.which_groups()[1] == "room")
function PG.which_groups(scope) return ask(scope, "PG.which_groups", 1, "which_groups") end

--- Send a message to each process of a group: once, however often it has joined. The caller sends, so what it sends
-- otherwise stays in order with it.
-- @param group as for `join`
-- @param msg any value; copied
-- @param[opt="pg"] scope its name
-- @return how many processes it was sent to
-- @usage
-- PG.start_link()
-- PG.join("room", {self(), self()})
-- assert(PG.broadcast("room", "hello") == 1)
-- assert(receive() == "hello")
function PG.broadcast(group, msg, scope)
  local pids = ask(scope, "PG.broadcast", 3, "processes", key_of(group, "PG.broadcast"))
  for i = 1, #pids do core.send(pids[i], msg) end
  return #pids
end

--- Ask for the messages {ref, "join" | "leave", group, pids} about a group, from now on, and for its members now: so
-- nothing is missed in between. A process that ends leaves once for each time it had joined. Ends with the calling
-- process. See Erlang's `pg:monitor/2`.
-- @param group as for `join`
-- @param[opt="pg"] scope its name
-- @return reference, sequence of pids
-- @usage
-- PG.start_link()
-- local ref = PG.monitor("room")
-- PG.join("room", self())
-- assert(receive{ {{ref, "join", "room", any}} }[1] == self())
function PG.monitor(group, scope)
  return ask(scope, "PG.monitor", 2, "monitor", key_of(group, "PG.monitor"))
end

--- The same about all groups of a scope. See Erlang's `pg:monitor_scope/1`.
-- @param[opt="pg"] scope its name
-- @return reference, sequence of {group, pids}
-- @usage
-- PG.start_link()
-- local ref, groups = PG.monitor_scope()
-- assert(#groups == 0)
-- PG.demonitor(ref)
function PG.monitor_scope(scope) return ask(scope, "PG.monitor_scope", 1, "monitor_scope") end

--- End what `monitor` or `monitor_scope` began; messages of it that are in the mailbox are taken out. See Erlang's
-- `pg:demonitor/2`.
-- @param ref from one of these
-- @param[opt="pg"] scope its name
-- @return whether there was such a one
-- @usage
-- PG.start_link()
-- assert(PG.demonitor((PG.monitor("room"))))
function PG.demonitor(ref, scope)
  if core.type(ref) ~= "reference" then
    core.argument_error("PG.demonitor", 1, "reference expected, got " .. core.type(ref))
  end
  if not ask(scope, "PG.demonitor", 2, "demonitor", ref) then return false end
  local queued = {{{ref, core.any, core.any, core.any}}, after = 0}
  repeat until core.select(queued) == nil
  return true
end

return PG

--- Processes under keys, with a value each. See Elixir's `Registry`.
--
-- A process registers itself, under any number of keys, and what it has goes with it, before anybody hears of its
-- end. In a registry with unique keys a key is a name for one process, `Registry.via` makes it one for servers; with
-- duplicate keys, many processes stand under a key, as the subscribers of a topic do.
--
-- Looking up asks no process: it reads a table that all schedulers share, and copies the values. A registry is known
-- by its name, a string. Keys are compared as Lua compares them, 1 and 1.0 are the same one; tables by what is in
-- them, as {"room", 5}, since no two processes ever have the same table. A key is not nil, NaN, a function, a
-- coroutine, a userdata or a table with a metatable; modules may be keys.
-- @module moonbeam.registry

local core = require "moonbeam.core"
local check = require "moonbeam.internal.check"
local GenServer = require "moonbeam.gen_server"
local callbacks = require "moonbeam.registry.server"
local options = require "moonbeam.internal.options"

local self = core.self

local Registry = setmetatable({}, {__tostring = function() return "Registry" end})

local is_names = options.sequence "a sequence of names"

local function listeners_rule(listeners, fname, index)
  local expected, got = is_names(listeners)
  if expected then return expected, got end
  for i, listener in ipairs(listeners) do
    if type(listener) ~= "string" then
      core.argument_error(fname, index, string.format("listener %d is a name, got %s", i, core.type(listener)))
    end
  end
end

local start_options = options.of({
  {"keys", options.one_of("unique", "duplicate"), required = true}, {"name", options.plain_name, required = true},
  {"partitions", options.integer(1)}, {"listeners", listeners_rule}, {"meta", options.table},
}, "the option ")

local function check_options(opts) return options.check(opts, start_options, "Registry.start_link", 1) end

--- Start a registry, linked to the caller. See Elixir's `Registry.start_link/1`.
-- When it ends all registrations end; the processes that are registered are linked to it and, unless they trap
-- exits, die with it: of "shutdown" when it is stopped.
-- @param opts table: keys ("unique" or "duplicate"), name (string); also listeners (sequence of registered names
-- that are told of registrations), meta (table of what `meta` gives), partitions (1: into how many parts a parallel
-- `dispatch` divides those that stand under a key; the table is one that all schedulers share, however many)
-- @return pid | nil, {"already_started", pid} when the name is taken
-- @usage
-- Registry.start_link{keys = "unique", name = "rooms"}
-- Registry.register("rooms", "lobby", {topic = "hello"})
-- assert(Registry.lookup("rooms", "lobby")[1][2].topic == "hello")
function Registry.start_link(opts)
  check_options(opts)
  local arg = {name = opts.name, keys = opts.keys, meta = opts.meta}
  local listeners, partitions = opts.listeners or {}, opts.partitions or 1
  if listeners[1] or partitions > 1 then
    arg.settings = table.move(listeners, 1, #listeners, 1, {
      partitions = partitions, duplicate = opts.keys == "duplicate",
    })
  end
  return GenServer.start_link(callbacks, arg, {name = opts.name})
end

--- How a supervisor starts a registry. See Elixir's `Registry.child_spec/1`.
-- @param opts as for start_link
-- @return child specification
-- @usage assert(Registry.child_spec{keys = "unique", name = "rooms"}.id == "rooms")
function Registry.child_spec(opts)
  check_options(opts)
  return {id = opts.name, start = {Registry.start_link, opts}, type = "supervisor"}
end

-- Registering

local function tell_listeners(reg, event)
  for _, name in ipairs(core.registry_settings(reg, "Registry.register") or {}) do
    local listener = core.process_whereis(name)
    if listener then core.send(listener, event) end
  end
end

--- Register the calling process. See Elixir's `Registry.register/3`.
-- It is linked to the registry's owner as long as it is registered. Where keys are duplicate, a process may stand
-- under a key several times.
-- @param reg name of a registry
-- @param key
-- @param value any value, copied; what `lookup` gives
-- @return pid of the owner | nil, {"already_registered", pid} when a unique key is taken, by the caller too
-- @usage
-- Registry.start_link{keys = "unique", name = "rooms"}
-- assert(Registry.register("rooms", {"room", 5}, "green"))
-- assert(Registry.register("rooms", {"room", 5}, "blue") == nil)
function Registry.register(reg, key, value)
  local owner, reason = core.registry_register(reg, key, value)
  if not owner then return nil, reason end
  tell_listeners(reg, {"register", reg, key, self(), value})
  return owner
end

--- End the caller's own registrations under a key, all of them. See Elixir's `Registry.unregister/2`.
-- @param reg name of a registry
-- @param key
-- @return true, always
-- @usage
-- Registry.start_link{keys = "unique", name = "rooms"}
-- Registry.register("rooms", "lobby")
-- Registry.unregister("rooms", "lobby")
-- assert(Registry.count("rooms") == 0)
function Registry.unregister(reg, key)
  if core.registry_unregister(reg, key) > 0 then tell_listeners(reg, {"unregister", reg, key, self()}) end
  return true
end

--- End those of the caller's registrations under a key whose value matches. See Elixir's `Registry.unregister_match/3`.
-- @param reg name of a registry
-- @param key
-- @param pattern as in `receive`
-- @return true, always
-- @usage
-- Registry.start_link{keys = "duplicate", name = "topics"}
-- for i = 1, 3 do Registry.register("topics", "news", {"page", i}) end
-- Registry.unregister_match("topics", "news", {"page", is(function(i) return i > 1 end)})
-- assert(Registry.count("topics") == 1)
function Registry.unregister_match(reg, key, pattern)
  local removed = 0
  for _, own in ipairs(core.registry_own(reg, key, "Registry.unregister_match")) do
    if core.match(pattern, own[2]) then removed = removed + core.registry_unregister(reg, key, own[1]) end
  end
  if removed > 0 then tell_listeners(reg, {"unregister", reg, key, self()}) end
  return true
end

--- Give the caller's registration under a unique key another value. See Elixir's `Registry.update_value/3`.
-- Raises where keys are duplicate.
-- @param reg name of a registry
-- @param key
-- @param fn function of the old value, gives the new one; not called when the key is not the caller's
-- @return the new value, the old one | nil, "not_registered"
-- @usage
-- Registry.start_link{keys = "unique", name = "rooms"}
-- Registry.register("rooms", "lobby", 1)
-- local new, old = Registry.update_value("rooms", "lobby", function(n) return n + 1 end)
-- assert(new == 2 and old == 1)
function Registry.update_value(reg, key, fn)
  check.func(fn, "Registry.update_value", 3)
  if core.registry_whereis(reg, key, "Registry.update_value") == self() then
    local old = core.registry_own(reg, key, "Registry.update_value")[1][2]
    local new = core.call_user(fn, old)
    if core.registry_update(reg, key, new) then return new, old end
  end
  return nil, "not_registered"
end

-- Looking up

--- Who stands under a key, in the order they registered. See Elixir's `Registry.lookup/2`.
-- @function lookup
-- @param reg name of a registry
-- @param key
-- @return sequence of {pid, value}, empty when nobody does
-- @usage
-- Registry.start_link{keys = "unique", name = "rooms"}
-- Registry.register("rooms", "lobby", "green")
-- local entry = Registry.lookup("rooms", "lobby")[1]
-- assert(entry[1] == self() and entry[2] == "green")
Registry.lookup = core.registry_lookup

--- The values one process has under a key. See Elixir's `Registry.values/3`.
-- @function values
-- @param reg name of a registry
-- @param key
-- @param pid
-- @return sequence of values; with the field n where one of them is nil
-- @usage
-- Registry.start_link{keys = "duplicate", name = "topics"}
-- Registry.register("topics", "news", 1)
-- assert(Registry.values("topics", "news", self())[1] == 1)
Registry.values = core.registry_values

--- The keys of a process; one that it has several times comes as often. See Elixir's `Registry.keys/2`.
-- @function keys
-- @param reg name of a registry
-- @param pid
-- @return sequence of keys, in the order they were registered
-- @usage
-- Registry.start_link{keys = "unique", name = "rooms"}
-- Registry.register("rooms", "lobby")
-- assert(Registry.keys("rooms", self())[1] == "lobby")
Registry.keys = core.registry_keys

--- How many registrations there are. See Elixir's `Registry.count/1`.
-- @function count
-- @param reg name of a registry
-- @return integer
-- @usage
-- Registry.start_link{keys = "unique", name = "rooms"}
-- assert(Registry.count("rooms") == 0)
Registry.count = core.registry_count

local function matching(reg, key, pattern, fname)
  local found = {}
  for _, entry in ipairs(core.registry_lookup(reg, key, fname)) do
    if core.match(pattern, entry[2]) then found[#found + 1] = entry end
  end
  return found
end

--- Who stands under a key with a value that matches. See Elixir's `Registry.match/3`.
-- @param reg name of a registry
-- @param key
-- @param pattern as in `receive`
-- @return sequence of {pid, value}
-- @usage
-- Registry.start_link{keys = "duplicate", name = "topics"}
-- Registry.register("topics", "news", {"page", 1})
-- Registry.register("topics", "news", {"line", 1})
-- assert(#Registry.match("topics", "news", {"page", any}) == 1)
function Registry.match(reg, key, pattern) return matching(reg, key, pattern, "Registry.match") end

--- How many stand under a key with a value that matches. See Elixir's `Registry.count_match/3`.
-- @param reg name of a registry
-- @param key
-- @param pattern as in `receive`
-- @return integer
-- @usage
-- Registry.start_link{keys = "duplicate", name = "topics"}
-- Registry.register("topics", "news", {"page", 1})
-- assert(Registry.count_match("topics", "news", {"page", any}) == 1)
function Registry.count_match(reg, key, pattern) return #matching(reg, key, pattern, "Registry.count_match") end

--- Choose among all that is registered, by clauses as `receive` has them, whose patterns are for {key, pid, value}. See
-- Elixir's `Registry.select/2`.
-- Of each entry the first clause that matches gives the first result of its body, or without one the capture, a sequence
-- of the captures where there are several, or the entry where there are none. The caller takes time for all entries, and
-- nobody waits for it: what comes or goes meanwhile may be among them or not. Where the key is known, `match` is faster.
-- @param reg name of a registry
-- @param clauses table {pattern, [when = guard,] [body]}, ..., or a matcher
-- @return sequence, in no particular order; with the field n where one of them is nil
-- @usage
-- Registry.start_link{keys = "unique", name = "rooms"}
-- Registry.register("rooms", "lobby", 10)
-- Registry.register("rooms", {"room", 5}, 70)
-- local large = Registry.select("rooms", {
--   { {{"room", any}, any, is.number}, when = function(_, _, n) return n > 50 end, function(number) return number end },
-- })
-- assert(#large == 1 and large[1] == 5)
-- assert(#Registry.select("rooms", { {{any, self(), ignore}} }) == 2)
function Registry.select(reg, clauses) return require "moonbeam.registry.select".all(reg, clauses) end

--- How many entries some clause matches; bodies are not called. See Elixir's `Registry.count_select/2`.
-- @param reg name of a registry
-- @param clauses as for `select`
-- @return integer
-- @usage
-- Registry.start_link{keys = "unique", name = "rooms"}
-- Registry.register("rooms", "lobby", 10)
-- assert(Registry.count_select("rooms", { {{is.string, any, any}} }) == 1)
function Registry.count_select(reg, clauses) return require "moonbeam.registry.select".count(reg, clauses) end

-- Which of n parts a process belongs to: the same one for all its entries.
local function part_of(pid, n) return tonumber(string.match(tostring(pid), "%.(%d+)%.")) % n + 1 end

-- Call fn in a task for each part of the entries, and wait for all.
local function dispatch_parts(entries, n, fn)
  local Task = require "moonbeam.task"
  local parts, tasks = {}, {}
  for _, entry in ipairs(entries) do
    local number = part_of(entry[1], n)
    local part = parts[number] or {}
    parts[number] = part
    part[#part + 1] = entry
  end
  for _, part in next, parts do tasks[#tasks + 1] = Task.async(fn, part) end
  for _, task in ipairs(tasks) do Task.await(task, "infinity") end
end

local dispatch_options = options.of{{"parallel", options.boolean}}

--- Call fn with all that stand under a key, in the calling process; not when nobody does. See Elixir's
-- `Registry.dispatch/3`. What fn raises reaches the caller.
--
-- With parallel = true, in a registry that was started with several partitions and has duplicate keys, fn is called for
-- each partition that somebody stands in, in tasks that are linked to the caller, which waits for all of them: fn and
-- the entries are copied. It pays when fn takes long for each entry.
-- @param reg name of a registry
-- @param key
-- @param fn function of a sequence of {pid, value}
-- @param[opt] opts table: parallel (false)
-- @return true
-- @usage
-- Registry.start_link{keys = "duplicate", name = "topics", partitions = 4}
-- Registry.register("topics", "news")
-- local function tell(entries)
--   for _, entry in ipairs(entries) do send(entry[1], "something happened") end
-- end
-- Registry.dispatch("topics", "news", tell)
-- assert(receive() == "something happened")
-- Registry.dispatch("topics", "news", tell, {parallel = true})
-- assert(receive() == "something happened")
function Registry.dispatch(reg, key, fn, opts)
  check.func(fn, "Registry.dispatch", 3)
  opts = options.check(opts, dispatch_options, "Registry.dispatch", 4)
  local entries = core.registry_lookup(reg, key, "Registry.dispatch")
  if not entries[1] then return true end
  local settings = opts.parallel and core.registry_settings(reg, "Registry.dispatch")
  if settings and settings.partitions > 1 and settings.duplicate then
    dispatch_parts(entries, settings.partitions, fn)
  else
    core.call_user(fn, entries)
  end
  return true
end

-- Names

--- A name for a process in a registry with unique keys. It stands wherever a name may: in the option `name` of what
-- is to be started, and as whom to call, cast or send to, to stop, to monitor, or to send to later. See Elixir's
-- `{:via, Registry, {registry, key}}`.
-- @param reg name of a registry
-- @param key
-- @param[opt] value what a process started with this name is registered with
-- @return via table
-- @usage
-- Registry.start_link{keys = "unique", name = "counters"}
-- local hits = Registry.via("counters", {"page", 5})
-- Agent.start_link(function() return 0 end, {name = hits})
-- Agent.update(hits, function(n) return n + 1 end)
-- assert(Agent.get(hits) == 1)
function Registry.via(reg, key, value)
  if type(reg) ~= "string" then
    core.argument_error("Registry.via", 1, "name of a registry expected, got " .. core.type(reg))
  end
  if key == nil or key ~= key then core.argument_error("Registry.via", 2, "a key is neither nil nor NaN") end
  return {"via", Registry, {reg, key, value}}
end

local function check_term(term, fname)
  if type(term) ~= "table" then
    core.argument_error(fname, 1, "{registry, key} expected, got " .. core.type(term))
  end
  return term[1], term[2]
end

--- The process under a key: what via tables ask, as the four below. See Elixir's `Registry`, "Using in :via".
-- @param term {registry, key}
-- @return pid | nil
-- @usage
-- Registry.start_link{keys = "unique", name = "rooms"}
-- assert(Registry.whereis_name{"rooms", "lobby"} == nil)
function Registry.whereis_name(term)
  local reg, key = check_term(term, "Registry.whereis_name")
  return core.registry_whereis(reg, key, "Registry.whereis_name")
end

--- Register the caller under a unique key, as via tables do. See Erlang's `global:register_name/2`.
-- @param term {registry, key [, value]}
-- @param pid the caller's
-- @return true | nil, pid of who has the key
-- @usage
-- Registry.start_link{keys = "unique", name = "rooms"}
-- assert(Registry.register_name({"rooms", "lobby"}, self()))
function Registry.register_name(term, pid)
  local reg, key = check_term(term, "Registry.register_name")
  if pid ~= self() then
    core.argument_error("Registry.register_name", 2, "a process registers only itself, got " .. tostring(pid))
  end
  local holder = core.registry_whereis(reg, key, "Registry.register_name")
  if holder then return nil, holder end
  local owner, reason = Registry.register(reg, key, term[3])
  if owner then return true end
  return nil, reason[2]
end

--- End the caller's registration under a key, as via tables do. See Erlang's `global:unregister_name/1`.
-- @param term {registry, key}
-- @return true
-- @usage
-- Registry.start_link{keys = "unique", name = "rooms"}
-- assert(Registry.unregister_name{"rooms", "lobby"})
function Registry.unregister_name(term) return Registry.unregister(check_term(term, "Registry.unregister_name")) end

--- Send to the process under a unique key; raises when there is none. See Erlang's `global:send/2`.
-- @param term {registry, key}
-- @param msg any value
-- @return msg
-- @usage
-- Registry.start_link{keys = "unique", name = "rooms"}
-- Registry.register("rooms", "lobby")
-- Registry.send({"rooms", "lobby"}, "hello")
-- assert(receive() == "hello")
function Registry.send(term, msg) return core.send(Registry.via(check_term(term, "Registry.send")), msg) end

--- Send later to who stands under a unique key then. See `Process.send_after`.
-- @param term {registry, key}
-- @param msg any value, copied now
-- @param ms integer >= 0
-- @param[opt] opts table: abs = true: ms is a time of monotonic_time
-- @return timer reference
-- @usage
-- Registry.start_link{keys = "unique", name = "rooms"}
-- Registry.send_after({"rooms", "lobby"}, "hello", 1)
-- Registry.register("rooms", "lobby")
-- assert(receive() == "hello")
function Registry.send_after(term, msg, ms, opts)
  local reg, key = check_term(term, "Registry.send_after")
  local abs = opts ~= nil and options.check(opts, options.timer, "Registry.send_after", 4).abs
  return core.process_send_after(reg, msg, ms, abs, key)
end

-- Metadata

--- A value that belongs to the registry itself. See Elixir's `Registry.meta/2`.
-- @function meta
-- @param reg name of a registry
-- @param key
-- @return the value | nil, "not_found"
-- @usage
-- Registry.start_link{keys = "unique", name = "rooms", meta = {size = 10}}
-- assert(Registry.meta("rooms", "size") == 10)
Registry.meta = core.registry_meta

--- Set such a value; nil takes it away. See Elixir's `Registry.put_meta/3`.
-- @function put_meta
-- @param reg name of a registry
-- @param key
-- @param value any value, copied
-- @return true
-- @usage
-- Registry.start_link{keys = "unique", name = "rooms"}
-- Registry.put_meta("rooms", "size", 10)
-- assert(Registry.meta("rooms", "size") == 10)
Registry.put_meta = core.registry_put_meta

--- Take such a value away. See Elixir's `Registry.delete_meta/2`.
-- @function delete_meta
-- @param reg name of a registry
-- @param key
-- @return true, also when there was none
-- @usage
-- Registry.start_link{keys = "unique", name = "rooms", meta = {size = 10}}
-- Registry.delete_meta("rooms", "size")
-- assert(Registry.meta("rooms", "size") == nil)
Registry.delete_meta = core.registry_delete_meta

-- Locks

-- What has been asked for is given back, whether it has been got or not.
local asked_mt = {__close = function(asked) core.cast(asked.owner, asked.token) end}

--- Call fn while no other process of this registry is inside `lock` with an equal key. See Elixir's `Registry.lock/3`.
-- Others wait their turn, first come first served. The lock is free again when fn has returned or raised, or when its
-- process has died. Keys of locks have nothing to do with those that are registered. Raises when the caller holds
-- this lock already.
-- @param reg name of a registry
-- @param key
-- @param fn function; runs in the calling process
-- @return fn's results
-- @usage
-- Registry.start_link{keys = "unique", name = "rooms"}
-- assert(Registry.lock("rooms", "lobby", function() return 5 end) == 5)
function Registry.lock(reg, key, fn)
  local owner, name = core.registry_owner(reg), core.registry_key(key, "Registry.lock", 2)
  check.func(fn, "Registry.lock", 3)
  local token = core.make_ref()
  local _ <close> = setmetatable({owner = owner, token = token}, asked_mt)
  if not GenServer.call(owner, {name, token}, "infinity") then
    core.argument_error("Registry.lock", 2, "the calling process holds this lock already and would wait for itself")
  end
  return core.call_user(fn)
end

return Registry

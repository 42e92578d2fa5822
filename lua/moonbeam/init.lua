--- Moonbeam: Elixir's processes for Lua.
--
-- `local mb = require "moonbeam"` has the kernel as fields; `mb.import()` makes them globals, as the
-- `moonbeam` interpreter does for scripts.
-- @module moonbeam

local core = require "moonbeam.core"

-- The library's modules are in this directory; errors are reported at the first line that is not.
local here = string.match(debug.getinfo(1, "S").source, "^(.*)init%.lua$")
if here then core.library(here) end

local _ENV = core.own_globals() -- of the other files it is so when they are loaded

local inspect = require "moonbeam.internal.inspect"
core.set_inspect(inspect)
local clauses = require "moonbeam.internal.clauses"
core.set_clauses(clauses)

local select_message, take, type, unpack = core.select, core.take, type, table.unpack

local mb = {}

--- The calling process's pid. See Elixir's `self/0`.
-- @function self
-- @return pid
-- @usage print(self())
mb.self = core.self

--- Run a function in a new process. See Elixir's `spawn/1`.
-- The function and the arguments are copied, with the upvalues and the globals the function names. The
-- caller goes on at once; what the function returns is dropped and the process exits "normal".
-- Raises when fn cannot be called, when something cannot be copied, or at the process limit.
-- @function spawn
-- @param fn function to run
-- @param ... its arguments
-- @return pid
-- @usage
-- local me = self()
-- spawn(function(n) send(me, n * 2) end, 21)
-- assert(receive() == 42)
mb.spawn = core.spawn

--- As `spawn`, linked to the caller from the first moment. See Elixir's `spawn_link/1`.
-- @function spawn_link
-- @param fn function to run
-- @param ... its arguments
-- @return pid
-- @usage spawn_link(function() return "fine" end)
mb.spawn_link = core.spawn_link

--- As `spawn`, monitored by the caller from the first moment. See Elixir's `spawn_monitor/1`.
-- @function spawn_monitor
-- @param fn function to run
-- @param ... its arguments
-- @return pid, reference
-- @usage
-- local pid, ref = spawn_monitor(function() exit("done") end)
-- assert(receive{ {{"DOWN", ref, "process", pid, any}} } == "done")
mb.spawn_monitor = core.spawn_monitor

--- Send a copy of a message. See Elixir's `send/2`.
-- Never blocks. To a dead pid nothing happens; a name that nobody has raises, and so does a message
-- that cannot be copied, naming the part in question; then nothing has been sent.
-- @function send
-- @param dest pid, alias, registered name, {name, node} or via table
-- @param msg any value
-- @return msg
-- @usage
-- send(self(), {"hello", 1})
-- assert(receive()[1] == "hello")
mb.send = core.send

--- Take a message out of the mailbox, waiting for it. See Elixir's `receive/1`.
-- `receive()` gives the oldest; `receive(ms)` gives nil, "timeout" when none came in time; `receive(0)`
-- does not wait. `receive{ {pattern, [when = guard,] [body]}, ..., after = ms | {ms, fn} }` takes the oldest
-- message that some clause matches and leaves the others in order. A body's results are receive's; without
-- one they are the captures, or the message where nothing is captured.
--
-- A pattern is a value, which matches what is equal; a table, which matches one with as many items, and with its fields
-- and perhaps more; or one of `any`, `is`, `ignore`, `maybe`, `rest` and `one_of`, by themselves or in tables.
--
-- Only the calling process waits. Ill-formed clauses and timeouts raise at the call. A guard or predicate that raises
-- does not match; taking messages and waiting raise there.
-- @param what nil, ms (integer >= 0 or "infinity"), a table of clauses, or a matcher
-- @return see above
-- @usage
-- send(self(), {"add", 2, 3})
-- local sum = receive{ {{"add", is.number, is.number}, function(a, b) return a + b end} }
-- assert(sum == 5)
function mb.receive(what)
  if not what then return (take(what)) end
  local a, b, c, body, count = select_message(what)
  if body then -- in a tail call: a body may call the function it stands in for ever
    if count == 1 then return body(a) end
    if count == 2 then return body(a, b) end
    if count == 0 then return body() end
    if count == 3 then return body(a, b, c) end
    return body(unpack(a, 1, count))
  end
  if count == 1 then return a end
  if count == 2 then return a, b end
  if count == 3 then return a, b, c end
  return unpack(a, 1, count)
end

--- The pattern that matches everything and captures it, as a variable does in Elixir's patterns.
-- @usage assert(select(2, match({any}, {5})) == 5)
mb.any = core.any

--- Patterns that match by type and capture: `is.string`, `is.number`, `is.integer`, `is.boolean`,
-- `is.table`, `is.func`, `is.pid`, `is.ref`; and `is(fn)`, which captures what fn says yes to. See Elixir's guards,
-- `is_integer/1` and the like.
-- @usage assert(match(is(function(v) return v == 3 end), 3))
mb.is = core.is

--- Match a value against a pattern. See Elixir's `match?/2`.
-- @function match
-- @param pattern as in `receive`
-- @param value any value
-- @return true, captures... | false
-- @usage
-- local ok, name = match({"user", is.string}, {"user", "ann", age = 3} )
-- assert(ok and name == "ann")
mb.match = core.match

--- Choose by a value what to do. See Elixir's `case/2`.
-- The first clause that matches is taken, with its captures: its body's results are case's, and without a body they are
-- the captures, or the value where nothing is captured. Bodies are called in tail position. Nothing is waited for or
-- copied. Raises `no case clause matching: ...` when no clause matches, and for ill-formed clauses.
-- @function case
-- @param value any value
-- @param clauses `{ {pattern, [when = guard,] [body]}, ... }`, as for `receive`, without `after`; or a matcher, whose
-- `after` does not count here
-- @return what the clause gives
-- @usage
-- local function area(shape)
--   return case(shape, {
--     {{"circle", is.number}, function(r) return math.pi * r ^ 2 end},
--     {{"square", is.number}, when = function(a) return a >= 0 end, function(a) return a * a end},
--     {{"point", rest}, function() return 0 end},
--   })
-- end
-- assert(area{"square", 3} == 9 and area{"point", 1, 2} == 0)
-- assert(not pcall(area, {"square", -1}))
mb.case = clauses.case

--- Check clauses once, for a `receive` or `case` that runs often.
-- A matcher can be called, too: `m(value)` is `case(value, m)`.
-- @function matcher
-- @param clauses as for `receive`
-- @return what to give to `receive` or `case`, or to call
-- @usage
-- local next_job = matcher{ {{"job", any}}, after = 0 }
-- send(self(), {"job", 7})
-- assert(receive(next_job) == 7)
-- local sign = matcher{ {0}, {is.number, when = function(n) return n < 0 end, function() return -1 end}, {any} }
-- assert(sign(-5) == -1 and sign(0) == 0)
mb.matcher = core.matcher

--- The pattern that matches everything and captures nothing, as `_` does in Elixir's patterns. A field of this pattern
-- has to be there.
-- @usage assert(select("#", match({ignore, any}, {1, 2})) == 2)
mb.ignore = core.ignore

--- The pattern that matches all items that are left, none included, and captures them as a sequence, as `tail` does in
-- Elixir's `[head | tail]`. It stands last among the items of a table pattern; elsewhere it raises. The sequence is a
-- new table, and has a field n where the value has one that counts nils at its end.
-- @usage
-- local _, head, tail = match({any, rest}, {1, 2, 3})
-- assert(head == 1 and #tail == 2)
mb.rest = core.rest

--- The pattern that matches everything, also a last item or a field that is missing, and captures it: nil, then.
-- A table of Lua's that ends in nils does not know of them: `{"result", nil}` has one item, which `{"result", maybe}`
-- matches and `{"result", any}` does not. Where the table counts them by a field n, as `table.pack` does, `any` is
-- enough.
-- @usage
-- assert(match({"result", maybe}, {"result", nil}))
-- assert(match({"result", any}, table.pack("result", nil)))
-- assert(not match({"result", any}, {"result", nil}))
mb.maybe = core.maybe

--- A pattern that matches what one of some patterns does. It captures what the first of these that matches captures.
-- @function one_of
-- @param ... patterns, values among them; each captures as many values
-- @return pattern
-- @usage
-- local id = one_of(is.integer, is.string)
-- assert(select(2, match({"user", id}, {"user", "ann"})) == "ann")
-- assert(match({one_of("get", "fetch"), ignore}, {"fetch", 1}))
-- assert(match(one_of(nil, false), nil))
mb.one_of = core.one_of

--- End the calling process. See Elixir's `exit/1`.
-- Raises an exit object, which pcall can catch: its field `reason` is the reason, and it prints as
-- `exit: reason`. To-be-closed variables close on the way. It does not return.
-- @function exit
-- @param[opt="normal"] reason any value
-- @usage
-- local ok, e = pcall(exit, "enough")
-- assert(not ok and e.reason == "enough")
mb.exit = core.exit

--- Link the caller and another process: the exit of one reaches the other. See Elixir's
-- `Process.link/1`. When pid is dead it exits "noproc", or, if the caller traps exits, an EXIT message
-- says so.
-- @function link
-- @param pid
-- @return true
-- @usage link(spawn(function() receive(10) end))
mb.link = core.link

--- Take a link away. No exit signal from pid arrives afterwards; an EXIT message that is in the
-- mailbox stays there. See Elixir's `Process.unlink/1`.
-- @function unlink
-- @param pid
-- @return true
-- @usage unlink(spawn_link(function() receive(10) end))
mb.unlink = core.unlink

--- Ask for one message {"DOWN", ref, "process", pid, reason} at the end of a process; at once, with the
-- reason "noproc", when there is none. See Elixir's `Process.monitor/1`.
-- @function monitor
-- @param item pid, registered name or via table; for a name the message has {name, node} in pid's place
-- @param[opt] opts table: alias, so that the reference is one, too, and an answer to it tells whom it is from:
-- "explicit_unalias" (until `unalias`), "demonitor" (also until the monitor ends, by DOWN or `demonitor`) or
-- "reply_demonitor" (also until the first message to it, which ends the monitor as well)
-- @return reference
-- @usage
-- local ref = monitor(spawn(function() end))
-- receive{ {{"DOWN", ref, "process", any, any}} }
mb.monitor = core.monitor

--- End a monitor. See Elixir's `Process.demonitor/2`.
-- @function demonitor
-- @param ref
-- @param[opt] option "flush" also removes its DOWN from the mailbox
-- @return true
-- @usage demonitor(monitor(self()), "flush")
mb.demonitor = core.demonitor

--- A reference that stands for the calling process where a message is sent: for an answer that is not wanted for ever.
-- Messages to it arrive like any other, in order with them, until `unalias`, or the process's end; after that they are
-- dropped without a word. See Erlang's `alias/1`.
-- @function alias
-- @param[opt] option "reply": the first message that arrives also ends it; "explicit_unalias": nothing else does, as
-- without
-- @return reference, for `send`, `Process.send_after` and the like
-- @usage
-- local back = alias("reply")
-- spawn(function() send(back, {back, "first"}) send(back, {back, "second"}) end)
-- assert(receive{ {{back, any}} } == "first")
-- assert(not unalias(back))
mb.alias = core.alias

--- End an alias of the calling process's. What is sent to it from now on is dropped; a message that is in the mailbox
-- stays. See Erlang's `unalias/1`.
-- @function unalias
-- @param ref
-- @return whether it was active, and the caller's
-- @usage
-- local back = alias()
-- assert(unalias(back) and not unalias(back))
mb.unalias = core.unalias

--- A reference that is unique for the life of the node. See Elixir's `make_ref/0`.
-- @function make_ref
-- @return reference
-- @usage assert(make_ref() ~= make_ref())
mb.make_ref = core.make_ref

--- Let the calling process wait. See Elixir's `Process.sleep/1`.
-- @function sleep
-- @param ms integer >= 0, or "infinity"
-- @return true
-- @usage sleep(1)
mb.sleep = core.sleep

--- Milliseconds that never go backwards, as a float. See Elixir's `System.monotonic_time/1`.
-- @function monotonic_time
-- @return ms
-- @usage
-- local start = monotonic_time()
-- assert(monotonic_time() >= start)
mb.monotonic_time = core.monotonic_time

--- How long it is until a time, as a timeout: what `deadline - monotonic_time()` is, rounded up, and 0 from then on.
-- @param deadline a time of `monotonic_time`, or "infinity"
-- @return ms, an integer >= 0, or "infinity"
-- @usage
-- local deadline = monotonic_time() + 20
-- repeat -- other messages do not make it wait any longer
--   local message, reason = receive(time_left(deadline))
-- until reason == "timeout" or message == "wanted"
-- assert(time_left(deadline) == 0)
function mb.time_left(deadline)
  if deadline == "infinity" or deadline == math.huge then return "infinity" end
  if type(deadline) ~= "number" or deadline ~= deadline then
    core.argument_error("time_left", 1, 'number or "infinity" expected, got ' .. core.type(deadline))
  end
  return require "moonbeam.internal.deadline".left(deadline)
end

--- A text for people that shows what a value is. See Elixir's `inspect/2`.
-- One line while it fits the width, else indented; strings are quoted, cycles are shown as `<cycle>`, a
-- table with __tostring shows that. Never raises on account of the value.
-- @function inspect
-- @param value any value
-- @param[opt] opts table: width (80), depth (30 levels), limit (1000 items of a table), budget (100000 items in all:
-- shared tables can unfold into very many), printable_limit (bytes of a string; all of them). A table that has none of
-- these, and anything else, is ignored, so that what a function gives, receive for one, can be looked at as it is
-- @return string
-- @usage assert(inspect({1, "two", x = true}) == '{1, "two", x = true}')
mb.inspect = inspect

--- Print the mailbox's messages, one a line, and empty it. See IEx's `flush/0`.
-- @return true
-- @usage flush()
function mb.flush()
  local function next_message(message, timeout)
    if message == nil and timeout == "timeout" then return false end
    print(inspect(message))
    return true
  end
  while next_message(take(0)) do end
  return true
end

--- Stop here, and open a prompt in the place of the calling process: see IEx's `pry/0`. Its local variables and upvalues
-- can be read and set there, `...` has what it was given; `continue()`, or Ctrl-D, lets it go on. Elsewhere than at the
-- prompt, in a process that was spawned say, whoever sits at one is asked whether that may have it; at which prompt, if
-- there are several: the one that gets what the process prints, or else the first. The process waits meanwhile, and its
-- callers do, too. Where there is no prompt, a line on standard error says so, and it goes on.
--
-- What is local to a function that ends in `return pry()` is gone by then.
-- @return true when it was at a prompt, or nil, "no_prompt" | "refused" | "cannot_wait" (inside of a callback of sort or
-- gsub, say)
-- @usage
-- local function area(w, h)
--   pry() -- pry(1)> w, h
--   return w * h
-- end
-- assert(area(2, 3) == 6)
function mb.pry()
  local done, why = require "moonbeam.shell.pry".stop(mb.pry)
  return done, why
end

--- The type of a value: "pid", "reference", "exit" (what `exit` raises), or Lua's type.
-- @function type
-- @param v any value
-- @return string
-- @usage assert(require("moonbeam").type(self()) == "pid")
mb.type = core.type

--- Let a value travel by name, as the functions of modules do: on the other side it is what require(module).field is
-- there, not a copy. For sentinels; a module's fields that are empty tables with a metatable travel so by themselves.
-- Call it in the file of the module, so that it holds on every scheduler. Raises when the value is none that is copied
-- (a number, a pid ...), the name is not of that form, or there is no such module: it is neither loaded nor found by
-- `require`.
-- @function name
-- @param value table, function or userdata
-- @param name string: the module, a dot and the field
-- @return value
-- @usage
-- function package.preload.settings() -- or in a file settings.lua
--   return {DEFAULT = require("moonbeam").name({"default"}, "settings.DEFAULT")}
-- end
-- assert(require("settings").DEFAULT[1] == "default")
mb.name = core.name

--- Declare a class: a table that is the metatable of objects, and which, with its methods, is to be there once on each
-- scheduler, as those of modules are. Without it a class that is defined in a script is copied with each message, and
-- what arrives has a class of its own: `getmetatable(object) ~= Class`, and costs as much.
--
-- What is declared are the fields that the class has now, its metatable, and its `__index` if that is a table. They are
-- copied to the other schedulers before anything else arrives there from here, and an object's class is the one of that
-- name. What is added to the class later stays on its scheduler, as with a module; declare it again, and all have the
-- fields that it has by then. Declare classes that it inherits from first. Processes of one scheduler share a class,
-- and the variables that its methods have in common: these are no place for what belongs to one process.
--
-- A module is better where there is more than one file: its classes need no declaring, each scheduler loads it itself,
-- and it can be loaded anew.
-- @param name string of at most 100 bytes, of one class in the program
-- @param class table
-- @return class
-- @usage
-- local mb = require "moonbeam"
-- local Point = {}
-- Point.__index = Point
-- function Point.new(x, y) return setmetatable({x = x, y = y}, Point) end
-- function Point:sum() return self.x + self.y end
-- mb.class("Point", Point)
-- local me = self()
-- spawn(function() send(me, Point.new(2, 3)) end)
-- local point = receive()
-- assert(getmetatable(point) == Point and point:sum() == 5)
function mb.class(name, class) return require("moonbeam.internal.classes").class(name, class) end

--- A value whose copies cost nothing, however large it is: configuration, dictionaries, routing tables, which many
-- processes read and nobody changes. See Erlang's `persistent_term`, which is one for all and by name.
--
-- A table becomes one block of memory outside of all processes, shared with its parts and cycles, which goes when nobody
-- has any of it any more. What stands for it, and for each table in it, is a userdata: read it by index, with `#`,
-- `ipairs`, `pairs` (which Lua's `next` does not), `table.unpack` and `table.concat`; in patterns it is a table. Sent to
-- any process, given to one that is spawned, kept in another shared value, it is the same one, and reading it takes about
-- ten times as long as a table. To change it raises.
--
-- In a log entry it is a text; what is kept in a `Registry` or by `Config.put` stays as long as the program.
-- @function share
-- @param value table of nil, booleans, numbers, strings, pids, references, shared values and such tables, without
-- metatables; all but tables are given back as they are. Raises when there is anything else in it, naming the place
-- @return the shared value
-- @usage
-- local mb = require "moonbeam"
-- local routes = mb.share{["/"] = {name = "home"}, ["/help"] = {name = "help"}}
-- local task = mb.Task.async(function() return routes["/help"].name, #routes end)
-- assert(mb.Task.await(task) == "help")
mb.share = core.share

--- How many ms a slice may last before it is reported. In a C function, or a callback of one (of sort, of gsub), a
-- process cannot give way, and the others of its scheduler wait. Each place is reported once, as a warning with the Lua
-- stack. 50 at first (0 under `MOONBEAM_PREEMPT=n` and `off`), or the environment's MOONBEAM_LONG_SCHEDULE; 0
-- reports none. That a call has not returned after 2 s is told under `MOONBEAM_PREEMPT=n` as well. See Erlang's
-- `system_monitor` with `long_schedule`.
-- @function long_schedule
-- @param[opt] ms the new length
-- @return the length before
-- @usage
-- local mb = require("moonbeam")
-- local before = mb.long_schedule(100)
-- assert(mb.long_schedule(before) == 100)
mb.long_schedule = core.long_schedule

--- How long the to-be-closed variables of a process that was killed may take to close; the environment variable
-- MOONBEAM_CLEANUP_TIMEOUT sets it at the start. They cannot wait, and nothing else runs on their scheduler meanwhile;
-- what takes longer is cut off and logged with the place. The same time has what shows a dying process's values in its
-- report (`__tostring`). A process that ends by itself, by an error or by `exit` closes its variables like any code:
-- they may wait, and take as long as they like.
-- @function cleanup_timeout
-- @param[opt] ms integer from 0 to a day; 50 at first
-- @return the ms before
-- @usage
-- local mb = require "moonbeam"
-- local before = mb.cleanup_timeout(200)
-- assert(mb.cleanup_timeout(before) == 200)
mb.cleanup_timeout = core.cleanup_timeout

--- Have a function called when the program ends: at the end of the script, by an error or os.exit, and by SIGTERM or
-- SIGHUP. The last one given is called first, with the exit status. See Elixir's `System.at_exit/1`.
--
-- Each runs in a process of its own, with a copy of fn as it is now, and may wait; other processes still run, but for
-- the script's, which may have ended, and those of the supervisors after a signal. All of them together have the time
-- that `shutdown_timeout` says. From stock Lua they are called when the Lua state closes: at the end of the main chunk
-- and by os.exit(code, true); os.exit(code) ends at once there, and so does a signal.
--
-- os.exit in a finalizer ends the program without them: no process can run on top of the garbage collector.
--
-- Under the host, a function that calls os.exit(code) itself ends the program at once with that status, as
-- `System.halt` does: those given before it are not called.
-- @function at_exit
-- @param fn function of the exit status, which is nil from stock Lua; copied
-- @return true
-- @usage
-- local mb = require "moonbeam"
-- mb.at_exit(function(status) io.stderr:write("ended with ", tostring(status), "\n") end)
mb.at_exit = core.at_exit

--- How long the functions of `at_exit` may take when the program ends, all together, and, after a signal, the
-- supervisors before that; the environment variable MOONBEAM_SHUTDOWN_TIMEOUT sets it at the start. What takes longer
-- is killed, and logged.
-- @function shutdown_timeout
-- @param[opt] ms integer from 0 to a day; 10000 at first
-- @return the ms before
-- @usage
-- local mb = require "moonbeam"
-- local before = mb.shutdown_timeout(2000)
-- assert(mb.shutdown_timeout(before) == 2000)
mb.shutdown_timeout = core.shutdown_timeout

--- How much there is of what could leak: processes, timers, names, messages, registries and what is registered there.
-- `blocking` are the calls of `blocking` that wait or run, `file` and `watcher` what `fs` has open, `process` programs
-- of the system's that run, `signal` those of its signals that processes listen to.
-- @function census
-- @return table of counts
-- @usage assert(require("moonbeam").census().processes >= 1)
mb.census = core.census

--- Settings, before the first process is spawned. In stock Lua there is one scheduler unless this or the environment's
-- MOONBEAM_SCHEDULERS says otherwise; the host has one per core, or `--schedulers`.
-- @function start
-- @param opts table: schedulers = how many, each with a thread and a heap of its own
-- @return true
-- @usage require("moonbeam").start{schedulers = require("moonbeam").census().processes >= 1 and 1}
function mb.start(opts)
  if type(opts) ~= "table" then core.argument_error("start", 1, "table expected, got " .. core.type(opts)) end
  local options = require "moonbeam.internal.options"
  options.check(opts, options.schedulers, "start", 1)
  if opts.schedulers ~= nil then core.set_schedulers(opts.schedulers) end
  return true
end

--- Run a function in each Lua state of each scheduler, to set up what a module keeps in its own tables or in C, of
-- which each state has its own: settings, hooks, metatables.
-- It runs here at once, and elsewhere before the next process or message from here; in a state that is made later, as
-- for the first process of a scheduler and for each 4,000 more, before its first process. It is copied for that, with
-- its upvalues; it finds and sets the globals that modules have. Everywhere it is outside of any process, as a
-- finalizer is: it may send, spawn, name and end processes; whatever is a process's own (its pid, mailbox, dictionary, flags,
-- links) raises, and so does waiting. An error raises here; elsewhere it is logged, and the scheduler goes on.
-- @function on_scheduler_start
-- @param fn function without arguments; its results are dropped
-- @return true
-- @usage
-- require("moonbeam").on_scheduler_start(function()
--   collectgarbage("incremental", 150)
-- end)
function mb.on_scheduler_start(fn)
  if type(fn) ~= "function" then
    core.argument_error("on_scheduler_start", 1, "function expected, got " .. core.type(fn))
  end
  local copy = core.encode_start(fn) -- first: what cannot be copied does not run either
  core.run_start(fn)
  core.publish_start(copy)
  return true
end

--- What the schedulers are doing, one entry each. See Erlang's `scheduler_wall_time`.
-- @function schedulers
-- @return sequence of tables: processes, run_queue (length), steals (processes taken over from others), wakeups (from
-- sleep), utilisation (0 to 1, since its start), heaps (Lua states), coroutines (processes that have started in them),
-- heap_bytes (what they take; of other schedulers, up to 0.1 s ago); its field blocking tells of the threads of
-- `blocking`: limit, threads, busy and queued (calls that wait for a thread)
-- @usage assert(#require("moonbeam").schedulers() >= 1)
mb.schedulers = core.schedulers

--- Run a function that blocks a thread on one of a pool: the calling process waits, and nobody else. For `io.popen`,
-- `os.execute`, and C libraries that wait for a network, a disk or a database.
--
-- fn and its arguments are copied, as by `spawn`, and so are the results. There is a Lua state with the modules on each
-- thread, which stays from call to call; what blocks there, a connection say, is opened, used and closed in one call,
-- or kept in a module of its own, and cannot be returned. What fn does is outside of any process: it may `send`, and
-- log; `self`, `receive`, `spawn` and the like raise there.
--
-- There are as many threads as cores, at least 4, or MOONBEAM_BLOCKING_THREADS of the environment; further calls wait
-- in order, as `schedulers` shows. A thread without work for 10 s ends. What fn raises is raised in the caller, a text
-- with the traceback from there. When the caller is killed, what has begun goes on and its result is dropped. The end
-- of the program does not wait for it longer than a second.
-- @function blocking
-- @param fn function
-- @param ... its arguments
-- @return what fn returns
-- @usage
-- local mb = require "moonbeam"
-- local text = mb.blocking(function(command)
--   local pipe <close> = io.popen(command)
--   return pipe:read("a")
-- end, "echo hello")
-- assert(text == "hello\n")
mb.blocking = core.blocking

--- A line on standard error that shows how far long work has come; nothing at all when that is no terminal.
-- What is printed or logged meanwhile, by any process, stands above it. There is one such line, that of whoever has shown
-- one last, and it goes with its process.
-- `progress:step([n])` counts one step or n of them, `progress:done()` takes the line away.
-- @param total how many steps there are, a number > 0
-- @param[opt] label what stands before it
-- @return progress
-- @usage
-- local progress = require("moonbeam").progress(3, "counting")
-- for _ = 1, 3 do progress:step() end
-- progress:done()
function mb.progress(total, label)
  if type(total) ~= "number" or not (total > 0) then
    core.argument_error("progress", 1, "number > 0 expected, got " .. core.type(total))
  end
  if label ~= nil and type(label) ~= "string" then
    core.argument_error("progress", 2, "string expected, got " .. core.type(label))
  end
  return require "moonbeam.progress".new(total, label)
end

--- Make a call that takes a callback one that waits: the way to use what is written for luv, the libuv binding, in
-- processes. `require "luv"` gives the luv of the scheduler's own loop, whose callbacks run between processes.
-- fn gets a function `resume`, which it hands on as the callback, or calls in one. The calling process, and no other,
-- waits until that is called; it may be called at once, and later calls do nothing. fn may return a function that takes
-- back what was begun: it is called when the time is over, and when the process dies. What fn raises, the caller gets.
-- @function await_uv
-- @param fn function of resume
-- @param[opt] ms integer >= 0 or "infinity": how long to wait
-- @return what resume was given | nil, "ETIMEDOUT: connection timed out", "ETIMEDOUT"
-- @usage
-- local mb = require "moonbeam"
-- local function read_later(callback) callback("text") end
-- assert(mb.await_uv(function(resume) read_later(resume) end, 1000) == "text")
function mb.await_uv(fn, ms) return require "moonbeam.internal.await_uv"(fn, ms) end

--- The runtime's version.
mb._VERSION = "Moonbeam " .. core.version

mb.Process = require "moonbeam.process"
mb.Logger = require "moonbeam.logger"
-- Their files are loaded when they are first used: starting takes as long as a program needs.
mb.GenServer = core.lazy "moonbeam.gen_server"
mb.Agent = core.lazy "moonbeam.agent"
mb.StateMachine = core.lazy "moonbeam.state_machine"
mb.Task = core.lazy "moonbeam.task"
mb.Registry = core.lazy "moonbeam.registry"
mb.PG = core.lazy "moonbeam.pg"
mb.Supervisor = core.lazy "moonbeam.supervisor"
mb.DynamicSupervisor = core.lazy "moonbeam.dynamic_supervisor"
mb.PartitionSupervisor = core.lazy "moonbeam.partition_supervisor"
mb.Application = core.lazy "moonbeam.application"
mb.Config = core.lazy "moonbeam.config"
mb.fs = core.lazy "moonbeam.fs"
mb.system = core.lazy "moonbeam.system"
mb.net = core.lazy "moonbeam.net"

local imported = {
  "alias", "unalias", "PG",
  "self", "spawn", "spawn_link", "spawn_monitor", "send", "receive", "any", "is", "match", "matcher",
  "case", "ignore", "rest", "maybe", "one_of", "exit", "link", "unlink", "monitor", "demonitor", "make_ref", "sleep",
  "monotonic_time", "time_left", "inspect", "flush", "pry", "Process", "Task", "Agent", "GenServer", "StateMachine",
  "Registry", "Logger",
  "Supervisor", "DynamicSupervisor", "PartitionSupervisor", "Application", "Config", "fs", "system",
  "net",
}

--- Copy the kernel's names and the modules into a table of globals.
-- Names of its own, beside those Elixir has: `any`, `is`, `ignore`, `rest`, `maybe`, `one_of` are patterns, `case`,
-- `match` and `matcher` work with these.
-- @param[opt=_G] env table
-- @return env
-- @usage require("moonbeam").import()
function mb.import(env)
  env = env or _G
  if type(env) ~= "table" then
    core.argument_error("import", 1, "table expected, got " .. core.type(env))
  end
  for _, name in ipairs(imported) do env[name] = mb[name] end
  return env
end

for _, name in ipairs(imported) do core.define(name, mb[name]) end

return core.add_module("moonbeam", mb)

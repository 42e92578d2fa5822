--- Task.async_stream: a function applied to the items of a source by several tasks at once.
--
-- The consumer runs the iterator: it reads the source and takes the results. It hands each item to the stream's
-- monitor process, which starts the tasks and watches over them, and stands between them and the consumer for these
-- reasons: a task's time is up also while the consumer is busy; a consumer that traps exits sees no EXIT of a task; and
-- one that does not can have a late task killed without dying of it. The tasks reply to the consumer directly.
--
-- All that the consumer is told comes under one reference, that of its monitor on the monitor process: without that
-- monitor, nothing comes any more.
-- @module moonbeam.task.stream

local core = require "moonbeam.core"
local check = require "moonbeam.internal.check"
local names = require "moonbeam.internal.names"
local monitor = require "moonbeam.task.stream_monitor"
local options = require "moonbeam.internal.options"
local process = require "moonbeam.task.process"

local core_await, core_cast, exit, self = core.await, core.cast, core.exit, core.self
local pack, unpack, type = table.pack, table.unpack, type

local stream = {}

local function start(s)
  local me = self()
  s.owner = me
  s.monitor, s.ref = core.spawn_async(s.fname, true, monitor.run, s.supervisor and 2 or 3,
    core.process_info(me, "trap_exit"), s.timeout, process.family(), s.fn, s.supervisor, s.linked, s.shutdown)
end

-- Forget the monitor process, which is dead.
local function forget(s)
  s.closed, s.source = true, nil
  core.unlink(s.monitor)
  core.flush_exit(s.monitor)
  core.demonitor(s.ref, "flush")
end

local function await_end(ref)
  local _, kind
  repeat _, kind = core_await(ref) until kind == "down"
end

-- Kill what still runs and leave nothing of it.
local function close(s)
  if s.closed then return end
  s.closed, s.source = true, nil
  if not s.monitor then return end
  core_cast(s.monitor, "stop")
  pcall(await_end, s.ref) -- a consumer that is being killed cannot wait; the monitor process does its work all the same
  forget(s)
end

--- The metatable of a stream's state: the closing value of the loop; a field so that it travels by name.
stream.state = {__close = close}

--- Closes the stream when the consumer leaves its own code on the way: the source raised, or an item cannot be sent.
stream.pull_guard = {__close = function(guard)
  if guard.stream.pulling then close(guard.stream) end
end}

-- What a refusal says of an item, and what it is.
local function item_names(position)
  local item = string.format("item %d", position)
  return {
    'argument #2( of .-:) field "%[1%]",', item .. "%1", 'argument #2( of .-:) field "%[1%]"', item .. "%1 it",
    'argument #2( of .-: field ")%[1%]%.?', item .. "%1",
  }
end

local function pull(s)
  local guard <close> = s.guard
  s.pulling = true
  local item = pack(s.source())
  if item[1] == nil then
    s.source = nil
  else
    s.spawned = s.spawned + 1
    local ok, e = pcall(core_cast, s.monitor, item, s.fname)
    if not ok then check.renaming(item_names(s.spawned), false, e) end
    s.running = s.running + 1
    s.unanswered[s.spawned] = item
  end
  s.pulling = false
end

local advance

local function deliver(s, position, ...)
  s.unanswered[position] = nil
  if s.ordered then
    if position ~= s.delivered + 1 then
      s.early[position] = pack(...)
      return advance(s)
    end
    s.delivered = position
  end
  return ...
end

local function fail(s, reason)
  return exit(core.reason{reason, {"Task.Supervised", "stream", {s.timeout}}})
end

-- What the consumer is told: position, what, results... or reason | reason the monitor process died of.
local function told(s, kind, position, what, ...)
  if kind == "down" then
    forget(s)
    return fail(s, position)
  end
  if what == "reply" then return deliver(s, position, true, ...) end
  if what == "refused" then
    close(s)
    return process.refused(s.supervisor, ...)
  end
  s.running = s.running - 1
  local item = s.unanswered[position]
  if not item then return advance(s) end
  local reason = ...
  if what == "late" then
    reason = "timeout"
    if s.on_timeout == "exit" then
      close(s)
      return fail(s, reason)
    end
  end
  if s.zip_input_on_exit then reason = {item[1], reason} end
  return deliver(s, position, false, reason)
end

local function skip_ref(s, _, ...) return told(s, ...) end

-- The next result. It ends when the source has, and the last task.
function advance(s)
  while s.source and s.running < s.max_concurrency do pull(s) end
  local ready = s.early[s.delivered + 1]
  if ready then
    s.delivered = s.delivered + 1
    s.early[s.delivered] = nil
    return unpack(ready, 1, ready.n)
  end
  if not s.source and s.running == 0 then
    close(s)
    return nil
  end
  return skip_ref(s, core_await(s.ref))
end

local function iterate(s)
  if s.closed then return nil end
  if not s.monitor then start(s) end
  if s.owner ~= self() then
    core.raise_at_caller(string.format("the stream belongs to %s and can only be read by it, not by %s",
      tostring(s.owner), tostring(self())))
  end
  return advance(s)
end

local function items_of(sequence)
  local i = 0
  return function()
    i = i + 1
    return sequence[i]
  end
end

local function iterator_of(source, fname, index)
  if type(source) == "function" then return source end
  if type(source) == "table" then return check.is_callable(source) and source or items_of(source) end
  return core.argument_error(fname, index, "sequence or iterator function expected, got " .. core.type(source))
end

local function check_supervisor(supervisor, fname)
  local kind = core.type(supervisor)
  if kind == "table" then names.via(supervisor, fname, 1) end
  if kind ~= "pid" and kind ~= "string" and kind ~= "table" then
    core.argument_error(fname, 1, "pid or name expected, got " .. kind)
  end
end

local function options_with(...)
  return options.of{
    {"max_concurrency", options.integer(1)}, {"ordered", options.boolean}, {"timeout", options.timeout},
    {"on_timeout", options.one_of("exit", "kill_task")}, {"zip_input_on_exit", options.boolean}, ...
  }
end

-- The shutdown is as in child specifications.
local stream_options, supervised_options = options_with(), options_with("shutdown")

--- A new stream.
-- @param fname the function that makes it, for errors
-- @param index number of its argument `source`
-- @param supervisor of the tasks, or false
-- @param linked whether a supervisor's tasks are linked to the consumer
-- @return iterator and closing value for the generic for
function stream.new(fname, index, supervisor, linked, source, fn, opts)
  source = iterator_of(source, fname, index)
  check.func(fn, fname, index + 1)
  index = index + 2
  if supervisor ~= false then check_supervisor(supervisor, fname) end
  opts = options.check(opts, supervisor and supervised_options or stream_options, fname, index)
  local s = {
    fname = fname, source = source, fn = fn, supervisor = supervisor, linked = linked, shutdown = opts.shutdown,
    max_concurrency = opts.max_concurrency or core.cores(), on_timeout = opts.on_timeout or "exit",
    timeout = check.timeout(opts.timeout, 5000, fname, index), ordered = opts.ordered ~= false,
    zip_input_on_exit = opts.zip_input_on_exit or false,
    spawned = 0, running = 0, delivered = 0,
    unanswered = {}, -- position -> packed item, of tasks that have not replied
    early = {}, -- position -> the result of a task that has finished before one which comes before it
  }
  s.guard = setmetatable({stream = s}, stream.pull_guard)
  setmetatable(s, stream.state)
  return function() return iterate(s) end, nil, nil, s
end

return stream

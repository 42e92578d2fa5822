--- Looking at processes and acting on them. See Elixir's `Process`.
-- @module moonbeam.process

local core = require "moonbeam.core"

local Process = {}

--- The calling process's pid, as `self` of `moonbeam`. See Elixir's `self/0`.
-- @function self
-- @return pid
-- @usage assert(Process.self() == self())
Process.self = core.self

--- As `send` of `moonbeam`, with what Elixir's `Process.send/3` returns. That one's options, noconnect and nosuspend,
-- would change nothing and are refused.
-- @param dest pid, alias, registered name, {name, node} or via table
-- @param msg any value; copied
-- @param[opt] opts there are none
-- @return true
-- @usage
-- Process.send(self(), "hello")
-- assert(receive() == "hello")
function Process.send(dest, msg, opts)
  if opts ~= nil then
    local options = require "moonbeam.internal.options"
    options.check(opts, options.none, "Process.send", 3)
  end
  core.send(dest, msg)
  return true
end

--- As `link` of `moonbeam`. See Elixir's `Process.link/1`.
-- @function link
-- @param pid
-- @return true
-- @usage Process.link(spawn(function() receive(10) end))
Process.link = core.link

--- As `unlink` of `moonbeam`. See Elixir's `Process.unlink/1`.
-- @function unlink
-- @param pid
-- @return true
-- @usage Process.unlink(spawn_link(function() receive(10) end))
Process.unlink = core.unlink

--- As `monitor` of `moonbeam`. See Elixir's `Process.monitor/2`.
-- @function monitor
-- @param item pid, registered name or via table
-- @param[opt] opts table: alias, see there
-- @return reference
-- @usage
-- local ref = Process.monitor(spawn(function() end))
-- receive{ {{"DOWN", ref, "process", any, any}} }
Process.monitor = core.monitor

--- As `demonitor` of `moonbeam`. See Elixir's `Process.demonitor/2`.
-- @function demonitor
-- @param ref
-- @param[opt] option "flush" also removes its DOWN from the mailbox
-- @return true
-- @usage Process.demonitor(Process.monitor(self()), "flush")
Process.demonitor = core.demonitor

--- As `alias` of `moonbeam`. See Elixir's `Process.alias/1`.
-- @function alias
-- @param[opt] option "reply"
-- @return reference
-- @usage Process.unalias(Process.alias())
Process.alias = core.alias

--- As `unalias` of `moonbeam`. See Elixir's `Process.unalias/1`.
-- @function unalias
-- @param ref
-- @return whether it was active
-- @usage assert(not Process.unalias(make_ref()))
Process.unalias = core.unalias

--- As `sleep` of `moonbeam`. See Elixir's `Process.sleep/1`.
-- @function sleep
-- @param ms
-- @return true
-- @usage Process.sleep(1)
Process.sleep = core.sleep

--- As `spawn_link` of `moonbeam`.
-- @function spawn_link
-- @param fn function to run
-- @param ... its arguments
-- @return pid
-- @usage Process.spawn_link(function() return "fine" end)
Process.spawn_link = core.spawn_link

--- As `spawn_monitor` of `moonbeam`.
-- @function spawn_monitor
-- @param fn function to run
-- @param ... its arguments
-- @return pid, reference
-- @usage local pid, ref = Process.spawn_monitor(function() end)
Process.spawn_monitor = core.spawn_monitor

local function asleep(fn, ...)
  require "moonbeam.internal.compact"()
  core.await_message()
  return fn(...)
end

--- Let the calling process leave its stack, give back what it can, and go on with fn(...) when there is a message, which
-- is still in the mailbox then. For processes that wait for long: what was on the stack is garbage. Variables to be
-- closed are closed first, and nothing catches what unwinds them. It does not return: when fn has returned, the process
-- ends. The script's own process cannot. See Elixir's `Process.hibernate/3`.
-- @param fn function; not copied
-- @param ... its arguments
-- @usage
-- local pid, ref = spawn_monitor(function()
--   local function answer(to) send(to, {"got", receive()}) end
--   Process.hibernate(answer, receive())
-- end)
-- send(pid, self())
-- send(pid, "wake up")
-- assert(receive{ {{"got", any}} } == "wake up")
function Process.hibernate(fn, ...)
  if type(fn) ~= "function" then require("moonbeam.internal.check").func(fn, "Process.hibernate", 1) end
  core.start_anew(asleep, fn, ...)
end

--- Who gets what the calling process prints: its group leader, which is inherited from the parent; or set that of a
-- process. A leader gets the text as a cast, `handle_cast(text, state)` of a server. See Elixir's
-- `Process.group_leader/0` and `Process.group_leader/2`.
-- @function group_leader
-- @param[opt] pid whose leader is set
-- @param[opt] leader pid, or nil: standard output
-- @return the leader's pid, nil: standard output; true when one has been set
-- @usage
-- local leader = Process.group_leader()
-- Process.group_leader(self(), leader)
Process.group_leader = core.process_group_leader

--- Whether a process is alive. A process that has been sent a deadly exit is not. See Elixir's `Process.alive?/1`.
-- @function alive
-- @param pid
-- @return boolean
-- @usage assert(Process.alive(self()))
Process.alive = core.process_alive

--- Send an exit signal. See Elixir's `Process.exit/2`.
-- "normal" is ignored unless sent to oneself; any other reason ends a process that does not trap exits and
-- becomes the message {"EXIT", sender, reason} for one that does. "kill" cannot be trapped and
-- arrives elsewhere as "killed".
-- @function exit
-- @param pid
-- @param reason any value but nil
-- @return true, at once
-- @usage
-- local pid = spawn(function() receive() end)
-- Process.exit(pid, "kill")
-- assert(not Process.alive(pid))
Process.exit = core.process_exit

--- Set a flag of the calling process. The only one is "trap_exit": exit signals become messages.
-- See Elixir's `Process.flag/2`.
-- @function flag
-- @param name "trap_exit"
-- @param value boolean
-- @return the old value
-- @usage Process.flag("trap_exit", false)
Process.flag = core.process_flag

--- Give a process a name.
-- Raises when the name is taken or reserved, or the process has one or is dead. See Elixir's `Process.register/2`.
-- @function register
-- @param pid
-- @param name non-empty string
-- @return true
-- @usage
-- Process.register(self(), "me")
-- assert(Process.whereis("me") == self())
-- Process.unregister("me")
Process.register = core.process_register

--- Take a name away. Raises when nobody has it. See Elixir's `Process.unregister/1`.
-- @function unregister
-- @param name
-- @return true
-- @usage
-- Process.register(self(), "me")
-- assert(Process.unregister("me"))
Process.unregister = core.process_unregister

--- The pid that has a name, or nil. See Elixir's `Process.whereis/1`.
-- @function whereis
-- @param name
-- @return pid | nil
-- @usage assert(Process.whereis("nobody") == nil)
Process.whereis = core.process_whereis

--- All registered names, in no order. See Elixir's `Process.registered/0`.
-- @function registered
-- @return sequence of strings
-- @usage assert(type(Process.registered()) == "table")
Process.registered = core.process_registered

--- The pids of all living processes, in no order. See Elixir's `Process.list/0`.
-- @function list
-- @return sequence of pids
-- @usage assert(#Process.list() >= 1)
Process.list = core.process_list

-- Of the memory, whether that is only the beginning: then it is a float.
local function is_more(memory) return math.type(memory) == "float" end

--- What is known of a process. See Elixir's `Process.info/2`.
-- Keys: registered_name, status, message_queue_len, messages, links, monitored_by, monitors, trap_exit,
-- dictionary, reductions, memory, current_location, current_stacktrace, initial_location, current_function,
-- initial_call, group_leader, garbage_collection, scheduler, parent. Messages and dictionary are copies.
--
-- memory is in bytes, about what the process's messages and all it can reach take, modules and code left out, and
-- of a stack the 200 innermost calls. What is large is gone through in small steps, between which others run, the
-- process itself, too. current_function and initial_call are names, as tracebacks have them; garbage_collection is a table
-- of what there is to know of the collector of the scheduler's heap, in which all its processes are: heap_bytes, running.
-- @param pid
-- @param[opt] key one, or a sequence of keys
-- @return the value of one key, or a table by key of those asked for, or of all; nil when the process is dead
-- @usage
-- assert(Process.info(self(), "status") == "running")
-- assert(Process.info(self(), {"links", "trap_exit"}).trap_exit == false)
function Process.info(pid, key)
  local info = core.process_info(pid, key)
  if key == "memory" then
    if is_more(info) then return require "moonbeam.internal.memory"(pid, info) end
  elseif info ~= nil and (key == nil or type(key) == "table") and is_more(info.memory) then
    info.memory = require "moonbeam.internal.memory"(pid, info.memory)
  end
  return info
end

local function is_absolute(opts, fname)
  if opts == nil then return false end
  local options = require "moonbeam.internal.options"
  return options.check(opts, options.timer, fname, 4).abs
end

--- Send a message later. See Elixir's `Process.send_after/4`. A timer for a pid or an alias ends with the process; a
-- name is looked up when the time has come, and so is a key of a `Registry`.
-- @param dest pid, alias, name or via table
-- @param msg any value; copied now
-- @param ms integer >= 0; with abs a time of `monotonic_time`, and one that is over is due at once
-- @param[opt] opts table: abs = true
-- @return timer reference
-- @usage
-- Process.send_after(self(), "tick", 1)
-- assert(receive() == "tick")
-- Process.send_after(self(), "tock", monotonic_time() + 1, {abs = true})
-- assert(receive() == "tock")
function Process.send_after(dest, msg, ms, opts)
  local abs = is_absolute(opts, "Process.send_after")
  if type(dest) ~= "table" then return core.process_send_after(dest, msg, ms, abs) end
  local module, term = require("moonbeam.internal.names").via(dest, "Process.send_after", 1)
  if module.send_after then return module.send_after(term, msg, ms, opts) end
  local pid = module.whereis_name(term)
  return pid and core.process_send_after(pid, msg, ms, abs) or core.make_ref()
end

--- Send {"timeout", reference, msg} later, the reference being the timer's: so a late one can be told from that of the
-- next timer. See Erlang's `erlang:start_timer/4`.
-- @param dest pid, alias or name
-- @param msg any value; copied now
-- @param ms as for `send_after`
-- @param[opt] opts as for `send_after`
-- @return timer reference
-- @usage
-- local timer = Process.start_timer(self(), "over", 1)
-- assert(receive{ {{"timeout", timer, any}} } == "over")
function Process.start_timer(dest, msg, ms, opts)
  return core.process_start_timer(dest, msg, ms, is_absolute(opts, "Process.start_timer"))
end

--- Send a message again and again, every so many ms. It does not drift: the n-th is due n times ms after the call. Ends
-- with the process that it is for, and by `cancel_timer`. See Erlang's `timer:send_interval/3`.
-- @param dest pid, alias, or the name or via table of a process that has it now: it is the process's timer, and does not
-- go on with the next holder. A name that nobody has raises.
-- @param msg any value; copied now
-- @param ms integer >= 1
-- @return timer reference
-- @usage
-- local timer = Process.send_interval(self(), "tick", 1)
-- for _ = 1, 3 do assert(receive() == "tick") end
-- Process.cancel_timer(timer)
function Process.send_interval(dest, msg, ms)
  if type(dest) ~= "table" then return core.process_send_interval(dest, msg, ms) end
  local module, term = require("moonbeam.internal.names").via(dest, "Process.send_interval", 1)
  local pid = module.whereis_name(term)
  if not pid then
    return core.argument_error("Process.send_interval", 1,
      "no process is registered under " .. require "moonbeam.internal.inspect"(term))
  end
  return core.process_send_interval(pid, msg, ms)
end

--- Cancel a timer. A message that has been delivered already stays. See Elixir's `Process.cancel_timer/2`.
-- @param ref from `send_after`, `start_timer` or `send_interval`
-- @param[opt] opts table: async = true: nothing is waited for, also when the timer is on another scheduler, and what was
-- left comes as the message {"cancel_timer", ref, ms | false}; info = false: nobody wants to know it, and there is no
-- message
-- @return ms that were left | false, when there is no such timer any more; true with async, or without info
-- @usage assert(Process.cancel_timer(Process.send_after(self(), "never", 1000)))
function Process.cancel_timer(ref, opts)
  if opts == nil then return core.process_cancel_timer(ref) end
  local left = core.process_cancel_timer(ref, opts)
  return opts.info == false or left
end

--- How long a timer has to go; one of `send_interval` to the next message. See Elixir's `Process.read_timer/1`.
-- @function read_timer
-- @param ref as for `cancel_timer`
-- @return ms left | false
-- @usage
-- local timer = Process.send_after(self(), "m", 1000)
-- assert(Process.read_timer(timer) <= 1000)
-- Process.cancel_timer(timer)
Process.read_timer = core.process_read_timer

--- Store a value in the calling process's dictionary; nil deletes. See Elixir's `Process.put/2`.
-- @function put
-- @param key any value but nil
-- @param value
-- @return the old value
-- @usage
-- Process.put("color", "red")
-- assert(Process.get("color") == "red")
Process.put = core.process_put

--- Read the calling process's dictionary. See Elixir's `Process.get/2`.
-- @function get
-- @param[opt] key without it: a table of all pairs
-- @param[opt] default
-- @return the value, or default
-- @usage assert(Process.get("missing", "default") == "default")
Process.get = core.process_get

--- Remove a key from the dictionary. See Elixir's `Process.delete/1`.
-- @function delete
-- @param key
-- @return the old value
-- @usage
-- Process.put("key", 1)
-- assert(Process.delete("key") == 1)
Process.delete = core.process_delete

--- The dictionary's keys; with a value, those that have it. See Elixir's `Process.get_keys/1`.
-- @function get_keys
-- @param[opt] value
-- @return sequence of keys
-- @usage
-- Process.put("key", 1)
-- assert(Process.get_keys(1)[1] == "key")
Process.get_keys = core.process_get_keys

--- Spawn with options. See Elixir's `Process.spawn/2`.
-- @function spawn
-- @param fn function to run
-- @param opts table: link, monitor (booleans), scheduler (number or "here"), priority ("low", "normal", "high", "max":
-- taken, but all processes have the same turn)
-- @param ... arguments
-- @return pid [, reference when monitored]
-- @usage local pid, ref = Process.spawn(function() end, {monitor = true})
Process.spawn = core.process_spawn

return Process

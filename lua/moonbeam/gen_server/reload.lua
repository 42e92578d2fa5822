--- Loading a module anew under its running servers; see GenServer.reload.
--
-- A server of a loaded module does not run the module's table but a stand-in for it, one per heap, which falls back on
-- the table. When the module is loaded anew its table gets the new fields, so that everybody calls the new functions,
-- and the stand-in gets the old ones; servers go on with it until each, between two messages, changes over with its
-- state.
-- @module moonbeam.gen_server.reload

local core = require "moonbeam.core"
local deadline = require "moonbeam.internal.deadline"
local inspect = require "moonbeam.internal.inspect"
local owned = require "moonbeam.internal.owned"

local reload = {}

-- Module's table -> its stand-in.
local running = {}

--- Make the calling process a server: what it runs.
function reload.enter(ancestors, module) return core.enter_server(ancestors, module, running) end

--- What a server of a loaded module runs when it starts now.
function reload.code(module) return core.stand_in(module, running) end

-- Wait for the answers of servers: how many have changed over, and what became of the others.
local function collect(pids, waiting, ms)
  local last = deadline.after(ms)
  local changed, failures = 0, {}
  while next(waiting) do
    local ref, kind, value = core.await(waiting, deadline.left(last))
    if ref == nil then break end
    waiting[ref] = nil
    core.demonitor(ref, "flush")
    if kind == "reply" then
      changed = changed + 1
    elseif value ~= "noproc" then
      failures[#failures + 1] = {pids[ref], value}
    end
  end
  for ref in next, waiting do
    core.demonitor(ref, "flush")
    failures[#failures + 1] = {pids[ref], "timeout"}
  end
  return changed, failures
end

--- Load anew in this heap and let the servers here change over; tells `owner`. A field, so that it travels by name.
function reload.here(owner, name, extra, ms)
  local loaded, message = core.reload_module(name, running)
  if not loaded then return core.send(owner, {"reloaded", loaded, message}) end
  local pids, waiting = {}, {}
  for _, pid in ipairs(core.servers_of(name)) do
    local ref = core.send_system(pid, {"change_code", extra})
    pids[ref], waiting[ref] = pid, true
  end
  local changed, failures = collect(pids, waiting, ms)
  core.send(owner, {"reloaded", true, changed, failures})
end

--- Do that in heaps of this scheduler, from number `first` to `last`, at the same time. A field, likewise.
function reload.there(first, last, ...)
  local heaps, waiting = core.heaps(), {}
  for i = first, math.min(last, #heaps) do
    local _, ref = core.spawn_heap(heaps[i], true, reload.here, ...)
    if ref then waiting[ref] = true end
  end
  while next(waiting) do
    local ref, _, reason = core.await(waiting)
    waiting[ref] = nil
    if reason ~= "normal" then core.exit(reason) end
  end
end

-- Do that on the schedulers from `first` to `last`, adding to the outcome: in the heaps up to number `to`, on the first
-- scheduler from number `from` on.
local function visit(outcome, first, last, from, to, name, extra, ms)
  for i = first, last do
    local opts = {scheduler = i, monitor = true}
    core.process_spawn(reload.there, opts, i == 1 and from or 1, to, core.self(), name, extra, ms)
  end
  local open = last - first + 1
  while open > 0 do
    local message = core.take()
    if message[1] == "DOWN" then
      open = open - 1
      if message[5] ~= "normal" then outcome.message = inspect(message[5]) end
    elseif message[2] then
      outcome.loaded = true
      outcome.changed = outcome.changed + message[3]
      table.move(message[4], 1, #message[4], #outcome.failures + 1, outcome.failures)
    elseif message[2] == nil then
      outcome.message = message[3]
    end
  end
end

--- The process of a reload: the first heap by itself, so that a module that cannot be loaded changes nothing.
function reload.run(owner, ref, name, extra, ms)
  local outcome = {changed = 0, failures = {}}
  visit(outcome, 1, 1, 1, 1, name, extra, ms)
  if not outcome.message then visit(outcome, 1, core.started_schedulers(), 2, math.maxinteger, name, extra, ms) end
  if outcome.message then return core.reply(owner, ref, nil, outcome.message) end
  if not outcome.loaded then return core.reply(owner, ref, nil, string.format("module '%s' is not loaded", name)) end
  core.reply(owner, ref, outcome.changed, outcome.failures)
end

local function finished(_, kind, ...)
  if kind == "reply" then return ... end
  return core.exit(core.reason{(...), {"GenServer", "reload", {}}})
end

--- See GenServer.reload.
function reload.reload(name, extra, ms)
  local _, ref = core.spawn_async("GenServer.reload", false, reload.run, 1, name, extra, ms)
  local _ <close> = owned(ref)
  return finished(core.await(ref))
end

return reload

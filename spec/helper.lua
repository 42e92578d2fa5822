-- What the specs share: a quiet log, an empty mailbox and a census at its baseline around every test, and
-- short ways to wait for what must happen.
--
-- A busy machine may hold up any thread, of the specs and of the programs they run, for as long as it likes. So:
-- * what has to happen first is awaited, by a message or a state, and never slept for;
-- * what is awaited may take any time: `patience` is only how soon one hears that it does not happen at all;
-- * what holds only if something was in time is arranged anew until it was in time, by the clock or by what it did;
-- * what something costs is its processor time or a count, against that of something else in the same run;
-- * what other schedulers do has an order only where the runtime promises one.
local mb = require "moonbeam"
local Process, Logger = mb.Process, mb.Logger
local busted = require "busted"

local helper = {}

-- How much longer than usual things may take: sanitizers and valgrind are slow.
helper.scale = tonumber(os.getenv("MOONBEAM_SPEC_SCALE") or "1")
helper.patience = 10000 * helper.scale

helper.is_host = package.preload["moonbeam.core"] ~= nil

-- The log has what a spec's processes log, and nothing of slices that are long because the machine is busy: see `run`,
-- too.
mb.long_schedule(0)

local function drain()
  local function taken(message, why) return message ~= nil or why ~= "timeout" end
  while taken(mb.receive(0)) do end
end

-- Wait until nothing is left of a test; the names of what is, otherwise.
local function leftovers(baseline)
  local deadline = mb.monotonic_time() + helper.patience
  while true do
    drain()
    local now, more = mb.census(), {}
    for what, count in pairs(baseline) do
      if now[what] > count then more[#more + 1] = ("%d %s"):format(now[what] - count, what) end
    end
    if #more == 0 then
      mb.sleep(1) -- what the last one sent from another scheduler may still be on its way
      drain()
      return nil
    end
    if mb.monotonic_time() > deadline then
      for _, pid in ipairs(Process.list()) do
        mb.unlink(pid) -- the test has failed; its processes shall not take the other tests with them
        if pid ~= mb.self() then Process.exit(pid, "kill") end
      end
      return "left behind: " .. table.concat(more, ", ")
    end
    mb.sleep(1) -- lets what is dying die; there is nobody to send a message about it
  end
end

--- Call inside describe: checks around every test.
function helper.setup()
  local baseline
  busted.before_each(function()
    Logger.configure{level = "none"}
    Process.flag("trap_exit", false)
    leftovers{processes = math.huge}
    baseline = mb.census()
  end)
  busted.after_each(function()
    Process.flag("trap_exit", false)
    local left = leftovers(baseline)
    Logger.configure{level = "info"}
    if left then error(left, 0) end
  end)
end

--- Call inside describe: around every test there is a directory of its own.
-- @param made function of the directory's path, called before each test
function helper.with_directory(made)
  local directory
  busted.before_each(function()
    directory = assert(mb.fs.mkdtemp())
    made(directory)
  end)
  busted.after_each(function()
    -- What the pool had begun for a process that was killed comes to its end, and may make a file meanwhile.
    local deadline = mb.monotonic_time() + helper.patience
    repeat
      local removed, text, code = mb.fs.remove(directory, {recursive = true})
      if not removed and (code ~= "ENOTEMPTY" or mb.monotonic_time() > deadline) then error(text, 0) end
    until removed
  end)
end

-- The mailbox as text. Made by a process of its own: looking at a value may call its code, which need not return.
local function mailbox()
  local inspect, exit = mb.inspect, mb.exit
  local pid, ref = mb.spawn_monitor(function(messages) exit(inspect(messages)) end, Process.info(mb.self(), "messages"))
  local text = mb.receive{ {{"DOWN", ref, "process", pid, mb.any}}, after = helper.patience }
  Process.exit(pid, "kill")
  return type(text) == "string" and text or "(no text of it could be made)"
end

--- Receive by pattern, with the patience for the worst case: the captures.
function helper.await(pattern, ms)
  return mb.receive{
    {pattern},
    after = {ms or helper.patience, function()
      error("nothing matched " .. mb.inspect(pattern) .. "; mailbox: " .. mailbox(), 0)
    end},
  }
end

-- How often the patience is renewed for a process that computes: it may have much to do, on a busy machine.
local RENEWALS = 30

--- Wait for the end of a process that is monitored, as long as it gets on: its reason.
function helper.await_end(pid, ref)
  local done
  for _ = 1, RENEWALS do
    local before = done
    local ended, reason = mb.receive{
      {{"DOWN", ref, "process", pid, mb.any}, function(reason) return true, reason end}, after = helper.patience,
    }
    if ended == true then return reason end
    done = Process.info(pid, "reductions")
    if done == before then break end
  end
  return helper.await({"DOWN", ref, "process", pid, mb.any}, 0)
end

--- The same of one that is not monitored yet.
function helper.reason_of(pid) return helper.await_end(pid, mb.monitor(pid)) end

--- Run a function in a process of its own: the reason it ended with.
function helper.exit_reason(fn, ...) return helper.await_end(mb.spawn_monitor(fn, ...)) end

--- Run a function in a process of its own; its failure is the test's.
function helper.in_process(fn, ...)
  local reason = helper.exit_reason(fn, ...)
  if reason ~= "normal" then
    error(type(reason) == "table" and type(reason[2]) == "string" and reason[2] or mb.inspect(reason), 0)
  end
end

--- Wait until a process waits; an error when it has ended instead, or does not come to it.
-- @return pid
function helper.until_waiting(pid)
  local deadline = mb.monotonic_time() + helper.patience
  while true do
    local status = Process.info(pid, "status")
    if status == "waiting" then return pid end
    if status == nil then error(tostring(pid) .. " has ended and will not wait", 0) end
    if mb.monotonic_time() > deadline then error(("%s is %s and does not wait"):format(tostring(pid), status), 0) end
    mb.sleep(1) -- nobody sends a message about it
  end
end

--- Arrange what holds only when it has been done within so many ms, anew until it was: on a busy machine a step may
-- take longer than what it has to come before.
-- @return what arrange returns
function helper.within(ms, arrange)
  while true do
    local started = mb.monotonic_time()
    local results = table.pack(arrange())
    if mb.monotonic_time() - started < ms then return table.unpack(results, 1, results.n) end
  end
end

--- A pid whose process has ended.
function helper.dead_pid()
  local pid, ref = mb.spawn_monitor(function() end)
  helper.await{"DOWN", ref, "process", pid, mb.any}
  return pid
end

--- A process that waits for ever; whoever asks for it ends it.
function helper.idle()
  local receive = mb.receive
  return mb.spawn(function() receive() end)
end

--- The reason of the exit that fn raises.
function helper.catch_exit(fn, ...)
  local ok, e = pcall(fn, ...)
  assert(not ok, "no exit was raised")
  assert(mb.type(e) == "exit", "an error was raised: " .. tostring(e))
  return e.reason
end

--- The command that runs this interpreter with the module under test.
function helper.interpreter()
  local build = os.getenv("MOONBEAM_BUILD") or "build/release"
  if helper.is_host then return build .. "/bin/moonbeam" end
  return ("LUA_PATH='./lua/?.lua;./lua/?/init.lua;;' LUA_CPATH='./%s/lib/lua/5.4/?.so;;' lua5.4")
    :format(build)
end

--- Where the C modules of the specs are: a template for package.cpath.
function helper.c_modules()
  return (os.getenv("MOONBEAM_BUILD") or "build/release") .. "/test/modules/?.so"
end

--- Run a command: what it prints, both streams, and its exit code. Programs report no long slices unless they say so.
function helper.run(command)
  local pipe = assert(io.popen("export MOONBEAM_LONG_SCHEDULE=0; { " .. command .. "\n} 2>&1; printf '\\n%d' $?", "r"))
  local output = pipe:read("a")
  pipe:close()
  local text, code = output:match("^(.*)\n(%d+)$")
  return text, tonumber(code)
end

--- Run Lua source in a new interpreter; environment: "NAME=value ..." for it.
function helper.run_script(source, arguments, environment)
  local name = os.tmpname()
  local file = assert(io.open(name, "w"))
  file:write(source)
  file:close()
  local output, code = helper.run((environment or "") .. " " .. helper.interpreter() .. " " .. name .. " "
    .. (arguments or ""))
  os.remove(name)
  return output, code
end

return helper

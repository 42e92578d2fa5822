-- An application: a counter of requests and who answers them, with a configuration from a file and the environment.
--
--    moonbeam examples/application.lua [examples/application.conf.lua]
--
-- Type lines: each is answered with how many there have been. The end of the input ends the program, and SIGTERM does;
-- either way the application stops in order. Try it with SHOUT=yes, and with LIMIT=many.
local mb = require "moonbeam"
mb.import()

local path = arg and arg[1] or "examples/application.conf.lua"
local ok, problem = Config.load(path)
if not ok then
  io.stderr:write(problem, "\n")
  os.exit(1)
end

-- Who counts. It says at its end how far it has come, so it traps exits.
local Counter = {name = "counter"}

function Counter.start_link() return GenServer.start_link(Counter, 0, {name = "counter"}) end

function Counter.init(n)
  Process.flag("trap_exit", true)
  return "ok", n
end

function Counter.handle_call(request, _, n)
  if request == "crash" then error("a bug") end
  return "reply", n + 1, n + 1
end

function Counter.terminate(reason, n)
  if reason == "shutdown" then print("counted to " .. n) end
end

-- What is found at each place: the values of the file, or of the application where the file says nothing.
local function answer(line)
  local ok, n = pcall(GenServer.call, "counter", line)
  if not ok then return "no answer" end
  if n > Application.get_env("counting", "limit") then return "no more" end
  local text = Application.get_env("counting", "greeting") .. " " .. n
  return Application.get_env("counting", "shout") and text:upper() or text
end

assert(Application.start{
  name = "counting",
  -- A counter that crashes again and again waits before it comes back, twice as long each time.
  children = {Supervisor.child_spec(Counter, {backoff = {10, 1000}})},
  env = {greeting = "number", shout = false, limit = 1000},
  stop = function() print("the counting has stopped") end,
})

for line in io.lines() do
  print(answer(line))
  if line == "crash" then
    while not Process.whereis("counter") do sleep(1) end
  end
end

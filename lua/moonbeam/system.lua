--- The system: other programs, its signals, the environment, and what there is to know of the machine. See Elixir's
-- `System`.
--
-- `run` starts a program and lets the calling process alone wait for its end, `spawn` one that runs beside the process.
-- Either leads a session of its own: what ends it ends all that it has started, and Ctrl-C on the terminal does not
-- reach it. What fails for reasons outside of the program gives nil, a text and the name of the error,
-- `nil, "ENOENT: no such file or directory: x", "ENOENT"`; arguments that no call can mean anything by raise.
-- @module moonbeam.system

local core = require "moonbeam.core"
local options = require "moonbeam.internal.options"

local os = core.os_functions()
local argument_error = core.argument_error

local system = {}

local function text(v)
  if type(v) ~= "string" then return "a string", core.type(v) end
  if string.find(v, "\0", 1, true) then return "a string without NUL bytes", "one with some" end
end

local function check_text(v, fname, index)
  local expected, got = text(v)
  if expected then argument_error(fname, index, string.format("%s expected, got %s", expected, got)) end
  return v
end

local function check_name(name, fname)
  check_text(name, fname, 1)
  if name == "" or string.find(name, "=", 1, true) then
    argument_error(fname, 1, "a name is not empty and has no '='")
  end
  return name
end

local function environment(v)
  if type(v) ~= "table" then return "a table {NAME = value}", core.type(v) end
  for name, value in next, v do
    if type(name) ~= "string" or name == "" or string.find(name, "[=\0]") then
      return "a table of values by name", "the name " .. tostring(name)
    end
    if value ~= false and text(value) then return "a table of strings, or false for what shall not be there", name end
  end
end

local standard_errors = {pipe = 0, stdout = 1, inherit = 2}

-- Where a standard stream of a program leads, by C's numbers.
local ways = {pipe = 0, [true] = 0, null = 1, [false] = 1, inherit = 2, stdout = 3}

local function stream(v)
  if not ways[v] or v == "stdout" then return 'true, false, "pipe", "null" or "inherit"' end
end

local function error_stream(v)
  if not ways[v] then return 'true, false, "pipe", "null", "stdout" or "inherit"' end
end

local spawn_options = options.of{
  {"stdin", stream}, {"stdout", stream}, {"stderr", error_stream}, {"cwd", text}, {"env", environment},
}

local function way(stream_option) return ways[stream_option == nil or stream_option] end

local run_options = options.of{
  {"stdin", function(v) if type(v) ~= "string" then return "a string", core.type(v) end end}, {"cwd", text},
  {"env", environment}, {"timeout", options.timeout}, {"stderr", options.one_of("pipe", "stdout", "inherit")},
}

-- The program and its arguments as one sequence.
local function command(cmd, args, fname)
  check_text(cmd, fname, 1)
  if cmd == "" then argument_error(fname, 1, "the name of a program expected, got \"\"") end
  local all = {cmd}
  if args == nil then return all end
  if type(args) ~= "table" then argument_error(fname, 2, "sequence of strings expected, got " .. core.type(args)) end
  for i = 1, #args do
    local arg = args[i]
    if math.type(arg) then arg = tostring(arg) end
    local expected, got = text(arg)
    if expected then argument_error(fname, 2, string.format("item %d: %s expected, got %s", i, expected, got)) end
    all[i + 1] = arg
  end
  return all
end

-- The whole environment of a program: "NAME=value"..., nil for this program's own.
local function merged(changes)
  if changes == nil then return nil end
  local all, list = os.all_env(), {}
  for name, value in next, changes do all[name] = value or nil end
  for name, value in next, all do list[#list + 1] = name .. "=" .. value end
  return list
end

--- Run a program to its end. See Elixir's `System.cmd/3`.
--
-- It is found by PATH, and its arguments are given as they are: no shell looks at them. When the time is over it is
-- killed with all that it has started, and likewise when the calling process exits.
-- @param cmd string
-- @param[opt] args sequence of strings and numbers
-- @param[opt] opts table: stdin = what it reads (nothing), cwd = its directory, env = {NAME = value | false} beside
-- this program's own, timeout = ms, stderr = "pipe" | "stdout" (among what it prints) | "inherit" (where this program's
-- goes)
-- @return its exit code, what it printed, and what it printed as errors; of one that a signal has ended 128 and its
-- number, and the signal's name as fourth result | nil, text, code, of one that was late with code "ETIMEDOUT" and what
-- it had printed
-- @usage
-- local code, out = system.run("sh", {"-c", "tr a-z A-Z; exit 3"}, {stdin = "hello"})
-- assert(code == 3 and out == "HELLO")
-- local late, why, name, printed = system.run("sh", {"-c", "echo begun; sleep 60"}, {timeout = 200})
-- assert(late == nil and name == "ETIMEDOUT" and ("begun\n"):find(printed, 1, true), why)
function system.run(cmd, args, opts)
  local all = command(cmd, args, "system.run")
  opts = options.check(opts, run_options, "system.run", 3)
  local code, out, err, more, last = core.run(all, merged(opts.env), opts.cwd, opts.stdin,
    standard_errors[opts.stderr or "pipe"], opts.timeout)
  if code == nil then return nil, out, err, more, last end -- nil, text, code, printed, printed as errors
  if more ~= nil then return code, out, err, more end
  return code, out, err
end

--- Start a program that runs beside the calling process. See Elixir's `Port.open/2`.
--
-- It is found, and given its arguments, as by `run`. Its standard streams are pipes, whose other ends are sockets of
-- the calling process, as those of `net`, but of one direction each: read in any of the ways there are, given away,
-- closed. What it has printed can be read when it has ended, too. What nobody reads stays in the pipe, and when that is
-- full, with 64 KiB, the program waits: let an output that will not be read lead elsewhere.
--
-- When it has ended, the message {"program_exit", program, code} comes, or {"program_exit", program, code, signal} of
-- one that a signal has ended, behind those of what it had printed to active sockets. `wait` gives the same in the
-- place of the message, which it takes away when that is there already.
--
-- The program belongs to the calling process. When that exits, in whatever way, the program is killed (SIGKILL) with
-- all that it has started; so one that shall end in order is told so, and waited for, before. What it has left running
-- when it ended by itself runs on.
--
-- What a program has:
--
-- * `pid`: its number. `stdin`, `stdout`, `stderr`: the sockets, nil where there is none. `stdin:shutdown()` or
-- `close()` is the end of what it reads.
-- * `wait([ms])` -> code [, signal] | nil, text, code: its end, waited for at most so long. The code of one that a
-- signal has ended is 128 and the signal's number, as that of `run`.
-- * `kill([signal])` -> true | nil, text, code: send it and all that it has started "SIGTERM", or another signal.
-- "ESRCH": it has ended.
-- * `close()` -> true: kill it (SIGKILL) with all that it has started, and close its sockets; no message comes.
-- To-be-closed variables do this.
-- @param cmd string
-- @param[opt] args sequence of strings and numbers
-- @param[opt] opts table: stdin, stdout, stderr = "pipe" or true, as when left out | "null" or false | "inherit" (this
-- program's) and, of stderr, | "stdout" (among what it prints); cwd, env as for `run`
-- @return program | nil, text, code
-- @usage
-- local program <close> = assert(system.spawn("cat"))
-- program.stdin:send("one\ntwo\n")
-- assert(program.stdout:recv("line") == "one")
-- program.stdin:shutdown()
-- assert(program.stdout:recv("*a") == "two\n")
-- assert(receive{ {{"program_exit", program, any}} } == 0)
function system.spawn(cmd, args, opts)
  local all = command(cmd, args, "system.spawn")
  opts = options.check(opts, spawn_options, "system.spawn", 3)
  return core.spawn_program(all, merged(opts.env), opts.cwd, way(opts.stdin), way(opts.stdout), way(opts.stderr))
end

--- Where a program is found, as by `run` and `spawn`: along PATH, or at a path that has a slash. The calling process
-- waits, alone. See Elixir's `System.find_executable/1`.
-- @param name string
-- @return its absolute path | nil: there is no file of this name that may be executed
-- @usage
-- assert(system.find_executable("sh"):sub(1, 1) == "/")
-- assert(system.find_executable("no such program") == nil)
function system.find_executable(name)
  check_text(name, "system.find_executable", 1)
  local stat, here = core.fs().stat, nil
  local function found(path)
    local entry = stat(path)
    if not entry or entry.type ~= "file" or entry.mode & 73 == 0 then return nil end -- 111 in octal: for anybody
    if string.sub(path, 1, 1) == "/" then return path end
    here = here or os.cwd()
    return here and here .. "/" .. path
  end
  if string.find(name, "/", 1, true) then return found(name) end
  if name == "" then return nil end
  for directory in string.gmatch((os.get_env("PATH") or "") .. ":", "([^:]*):") do
    local path = found(directory == "" and name or directory .. "/" .. name)
    if path then return path end
  end
  return nil
end

--- Have a signal of the system's sent to the calling process, as the message {"signal", name}, until it exits or says
-- `off_signal`.
--
-- While somebody listens the signal does nothing else: SIGTERM and SIGHUP do not end the program, SIGINT does not
-- interrupt it. Several processes may listen to one signal; signals that come in quick succession may be one message.
-- SIGKILL, SIGSTOP and those of faults cannot be listened to, nor SIGURG and SIGCHLD, which are the runtime's.
-- @param name string: "SIGUSR1", or "USR1"
-- @return true | nil, text, code
-- @usage
-- system.on_signal("SIGUSR1")
-- system.run("kill", {"-USR1", system.pid()})
-- assert(receive{ {{"signal", "SIGUSR1"}} })
-- system.off_signal("SIGUSR1")
function system.on_signal(name) return core.on_signal(name) end

--- Listen no more. When nobody does, the signal does again what it did before.
-- @param name string
-- @return true
-- @usage system.off_signal("SIGUSR1")
function system.off_signal(name) return core.off_signal(name) end

--- A variable of the environment. See Elixir's `System.get_env/2`.
-- @param name string
-- @param[opt] default what is returned when there is none
-- @return string | default
-- @usage assert(system.get_env("PATH"))
function system.get_env(name, default)
  local value = os.get_env(check_name(name, "system.get_env"))
  if value == nil then return default end
  return value
end

--- Set a variable of the environment, for the whole program and what it starts from now on. See Elixir's
-- `System.put_env/2`.
-- @param name string
-- @param value string; nil takes it away
-- @return true | nil, text, code
-- @usage
-- system.put_env("GREETING", "hello")
-- assert(system.get_env("GREETING") == "hello")
-- system.put_env("GREETING", nil)
function system.put_env(name, value)
  check_name(name, "system.put_env")
  if value ~= nil then check_text(value, "system.put_env", 2) end
  return os.set_env(name, value)
end

--- All variables of the environment.
-- @return table: value by name
-- @usage assert(system.env().PATH)
function system.env() return os.all_env() end

--- The working directory. See Elixir's `File.cwd/0`.
-- @return string | nil, text, code
-- @usage assert(system.cwd():sub(1, 1) == "/")
function system.cwd() return os.cwd() end

--- Change the working directory, which is the whole program's.
-- @param path string
-- @return true | nil, text, code
-- @usage assert(system.chdir("."))
function system.chdir(path) return os.chdir(check_text(path, "system.chdir", 1)) end

--- The name of the machine.
-- @return string | nil, text, code
-- @usage assert(#system.hostname() > 0)
function system.hostname() return os.hostname() end

--- Nanoseconds that never go backwards, as an integer. See Elixir's `System.monotonic_time/0`.
-- @return integer
-- @usage assert(math.type(system.hrtime()) == "integer")
function system.hrtime() return os.hrtime() end

--- The number of this program among those of the system. See Elixir's `System.pid/0`.
-- @return integer
-- @usage assert(system.pid() > 0)
function system.pid() return os.pid() end

--- The operating system, as uname tells.
-- @return table: sysname, release, version, machine
-- @usage assert(system.os().sysname == "Linux")
function system.os() return os.os() end

--- Memory, in bytes.
-- @return table: total and free of the machine, constrained (what this program may use; 0 when that is not known),
-- resident (what it uses)
-- @usage assert(system.memory().resident > 0)
function system.memory() return os.memory() end

--- The processors.
-- @return sequence of tables: model, speed (MHz), times = {user =, nice =, sys =, idle =, irq =} in ms
-- @usage assert(#system.cpu() >= 1)
function system.cpu() return os.cpu() end

return system

--- Parts of a program that start and stop as a whole: a root supervisor, an environment, and what is done when it stops.
-- See Elixir's `Application`.
--
--    Application.start{
--      name = "chat",
--      children = { {DynamicSupervisor, {name = "rooms"}}, {Listener, 7010} },
--      env = {port = 7010},
--      stop = function() print("the chat has ended") end,
--    }
--
-- An application stops in order: prep_stop is called, the root supervisor stops with its children, the newest first, and
-- stop is called. So it is by `Application.stop`, when the root supervisor ends by itself, and when the program ends: by
-- SIGTERM or SIGHUP, at the end of the script, by an error or os.exit; the application that was started last is the first
-- then, and all have the time that `shutdown_timeout` says.
--
-- The environment of an application is what `Config` has under its name: a file of configuration or the program may have
-- set it before the start; what `env` says stands below that.
-- @module moonbeam.application

local core = require "moonbeam.core"
local child_fields = require "moonbeam.supervisor.child_fields"
local child_spec = require "moonbeam.supervisor.child_spec"
local client = require "moonbeam.gen_server.client"
local inspect = require "moonbeam.internal.inspect"
local master = require "moonbeam.application.master"
local options = require "moonbeam.internal.options"
local started = require "moonbeam.application.started"
local store = require "moonbeam.config.store"

local type = type

local Application = {}

local function start_rule(start, fname, index)
  if type(start) == "table" and start[1] ~= nil then start = start[1] end
  options.callable(start, fname, index)
end

-- Those of the root supervisor are checked by it.
local start_options = options.of({
  {"name", options.plain_name, required = true}, {"children", options.table}, {"start", start_rule},
  {"strategy", options.one_of("one_for_one", "one_for_all", "rest_for_one")}, "max_restarts", "max_seconds",
  "auto_shutdown", {"supervisor", options.name}, {"env", options.table}, {"prep_stop", options.callable},
  {"stop", options.callable}, {"type", options.one_of("temporary", "transient", "permanent")},
  {"applications", options.sequence "a sequence of names"}, {"description", options.plain_text},
  {"version", options.plain_text}, needed = true,
}, "the option ")

local of_supervisor = {"strategy", "max_restarts", "max_seconds", "auto_shutdown"}

local function check_name(name, fname)
  if type(name) ~= "string" then
    core.argument_error(fname, 1, "name of an application expected, got " .. core.type(name))
  end
  return name
end

-- What the master is to start.
local function spec_of(opts, fname)
  options.check(opts, start_options, fname, 1)
  if (opts.children == nil) == (opts.start == nil) then
    core.argument_error(fname, 1, "an application has children, or a start function: one of the two options")
  end
  if string.find(opts.name, ".", 1, true) then
    core.argument_error(fname, 1, "the name of an application has no dots, which lead into its environment")
  end
  local spec = {
    name = opts.name, start = opts.start, env = opts.env, prep_stop = opts.prep_stop, stop = opts.stop,
    type = opts.type or "temporary", applications = opts.applications, description = opts.description,
    version = opts.version,
  }
  if opts.children == nil then
    for _, name in ipairs(of_supervisor) do
      if opts[name] ~= nil then
        core.argument_error(fname, 1, string.format("the option %s goes with children, not with start", name))
      end
    end
    return spec
  end
  spec.children = child_spec.expand_all(opts.children)
  child_fields.check_all(opts.children, spec.children, fname)
  spec.options = {name = opts.supervisor}
  for _, name in ipairs(of_supervisor) do spec.options[name] = opts[name] end
  spec.options.strategy = opts.strategy or "one_for_one"
  return spec
end

local function process_name(name) return "application " .. name end

local will_stop = false -- of this heap: that all are stopped several times does no harm

local function start(spec, fname)
  if not will_stop then
    will_stop = true
    core.at_exit(started.stop_all)
  end
  local pid, reason = client.start(master, spec, {name = process_name(spec.name)}, fname)
  if pid ~= nil then
    local app = started.find(spec.name)
    if app == nil then return nil, "noproc" end -- it has ended already
    return app.root
  end
  if type(reason) == "table" and reason[1] == "already_started" and reason[2] == core.process_whereis(
    process_name(spec.name)) then
    reason = core.reason{"already_started", spec.name}
  end
  return nil, reason
end

--- Start an application: its root supervisor with the children, or what its start function starts.
-- The caller waits until all children have started; it is not linked to the application. See Elixir's
-- `Application.start/2`.
-- @param opts table: name (a string without dots); children (as for `Supervisor.start_link`) with strategy
-- ("one_for_one"), max_restarts, max_seconds, auto_shutdown and supervisor (a name for the root supervisor); or, in their
-- place, start (a function, or {function, arguments...}, which returns the pid of a linked supervisor and perhaps a
-- state, or nil, reason). Also env (table: its environment, as far as it is not configured), applications (names of
-- those that have to run), prep_stop (function of the state: the state for stop), stop (function of the state), type
-- ("temporary": when it ends by itself that is logged; "permanent": the program ends with it, status 1; "transient": so
-- it does unless that end was ordinary), description, version
-- @return pid of the root supervisor | nil, reason: {"already_started", name}, {"not_started", name} of one that it
-- needs, or why the start failed
-- @usage
-- local sup = assert(Application.start{
--   name = "counting", env = {first = 5},
--   children = {{Agent, function() return Application.get_env("counting", "first") end}},
-- })
-- assert(Agent.get(Supervisor.which_children(sup)[1][2]) == 5)
-- assert(Application.stop("counting"))
function Application.start(opts) return start(spec_of(opts, "Application.start"), "Application.start") end

--- As `start`, for an application that may run already. See Elixir's `Application.ensure_started/2`.
-- @param opts as for `start`
-- @return pid of the root supervisor | nil, reason
-- @usage
-- local app = {name = "idle", children = {}}
-- assert(Application.ensure_started(app) == Application.ensure_started(app))
function Application.ensure_started(opts)
  local spec = spec_of(opts, "Application.ensure_started")
  local root, reason = start(spec, "Application.ensure_started")
  if root == nil and type(reason) == "table" and reason[1] == "already_started" then
    local app = started.find(spec.name)
    if app then return app.root end
  end
  return root, reason
end

-- Whether all that an application needs runs, but for those in `missing`.
local function next_to_start(specs, missing)
  for i, spec in ipairs(specs) do
    local waits = false
    for _, name in ipairs(spec.applications or {}) do waits = waits or missing[name] end
    if not waits then return i end
  end
  return 1 -- they need each other in a circle: its start says so
end

--- Start several applications, each after those it needs. See Elixir's `Application.ensure_all_started/2`.
-- @param list sequence of what `start` takes, in any order
-- @return sequence of the names of those that were started, in order | nil, {name, reason} of the first one that could
-- not be; those before it run
-- @usage
-- local names = Application.ensure_all_started{
--   {name = "shop", children = {}, applications = {"db"}},
--   {name = "db", children = {}},
-- }
-- assert(names[1] == "db" and names[2] == "shop")
function Application.ensure_all_started(list)
  if type(list) ~= "table" or list.name ~= nil then
    core.argument_error("Application.ensure_all_started", 1, "sequence of applications expected, got " ..
      (type(list) == "table" and "one: put it into braces" or core.type(list)))
  end
  local specs, missing, names = {}, {}, {}
  for i, opts in ipairs(list) do
    specs[i] = spec_of(opts, "Application.ensure_all_started")
    missing[opts.name] = true
  end
  while specs[1] do
    local spec = table.remove(specs, next_to_start(specs, missing))
    missing[spec.name] = nil
    if not started.find(spec.name) then
      local root, reason = start(spec, "Application.ensure_all_started")
      if root == nil then return nil, {spec.name, reason} end
      names[#names + 1] = spec.name
    end
  end
  return names
end

--- Stop an application in order: prep_stop, the root supervisor, stop. See Elixir's `Application.stop/1`.
-- The caller waits until all has ended. What its environment was stays.
-- @param name the application's
-- @return true | nil, {"not_started", name}
-- @usage
-- Application.start{name = "chat", children = {}, stop = function() print("the chat has ended") end}
-- assert(Application.stop("chat"))
-- assert(select(2, Application.stop("chat"))[1] == "not_started")
function Application.stop(name)
  local app = started.find(check_name(name, "Application.stop"))
  if app == nil then return nil, core.reason{"not_started", name} end
  local ended, why = core.system(app.master, {"terminate", "normal"}, "infinity", "Application.stop")
  if ended == false and why == "noproc" then return nil, core.reason{"not_started", name} end
  return true
end

--- The applications that run, in the order of their starts. See Elixir's `Application.started_applications/1`.
-- @return sequence of {name, description, version}; the two are "" when it has none
-- @usage
-- Application.start{name = "chat", children = {}, version = "1.0"}
-- local app = Application.started_applications()[1]
-- assert(app[1] == "chat" and app[2] == "" and app[3] == "1.0")
function Application.started_applications()
  local apps = {}
  for i, app in ipairs(started.all()) do apps[i] = {app.name, app.description or "", app.version or ""} end
  return apps
end

-- The environment

--- A value of an application's environment. Reading asks no process. See Elixir's `Application.get_env/3`.
-- @param app name of an application, whether it runs or not
-- @param key
-- @param[opt] default what is given where there is no value
-- @return a copy of the value | default
-- @usage
-- Application.put_env("chat", "port", 7010)
-- assert(Application.get_env("chat", "port") == 7010 and Config.get("chat.port") == 7010)
-- assert(Application.get_env("chat", "host", "localhost") == "localhost")
function Application.get_env(app, key, default)
  local value = store.get{check_name(app, "Application.get_env"), key}
  if value == nil then return default end
  return value
end

--- The same, which tells a value from none. See Elixir's `Application.fetch_env/2`.
-- @param app name
-- @param key
-- @return a copy of the value | nil, "not_found"
-- @usage assert(select(2, Application.fetch_env("chat", "port")) == "not_found")
function Application.fetch_env(app, key)
  local value = store.get{check_name(app, "Application.fetch_env"), key}
  if value == nil then return nil, "not_found" end
  return value
end

--- All of an application's environment. See Elixir's `Application.get_all_env/1`.
-- @param app name
-- @return table, a copy; empty when there is none
-- @usage
-- Application.put_env("chat", "port", 7010)
-- assert(Application.get_all_env("chat").port == 7010)
function Application.get_all_env(app) return store.get{check_name(app, "Application.get_all_env")} or {} end

-- Change a field of an application's environment.
local function set(app, key, value, fname)
  check_name(app, fname)
  if key == nil or key ~= key then core.argument_error(fname, 2, "a key is neither nil nor NaN") end
  store.update(app, function(env)
    if env ~= nil and type(env) ~= "table" then
      core.argument_error(fname, 1, string.format("%s is configured as %s, not as a table", app, inspect(env)))
    end
    env = env or {}
    env[key] = value
    return next(env) ~= nil and env or nil
  end, fname, 3)
  return true
end

--- Set a value of an application's environment, for all processes. See Elixir's `Application.put_env/4`.
-- @param app name
-- @param key
-- @param value any value, copied; nil takes it away
-- @return true
-- @usage
-- Application.put_env("chat", "port", 7010)
-- assert(Application.get_env("chat", "port") == 7010)
function Application.put_env(app, key, value) return set(app, key, value, "Application.put_env") end

--- Take a value away. See Elixir's `Application.delete_env/3`.
-- @param app name
-- @param key
-- @return true, also when there is none
-- @usage
-- Application.put_env("chat", "port", 7010)
-- Application.delete_env("chat", "port")
-- assert(Application.get_env("chat", "port") == nil)
function Application.delete_env(app, key) return set(app, key, nil, "Application.delete_env") end

return Application

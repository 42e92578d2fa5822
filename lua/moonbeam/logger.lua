--- Log entries, written to stderr as `12:01:02.345 [error] text`, or given to handlers. See Elixir's `Logger`.
--
-- An entry below the level costs next to nothing. A terminal or a pipe that is slow delays no other process: what it
-- does not take at once waits, up to 4 MB of it, and a process that logs faster than entries are taken waits a little,
-- too. What does not fit is dropped, and an entry says how much. Reports of crashes have 4 MB of their own; above that,
-- an entry says how many more came from which place. When the program ends, what is left is written, as long as
-- somebody takes it. Each handler has a process and such a room of its own, and none holds up another.
--
-- Levels, from bad to worse: "debug", "info", "notice", "warning", "error", "critical", "alert", "emergency". Where
-- what is to be logged is said, there are "all" and "none", too.
-- @module moonbeam.logger

local core = require "moonbeam.core"
local log = require "moonbeam.logger.log"

local Logger = {}

local RETRY_MS = 10 -- of a flush when very many wait

-- What is not needed to log as at first.
local function settings() return require "moonbeam.logger.settings" end
local function handlers() return require "moonbeam.logger.handlers" end

--- Log at a level. A function is called for its result (or results: a message and metadata) only when the level is on.
-- A table becomes a report: handlers find it in `event.metadata.report`. The event of a report of the runtime's own has
-- `kind` beside: "crash", "supervisor" or "trace". A message is no format, and nothing is filled in: use `("failed:
-- %s"):format(why)`, or a function. See Elixir's `Logger.debug/2`.
-- @function debug
-- @param message string, function, table, or another value
-- @param[opt] metadata table, beside the process's own
-- @return true
-- @usage Logger.debug(function() return "not built unless wanted" end)
Logger.debug = core.log_debug

--- As `debug`, at the level of its name. See Elixir's `Logger.info/2`.
-- @function info
-- @param message as for debug
-- @param[opt] metadata table
-- @return true
-- @usage Logger.info("something to know", {user = "ann"})
Logger.info = core.log_info

--- As `debug`, at the level of its name. See Elixir's `Logger.notice/2`.
-- @function notice
-- @param message as for debug
-- @param[opt] metadata table
-- @return true
-- @usage Logger.notice("something to know")
Logger.notice = core.log_notice

--- As `debug`, at the level of its name. See Elixir's `Logger.warning/2`.
-- @function warning
-- @param message as for debug
-- @param[opt] metadata table
-- @return true
-- @usage Logger.warning("something to know")
Logger.warning = core.log_warning

--- As `debug`, at the level of its name. See Elixir's `Logger.error/2`.
-- @function error
-- @param message as for debug
-- @param[opt] metadata table
-- @return true
-- @usage Logger.error("something to know")
Logger.error = core.log_error

--- As `debug`, at the level of its name. See Elixir's `Logger.critical/2`.
-- @function critical
-- @param message as for debug
-- @param[opt] metadata table
-- @return true
-- @usage Logger.critical("something to know")
Logger.critical = core.log_critical

--- As `debug`, at the level of its name. See Elixir's `Logger.alert/2`.
-- @function alert
-- @param message as for debug
-- @param[opt] metadata table
-- @return true
-- @usage Logger.alert("something to know")
Logger.alert = core.log_alert

--- As `debug`, at the level of its name. See Elixir's `Logger.emergency/2`.
-- @function emergency
-- @param message as for debug
-- @param[opt] metadata table
-- @return true
-- @usage Logger.emergency("something to know")
Logger.emergency = core.log_emergency

--- Another name of `warning`, as in Elixir, where it is deprecated.
-- @function warn
-- @param message as for debug
-- @param[opt] metadata table
-- @return true
-- @usage Logger.warn("something to know")
Logger.warn = core.log_warning

--- Log at the level of a name. See Elixir's `Logger.log/3`.
-- @function log
-- @param level "debug", "info", "notice", "warning", "error", "critical", "alert" or "emergency"
-- @param message as for debug
-- @param[opt] metadata table
-- @return true
-- @usage Logger.log("notice", "something to know", {user = "ann"})
Logger.log = core.log_named

--- The levels of entries, the worst first. See Elixir's `Logger.levels/0`.
-- @return sequence of strings
-- @usage assert(Logger.levels()[1] == "emergency")
function Logger.levels()
  local names = {}
  for name, n in next, log.levels do
    if name ~= "all" and name ~= "none" then names[log.levels.none - n] = name end
  end
  return names
end

--- The level from which on entries are logged. See Elixir's `Logger.level/0`.
-- @return string
-- @usage
-- Logger.configure{level = "notice"}
-- assert(Logger.level() == "notice")
function Logger.level() return core.log_level() end

--- Compare two levels. See Elixir's `Logger.compare_levels/2`.
-- @param a level
-- @param b level
-- @return "lt", "eq" or "gt": whether a is less bad than b, as bad, or worse
-- @usage assert(Logger.compare_levels("error", "info") == "gt")
function Logger.compare_levels(a, b)
  local rule = require("moonbeam.logger.options").level
  rule(a, "Logger.compare_levels", 1)
  rule(b, "Logger.compare_levels", 2)
  local left, right = log.levels[a], log.levels[b]
  return left < right and "lt" or left > right and "gt" or "eq"
end

--- Let the calling process have a level of its own, which counts before that of a module and that of all; lower or
-- higher than these. What the runtime reports of the process, its crash, has the level of all. Processes that it spawns
-- have none. See Elixir's `Logger.put_process_level/2`.
-- @function put_process_level
-- @param pid the calling process's
-- @param level one of the eight, "all" or "none"
-- @return true
-- @usage
-- Logger.put_process_level(self(), "none")
-- Logger.error("nobody sees it")
-- Logger.delete_process_level(self())
Logger.put_process_level = core.put_process_level

--- The level that the calling process has of its own. See Elixir's `Logger.get_process_level/1`.
-- @function get_process_level
-- @param pid the calling process's
-- @return level | nil
-- @usage assert(Logger.get_process_level(self()) == nil)
Logger.get_process_level = core.get_process_level

--- Take it away. See Elixir's `Logger.delete_process_level/1`.
-- @function delete_process_level
-- @param pid the calling process's
-- @return true
-- @usage Logger.delete_process_level(self())
Logger.delete_process_level = core.delete_process_level

--- Whether the calling process logs: false when its own level is "none". See Elixir's `Logger.enabled?/1`.
-- @function enabled
-- @param[opt] pid the calling process's
-- @return boolean
-- @usage
-- Logger.put_process_level(self(), "none")
-- assert(not Logger.enabled())
-- Logger.delete_process_level(self())
Logger.enabled = core.log_enabled

--- Let a module have a level of its own, which counts before that of all: for the calls that stand in its file, the one
-- in which `require` finds it on package.path. See Elixir's `Logger.put_module_level/2`.
-- @param module a name as `require` takes it, a loaded module, or a sequence of these
-- @param level one of the eight, "all" or "none"
-- @return true
-- @usage
-- Logger.put_module_level("app.noisy", "error")
-- assert(Logger.get_module_level("app.noisy") == "error")
-- Logger.delete_module_level("app.noisy")
function Logger.put_module_level(module, level)
  require("moonbeam.logger.options").level(level, "Logger.put_module_level", 2)
  return settings().put_module_level(module, level, "Logger.put_module_level")
end

--- The level that a module has of its own. See Elixir's `Logger.get_module_level/1`.
-- @param[opt] module as for `put_module_level`; all that have one when left out
-- @return level | nil; of a sequence, and of all, a table: name -> level
-- @usage
-- Logger.put_module_level({"app.noisy", "app.quiet"}, "error")
-- assert(Logger.get_module_level{"app.noisy"}["app.noisy"] == "error")
-- Logger.delete_all_module_levels()
function Logger.get_module_level(module) return settings().get_module_level(module, "Logger.get_module_level") end

--- Take the level of a module away. See Elixir's `Logger.delete_module_level/1`.
-- @param module as for `put_module_level`
-- @return true
-- @usage Logger.delete_module_level("app.noisy")
function Logger.delete_module_level(module)
  return settings().put_module_level(module, nil, "Logger.delete_module_level")
end

--- Take the levels of all modules away. See Elixir's `Logger.delete_all_module_levels/0`.
-- @return true
-- @usage Logger.delete_all_module_levels()
function Logger.delete_all_module_levels() return settings().delete_all_module_levels() end

--- Configure the log, for all processes: the level, and the default handler. See Elixir's `Logger.configure/1`.
--
-- A handler is a function of one event, a table with level, message (text), metadata, time (ms since 1970) and pid (nil
-- when a finalizer has logged it); it runs in the logger's own process, one event at a time, and is copied there.
-- Crashes come as `metadata.report`, a table with kind = "crash", pid, reason and more. A handler that raises is
-- reported, and the default takes over; one that is at an event for a second while another handler waits for its place
-- is killed and reported. What a handler logs itself goes to none.
--
-- A format is a text in which $time, $date, $level, $message, $metadata, $node and $pid are replaced, "json" (an object
-- in a line, with all metadata when none is asked for), or a function from an event to text, which runs in the process
-- that logs; "default" brings the first one back.
--
-- Where the user's code logs is file, line, function and module in an event's metadata, when `location` is true, or
-- when `metadata` names one of these. A call in a tail position (`return Logger.info(text)`) has the place of the
-- function's caller.
-- @param opts table: level = one of the eight ("info" at first), "all" or "none"; handler = function | "default";
-- format = string | function; metadata = sequence of keys that $metadata shows | "all"; truncate = bytes of a message
-- | "infinity" (at first); location = boolean; colors = {enabled = boolean, LEVEL = "red", ...}: of texts on stderr;
-- enabled at first when that is a terminal and NO_COLOR is not set; {} is as at first
-- @return the level before
-- @usage
-- local before = Logger.configure{
--   level = "warning", format = "$date $time [$level] $metadata$message", metadata = {"user"},
-- }
-- assert(before == "info")
-- Logger.error("shown with the user", {user = "ann"})
-- @usage
-- Logger.configure{handler = function(event) io.stderr:write(event.level, ": ", event.message, "\n") end}
-- Logger.error("handled")
-- Logger.configure{handler = "default"}
-- @usage
-- Logger.configure{format = "json", metadata = {"user", "file", "line"}, truncate = 8192}
-- Logger.error("an object in a line", {user = "ann"})
-- Logger.configure{format = "default", metadata = {}, truncate = "infinity"}
function Logger.configure(opts)
  if type(opts) ~= "table" then
    core.argument_error("Logger.configure", 1, "table expected, got " .. core.type(opts))
  end
  settings().configure(opts, "Logger.configure")
  return core.log_level(opts.level)
end

--- Add a handler beside those there are. See Erlang's `logger:add_handler/3`.
--
-- * `handler = function`: it is called as that of `configure`, in a process of its own. With `format` its second
-- argument is the text.
-- * `handler = "file"`: texts are appended to `path`, by a process of its own. A file that would grow beyond `max_bytes`
-- ("infinity" at first) becomes path.0, what was path.0 becomes path.1, and so on; `max_files` (5) of the old ones are
-- kept. When somebody else has moved the file away, a new one is made, so that a program like logrotate needs to tell
-- nobody. What cannot be written, because a disk is full, say, is written to stderr, and an entry says why.
-- * `handler = "default"`: texts go to stderr, as those of the handler "default", which is there at first.
--
-- Entries below `level` are not for it. `filters` is a sequence of functions of an event, which run in the process that
-- logs: true, or an event in the place of this one, is yes, false or "stop" is no, and nil or "ignore" leaves it to the
-- next one, and at last to `filter_default`, "log" (at first) or "stop". One that fails is reported once and says
-- nothing.
--
-- A handler that fails or dies is reported and taken away. What it has not handled is written to stderr, unless the
-- default handler has shown it before.
-- @param name string
-- @param opts table: handler; level = "all"; filters, filter_default; format, metadata, truncate, location as for
-- `configure` (a file's format has the date before the time); colors, for "default"; path, max_bytes, max_files, for
-- "file"
-- @return true | nil, reason: {"already_exist", name}, "too many handlers" (there may be 31), or text, code of a file
-- @usage
-- assert(Logger.add_handler("errors", {
--   handler = "file", path = "/tmp/errors.log", level = "error", max_bytes = 1000000, max_files = 3, format = "json",
-- }))
-- Logger.error("in both places")
-- Logger.flush()
-- assert(fs.read("/tmp/errors.log"):match('"message":"in both places"'))
-- Logger.remove_handler("errors")
-- @usage
-- local me = self()
-- Logger.add_handler("of users", {
--   handler = function(event, text) send(me, text) end,
--   filters = {function(event) return event.metadata.user ~= nil end},
--   format = "$metadata$message", metadata = {"user", "line"},
-- })
-- Logger.info("hello", {user = "ann"})
-- assert(receive():match("^user=ann line=%d+ hello$"))
-- Logger.remove_handler("of users")
function Logger.add_handler(name, opts) return handlers().add(name, opts, "Logger.add_handler") end

--- Take a handler away, "default" too; what it has been given, it still handles. See Erlang's
-- `logger:remove_handler/1`.
-- @param name string
-- @return true | nil, {"not_found", name}
-- @usage assert(not Logger.remove_handler("unknown"))
function Logger.remove_handler(name) return handlers().remove(name, "Logger.remove_handler") end

--- Change options of a handler; those that are not named stay. See Erlang's `logger:update_handler_config/2`.
-- @param name string
-- @param opts table, as for `add_handler`, without handler
-- @return true | nil, reason
-- @usage
-- assert(Logger.update_handler("default", {level = "error"}))
-- Logger.warning("not shown")
-- Logger.update_handler("default", {level = "all"})
function Logger.update_handler(name, opts) return handlers().update(name, opts, "Logger.update_handler") end

--- The handlers there are, with their options. See Erlang's `logger:get_handler_config/0`.
-- @return table: name -> options, as for `add_handler`
-- @usage assert(Logger.handlers().default.handler == "default")
function Logger.handlers() return handlers().all() end

--- Metadata of the calling process, which all of its events have. See Elixir's `Logger.metadata/1`.
-- @param[opt] metadata table that is added to what there is
-- @return true; without an argument a table of what there is
-- @usage
-- Logger.metadata{request = 17}
-- assert(Logger.metadata().request == 17)
function Logger.metadata(metadata)
  local all = {}
  for k, v in next, core.process_get(log.METADATA) or {} do all[k] = v end
  if metadata == nil then return all end
  if type(metadata) ~= "table" then
    core.argument_error("Logger.metadata", 1, "table expected, got " .. core.type(metadata))
  end
  for k, v in next, metadata do all[k] = v end
  core.process_put(log.METADATA, all)
  return true
end

--- Take keys out of the metadata of the calling process. In Elixir that is `Logger.metadata(key: nil)`, which no table
-- can say in Lua.
-- @param ... keys
-- @return true
-- @usage
-- Logger.metadata{request = 17, user = "ann"}
-- Logger.delete_metadata("request")
-- assert(Logger.metadata().request == nil and Logger.metadata().user == "ann")
function Logger.delete_metadata(...)
  local all = Logger.metadata()
  for i = 1, select("#", ...) do
    local key = select(i, ...)
    if key == nil then core.argument_error("Logger.delete_metadata", i, "key expected, got nil") end
    all[key] = nil
  end
  core.process_put(log.METADATA, all)
  return true
end

--- As `metadata`, in place of what there is. See Elixir's `Logger.reset_metadata/1`.
-- @param[opt] metadata table; none when left out
-- @return true
-- @usage
-- Logger.metadata{request = 17}
-- Logger.reset_metadata()
-- assert(next(Logger.metadata()) == nil)
function Logger.reset_metadata(metadata)
  core.process_delete(log.METADATA)
  return Logger.metadata(metadata or {})
end

--- Wait until everything logged so far has been handled, or written. See Elixir's `Logger.flush/0`.
-- @param[opt=5000] ms integer >= 0 or "infinity"
-- @return true | nil, "timeout"
-- @usage
-- Logger.error("on its way")
-- assert(Logger.flush())
function Logger.flush(ms)
  local deadline = require "moonbeam.internal.deadline"
  ms = require("moonbeam.internal.check").timeout(ms, 5000, "Logger.flush", 1)
  local last, ref = deadline.after(ms), nil
  repeat
    ref = core.log_flush()
    if not ref then -- very many wait already
      if deadline.left(last) == 0 then return nil, "timeout" end
      core.sleep(RETRY_MS)
    end
  until ref
  local _ <close> = require("moonbeam.internal.owned")(ref)
  if core.await(ref, deadline.left(last)) then return true end
  return nil, "timeout"
end

return Logger

--- What stands for a server: a pid, a registered name, or a via table {"via", Module, term}.
--
-- A module of names has whereis_name(term) -> pid | nil, and register_name(term, pid) -> true | nil, pid for what is to
-- be started under one; with send_after(term, message, ms) a timer finds out whom it is for when the time has come.
-- @module moonbeam.internal.names

local core = require "moonbeam.core"

local type = type

local names = {}

--- The module and the term of a via table; raises naming function and argument.
function names.via(name, fname, index)
  local module = name[2]
  if name[1] == "via" and type(module) == "table" and module.whereis_name then return module, name[3] end
  return core.argument_error(fname, index, 'pid, name or via table {"via", module, term} expected, got another table')
end

--- The pid or name to talk to, for argument 1 of a function.
-- @return pid | name | nil when a via name has no holder
function names.resolve(server, fname)
  if type(server) ~= "table" then return server end
  local module, term = names.via(server, fname, 1)
  return module.whereis_name(term)
end

--- A name for what is to be started: nil, a string or a via table; raises naming function and argument.
function names.check(name, fname, index)
  if name == nil then return end
  if type(name) == "table" then
    if not names.via(name, fname, index).register_name then
      core.argument_error(fname, index, "the module of the via table has no register_name")
    end
  elseif type(name) ~= "string" then
    core.argument_error(fname, index, "the name is a string or a via table, got " .. core.type(name))
  elseif name == "" or name == "nil" or name == "true" or name == "false" or name == "undefined" then
    core.argument_error(fname, index, string.format("'%s' cannot be a name", name))
  end
end

return names

--- The callbacks of modules, for `b` of the prompt: what they take, what they return, when they are called.
-- @module moonbeam.shell.callbacks

local CHANGE = '"next_state", state, data [, actions] | "keep_state", data [, actions]\n'
  .. '| "keep_state_and_data" [, actions] | "repeat_state", data [, actions] | "repeat_state_and_data" [, actions]\n'
  .. '| "stop" [, reason [, data]] | "stop_and_reply", reason, replies [, data]'
local NEXT = '"noreply", state [, extra] | "stop", reason, state'

-- By module: sequences of the name with the parameters, what is returned, when, and whether it has to be there.
local known = {
  GenServer = {
    {"init(arg)", '"ok", state [, extra] | "ignore" | "stop", reason | "error", reason',
      "The server has been started: what it returns is what start_link waits for.", true},
    {"handle_call(request, from, state)", '"reply", value, state [, extra] | "noreply", state [, extra]\n'
      .. '| "stop", reason, value, state | "stop", reason, state',
      "GenServer.call asks for a reply. With \"noreply\" it is given later, by GenServer.reply(from, value)."},
    {"handle_cast(request, state)", NEXT, "GenServer.cast has sent a request that nobody waits for."},
    {"handle_info(message, state)", NEXT, "Any other message has come, \"timeout\" among them."},
    {"handle_continue(x, state)", NEXT, "The callback before has returned {\"continue\", x}; nothing comes between."},
    {"terminate(reason, state)", "what is dropped",
      "The server stops: by itself, by its supervisor where it traps exits, or by an error in a callback."},
    {"code_change(old, state, extra)", '"ok", state | "error", reason', "GenServer.reload has loaded the module anew."},
    {"format_status(status)", "status: a table with state, message and reason",
      "Reports and GenServer.get_status are about to show them."},
  },
  StateMachine = {
    {"init(arg)", '"ok", state, data [, actions] | "ignore" | "stop", reason | "error", reason',
      "The machine has been started: what it returns is what start_link waits for.", true},
    {"state_name(event_type, event, data)", CHANGE,
      "An event has come while the machine is in the state of this name. h(StateMachine) tells of types and actions."},
    {"handle_event(event_type, event, state, data)", CHANGE,
      "An event has come, where callback_mode is \"handle_event_function\": one function for all states."},
    {"callback_mode()", '"state_functions" | "handle_event_function", each also in a sequence with "state_enter"',
      "The machine starts. It may be the word itself instead of a function."},
    {"terminate(reason, state, data)", "what is dropped",
      "The machine stops: by itself, by its supervisor where it traps exits, or by an error in a callback."},
    {"code_change(old, state, data, extra)", '"ok", state, data | "error", reason',
      "GenServer.reload has loaded the module anew."},
    {"format_status(status)", "status: a table with state, data, message and reason",
      "Reports and GenServer.get_status are about to show them."},
  },
  Application = {
    {"start(arguments...)", "pid [, state] | nil, reason",
      "Application.start has been called with this option in the place of children. The pid is a linked supervisor's."},
    {"prep_stop(state)", "state, for stop", "The application is about to stop; its processes still run."},
    {"stop(state)", "what is dropped", "The application has stopped."},
  },
  Supervisor = {
    {"init(arg)", 'Supervisor.init(children, options) | "ignore"', "The supervisor has been started.", true},
  },
  DynamicSupervisor = {
    {"init(arg)", 'DynamicSupervisor.init(options) | "ignore"', "The supervisor has been started.", true},
  },
}

local callbacks = {}

local function name_of(callback) return string.match(callback[1], "^[%w_]+") end

-- How one is written, over several lines where it returns much.
local function written(callback)
  return callback[1] .. (callback[4] and "" or "   (optional)") .. "\n    -> " ..
    string.gsub(callback[2], "\n", "\n       ")
end

--- The text about a module's callbacks, or about one of them.
-- @param name as "GenServer" or "GenServer.init"
-- @return string, or nil when there are none
function callbacks.about(name)
  local module, one = string.match(name, "^(.*)%.([%l_]+)$")
  if known[name] then
    local lines = {}
    for n, callback in ipairs(known[name]) do lines[n] = written(callback) end
    return table.concat(lines, "\n\n")
  end
  for _, callback in ipairs(known[module] or {}) do
    if name_of(callback) == one then return written(callback) .. "\n\n" .. callback[3] end
  end
end

return callbacks

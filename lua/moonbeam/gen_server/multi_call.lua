--- Requests to the servers of one name on several nodes. There is one node so far, this one.
-- @module moonbeam.gen_server.multi_call

local core = require "moonbeam.core"
local call = require "moonbeam.internal.call"

local multi_call = {}

local THIS_NODE = "nonode@nohost"

-- The arguments ([nodes,] name, ...) as nodes, name, ...
local function with_nodes(fname, nodes, ...)
  if type(nodes) == "table" then
    for i, node in ipairs(nodes) do
      if type(node) ~= "string" then
        core.argument_error(fname, 1, string.format("sequence of nodes' names expected, got a %s at %d", core.type(node), i))
      end
    end
    local name = ...
    if type(name) ~= "string" then core.argument_error(fname, 2, "name expected, got " .. core.type(name)) end
    return nodes, ...
  end
  if type(nodes) ~= "string" then core.argument_error(fname, 1, "name expected, got " .. core.type(nodes)) end
  return {THIS_NODE}, nodes, ...
end

local function ask(nodes, name, request, ms)
  ms = call.timeout(ms, "infinity", "GenServer.multi_call", 4)
  local replies, bad_nodes = {}, {}
  for _, node in ipairs(nodes) do
    local answered, reply = false, nil
    if node == THIS_NODE then answered, reply = core.call(name, request, ms) end
    if answered then
      replies[#replies + 1] = {node, reply}
    else
      bad_nodes[#bad_nodes + 1] = node
    end
  end
  return replies, bad_nodes
end

--- Call the servers that have this name on the nodes, and wait for all of them. See Elixir's `GenServer.multi_call/4`.
-- A late reply never reaches the mailbox.
-- @param[opt] nodes sequence of nodes' names; all there are
-- @param name string
-- @param request any value; copied
-- @param[opt="infinity"] ms integer >= 0 or "infinity"
-- @return sequence of {node, reply}; sequence of the nodes without an answer: nobody has the name, it died, or is late
-- @usage
-- local Echo = {}
-- function Echo.init() return "ok", 0 end
-- function Echo.handle_call(request, from, n) return "reply", request, n + 1 end
-- GenServer.start(Echo, nil, {name = "echo"})
-- local replies, bad_nodes = GenServer.multi_call("echo", "hello")
-- assert(replies[1][2] == "hello" and #bad_nodes == 0)
function multi_call.multi_call(nodes, name, ...) return ask(with_nodes("GenServer.multi_call", nodes, name, ...)) end

--- Send a request to the servers that have this name on the nodes, without waiting. See Elixir's `GenServer.abcast/3`.
-- @param[opt] nodes sequence of nodes' names; all there are
-- @param name string
-- @param request any value; copied
-- @return true, also where there is no such server
-- @usage assert(GenServer.abcast("nobody", "hello"))
function multi_call.abcast(nodes, name, ...)
  local request
  nodes, name, request = with_nodes("GenServer.abcast", nodes, name, ...)
  for _, node in ipairs(nodes) do
    if node == THIS_NODE then core.cast(name, request) end
  end
  return true
end

return multi_call

--- Requests to the servers of one name on several nodes. There is one node so far, this one.
-- @module moonbeam.gen_server.multi_call

local core = require "moonbeam.core"
local check = require "moonbeam.internal.check"

local multi_call = {}

local THIS_NODE = core.node_name()

-- What a refusal says where the nodes have been given.
local with_nodes_given = {"argument #2", "argument #3"}

-- The arguments ([nodes,] name, ...) as nodes, name, ...
local function with_nodes(fname, nodes, ...)
  if type(nodes) == "table" then
    for i, node in ipairs(nodes) do
      if type(node) ~= "string" then
        core.argument_error(fname, 1,
          string.format("sequence of nodes' names expected, got a %s at %d", core.type(node), i))
      end
    end
    local name = ...
    if type(name) ~= "string" then core.argument_error(fname, 2, "name expected, got " .. core.type(name)) end
    return nodes, ...
  end
  if type(nodes) ~= "string" then core.argument_error(fname, 1, "name expected, got " .. core.type(nodes)) end
  return {THIS_NODE}, nodes, ...
end

local function ask(given, nodes, name, request, ms)
  ms = check.timeout(ms, "infinity", "GenServer.multi_call", 4)
  local replies, bad_nodes = {}, {}
  for _, node in ipairs(nodes) do
    local answered, reply = false, nil
    if node == THIS_NODE then
      answered, reply = check.renaming(given and with_nodes_given or {},
        pcall(core.call, name, request, ms, "GenServer.multi_call"))
    end
    if answered then
      replies[#replies + 1] = {node, reply}
    else
      bad_nodes[#bad_nodes + 1] = node
    end
  end
  return replies, bad_nodes
end

--- See GenServer.multi_call.
function multi_call.multi_call(nodes, name, ...)
  return ask(type(nodes) == "table", with_nodes("GenServer.multi_call", nodes, name, ...))
end

--- See GenServer.abcast.
function multi_call.abcast(nodes, name, ...)
  local given, request = type(nodes) == "table", nil
  nodes, name, request = with_nodes("GenServer.abcast", nodes, name, ...)
  for _, node in ipairs(nodes) do
    if node == THIS_NODE then
      check.renaming(given and with_nodes_given or {}, pcall(core.cast, name, request, "GenServer.abcast"))
    end
  end
  return true
end

return multi_call

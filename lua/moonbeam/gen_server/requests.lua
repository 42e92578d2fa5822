--- Requests that do not wait: see GenServer.send_request. A request id is a table {ref, server, owner}, a collection one
-- of ids and labels by reference, which core.await takes as it is.
-- @module moonbeam.gen_server.requests

local core = require "moonbeam.core"
local check = require "moonbeam.internal.check"
local names = require "moonbeam.internal.names"

local await, core_type, demonitor, self = core.await, core.type, core.demonitor, core.self
local type = type

local requests = {}

local collection = {__name = "request ids"}

local function is_collection(v) return getmetatable(v) == collection end

local function check_owner(id, fname)
  if id.owner == self() then return end
  core.raise_at_caller(string.format("%s: the request to %s was made by %s, and its response comes there; this is %s", fname,
    tostring(id.server), tostring(id.owner), tostring(self())))
end

local function check_id(id, fname, index)
  if type(id) ~= "table" or core_type(id.ref) ~= "reference" or id.owner == nil then
    core.argument_error(fname, index, "request id expected, got " .. core_type(id))
  end
  check_owner(id, fname)
end

local function check_collection(reqids, fname, index)
  if not is_collection(reqids) then
    core.argument_error(fname, index, "collection of request ids expected, got " .. core_type(reqids))
  end
end

--- See GenServer.reqids_new.
function requests.new() return setmetatable({waiting = {}, size = 0}, collection) end

--- See GenServer.reqids_add.
function requests.add(id, label, reqids)
  check_id(id, "GenServer.reqids_add", 1)
  check_collection(reqids, "GenServer.reqids_add", 3)
  if reqids.waiting[id.ref] then core.argument_error("GenServer.reqids_add", 1, "the request is in it already") end
  reqids.waiting[id.ref] = {id, label}
  reqids.size = reqids.size + 1
  return reqids
end

--- See GenServer.reqids_size.
function requests.size(reqids)
  check_collection(reqids, "GenServer.reqids_size", 1)
  return reqids.size
end

--- See GenServer.reqids_to_list.
function requests.to_list(reqids)
  check_collection(reqids, "GenServer.reqids_to_list", 1)
  local list = {}
  for _, entry in next, reqids.waiting do list[#list + 1] = {entry[1], entry[2]} end
  return list
end

--- See GenServer.send_request.
function requests.send(server, request, label, reqids)
  if reqids ~= nil then check_collection(reqids, "GenServer.send_request", 4) end
  local to = server
  if type(to) == "table" then
    to = names.resolve(to, "GenServer.send_request")
    if to == nil then to = false end
  end
  local id = {ref = core.request(to, request, "GenServer.send_request"), server = server, owner = self()}
  if reqids ~= nil then return requests.add(id, label, reqids) end
  return id
end

-- What a wait for one request has brought: true, reply | false, {reason, server} | nil, "timeout".
local function response(id, ref, kind, value)
  if ref == nil then return nil, "timeout" end
  demonitor(ref, "flush")
  if kind == "reply" then return true, value end
  return false, {value, id.server}
end

-- The same of a collection, with the label.
local function labelled(reqids, delete, ref, ...)
  if ref == nil then return nil, "timeout" end
  local entry = reqids.waiting[ref]
  local ok, value = response(entry[1], ref, ...)
  if delete then
    reqids.waiting[ref] = nil
    reqids.size = reqids.size - 1
  end
  return ok, value, entry[2]
end

local function check_delete(delete, fname)
  if type(delete) ~= "boolean" then
    core.argument_error(fname, 3, "true or false expected, whether what has come is taken out of the collection, got " ..
      core_type(delete))
  end
end

local function wait(fname, what, ms, delete)
  ms = check.timeout(ms, "infinity", fname, 2)
  if is_collection(what) then
    check_delete(delete, fname)
    local _, one = next(what.waiting)
    if one == nil then return nil, "no_request" end
    check_owner(one[1], fname)
    return labelled(what, delete, await(what.waiting, ms))
  end
  check_id(what, fname, 1)
  return response(what, await(what.ref, ms))
end

--- See GenServer.wait_response.
function requests.wait(what, ms, delete) return wait("GenServer.wait_response", what, ms, delete) end

-- Nothing has come in time: what comes later is dropped.
local function abandon(what)
  if not is_collection(what) then
    demonitor(what.ref, "flush")
    return
  end
  for ref in next, what.waiting do demonitor(ref, "flush") end
end

local function received(what, ok, why, ...)
  if ok == nil and why == "timeout" then abandon(what) end
  return ok, why, ...
end

--- See GenServer.receive_response.
function requests.receive(what, ms, delete)
  return received(what, wait("GenServer.receive_response", what, ms, delete))
end

-- The reference that a message answers, "reply" or "down", and the value; nothing for other messages.
local function read(message)
  if type(message) ~= "table" then return nil end
  local first = message[1]
  if first == "DOWN" and message[3] == "process" then return message[2], "down", message[5] end
  if core_type(first) == "reference" then return first, "reply", message[2] end
end

--- See GenServer.check_response.
function requests.check(message, what, delete)
  local ref, kind, value = read(message)
  if is_collection(what) then
    check_delete(delete, "GenServer.check_response")
    if what.size == 0 then return nil, "no_request" end
    if ref == nil or not what.waiting[ref] then return nil, "no_reply" end
    return labelled(what, delete, ref, kind, value)
  end
  check_id(what, "GenServer.check_response", 2)
  if ref ~= what.ref then return nil, "no_reply" end
  return response(what, ref, kind, value)
end

return requests

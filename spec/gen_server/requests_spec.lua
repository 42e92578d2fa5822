local mb = require "moonbeam"
local helper = require "spec.helper"
local GenServer, Process, receive, self = mb.GenServer, mb.Process, mb.receive, mb.self

-- A server that answers when it is told to: requests are functions of from and state, casts of the state.
local function start(opts)
  return assert(GenServer.start({
    init = function() return "ok", {} end,
    handle_call = function(request, from, state)
      if request == "hold" then
        state[#state + 1] = from
        return "noreply", state
      elseif request == "die" then
        return "stop", "because", state
      end
      return "reply", request, state
    end,
    handle_cast = function(value, state)
      GenServer.reply(table.remove(state, 1), value)
      return "noreply", state
    end,
  }, nil, opts))
end

-- Nothing of a request is left in this process.
local function nothing_left()
  assert.is_nil((receive(0)))
  assert.same({}, Process.info(self(), "monitors"))
end

describe("GenServer.send_request", function()
  local server
  after_each(function() Process.exit(server, "kill") end)
  helper.setup()
  before_each(function() server = start() end)

  it("REQ-01 goes on at once; wait_response gives the reply", function()
    local id = GenServer.send_request(server, "hold")
    GenServer.cast(server, {1, 2})
    assert.same({true, {1, 2}, n = 2}, table.pack(GenServer.wait_response(id, helper.patience)))
    nothing_left()
    id = GenServer.send_request(server, nil)
    assert.same({true, nil, n = 2}, table.pack(GenServer.wait_response(id)))
    nothing_left()
  end)

  it("REQ-01 takes names and via tables", function()
    local named = start{name = "req-1"}
    for _, to in ipairs{"req-1", {"via", {whereis_name = function() return named end}, 1}} do
      assert.same({true, 1}, {GenServer.wait_response(GenServer.send_request(to, 1))})
    end
    GenServer.stop(named)
    nothing_left()
  end)

  it("REQ-02 a wait whose time is up may be repeated", function()
    local id = GenServer.send_request(server, "hold")
    assert.same({nil, "timeout", n = 2}, table.pack(GenServer.wait_response(id, 1)))
    GenServer.cast(server, "late")
    assert.same({true, "late"}, {GenServer.wait_response(id, helper.patience)})
    nothing_left()
  end)

  it("REQ-03 what is given up by receive_response is dropped when it comes", function()
    local id = GenServer.send_request(server, "hold")
    assert.same({nil, "timeout", n = 2}, table.pack(GenServer.receive_response(id, 0)))
    GenServer.cast(server, "late")
    assert.equal("after it", GenServer.call(server, "after it"))
    nothing_left()
    assert.same({nil, "timeout", n = 2}, table.pack(GenServer.receive_response(id, 0)))
    assert.same({true, 1}, {GenServer.receive_response(GenServer.send_request(server, 1))})
  end)

  it("REQ-04 a server that dies, or is not there, is a response", function()
    assert.same({false, {"because", server}}, {GenServer.wait_response(GenServer.send_request(server, "die"))})
    assert.same({false, {"noproc", server}}, {GenServer.wait_response(GenServer.send_request(server, 1))})
    assert.same({false, {"noproc", "nobody"}}, {GenServer.receive_response(GenServer.send_request("nobody", 1))})
    local via = {"via", {whereis_name = function() end}, "x"}
    local ok, why = GenServer.wait_response(GenServer.send_request(via, 1))
    assert.same({false, "noproc", "x"}, {ok, why[1], why[2][3]})
    nothing_left()
  end)

  it("REQ-05 check_response knows the messages that are responses", function()
    local id = GenServer.send_request(server, 5)
    local message = receive(helper.patience)
    for _, other in ipairs{"other", {mb.make_ref(), 5}, {"DOWN", mb.make_ref(), "process", server, "x"}, {}} do
      assert.same({nil, "no_reply", n = 2}, table.pack(GenServer.check_response(other, id)))
    end
    assert.same({true, 5}, {GenServer.check_response(message, id)})
    id = GenServer.send_request(server, "die")
    assert.same({false, {"because", server}}, {GenServer.check_response(receive(helper.patience), id)})
    nothing_left()
  end)

  it("REQ-05 whoever takes none finds the reply, then the end", function()
    local id = GenServer.send_request(server, 5)
    assert.same({id.ref, 5}, receive(helper.patience))
    Process.exit(server, "kill")
    assert.same({"DOWN", id.ref, "process", server, "killed"}, receive(helper.patience))
  end)

  it("REQ-06 a collection gives the first response with its label", function()
    local ids, other = GenServer.reqids_new(), start()
    assert.equal(ids, GenServer.send_request(server, "hold", "slow", ids))
    GenServer.send_request(other, 7, "quick", ids)
    assert.equal(2, GenServer.reqids_size(ids))
    assert.same({true, 7, "quick"}, {GenServer.receive_response(ids, helper.patience, true)})
    assert.equal(1, GenServer.reqids_size(ids))
    assert.same({nil, "timeout"}, {GenServer.wait_response(ids, 0, true)})
    GenServer.cast(server, "late")
    assert.same({true, "late", "slow"}, {GenServer.wait_response(ids, helper.patience, true)})
    assert.same({nil, "no_request"}, {GenServer.wait_response(ids, 0, true)})
    GenServer.send_request(other, "die", "dying", ids)
    assert.same({false, {"because", other}, "dying"}, {GenServer.wait_response(ids, helper.patience, true)})
    nothing_left()
  end)

  it("REQ-06 a response may stay in its collection, and is not given again", function()
    local ids = GenServer.send_request(server, 1, "one", GenServer.reqids_new())
    assert.same({true, 1, "one"}, {GenServer.wait_response(ids, helper.patience, false)})
    assert.equal(1, GenServer.reqids_size(ids))
    assert.same({nil, "timeout"}, {GenServer.wait_response(ids, 0, true)})
  end)

  it("REQ-06 a collection is given up as a whole", function()
    local ids = GenServer.send_request(server, "hold", 1, GenServer.reqids_new())
    GenServer.send_request(server, "hold", 2, ids)
    assert.same({nil, "timeout"}, {GenServer.receive_response(ids, 0, true)})
    GenServer.cast(server, "late")
    assert.equal(1, GenServer.call(server, 1))
    nothing_left()
  end)

  it("REQ-06 check_response finds the request of a message", function()
    local ids = GenServer.send_request(server, 1, "one", GenServer.reqids_new())
    local message = receive(helper.patience)
    assert.same({nil, "no_reply"}, {GenServer.check_response("other", ids, true)})
    assert.same({true, 1, "one"}, {GenServer.check_response(message, ids, true)})
    assert.same({nil, "no_request"}, {GenServer.check_response(message, ids, true)})
    nothing_left()
  end)

  it("REQ-07 a collection is made of ids, and told as a list", function()
    local id, ids = GenServer.send_request(server, 1), GenServer.reqids_new()
    assert.equal(ids, GenServer.reqids_add(id, "label", ids))
    assert.same({{id, "label"}}, GenServer.reqids_to_list(ids))
    assert.error_matches(function() GenServer.reqids_add(id, "other", ids) end,
      "bad argument #1 to 'GenServer.reqids_add' %(the request is in it already%)")
    GenServer.wait_response(ids, helper.patience, true)
  end)

  it("REQ-08 is refused by the wrong process, and what is no request by name", function()
    local id = GenServer.send_request(server, 1)
    local ids = GenServer.reqids_add(id, 1, GenServer.reqids_new())
    local owner = self()
    helper.in_process(function()
      local ok, message = pcall(GenServer.wait_response, id, 0)
      assert(not ok and message:find("GenServer.wait_response: the request to " .. tostring(server) .. " was made by " ..
        tostring(owner), 1, true), message)
    end)
    local cases = {
      {function() GenServer.wait_response("x") end, "bad argument #1 to 'GenServer.wait_response' %(request id expected"},
      {function() GenServer.receive_response({}) end, "bad argument #1 to 'GenServer.receive_response'"},
      {function() GenServer.check_response(1, 2) end, "bad argument #2 to 'GenServer.check_response'"},
      {function() GenServer.wait_response(id, -1) end, "bad argument #2 to 'GenServer.wait_response' %(timeout_value"},
      {function() GenServer.wait_response(ids, 0) end, "bad argument #3 to 'GenServer.wait_response' %(true or false"},
      {function() GenServer.send_request(nil, 1) end, "bad argument #1 to 'GenServer.send_request' %(pid or name"},
      {function() GenServer.send_request(server, 1, 2, 3) end, "bad argument #4 to 'GenServer.send_request' %(collection"},
      {function() GenServer.reqids_size(id) end, "bad argument #1 to 'GenServer.reqids_size' %(collection"},
      {function() GenServer.send_request(server, coroutine.create(print)) end,
        "cannot copy argument #2 of GenServer.send_request: it is a coroutine"},
    }
    for _, case in ipairs(cases) do
      local ok, message = pcall(case[1])
      assert.is_false(ok)
      assert.matches("^spec/gen_server/requests_spec.lua:%d+: " .. case[2], message)
    end
    assert.same({true, 1}, {GenServer.wait_response(id)})
    nothing_left()
  end)

  it("REQ-09 to oneself waits like any other request", function()
    helper.in_process(function()
      local id = GenServer.send_request(self(), "question")
      local from = receive{ {{"$gen_call", mb.any, "question"}} }
      GenServer.reply(from, "answer")
      local ok, answer = GenServer.wait_response(id, helper.patience)
      assert(ok and answer == "answer")
    end)
  end)
end)

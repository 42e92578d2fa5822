local mb = require "moonbeam"
local helper = require "spec.helper"
local support = require "spec.registry.support"
local Process, Registry, GenServer, Supervisor = mb.Process, mb.Registry, mb.GenServer, mb.Supervisor
local DynamicSupervisor = mb.DynamicSupervisor
local with, member, stop = support.with, support.member, support.stop

describe("the process of a registry", function()
  helper.setup()

  it("answers as a supervisor whose child is the owner", function()
    with("unique", function(reg)
      local owner = Registry.register("reg", "k", 1)
      for _, server in ipairs{reg, "reg"} do
        for _, module in ipairs{Supervisor, DynamicSupervisor} do
          local children = module.which_children(server)
          assert.equal(1, #children)
          assert.same({owner, "worker"}, {children[1][2], children[1][3]})
          assert.same({specs = 1, active = 1, supervisors = 0, workers = 1}, module.count_children(server))
        end
      end
    end)
  end)

  it("keeps its child, and has no other", function()
    with("duplicate", function(reg)
      local id, owner = table.unpack(Supervisor.which_children(reg)[1])
      for _, name in ipairs{"terminate_child", "restart_child", "delete_child"} do
        assert.same({n = 2, nil, "not_found"}, table.pack(Supervisor[name](reg, "another")))
        assert.same({n = 2, nil, "running"}, table.pack(Supervisor[name](reg, id)))
      end
      local _, reason = Supervisor.start_child(reg, {mb.Agent, function() return 1 end})
      assert.equal("unknown_request", reason[1])
      assert.same({{id, owner, "worker", {"Registry.Partition"}}}, Supervisor.which_children(reg))
    end)
  end)

  it("lives on, as its owner and those registered do, whatever it is asked, told or sent", function()
    with("unique", function(reg)
      local pid = member({"k", 1})
      local owner = Process.info(pid, "links")[1]
      local asked = mb.make_ref()
      for _, server in ipairs{reg, owner} do
        for _, request in ipairs{"x", 5, false, {}, {"junk"}, {"which_children_of", 1}, {{}}, {asked}} do
          if server == reg or type(request) ~= "string" then
            assert.same({n = 2, nil, {"unknown_request", request}}, table.pack(GenServer.call(server, request)))
          end
          GenServer.cast(server, request)
          mb.send(server, request)
          mb.send(server, {"$gen_call", request, request})
        end
        assert.same({n = 2, nil, {"unknown_request"}}, table.pack(GenServer.call(server, nil)))
        GenServer.cast(server, nil)
        mb.send(server, nil)
      end
      assert.same({{pid, 1}}, Registry.lookup("reg", "k"))
      assert.equal("free", Registry.lock("reg", "k", function() return "free" end))
      assert.is_true(Process.alive(reg) and Process.alive(owner) and Process.alive(pid))
      stop(pid)
    end)
  end)
end)

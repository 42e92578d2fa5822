-- TLS when the program ends: OpenSSL may clean up then, if another library has used it first, and threads are in it.
local helper = require "spec.helper"
local certificates = require "spec.net.certificates"

describe("TLS at the end of the program", function()
  local path, directory
  lazy_setup(function() path, directory = certificates.make() end)
  lazy_teardown(function() certificates.remove(directory) end)
  helper.setup()

  -- Run a program in which a binding of OpenSSL comes first: what it prints, and its exit code.
  local function run(source)
    return helper.run_script(([[
      local cert, key, ca, path = %q, %q, %q, package.cpath
      package.cpath = %q
      assert(require "cleaner")
      package.cpath = path
      local mb = require "moonbeam"
      local net, me, send = mb.net, mb.self(), mb.send
    ]]):format(path "good.pem", path "good.key", path "ca.pem", helper.c_modules()) .. source, nil,
      "MOONBEAM_SCHEDULERS=4")
  end

  it("leaves nothing of OpenSSL's in threads that have made contexts", function()
    local output, code = run [[
      print(select(3, net.connect("127.0.0.1", 1, {tls = {ca = ca}})))
    ]]
    assert.equal("ECONNREFUSED\n", output)
    assert.equal(0, code)
  end)

  it("waits until those are out of it that make contexts", function()
    local output, code = run [[
      for _ = 1, 6 do
        mb.spawn(function()
          for i = 1, math.huge do -- a context that there was not before
            send(me, (select(3, net.connect("127.0.0.1", 1, {tls = {alpn = {tostring(i)}}}))))
          end
        end)
      end
      print(mb.receive())
      os.exit(0)
    ]]
    assert.equal("ECONNREFUSED\n", output)
    assert.equal(0, code)
  end)

  it("waits until those are out of it that have connections", function()
    local output, code = run [[
      local function serve(i)
        local listener = assert(net.listen{port = 0, tls = {cert = cert, key = key}})
        mb.Process.spawn(function(port)
          while true do
            local socket = net.connect("localhost", port, {tls = {ca = ca}})
            if socket then
              send(me, (socket:recv("line")))
              socket:close()
            end
          end
        end, {scheduler = i}, listener:sockname().port)
        while true do
          local socket = listener:accept()
          if socket then
            socket:send("hello\n")
            socket:close()
          end
        end
      end
      for i = 1, 12 do mb.Process.spawn(serve, {scheduler = 2 + i % 3}, 2 + (i + 1) % 3) end
      for _ = 1, 20 do assert(mb.receive() == "hello") end
      os.exit(0)
    ]]
    assert.equal("", output)
    assert.equal(0, code)
  end)
end)

-- TLS: who is let in and who is not, and what the refusals say.
local helper = require "spec.helper"
local certificates = require "spec.net.certificates"
local support = require "spec.net.support"
local tls_support = require "spec.net.tls_support"
local mb = require "moonbeam"
local net = mb.net
local fails = support.fails

describe("TLS", function()
  local path, directory
  lazy_setup(function() path, directory = certificates.make() end)
  lazy_teardown(function() certificates.remove(directory) end)
  helper.setup()

  local function identity(name) return {cert = path(name .. ".pem"), key = path(name .. ".key")} end

  -- Connect to a server that has this certificate, and close: the client's socket or failure.
  local function connect(name, options, host)
    local port = tls_support.server(identity(name), function(socket) return socket:handshake(helper.patience) end)
    local socket, text, code = net.connect(host or "localhost", port, {tls = options, timeout = helper.patience})
    if socket then socket:close() end
    return socket, text, code
  end

  describe("a client", function()
    it("TLS-04 lets a server in whose certificate is for the host and of an issuer that it trusts", function()
      assert(connect("good", {ca = path "ca.pem"}))
      assert.is_true(tls_support.served())
      assert(connect("good", {ca = path "ca.pem"}, "127.0.0.1"))
      assert.is_true(tls_support.served())
      assert(connect("one", {ca = path "ca.pem", server_name = "one.example"}))
      assert.is_true(tls_support.served())
      assert(connect("wild", {ca = path "ca.pem", server_name = "x.wild.example."}))
      assert.is_true(tls_support.served())
    end)

    it("TLS-04 refuses one for another host, and names both", function()
      local value, text, code = connect("wrong", {ca = path "ca.pem"})
      fails("ECERT", value, text, code)
      assert.equal("ECERT: the certificate is for another host (CN=wrong); expected localhost, " ..
        "the certificate names a.example, b.example", text)
      value, text, code = tls_support.served()
      fails("ETLS", value, text, code)
      assert.matches("the other side has refused: bad certificate", text)
      value, text, code = connect("one", {ca = path "ca.pem"}, "127.0.0.1")
      fails("ECERT", value, text, code)
      assert.matches("for another host.*expected 127.0.0.1, the certificate names one.example", text)
      tls_support.served()
      value, text, code = connect("wild", {ca = path "ca.pem", server_name = "a.b.wild.example"})
      fails("ECERT", value, text, code)
      assert.matches("expected a.b.wild.example, the certificate names %*%.wild%.example", text)
      tls_support.served()
    end)

    it("TLS-04 refuses one that has expired, and says when", function()
      local value, text, code = connect("expired", {ca = path "ca.pem"})
      fails("ECERT", value, text, code)
      assert.matches("the certificate has expired, on %d+%-%d%d%-%d%d %d%d:%d%d:%d%d UTC %(CN=expired%); " ..
        "expected localhost", text)
    end)

    it("TLS-04 refuses one that is self-signed, or of an unknown issuer", function()
      local value, text, code = connect("self", true)
      fails("ECERT", value, text, code)
      assert.matches("the certificate is self%-signed and not trusted %(CN=self%); expected localhost", text)
      tls_support.served()
      value, text, code = connect("unknown", {ca = path "ca.pem"})
      fails("ECERT", value, text, code)
      assert.matches("unknown issuer: no trusted certificate of it %(CN=another authority%)", text)
      tls_support.served()
      value, text, code = connect("good", true)
      fails("ECERT", value, text, code)
      assert.matches("unknown issuer", text)
    end)

    it("lets a self-signed one in that it is told to trust, and any when it is told not to verify", function()
      assert(connect("self", {ca = path "self.pem"}))
      assert.is_true(tls_support.served())
      assert(connect("wrong", {verify = false}))
      assert.is_true(tls_support.served())
    end)

    it("trusts the system's store, which SSL_CERT_FILE may name", function()
      local port, pid = tls_support.server(identity("good"), function(socket) return socket:recv("line") end)
      local code, out = mb.system.run("sh", {"-c", helper.interpreter() .. " -e '" .. [[
        local net = require("moonbeam").net
        local socket, text = net.connect("localhost", ]] .. port .. [[, {tls = true})
        print(socket and socket:send("trusted\n") or text)
      ]] .. "'"}, {env = {SSL_CERT_FILE = path "ca.pem"}})
      assert.same({0, "true\n"}, {code, out})
      assert.equal("trusted", (tls_support.served()))
      assert.is_truthy(pid)
    end)

    it("says that the system trusts nobody, and what to do about that", function()
      local port = tls_support.server(identity("good"), function(socket) return socket:handshake(helper.patience) end)
      local _, out = mb.system.run("sh", {"-c", helper.interpreter() .. " -e '" .. [[
        print(select(2, require("moonbeam").net.connect("localhost", ]] .. port .. [[, {tls = true})))
      ]] .. "'"}, {env = {SSL_CERT_FILE = "/no/such/file", SSL_CERT_DIR = "/no/such/directory:/no/other"}})
      assert.matches("^ECERT: unknown issuer.*; the system trusts nobody: install ca%-certificates, or give a file ca", out)
      fails("ETLS", tls_support.served())
    end)

    it("is late when the server does not answer", function()
      local listener, port = support.listen()
      fails("ETIMEDOUT", net.connect("127.0.0.1", port, {tls = true, timeout = 30}))
      listener:close()
    end)

    it("says so when the server speaks something else, or hangs up", function()
      for bytes, said in pairs{
        ["220 mail.example ESMTP\r\n"] = 'the other side does not speak TLS: it began with "220 mail.example',
        ["HTTP/1.1 400 Bad Request\r\n\r\n"] = 'the other side speaks plain HTTP, not TLS: "HTTP/1.1 400 Bad"',
        [("\0\1\2"):rep(1000)] = 'the other side does not speak TLS: it began with "???',
        [""] = "the other side has closed in the handshake",
      } do
        local port = support.serve(function(socket)
          socket:send(bytes)
          socket:shutdown()
          while socket:recv() do end
        end)
        local value, text, code = net.connect("127.0.0.1", port, {tls = true, timeout = helper.patience})
        fails("ETLS", value, text, code)
        assert.equal("ETLS: " .. said, text:sub(1, #said + 6))
      end
    end)

    it("says so when the server resets the connection", function()
      local listener, port = support.listen()
      local client = net.connect("127.0.0.1", port)
      local server = listener:accept(helper.patience)
      client:send("not read, so that closing resets the connection")
      server:close()
      local value, text, code = client:starttls({verify = false}, helper.patience)
      fails(code == "EPIPE" and code or "ECONNRESET", value, text, code)
      client:close()
      listener:close()
    end)

    it("can be killed in the handshake", function()
      local listener, port = support.listen()
      local pid = mb.spawn(function() net.connect("127.0.0.1", port, {tls = true}) end)
      local socket = listener:accept(helper.patience)
      socket:recv(5, helper.patience)
      mb.Process.exit(pid, "kill")
      repeat local more = socket:recv(nil, helper.patience) until not more
      socket:close()
      listener:close()
    end)
  end)

  describe("a server", function()
    -- What the server says to a client that sends these bytes.
    local function says(bytes)
      local port = tls_support.server(identity("good"), function(socket) return socket:recv(nil, helper.patience) end)
      local client <close> = net.connect("127.0.0.1", port)
      client:send(bytes)
      client:shutdown()
      client:recv("*a", helper.patience)
      return tls_support.served()
    end

    it("names what a client says that speaks no TLS", function()
      for bytes, said in pairs{
        ["GET /index.html HTTP/1.1\r\nHost: x\r\n\r\n"] = 'a plain HTTP request where TLS is spoken: "GET /index.html "',
        ["POST / HTTP/1.1\r\n\r\n"] = 'a plain HTTP request where TLS is spoken: "POST / HTTP/1.1"',
        ["SSH-2.0-OpenSSH\r\n"] = 'the other side does not speak TLS: it began with "SSH%-2.0%-OpenSSH',
        [("\0\255"):rep(20000)] = 'the other side does not speak TLS: it began with "%?%?',
        ["\22\3\1\255\255" .. ("x"):rep(70000)] = "",  -- a record that is too long
        ["\22\3\1\0\5\1\0\0"] = "the other side has closed in the handshake",
        ["\21\3\3\0\2\2\40"] = "",
        [""] = "the other side has closed in the handshake",
      } do
        local value, text, code = says(bytes)
        fails("ETLS", value, text, code)
        assert.matches("^ETLS: " .. said, text)
      end
    end)

    it("fails for good: later calls say the same", function()
      local port = tls_support.server(identity("good"), function(socket)
        local _, text = socket:handshake(helper.patience)
        local _, again, code, taken = socket:send("x")
        return text, again, code .. taken, select(2, socket:recv())
      end)
      local client <close> = net.connect("127.0.0.1", port)
      client:send("GET / HTTP/1.1\r\n\r\n")
      client:recv("*a", helper.patience)
      local text, again, code, third = tls_support.served()
      assert.matches("^ETLS: a plain HTTP request", text)
      assert.same({text, "ETLS0", text}, {again, code, third})
    end)

    it("TLS-05 serves others while one says nothing", function()
      local listener = assert(net.listen{port = 0, tls = identity("good")})
      local port = listener:sockname().port
      local me, send, receive, any, spawn = mb.self(), mb.send, mb.receive, mb.any, mb.spawn
      local acceptor = spawn(function()
        while true do
          local socket = listener:accept()
          if not socket then break end
          socket:give_away(spawn(function()
            receive{{{"socket", any, any}, function(mine) send(me, {"end", mine:recv("line")}) end}}
          end))
        end
      end)
      local silent = net.connect("127.0.0.1", port)
      local socket = assert(net.connect("localhost", port, {tls = {ca = path "ca.pem"}, timeout = helper.patience}))
      socket:send("hello\n")
      helper.await{"end", "hello"}
      silent:close()
      assert.equal("ETLS", select(2, helper.await{"end", nil, mb.any, mb.any}))
      socket:close()
      listener:close()
      helper.reason_of(acceptor)
    end)

    it("TLS-05 waits for a client as long as it is told, and no longer", function()
      local options = identity("good")
      options.handshake_timeout = 30
      local port = tls_support.server(options, function(socket)
        local _, _, code = socket:recv()
        return code, (select(3, socket:send("x")))
      end)
      local silent <close> = net.connect("127.0.0.1", port)
      assert.same({"ETIMEDOUT", "ETIMEDOUT"}, {tls_support.served()})
      assert.is_truthy(silent)
    end)

    it("gives up by the call's own time, and goes on with the next call", function()
      local me, send, receive = mb.self(), mb.send, mb.receive
      local options = identity("good")
      options.handshake_timeout = (1 << 32) + 1 -- more than C's own numbers have room for
      local port, pid = tls_support.server(options, function(socket)
        local _, _, code = socket:recv(1, 20)
        send(me, "late")
        receive{{"go on"}}
        return code, socket:recv("line", helper.patience)
      end)
      local plain = net.connect("127.0.0.1", port) -- says nothing yet
      helper.await("late")
      send(pid, "go on")
      assert.is_true(plain:starttls({ca = path "ca.pem", server_name = "localhost"}, helper.patience))
      plain:send("at last\n")
      assert.same({"ETIMEDOUT", "at last"}, {tls_support.served()})
      plain:close()
    end)

    it("makes its handshake with calls that do not wait, too", function()
      local sleep = mb.sleep
      local port = tls_support.server(identity("good"), function(socket)
        local data, text, code
        repeat
          data, text, code = socket:recv(3, 0)
          sleep(1) -- the client has its time
        until data or code ~= "ETIMEDOUT"
        return data, text, code
      end)
      local socket = assert(net.connect("localhost", port, {tls = {ca = path "ca.pem"}, timeout = helper.patience}))
      socket:send("abc")
      assert.equal("abc", (tls_support.served()))
      socket:close()
    end)

    it("TLS-06 has a certificate for each name that clients ask for", function()
      local options = {sni = {["one.example"] = identity("one"), ["*.wild.example"] = identity("wild")}}
      for name, subject in pairs{
        ["one.example"] = "CN=one", ["ONE.example"] = "CN=one", ["a.wild.example"] = "CN=wild",
      } do
        local client, server = tls_support.pair(options, {ca = path "ca.pem", server_name = name})
        assert.equal(subject, client:tls().peer.subject)
        assert.equal(name, server:tls().server_name)
        client:close()
        server:close()
      end
      for name, said in pairs{["localhost"] = "there is no certificate for the name localhost",
                              ["127.0.0.1"] = "the client asks for no name"} do
        local port = tls_support.server(options, function(socket) return socket:handshake(helper.patience) end)
        fails("ETLS", net.connect("127.0.0.1", port, {tls = {ca = path "ca.pem", server_name = name}}))
        local value, text, code = tls_support.served()
        fails("ETLS", value, text, code)
        assert.matches(said, text)
      end
      options.cert, options.key = path "good.pem", path "good.key"
      local client, server = tls_support.pair(options, {ca = path "ca.pem", server_name = "localhost"})
      assert.equal("CN=good", client:tls().peer.subject)
      client:close()
      server:close()
    end)

    it("TLS-06 asks a function for it, in the process that owns the socket, which may wait there", function()
      local ones, sleep, self, send, me = identity("one"), mb.sleep, mb.self, mb.send, mb.self()
      local options = {cert = path "good.pem", key = path "good.key", sni = function(name)
        sleep(1)
        send(me, {"asked", name, self()})
        if name == "one.example" then return ones end
        if name == "none.example" then return {cert = "/no/such/file"} end
      end}
      local client, server = tls_support.pair(options, {ca = path "ca.pem", server_name = "one.example"})
      assert.equal("CN=one", client:tls().peer.subject)
      assert.equal(me, helper.await{"asked", "one.example", mb.any})
      client:close()
      server:close()
      client, server = tls_support.pair(options, {ca = path "ca.pem", server_name = "localhost"})
      assert.equal("CN=good", client:tls().peer.subject)
      helper.await{"asked", "localhost", me}
      client:close()
      server:close()
      local port, pid = tls_support.server(options, function(socket) return socket:handshake(helper.patience) end)
      fails("ETLS", net.connect("127.0.0.1", port, {tls = {verify = false, server_name = "none.example"}}))
      local value, text, code = tls_support.served()
      fails("ETLS", value, text, code)
      assert.equal("ETLS: ENOENT: no such file or directory: /no/such/file", text)
      helper.await{"asked", "none.example", pid}
    end)

    it("TLS-06 hears of no name that is none of a host", function()
      local send, me = mb.send, mb.self()
      local options = {cert = path "good.pem", key = path "good.key", sni = function(name)
        send(me, {"asked", name or false})
      end}
      for _, name in ipairs{"../one", "a/b", "a%b", "a\27[2J"} do
        local client, server = tls_support.pair(options, {verify = false, server_name = name})
        helper.await{"asked", false}
        assert.is_nil(server:tls().server_name)
        client:close()
        server:close()
      end
    end)

    it("passes on what the function raises, and what it returns in vain", function()
      for said, fn in pairs{
        ["a bug"] = function() error("a bug", 0) end,
        ["sni: the function returned a number, not {cert =, key =} or nil"] = function() return 5 end,
      } do
        local port = tls_support.server({sni = fn}, function(socket) return pcall(socket.handshake, socket) end)
        local value, text, code = net.connect("localhost", port, {tls = {ca = path "ca.pem"}, timeout = helper.patience})
        fails("ETLS", value, text, code)
        local ok, e = tls_support.served()
        assert.is_false(ok)
        assert.equal(said, e:sub(-#said))
      end
    end)

    it("TLS-10 agrees on a protocol by ALPN, the first of its own that the client has", function()
      local options = identity("good")
      options.alpn = {"h2", "http/1.1"}
      local client, server = tls_support.pair(options, {ca = path "ca.pem", alpn = {"http/1.1", "spdy", "h2"}})
      assert.equal("h2", client:tls().alpn)
      assert.equal("h2", server:tls().alpn)
      client:close()
      server:close()
      client, server = tls_support.pair(options, {ca = path "ca.pem"})
      assert.is_nil(client:tls().alpn)
      client:close()
      server:close()
      local port = tls_support.server(options, function(socket) return socket:handshake(helper.patience) end)
      local value, text, code = net.connect("localhost", tonumber(port), {tls = {ca = path "ca.pem", alpn = {"smtp"}}})
      fails("ETLS", value, text, code)
      assert.matches("the other side has refused: no application protocol", text)
      assert.matches("no protocol of ALPN in common", select(2, tls_support.served()))
    end)

    it("TLS-09 may ask clients for certificates", function()
      local options = identity("good")
      options.verify_client, options.ca = true, path "ca.pem"
      local function served(client_name)
        local port = tls_support.server(options, function(socket)
          local ok, text, code = socket:handshake(helper.patience)
          return ok and socket:tls().peer.subject, text, code
        end)
        local wanted = client_name and identity(client_name) or {}
        wanted.ca = path "ca.pem"
        local socket, text, code = net.connect("localhost", port, {tls = wanted})
        if socket then -- with TLS 1.3 the client hears of a refusal when it reads
          local _
          _, text, code = socket:recv(nil, helper.patience)
          socket:close()
        end
        return code, text, tls_support.served()
      end
      local code, _, subject = served("client")
      assert.same({"EOF", "CN=client"}, {code, subject})
      local text, _, said, what
      code, text, _, said, what = served()
      assert.same({"ETLS", "ECERT"}, {code, what})
      assert.matches("the other side has refused", text)
      assert.equal("ECERT: the client has sent no certificate", said)
      code, _, _, said, what = served("unknown")
      assert.same({"ETLS", "ECERT"}, {code, what})
      assert.matches("unknown issuer", said)
      options.verify_client = "optional"
      assert.same({"EOF", "CN=client"}, {(function() local c, _, s = served("client") return c, s end)()})
      local client, server = tls_support.pair(options, {ca = path "ca.pem"})
      assert.is_nil(server:tls().peer)
      client:close()
      server:close()
      _, _, _, said = served("unknown")
      assert.matches("^ECERT: unknown issuer", said)
    end)

    it("does without files that are none, or do not fit", function()
      local function listen(tls) return net.listen{port = 0, tls = tls} end
      local value, text, code = listen{cert = "/no/such/file", key = path "good.key"}
      fails("ENOENT", value, text, code)
      assert.matches("/no/such/file", text)
      fails("ENOENT", listen{cert = path "good.pem", key = "/no/such/key"})
      fails("EISDIR", listen{cert = directory})
      local pipe = path "pipe" -- which nobody writes to
      assert.equal(0, mb.system.run("mkfifo", {pipe}))
      value, text, code = listen{cert = pipe}
      fails("EINVAL", value, text, code)
      assert.equal("EINVAL: " .. pipe .. ": a regular file expected", text)
      value, text, code = listen{cert = path "good.pem", key = path "one.key"}
      fails("EINVAL", value, text, code)
      assert.matches("one.key: the key does not belong to the certificate", text)
      value, text, code = listen{cert = path "good.key"}
      fails("EINVAL", value, text, code)
      assert.matches("no certificate in PEM", text)
      value, text, code = listen{cert = path "good.pem", key = path "locked.key"}
      fails("EINVAL", value, text, code)
      assert.matches("locked.key: no private key in PEM that can be used without a password", text)
      value, text, code = net.connect("127.0.0.1", 1, {tls = {ca = path "good.key"}})
      fails("EINVAL", value, text, code)
      assert.matches("good.key: no certificates in PEM", text)
    end)

    it("sees new files when it listens again, or with the next client when a function names them", function()
      local files = identity("current")
      local function copy(name)
        for _, ending in ipairs{".pem", ".key"} do
          mb.fs.write(path("current" .. ending), assert(mb.fs.read(path(name .. ending))))
        end
      end
      local me, send, connect = mb.self(), mb.send, net.connect
      local listener = assert(net.listen{port = 0, tls = {sni = function() return files end}})
      local port = listener:sockname().port
      for _, name in ipairs{"good", "wild", "one"} do
        copy(name)
        local client, server = tls_support.pair(files, {verify = false})
        assert.equal("CN=" .. name, client:tls().peer.subject)
        client:close()
        server:close()
        local pid = mb.spawn_link(function()
          local socket <close> = assert(connect("localhost", port, {tls = {verify = false}}))
          send(me, {"subject", socket:tls().peer.subject})
        end)
        local socket <close> = listener:accept(helper.patience)
        assert.equal("", socket:recv("*a", helper.patience))
        assert.equal("CN=" .. name, helper.await{"subject", mb.any})
        helper.reason_of(pid)
      end
      listener:close()
    end)
  end)

  describe("starttls", function()
    it("TLS-07 makes a plain connection one of TLS, on either side", function()
      local port = support.serve(function(socket)
        assert(socket:recv("line") == "STARTTLS")
        socket:send("go\n")
        local options = identity("good")
        options.server = true
        assert(socket:starttls(options, helper.patience))
        socket:send(socket:recv("line") .. "\n")
        socket:recv()
      end)
      local client <close> = net.connect("127.0.0.1", port)
      assert.is_false(client:tls())
      client:send("STARTTLS\n")
      assert.equal("go", client:recv("line", helper.patience))
      assert.is_true(client:starttls({ca = path "ca.pem", server_name = "localhost"}, helper.patience))
      client:send("secret\n")
      assert.equal("secret", client:recv("line", helper.patience))
      assert.equal("CN=good", client:tls().peer.subject)
    end)

    it("TLS-07 takes nothing that was said in the clear for what is said in secret", function()
      local port = tls_support.server(nil, function(socket)
        assert(socket:recv("line") == "STARTTLS")
        local options = identity("good")
        options.server = true
        return socket:starttls(options, helper.patience)
      end)
      local client <close> = net.connect("127.0.0.1", port)
      client:send("STARTTLS\nRCPT TO: somebody\n")
      local value, text, code = tls_support.served()
      fails("ETLS", value, text, code)
      assert.matches('it began with "RCPT TO: somebod"', text)
    end)

    it("fails as connecting does", function()
      local port = tls_support.server(nil, function(socket)
        local options = identity("wrong")
        options.server = true
        return socket:starttls(options, helper.patience)
      end)
      local client <close> = net.connect("127.0.0.1", port)
      fails("ECERT", client:starttls({ca = path "ca.pem", server_name = "localhost"}, helper.patience))
      fails("ECERT", client:send("in the clear?"))
      fails("ETLS", tls_support.served())
    end)

    it("is refused where it cannot begin", function()
      local client, server = support.pair()
      local function raises(text, ...)
        local ok, e = pcall(client.starttls, client, ...)
        assert.is_false(ok)
        assert.matches("tls_spec.lua:%d+: .*" .. text, e)
      end
      raises("server_name is needed", {})
      raises("a server of TLS needs a certificate", {server = true})
      raises("unknown option name = \"x\"; options: verify, ca, server_name, alpn, cert, key, server", {name = "x"})
      raises("unknown option server_name = \"x\"; options: cert", {server = true, server_name = "x"})
      client:active(true)
      raises("starttls: the socket is active; socket:active%(false%) first", {verify = false})
      client:close()
      fails("EBADF", client:starttls{verify = false})
      server:close()
    end)
  end)

  describe("the command openssl", function()
    local function openssl(arguments, stdin)
      return mb.system.run("openssl", arguments, {stdin = stdin, stderr = "stdout"})
    end

    it("is served as a client, by TLS 1.2 and 1.3", function()
      for flag, version in pairs{["-tls1_2"] = "TLSv1.2", ["-tls1_3"] = "TLSv1.3"} do
        local port = tls_support.server(identity("good"), function(socket)
          local line, why = socket:recv("line", helper.patience)
          socket:send("you said " .. tostring(line or why) .. "\n")
          socket:shutdown()
          socket:recv("*a", helper.patience)
          return socket:tls().version
        end)
        local _, out = openssl({"s_client", "-connect", "127.0.0.1:" .. port, flag, "-CAfile", path "ca.pem",
          "-verify_return_error", "-verify_hostname", "localhost", "-quiet"}, "hello\n")
        assert.matches("you said hello\n", out)
        assert.equal(version, (tls_support.served()))
      end
    end)

    it("TLS-08 is refused with a version before 1.2", function()
      local port = tls_support.server(identity("good"), function(socket) return socket:handshake(helper.patience) end)
      local code, out = openssl({"s_client", "-connect", "127.0.0.1:" .. port, "-tls1_1",
        "-cipher", "DEFAULT@SECLEVEL=0"}, "")
      assert.equal(1, code)
      assert.matches("protocol version", out)
      local value, text, why = tls_support.served()
      fails("ETLS", value, text, why)
      assert.equal("ETLS: the other side offers no version of TLS from 1.2 on", text)
    end)

    it("TLS-08 gets no renegotiation", function()
      local port = tls_support.server(identity("good"), function(socket)
        local text, why, code = socket:recv("*a", helper.patience)
        return text, why, code
      end)
      local _, out = openssl({"s_client", "-connect", "127.0.0.1:" .. port, "-tls1_2", "-legacy_renegotiation"}, "R\n")
      assert.matches("no renegotiation", out)
      local text, _, code = tls_support.served()
      assert.is_truthy(text == "" or code == "ETLS" or code == "ETRUNCATED", code)
    end)

    it("serves a client", function()
      local options = {"s_server", "-accept", "127.0.0.1:0", "-cert", path "good.pem", "-key", path "good.key", "-rev",
                       "-naccept", "1", "-alpn", "mirror"}
      local program = assert(mb.system.spawn("openssl", options, {stdin = "null", stderr = "stdout"}))
      local port, seen
      repeat
        local line, why = program.stdout:recv("line", 10 * helper.patience)
        seen = (seen or "") .. (line or why) .. "\n"
        port = line and line:match("ACCEPT .*:(%d+)$")
      until port or not line
      assert(port, seen)
      local socket = assert(net.connect("localhost", tonumber(port), {tls = {ca = path "ca.pem", alpn = {"mirror"}}}))
      socket:send("abc\n")
      assert.equal("cba", socket:recv("line", helper.patience))
      assert.equal("mirror", socket:tls().alpn)
      socket:close()
      program:close()
    end)
  end)

  it("raises for options that there are not, at the caller's line", function()
    local function raises(text, fn, ...)
      local ok, e = pcall(fn, ...)
      assert.is_false(ok)
      assert.matches("tls_spec.lua:%d+: bad argument #%d to 'net%.%l+' %(" .. text, e)
    end
    local function connecting(text, tls) raises(text, net.connect, "localhost", 1, {tls = tls}) end
    local function listening(text, tls) raises(text, net.listen, {port = 0, tls = tls}) end
    connecting("tls is a table of options, true or false, got string", "yes")
    connecting('unknown option verfy = false; options: verify, ca, server_name, alpn, cert, key', {verfy = false})
    connecting("tls.verify is true or false, got 1", {verify = 1})
    connecting("tls.alpn is a sequence of names of protocols, 1 to 255 bytes each, got item 2", {alpn = {"a", ""}})
    connecting("a key is given, and no cert, to which it belongs", {key = "x"})
    connecting("ca has no effect with verify = false", {ca = "x", verify = false})
    raises("server_name is needed", net.connect, {path = "/x", tls = true})
    connecting("tls.server_name is a host's name or address, got %.", {server_name = "."})
    connecting("tls.server_name is a host's name or address, got aaa", {server_name = ("a"):rep(256)})
    listening("a server of TLS needs a certificate", true)
    listening("unknown option verify = false; options: cert, key, sni, verify_client, ca, alpn, handshake_timeout",
      {verify = false})
    listening('tls.sni is a table {name = {cert =, key =}} or a function, got number', {sni = 1})
    listening('sni%["x"%] is {cert =, key =}, got boolean', {sni = {x = true}})
    listening("sni: cert is a file's path, got nil", {sni = {x = {}}})
    listening("verify_client needs ca", {cert = "x", verify_client = true})
    listening("ca has no effect without verify_client", {cert = "x", ca = "x"})
  end)
end)

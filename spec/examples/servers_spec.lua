-- The examples that talk over the network, against nc, curl and sockets of the spec's own.
local helper = require "spec.helper"
local mb = require "moonbeam"
local net, fs = mb.net, mb.fs

-- Run a server: the program, its port, and finish(), which gives what else it has printed and its status.
local function start(example, arguments)
  local program = assert(mb.system.spawn("sh", {"-c", ("exec env MOONBEAM_LONG_SCHEDULE=0 %s examples/%s %s")
    :format(helper.interpreter(), example, arguments or "0")}, {stderr = "stdout"}))
  local line = program.stdout:recv("line", 10 * helper.patience)
  local server = {program = program, port = tonumber(tostring(line):match("^listening on 127.0.0.1:(%d+)$"))}
  assert(server.port, line)

  function server.finish()
    local text = program.stdout:recv("*a", 10 * helper.patience)
    local status = program:wait(helper.patience)
    program:close()
    return text, status
  end

  return server
end

local function connect(server) return assert(net.connect("127.0.0.1", server.port)) end

local function line_of(socket) return assert(socket:recv("line", helper.patience)) end

local function expect(socket, ...)
  for _, line in ipairs{...} do assert.equal(line, line_of(socket)) end
end

local function fails(code, socket) assert.equal(code, select(3, socket:recv(nil, helper.patience))) end

describe("chat_server.lua", function()
  local server
  after_each(function() server.program:close() end)
  helper.setup()
  before_each(function() server = start("chat_server.lua") end)

  local function join(name)
    local socket = connect(server)
    socket:send(name .. "\r\n")
    assert.equal("your name? * " .. name .. " has come", line_of(socket))
    return socket
  end

  it("talks to nc", function()
    local typed = "not a name\\nann\\n/who\\nhello\\nhow are \\033you?\\n/quit\\n"
    local output, code = helper.run(("printf '%s' | nc 127.0.0.1 %d"):format(typed, server.port))
    assert.equal("your name? your name? * ann has come\n* here are ann\n<ann> hello\n<ann> how are you?\n", output)
    assert.equal(0, code)
  end)

  it("lets all hear the same, and who is there", function()
    local ann = join("ann")
    local bob = join("bob")
    expect(ann, "* bob has come")
    ann:send("hel")
    ann:send("lo\n\n/who\n")
    expect(ann, "<ann> hello", "* here are ann, bob")
    expect(bob, "<ann> hello")
    local other <close> = connect(server)
    other:send("ann\n")
    assert.equal("your name? your name? ", other:recv(22, helper.patience))
    bob:send("/quit\n")
    fails("EOF", bob)
    expect(ann, "* bob has left")
    bob:close()
    ann:close()
  end)

  it("lets one say as much at once as it likes, when it listens", function()
    local ann = join("ann")
    ann:send(("x\n"):rep(3000))
    for _ = 1, 3000 do expect(ann, "<ann> x") end
    ann:close()
  end)

  it("drops who does not listen, and lets nobody wait for it", function()
    local bob = join("bob") -- takes nothing from now on
    local ann = join("ann")
    local line, heard = ("x"):rep(4000), 0
    repeat
      ann:send(line .. "\n")
      local text = line_of(ann)
      if text == "<ann> " .. line then heard = heard + 1 end
    until text == "* bob has left"
    assert.is_true(heard >= 1000, heard)
    expect(ann, "<ann> " .. line)
    ann:close()
    bob:close()
  end)

  it("ends a line that is too long", function()
    local ann = join("ann")
    ann:send(("x"):rep(100000))
    local _, _, code = ann:recv(nil, helper.patience)
    assert.is_true(code == "EOF" or code == "ECONNRESET", code)
    ann:close()
  end)
end)

-- A server of HTTP, a connection each: what a path says, as so many bytes or in another way.
local http = {}

function http.bytes(n) return ("0123456789abcdef\n"):rep(n // 17 + 1):sub(1, n) end

local function chunks(text)
  local all = {}
  for i = 1, #text, 7001 do
    local piece = text:sub(i, i + 7000)
    all[#all + 1] = ("%x;ignored=yes\r\n%s\r\n"):format(#piece, piece)
  end
  return table.concat(all) .. "0\r\n\r\n"
end

function http.serve(socket)
  local path = socket:recv("line"):match("^GET (/%S*) HTTP/1%.1$")
  repeat until socket:recv("line") == ""
  local what, n = path:match("^/([^/]*)/(%d+)$")
  local body = http.bytes(math.tointeger(tonumber(n or 20)))
  if what == "chunks" then
    socket:send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" .. chunks(body))
  elseif what == "cut-chunks" then
    socket:send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" .. chunks(body):sub(1, -10))
  elseif what == "until-end" then
    socket:send("HTTP/1.1 200 OK\r\n\r\n" .. body)
  elseif what == "cut" then
    socket:send(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"):format(#body + 1, body))
  elseif path == "/missing" then
    socket:send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
  elseif path == "/nonsense" then
    socket:send("220 mail.example ESMTP\r\n")
  else
    socket:send(("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"):format(#body, body))
  end
end

-- A server of the spec's own: fn(socket) for each connection, in a process of its own; the listener, to be closed, and
-- its address.
local function serve(fn)
  local listener = assert(net.listen{"127.0.0.1", 0})
  local spawn = mb.spawn
  local function accept()
    local socket = listener:accept()
    if not socket then return end
    spawn(accept)
    fn(socket)
    socket:flush()
  end
  spawn(accept)
  return listener, "127.0.0.1:" .. listener:sockname().port
end

describe("proxy.lua", function()
  local directory, listener, server
  after_each(function()
    server.program:close()
    listener:close()
    fs.remove(directory, {recursive = true})
  end)
  helper.setup()
  before_each(function() directory = assert(fs.mkdtemp()) end)

  local function through(fn)
    local address
    listener, address = serve(fn)
    server = start("proxy.lua", "0 " .. address)
  end

  it("relays any bytes both ways for nc -N, and the ends of both", function()
    through(function(socket)
      for data in function() return socket:recv() end do assert(socket:send(data)) end
      socket:shutdown()
    end)
    local sent, got = directory .. "/sent", directory .. "/got"
    helper.run(("head -c 5000000 /dev/urandom >%s"):format(sent))
    local code = mb.system.run("sh", {"-c", ("nc -N 127.0.0.1 %d <%s >%s"):format(server.port, sent, got)})
    assert.equal(0, code)
    assert.is_true(fs.read(sent) == fs.read(got))
  end)

  it("leaves the other direction open, whichever has ended", function()
    local me, send = mb.self(), mb.send
    through(function(socket)
      socket:send("first ")
      socket:shutdown()
      send(me, {"got", socket:recv("*a")})
    end)
    local client = connect(server)
    assert.equal("first ", client:recv("*a", helper.patience))
    client:send("late")
    client:shutdown()
    assert.equal("late", helper.await{"got", mb.any})
    client:close()
  end)

  it("relays one way while the other is stuck", function()
    local me, send = mb.self(), mb.send
    through(function(socket)
      local much = ("x"):rep(10000000)
      while socket:send(much, 100) do end -- nobody reads
      send(me, {"got", #assert(socket:recv(3000000))})
    end)
    local client = connect(server)
    client:send(("y"):rep(3000000))
    assert.equal(3000000, helper.await({"got", mb.any}, 10 * helper.patience))
    client:close()
  end)

  it("needs no memory for what passes", function()
    through(function(socket)
      local piece = ("x"):rep(65536)
      for _ = 1, 1600 do assert(socket:send(piece)) end
    end)
    local _, out = mb.system.run("sh", {"-c", ("nc -N 127.0.0.1 %d </dev/null | wc -c"):format(server.port)})
    assert.equal(1600 * 65536, tonumber(out))
    local resident = fs.read(("/proc/%d/status"):format(server.program.pid)):match("VmHWM:%s*(%d+) kB")
    assert.is_true(tonumber(resident) < 100000 * helper.scale, resident)
  end)

  it("passes on that one has broken", function()
    through(function(socket)
      socket:recv(1)
      mb.sleep(5)
      socket:close() -- with unread bytes: a reset
    end)
    local client = connect(server)
    client:send("xyz")
    local _, _, code = client:recv(nil, helper.patience)
    assert.is_true(code == "EOF" or code == "ECONNRESET", code)
    client:close()
  end)

  it("ends a connection when it has nowhere to go, and says why", function()
    local address
    listener, address = serve(function() end)
    listener:close()
    server = start("proxy.lua", "0 " .. address)
    local client = connect(server)
    fails("EOF", client)
    client:close()
    assert.equal("cannot connect: ECONNREFUSED: connection refused", line_of(server.program.stdout))
  end)

  it("serves curl", function()
    through(http.serve)
    local code, out = mb.system.run("curl", {"-s", ("http://127.0.0.1:%d/bytes/100000"):format(server.port)})
    assert.equal(0, code)
    assert.equal(http.bytes(100000), out)
  end)
end)

describe("wget.lua", function()
  local directory, listener, address
  after_each(function()
    listener:close()
    fs.remove(directory, {recursive = true})
  end)
  helper.setup()
  before_each(function()
    directory = assert(fs.mkdtemp())
    listener, address = serve(http.serve)
  end)

  local function wget(...)
    local urls = {}
    for i, path in ipairs{...} do urls[i] = "http://" .. address .. path end
    local command = ("%s examples/wget.lua %s %s"):format(helper.interpreter(), directory, table.concat(urls, " "))
    return mb.system.run("sh", {"-c", command}, {stderr = "stdout", env = {MOONBEAM_LONG_SCHEDULE = "0"}})
  end

  it("fetches what curl fetches, however its length is told", function()
    local names = {["/bytes/100000"] = "100000", ["/chunks/200000"] = "200000", ["/until-end/300000"] = "300000",
      ["/bytes/0"] = "0", ["/bytes/20?x#y"] = "20", ["/"] = "index.html"}
    local paths, lines = {}, {}
    for path in pairs(names) do table.insert(paths, path) end
    local code, out = wget(table.unpack(paths))
    for i, path in ipairs(paths) do
      local _, expected = mb.system.run("curl", {"-s", "http://" .. address .. path})
      lines[i] = ("http://%s%s: %d bytes in %s/%s\n"):format(address, path, #expected, directory, names[path])
      assert.equal(expected, fs.read(directory .. "/" .. names[path]))
    end
    assert.equal(table.concat(lines), out)
    assert.equal(0, code)
  end)

  it("leaves nothing of what does not come whole, and says so", function()
    local code, out = wget("/cut/1000", "/missing", "/cut-chunks/1000", "/bytes/10", "/chunks/10", "/nonsense")
    assert.equal(1, code)
    local found = directory .. "/10"
    assert.equal("/cut/1000: EOF: end of file\n/missing: 404 Not Found\n/cut-chunks/1000: EOF: end of file\n" ..
      "/bytes/10: 10 bytes in " .. found .. "\n/chunks/10: 10 bytes in " .. found .. ".2\n" ..
      "/nonsense: no answer of HTTP's\n", (out:gsub("http://" .. address, "")))
    assert.same({"10", "10.2"}, fs.readdir(directory))
  end)

  it("says how it is used", function()
    local output, code = helper.run(helper.interpreter() .. " examples/wget.lua /tmp")
    assert.equal(1, code)
    assert.matches("usage: wget.lua", output)
  end)
end)

describe("supervised_service.lua", function()
  local server
  after_each(function() server.program:close() end)
  helper.setup()

  it("answers nc, and goes on when a connection has crashed", function()
    server = start("supervised_service.lua")
    assert.equal("5\n", (helper.run(("echo hello | nc -N 127.0.0.1 %d"):format(server.port))))
    local good, bad = connect(server), connect(server)
    bad:send("crash\n")
    fails("EOF", bad)
    good:send("one\nfo")
    good:send("ur\n")
    expect(good, "3", "4")
    good:close()
    bad:close()
    server.program:kill("SIGKILL")
    local text = server.finish()
    assert.matches("%[error%] GenServer [^\n]*terminating.*supervised_service.lua:%d+: a bug", text)
  end)

  if not helper.is_host then return end -- elsewhere signals are the interpreter's

  it("lets a connection finish what it does when SIGTERM comes", function()
    server = start("supervised_service.lua", "0 60000")
    local idle, busy = connect(server), connect(server)
    idle:send("hello\n")
    expect(idle, "5")
    busy:send("work 200\nhello\n")
    expect(busy, "working")
    server.program:kill()
    expect(busy, "8", "5", "goodbye")
    fails("EOF", busy)
    expect(idle, "goodbye")
    fails("EOF", idle)
    local text, status = server.finish()
    assert.equal("", text)
    assert.equal(143, status)
    assert.equal("ECONNREFUSED", select(3, net.connect("127.0.0.1", server.port)))
    busy:close()
    idle:close()
  end)

  it("waits for none longer than it has been told", function()
    server = start("supervised_service.lua", "0 100")
    local busy = connect(server)
    busy:send("work 3600000\n")
    expect(busy, "working")
    server.program:kill()
    fails("EOF", busy)
    local _, status = server.finish()
    assert.equal(143, status)
    busy:close()
  end)
end)

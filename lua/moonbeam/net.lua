--- TCP, Unix and UDP sockets, blocking in style: a call that waits suspends its process and no other.
--
-- What depends on the outside fails with `nil, "ECODE: text", "ECODE"`, libuv's names and texts; wrong arguments raise.
-- Timeouts are ms, the last argument and optional: without one a call waits as long as it takes, and one that is late
-- returns `nil, "ETIMEDOUT: connection timed out", "ETIMEDOUT"`.
--
-- A socket belongs to the process that has accepted, connected or been given it, and closes with it. Others may close it,
-- and nothing else: `socket:give_away(pid)` hands it on. A listener may be used by any number of processes, on any
-- scheduler: it travels in messages and closures.
--
-- Methods of a connected socket:
--
-- * `recv([what] [, ms])` -> string | nil, text, code. Without `what`: what there is, one byte at least. A number: exactly
--   so many bytes. "line": up to the next line feed, which is left out, as is a carriage return before it; a last line
--   may lack it. A line longer than the option `line_limit` (1 MiB) is "EMSGSIZE", and its bytes stay. "*a": all until
--   the other side has ended. At the end "EOF". What has arrived when the time is over stays for the next call.
-- * `send(data [, ms])` -> true | nil, text, code, n. data: a string, or a sequence of strings. It returns when all of it has
--   been taken, and waits while more than the option `high_water` (64 KiB) would be queued; n bytes were taken when it fails.
-- * `flush([ms])` -> true | nil, text, code: it returns when nothing is queued any more, all that was sent being the system's.
-- * `shutdown()` -> true: no more is sent, after what is queued; the other side reads the end.
-- * `close()` -> true, also when it is closed. What is queued is still sent, for up to 5 s. Who waits in a call on it gets
--   "ECANCELED"; later calls "EBADF".
-- * `active(mode)` -> true. `true`: what arrives comes to the owner's mailbox, as {"tcp", socket, data}, then
--   {"tcp_closed", socket}, after {"tcp_error", socket, code} where it has broken. "once": one message. A number: so many,
--   then {"tcp_passive", socket}. `false`: recv again.
-- * `set{nodelay =, keepalive = seconds | boolean, high_water =, line_limit =, active =}` -> true
-- * `peername()`, `sockname()` -> {host =, port =, family = "inet" | "inet6"} or {path =, family = "unix"}; tostring works.
-- * `give_away(pid [, gift])` -> true: the process gets {"socket", socket, from, gift}; the socket is passive then. What has
--   arrived and was not taken goes along. "ESRCH" when it is dead: the socket stays.
--
-- * `starttls(opts [, ms])`, `handshake([ms])`, `tls()`: see below.
--
-- With the option `tls` a connection is one of TLS, 1.2 or 1.3, on OpenSSL. `net.connect{host, port, tls = true}`
-- connects to a server whose certificate is for that host and of an issuer that the system trusts (or those in the file
-- that SSL_CERT_FILE names); `net.listen{host, port, tls = {cert = file, key = file}}` serves. Files are PEM: a chain
-- with the server's own certificate first, and a key without a password (in the same file, if `key` is left out). Of a
-- client:
--
-- * `verify` (true): false lets any server in; `ca`: a file with the certificates to trust instead of the system's;
-- * `server_name`: whom to expect and to ask for, when it is not `host`;
-- * `alpn`: names of protocols, the preferred one first; `cert`, `key`: the client's own.
--
-- Of a server, besides `cert`, `key` and `alpn` (its own order counts; a client that offers none of them is refused):
--
-- * `sni`: certificates by the name that clients ask for, {["a.example"] = {cert =, key =}, ["*.b.example"] = ...}, or
--   a function of the name (nil: the client asks for none) that returns {cert =, key =}, or nil for `cert` itself. The
--   function is copied, as those of spawn are, and runs in the process that makes the handshake, which may wait in it.
--   Files that have changed are read anew by `listen`, and at each call of such a function;
-- * `verify_client`: true asks for a certificate of an issuer in the file `ca` and refuses who has none, "optional"
--   lets such clients in;
-- * `handshake_timeout` (10,000 ms): how long a handshake may take from its beginning, whatever the calls' own times.
--
-- `connect` makes the handshake within its timeout; that the server has refused the client's own certificate it hears
-- by the first `recv`, with TLS 1.3. `accept` does not, so a client that says nothing keeps no other waiting: the first
-- call of `recv`, `send`, `shutdown`, `active` or `handshake([ms])` -> true does, in the process that owns the socket
-- by then. A handshake that fails breaks the socket: later calls give the same failure. `starttls(opts [, ms])` -> true
-- makes a plain socket one of TLS and makes the handshake, as a client, with `server_name` or `verify = false`, or with
-- `server = true` as a server; what has arrived before and was not taken counts as TLS. `tls()` -> false for a plain
-- socket, or a table: version, cipher, alpn, server_name, and peer, the other side's certificate if it has shown one,
-- trusted or not: {subject =, issuer =, names =, serial =, fingerprint = of SHA-256, valid_from =, valid_until =}.
--
-- All other methods and messages are those of plain sockets (messages are called "tcp" here, too). `shutdown` and
-- `close` say so to the other side (close_notify). Failures of TLS are:
--
-- * "ECERT": the other side's certificate is refused here; the text says why, whom it names and who was expected;
-- * "ETLS": anything else that is no TLS or goes wrong in it, refusals of the other side's among them;
-- * "ETRUNCATED": reading has come to an end that nobody has announced (no close_notify), so something may be missing;
--   announced ends are "EOF". What has arrived before can still be read, but for "*a", which fails.
--
-- Of a listener: `accept([ms])` -> socket, `close()`, `sockname()`. It closes with the process that has made it.
-- Of a UDP socket: `send(data, host, port [, ms])`, `recv([ms])` -> data, host, port, `active(mode)` with the messages
-- {"udp", socket, host, port, data}, `sockname()`, `close()`. A host that is a name is looked up at each `send`, which waits for
-- that, up to ms, and takes the first address of the socket's family; an address in numbers goes out at once. Hosts that are
-- received are addresses in numbers.
--
-- See Erlang's `gen_tcp`, `ssl`, `gen_udp` and `inet`.
-- @module moonbeam.net

local core = require "moonbeam.core"
local options = require "moonbeam.internal.options"

local net = {}

local function tls() return require "moonbeam.net.tls" end -- when there is something for it

-- The metatable of addresses.
net.Address = {
  __tostring = function(address)
    if address.path then return address.path end
    return string.format(address.family == "inet6" and "[%s]:%d" or "%s:%d", address.host, address.port)
  end,
}

local function shown(v) return core.type(v) end

-- A rule of options for strings that C is given; `what` says what they are.
local function text_rule(what)
  return function(v)
    if type(v) ~= "string" or v == "" then return what end
    if string.find(v, "\0", 1, true) then return what, "one with a NUL byte" end
  end
end
local host_rule, path_rule = text_rule "a name or an address", text_rule "a path"

local function check_host(host, fname, index)
  local expected, got = host_rule(host)
  if expected then
    core.argument_error(fname, index, string.format("host expected, %s, got %s", expected, got or shown(host)))
  end
end

local function check_port(port, fname, index)
  if math.type(port) ~= "integer" or port < 0 or port > 65535 then
    core.argument_error(fname, index, "port expected, an integer from 0 to 65535, got " ..
      (type(port) == "number" and tostring(port) or shown(port)))
  end
end

local function unix_path(text) return type(text) == "string" and string.match(text, "^unix:(.+)$") end

local families = options.one_of("inet", "inet6")
local resolve_options = options.of{{"family", families}, {"timeout", options.timeout}}

local function addresses(host, family, deadline)
  if core.net_numeric(host) then return {host} end
  return core.net_lookup(host, family, deadline)
end

--- The addresses of a name, in numbers, those to be tried first first. See Erlang's `inet:getaddrs/2`.
-- Looking up is done by the system's resolver, on a thread of libuv's pool.
-- @param name string
-- @param[opt] opts family = "inet" | "inet6", timeout = ms
-- @return sequence of strings | nil, text, code
-- @usage assert(#net.resolve("localhost") >= 1)
function net.resolve(name, opts)
  check_host(name, "net.resolve", 1)
  opts = options.check(opts, resolve_options, "net.resolve", 2)
  return addresses(name, opts.family, core.deadline(opts.timeout, "net.resolve", 2))
end

local function port_rule(v)
  if math.type(v) ~= "integer" or v < 0 or v > 65535 then return "an integer from 0 to 65535" end
end

local function tls_rule(v)
  if type(v) ~= "table" and type(v) ~= "boolean" then return "a table of options, true or false", core.type(v) end
end

-- Options whose host and port may be the first items, {host, port}: a table with both by name.
local function named(opts)
  if opts[1] == nil and opts[2] == nil then return opts end
  local all = {host = opts[1], port = opts[2]}
  for name, v in next, opts do
    if name ~= 1 and name ~= 2 then all[name] = v end
  end
  return all
end

local listen_options = options.of{
  {"host", host_rule}, {"port", port_rule}, {"path", path_rule}, {"backlog", options.integer(1)},
  {"reuseaddr", options.boolean}, {"acceptors", options.integer(1)}, {"tls", tls_rule},
}

--- A listening socket. See Erlang's `gen_tcp:listen/2`.
-- Any number of processes, on any scheduler, may wait in its `accept`; each connection goes to one of them, and belongs to
-- that one. They take from one queue, and every scheduler on which one waits is woken by each connection.
--
-- With `acceptors = n` each scheduler on which a process accepts gets a queue of its own, up to n of them, and the system
-- spreads connections evenly over these: a process on each scheduler that accepts, as in the second example, and all of
-- them have the same to do. A connection that has come to where nobody accepts just then goes to who does elsewhere.
-- Schedulers beyond n share. A Unix socket has one queue, whatever n is.
-- @param opts `{host, port}`, or by name: host ("127.0.0.1" at first; "0.0.0.0" or "::" for all), port (0, or none: any
-- that is free), or path for a Unix socket, a file which is removed when the listener closes; backlog (1024): how many
-- connections may wait, in each queue; reuseaddr (true); acceptors (1), of which there are no more than schedulers; tls, a
-- table of a server's options, see above
-- @return listener | nil, text, code
-- @usage
-- local listener = net.listen{port = 0}
-- local port = listener:sockname().port
-- spawn(function() listener:accept():send("hello\n") end)
-- assert(net.connect("127.0.0.1", port):recv("line") == "hello")
-- listener:close()
--
-- -- on all schedulers
-- local schedulers = #require "moonbeam".schedulers()
-- local all = net.listen{port = 0, acceptors = schedulers}
-- for i = 1, schedulers do
--   Process.spawn(function()
--     while true do
--       local socket = all:accept()
--       if not socket then return end -- the listener has been closed
--       local pid = Process.spawn(function()
--         receive{ {{"socket", any, any}, function(s) s:send("hello\n") end} }
--       end, {scheduler = "here"})
--       socket:give_away(pid)
--     end
--   end, {link = true, scheduler = i})
-- end
-- assert(net.connect("127.0.0.1", all:sockname().port):recv("line") == "hello")
-- all:close()
function net.listen(opts)
  if type(opts) ~= "table" then
    core.argument_error("net.listen", 1, "table of options expected, got " .. shown(opts))
  end
  opts = named(opts)
  options.check(opts, listen_options, "net.listen", 1)
  local backlog = opts.backlog or 1024
  local acceptors = opts.acceptors or 1
  local context, found, text, code
  if opts.tls then
    context, text, code = tls().server_context(tls().check_server(opts.tls, "net.listen", 1))
    if not context then return nil, text, code end
  end
  if opts.path then return core.net_listen(opts.path, nil, backlog, false, acceptors, context) end
  found, text, code = addresses(opts.host or "127.0.0.1", nil, 0)
  if not found then return nil, text, code end
  return core.net_listen(found[1], opts.port or 0, backlog, opts.reuseaddr ~= false, acceptors, context)
end

local connect_options = options.of{
  {"host", host_rule}, {"port", port_rule}, {"path", path_rule}, {"timeout", options.timeout}, {"nodelay", options.boolean},
  {"keepalive", options.any}, {"high_water", options.integer(1)}, {"line_limit", options.integer(1)},
  {"family", families}, {"local_host", host_rule}, {"local_port", port_rule}, {"tls", tls_rule},
}

local set_later = {"nodelay", "keepalive", "high_water", "line_limit"}

local function set(socket, opts)
  local wanted
  for _, name in ipairs(set_later) do
    if opts[name] ~= nil then
      wanted = wanted or {}
      wanted[name] = opts[name]
    end
  end
  if wanted then socket:set(wanted) end
  return socket
end

-- The connection is there; with a context, TLS comes next.
local function connected(socket, opts, deadline, context, expected)
  set(socket, opts)
  if not context then return socket end
  return tls().connected(socket, context, expected, deadline)
end

--- Connect. See Erlang's `gen_tcp:connect/4`.
-- The addresses of a name are tried in turn, IPv6 and IPv4, until one accepts.
-- @param host a name or an address; or "unix:/path"; or a table with all options, and host and port or path
-- @param port integer
-- @param[opt] opts timeout = ms in all, family = "inet" | "inet6", local_host =, local_port =, those of `set`, and
-- tls = true or a table of a client's options, see above
-- @return socket | nil, text, code
-- @usage
-- local socket, text, code = net.connect("localhost", 1, {timeout = 1000})
-- assert(socket == nil and code == "ECONNREFUSED", text)
function net.connect(host, port, opts)
  local at = 3
  local path = unix_path(host)
  if type(host) == "table" then
    at, opts = 1, named(host)
    host, port, path = opts.host, opts.port, opts.path
  elseif path and type(port) == "table" then
    at, opts = 2, port
  end
  opts = options.check(opts, connect_options, "net.connect", at)
  local deadline = core.deadline(opts.timeout, "net.connect", at)
  if path then
    if path_rule(path) then core.argument_error("net.connect", 1, "a path has no NUL byte, and this one has one") end
  else
    check_host(host, "net.connect", 1)
    check_port(port, "net.connect", at == 1 and 1 or 2)
  end
  local context, expected, found, socket, text, code
  if opts.tls then
    local wanted = tls().check_client(opts.tls, "net.connect", at)
    expected = tls().expected(wanted, not path and host, "net.connect", at)
    context, text, code = tls().client_context(wanted)
    if not context then return nil, text, code end
  end
  if path then
    socket, text, code = core.net_connect(path, nil, deadline)
    if not socket then return nil, text, code end
    return connected(socket, opts, deadline, context, expected)
  end
  found, text, code = addresses(host, opts.family, deadline)
  if not found then return nil, text, code end
  for _, address in ipairs(found) do
    socket, text, code = core.net_connect(address, port, deadline, opts.local_host, opts.local_port)
    if socket then return connected(socket, opts, deadline, context, expected) end
    if code == "ETIMEDOUT" or code == "ECANCELED" then break end
  end
  return nil, text or "EADDRNOTAVAIL: address not available", code or "EADDRNOTAVAIL"
end

local udp_options = options.of{{"host", host_rule}, {"port", port_rule}, {"reuseaddr", options.boolean}}

--- A UDP socket. See Erlang's `gen_udp:open/2`.
-- @param[opt] opts `{host, port}`, or by name: host ("0.0.0.0" at first), port (0: any that is free), reuseaddr
-- @return UDP socket | nil, text, code
-- @usage
-- local a, b = net.udp{host = "127.0.0.1"}, net.udp{host = "127.0.0.1"}
-- a:send("hello", "127.0.0.1", b:sockname().port)
-- local data, host, port = b:recv(1000)
-- assert(data == "hello" and host == "127.0.0.1" and port == a:sockname().port)
function net.udp(opts)
  if type(opts) == "table" then opts = named(opts) end
  opts = options.check(opts, udp_options, "net.udp", 1)
  local found, text, code = addresses(opts.host or "0.0.0.0", nil, 0)
  if not found then return nil, text, code end
  return core.net_udp(found[1], opts.port or 0, opts.reuseaddr or false)
end

return net

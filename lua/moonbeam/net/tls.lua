--- The options of TLS, the contexts that are made of them, and what the handshake asks of Lua.
--
-- Contexts are kept for the next connection with the same options and the same files, in each scheduler for itself.
-- @module moonbeam.net.tls

local core = require "moonbeam.core"
local options = require "moonbeam.internal.options"

local concat, remove = table.concat, table.remove

local tls = {}

local MOST = 64           -- contexts that are kept
local HANDSHAKE_MS = 10000

-- Options

local function path_rule(v)
  if type(v) ~= "string" or v == "" or string.find(v, "\0", 1, true) then return "a file's path" end
end
local function name_rule(v)
  if type(v) ~= "string" or #v > 255 or v == "" or v == "." or string.find(v, "[%s\0]") then
    return "a host's name or address"
  end
end
local function alpn_rule(v)
  if type(v) ~= "table" or #v == 0 then return "a sequence of names of protocols", core.type(v) end
  local size = 0
  for i, name in ipairs(v) do
    if type(name) ~= "string" or #name < 1 or #name > 255 then
      return "a sequence of names of protocols, 1 to 255 bytes each", "item " .. i
    end
    size = size + #name + 1
  end
  if size > 65535 then return "a sequence of names of protocols, 64 KiB in all", size .. " bytes" end
end
local function verify_client_rule(v)
  if type(v) ~= "boolean" and v ~= "optional" then return 'true, false or "optional"' end
end
local function sni_rule(v)
  if type(v) ~= "table" and type(v) ~= "function" then
    return "a table {name = {cert =, key =}} or a function", core.type(v)
  end
end

local function client_options(also, label)
  return options.of({
    {"verify", options.boolean}, {"ca", path_rule}, {"server_name", name_rule}, {"alpn", alpn_rule},
    {"cert", path_rule}, {"key", path_rule}, also,
  }, label)
end
local function server_options(also, label)
  return options.of({
    {"cert", path_rule}, {"key", path_rule}, {"sni", sni_rule}, {"verify_client", verify_client_rule},
    {"ca", path_rule}, {"alpn", alpn_rule}, {"handshake_timeout", options.integer(1)}, also,
  }, label)
end
local client, server = client_options(nil, "tls."), server_options(nil, "tls.")
local server_rule = {"server", options.boolean}
local starting_client, starting_server = client_options(server_rule), server_options(server_rule)
local identity_options = options.of({{"cert", path_rule, required = true}, {"key", path_rule}}, "sni: ")

local refuse = core.argument_error

local function check_pair(opts, fname, index)
  if opts.key and not opts.cert then refuse(fname, index, "a key is given, and no cert, to which it belongs") end
end

-- What the options of a client say, true for none; known: those that there are.
function tls.check_client(opts, fname, index, known)
  if opts == true then opts = {} end
  options.check(opts, known or client, fname, index)
  check_pair(opts, fname, index)
  if opts.verify == false and opts.ca then refuse(fname, index, "ca has no effect with verify = false") end
  return opts
end

-- What those of a server say.
function tls.check_server(opts, fname, index, known)
  if opts == true then opts = {} end
  options.check(opts, known or server, fname, index)
  check_pair(opts, fname, index)
  if not opts.cert and not opts.sni then
    refuse(fname, index, "a server of TLS needs a certificate: {cert = file, key = file}, or sni")
  end
  if type(opts.sni) == "table" then
    for name, identity in next, opts.sni do
      if type(name) ~= "string" or name == "" or string.find(name, "\0", 1, true) then
        refuse(fname, index, "sni has names as keys, got " ..
          (type(name) == "string" and '"' .. core.short(name) .. '"' or core.type(name)))
      end
      if type(identity) ~= "table" then
        refuse(fname, index,
          string.format('sni["%s"] is {cert =, key =}, got %s', core.short(name), core.type(identity)))
      end
      options.check(identity, identity_options, fname, index)
    end
  end
  if opts.verify_client and not opts.ca then
    refuse(fname, index, "verify_client needs ca, a file with the certificates that clients' are signed by")
  end
  if opts.ca and not opts.verify_client then refuse(fname, index, "ca has no effect without verify_client") end
  return opts
end

-- Contexts

local kept, order = {}, {} -- key -> context; keys, the oldest first

local function wire(names)
  if not names then return nil end
  local parts = {}
  for i, name in ipairs(names) do parts[i] = string.char(#name) .. name end
  return concat(parts)
end

-- Its size before each part: no two lists give the same key.
local function key_of(parts, n)
  local all = {}
  for i = 1, n do
    local part = parts[i] and tostring(parts[i])
    all[i] = part and #part .. ":" .. part or "-"
  end
  return concat(all)
end

local function stamp(path) return path and core.tls_stamp(path) end

-- The first context that is found or made of {is server, verify, ca, alpn, handshake timeout} and identities.
local function find(is_server, verify, ca, alpn, ms, sni, identities)
  if sni then return core.tls_context(is_server, verify, ca, alpn, ms, sni, identities) end
  local parts, n = {is_server, verify, ca, stamp(ca), alpn, ms}, 6
  if not is_server and verify ~= "none" and not ca then -- the system's store, which the environment may name
    local file = os.getenv("SSL_CERT_FILE")
    parts[7], parts[8], parts[9], n = file, stamp(file), os.getenv("SSL_CERT_DIR"), 9
  end
  for i = 1, #identities do
    n = n + 1
    parts[n] = identities[i]
    if i % 3 ~= 1 then
      n = n + 1
      parts[n] = identities[i] and stamp(identities[i])
    end
  end
  local key = key_of(parts, n)
  local context = kept[key]
  if context then return context end
  local made, text, code = core.tls_context(is_server, verify, ca, alpn, ms, nil, identities)
  if not made then return nil, text, code end
  if not kept[key] then
    order[#order + 1] = key
    if #order > MOST then kept[remove(order, 1)] = nil end
  end
  kept[key] = made
  return made
end

-- The context of options that have been checked | nil, text, code.
function tls.client_context(opts)
  return find(false, opts.verify == false and "none" or "required", opts.ca, wire(opts.alpn), 0, nil,
    {false, opts.cert or false, opts.key or false})
end

function tls.server_context(opts)
  local identities, sni = {false, opts.cert or false, opts.key or false}, opts.sni
  if type(sni) == "table" then
    local names = {}
    for name in next, sni do names[#names + 1] = name end
    table.sort(names)
    for _, name in ipairs(names) do
      local at = #identities
      identities[at + 1], identities[at + 2], identities[at + 3] = name, sni[name].cert, sni[name].key or false
    end
    sni = nil
  end
  local verify = opts.verify_client == "optional" and "offered" or opts.verify_client and "required" or "none"
  return find(true, verify, opts.ca, wire(opts.alpn), opts.handshake_timeout or HANDSHAKE_MS, sni, identities)
end

-- Handshakes

-- Let a socket that has connected be TLS; host: whom it expects. It is closed when that fails.
function tls.connected(socket, context, host, deadline)
  local ok, text, code = core.tls_begin(socket, context, host)
  if ok then ok, text, code = core.tls_handshake(socket, deadline) end
  if ok then return socket end
  socket:close()
  return nil, text, code
end

-- The host that a client expects, by its options and the host it connects to; raises if it is to verify none.
function tls.expected(opts, host, fname, index)
  local name = opts.server_name or host
  if name then return (string.gsub(name, "%.$", "")) end
  if opts.verify ~= false then
    refuse(fname, index, "server_name is needed, the host that the certificate is to be for, or verify = false")
  end
end

-- The handshake has come to the name that a client asks for: the user's function says what to be. In the process that
-- owns the socket, in one of its calls on it.
function tls.choose(socket)
  local sni, name = core.tls_asked(socket)
  if not sni then return end
  local identity = sni(name)
  if identity == nil or identity == false then return core.tls_choose(socket, nil) end
  if type(identity) ~= "table" or type(identity.cert) ~= "string" then
    core.tls_choose(socket, nil, "the function sni has returned no {cert =, key =}")
    return core.raise_at_caller(string.format("sni: the function returned a %s, not {cert =, key =} or nil",
      core.type(identity)))
  end
  local context, text = find(true, "none", nil, nil, HANDSHAKE_MS, nil, {false, identity.cert, identity.key or false})
  if not context then return core.tls_choose(socket, nil, text) end
  return core.tls_choose(socket, context)
end

-- socket:starttls(opts [, ms])
function tls.starttls(socket, opts, ms)
  if opts == nil then opts = {} end
  local as_server, host = type(opts) == "table" and opts.server, nil
  if as_server then
    opts = tls.check_server(opts, "starttls", 1, starting_server)
  else
    opts = tls.check_client(opts, "starttls", 1, starting_client)
    host = tls.expected(opts, nil, "starttls", 1)
  end
  local deadline = core.deadline(ms, "starttls", 2)
  local state = core.tls_state(socket)
  if state == "secure" then core.raise_at_caller("starttls: the socket speaks TLS already") end
  if state == "active" then core.raise_at_caller("starttls: the socket is active; socket:active(false) first") end
  if not state then return nil, "EBADF: bad file descriptor", "EBADF" end
  local context, text, code
  if as_server then
    context, text, code = tls.server_context(opts)
  else
    context, text, code = tls.client_context(opts)
  end
  if not context then return nil, text, code end
  local ok
  ok, text, code = core.tls_begin(socket, context, host)
  if not ok then return nil, text, code end
  return core.tls_handshake(socket, deadline)
end

return tls

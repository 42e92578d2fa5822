--- Prompts attached to a running host through a Unix socket.
--
-- The client has the terminal: it edits lines, keeps the history and draws. The host has a session with an evaluator of
-- its own for each client. Between them go frames: the size of what follows (4 bytes), a letter, a text.
--
--    to the host                          to the client
--    d  what is to be run first           p  read a line after this prompt
--    h  hello: protocol, columns, rows,
--       colors, terminal
--    l  a line                            q  likewise, after a question
--                                         o  output
--    e  the end of the input              c  completion: what to insert, zero byte, what to show
--    i  interrupt                         b  bye
--    c  complete what stands before the cursor
-- @module moonbeam.shell.remote

local core = require "moonbeam.core"
local host = require "moonbeam.host"
local deadline = require "moonbeam.internal.deadline"
local dot_file = require "moonbeam.shell.dot_file"
local evaluator = require "moonbeam.shell.evaluator"
local history = require "moonbeam.shell.history"
local session = require "moonbeam.shell.session"

local remote = {}

local PROTOCOL = "2"
local HELLO_MS = 5000 -- how long a client may take to say hello
local MOST_KEPT = 4 * 1024 * 1024 -- bytes of output for a client that does not take them; more are dropped

local MOST_SENT = 16 * 1024 * 1024 -- bytes of a frame that a client sends: more is no line, and it is let go

local function frame(letter, text) return string.pack("<s4", letter .. text) end

-- A function that takes bytes as they come and calls take(letter, text) for each frame that is complete. It returns
-- true where a frame is larger than `most`.
local function reader(take, most)
  local buffer = ""
  return function(bytes)
    buffer = buffer .. bytes
    while #buffer >= 4 do
      local size = string.unpack("<I4", buffer)
      if most and size > most then return true end
      if #buffer < 4 + size then return end
      local body = string.sub(buffer, 5, 4 + size)
      buffer = string.sub(buffer, 5 + size)
      take(string.sub(body, 1, 1), string.sub(body, 2))
    end
  end
end

-- The host's side

local letters = {l = "line", e = "end", i = "interrupt", c = "complete"}

-- A client's hello: columns and whether it has colours; nil when none comes, or that of another protocol.
local function await_hello(read, hello)
  local last = deadline.after(HELLO_MS)
  while not hello[1] do
    local kind, message = core.next_event(deadline.left(last))
    if kind ~= "info" or type(message) ~= "table" or message[2] ~= "data" then return nil end
    if read(message[4]) then return nil end
  end
  local protocol, columns, rows, colors, terminal = string.match(hello[1], "^(%S+) (%d+) (%d+) (%S+) (%S+)$")
  if protocol ~= PROTOCOL then return nil end
  return {columns = tonumber(columns), rows = tonumber(rows), colors = colors == "true", terminal = terminal == "true"}
end

-- What is printed goes out until the client is too far behind; then it is dropped until that has caught up.
local function output(number)
  local behind
  return function(text)
    if behind and (host.send(number, "") or 0) > 0 then return end
    if behind then text = "[output was dropped]\n" .. text end
    behind = (host.send(number, frame("o", text)) or 0) > MOST_KEPT
  end
end

--- The session of one client.
-- @param number of its channel
function remote.serve(number)
  local device, hello, first = {}, {}, nil
  local read = reader(function(letter, text)
    if letter == "h" then
      hello[1] = text
    elseif letter == "d" then
      local name, contents, fault = string.unpack("<s4s4s4", text)
      first = {name = name, text = fault == "" and contents or nil, fault = fault}
    elseif letters[letter] then
      device.tell(letters[letter], text)
    end
  end, MOST_SENT)
  host.own(number)
  local client = await_hello(read, hello)
  if not client then return end
  local function send(letter, text) host.send(number, frame(letter, text)) end
  device.put = output(number)
  function device.read(prompt, is_question) send(is_question and "q" or "p", prompt) end
  function device.remember() end -- the client does
  function device.complain(text) send("o", text .. "\n") end
  function device.complete(insertion, above) send("c", insertion .. "\0" .. above) end
  function device.columns() return client.columns end
  function device.rows() return client.rows end
  function device.event(message)
    if message[2] ~= "data" or read(message[4]) then device.tell("gone") end
  end
  if client.terminal then device.put(session.banner) end
  session.run(device, {terminal = client.terminal, colors = client.colors, leads = true, dot_file = first,
})
  send("b", "")
end

--- Accepts clients, and closes what their sessions leave.
-- @param listener number of the channel
function remote.accept(listener)
  host.own(listener)
  local open = {}
  while true do
    local kind, message = core.next_event()
    if kind == "info" and type(message) == "table" then
      if message[1] == "host" then
        local _, monitor = core.spawn_at(core.self(), true, remote.serve, message[3])
        open[monitor] = message[3]
      elseif message[1] == "DOWN" and open[message[2]] then
        evaluator.forget(message[4]) -- it may have been killed
        host.close(open[message[2]])
        open[message[2]] = nil
      end
    end
  end
end

-- End the program with a message and without a traceback.
local function refuse(...)
  local text = string.format(...)
  error(setmetatable({}, {__tostring = function() return text end}))
end

--- Let prompts be attached: `moonbeam --listen SOCKET`.
-- @param path of the socket
function remote.listen(path)
  local listener, why = host.listen(path)
  if not listener then refuse("cannot listen on %s: %s", path, why) end
  core.spawn_at(core.self(), false, remote.accept, listener)
end

-- The client's side

local answers -- what is read is the answer to a question, and not for the history

local function read(prompt, is_question)
  answers = is_question
  host.read_line(prompt)
end

-- What the host says to do; true when it says bye.
local obeyed = {
  p = function(prompt) read(prompt, false) end,
  q = function(prompt) read(prompt, true) end,
  o = function(text) io.write(text) io.flush() end,
  c = function(text) host.complete(string.match(text, "^(.-)%z(.*)$")) end,
  b = function() return true end,
}

-- What the terminal says.
local function say(send, edited, what, text)
  if what == "line" then
    if edited and not answers then
      host.remember(text)
      history.append(text)
    end
    send("l", text)
  elseif what == "end" then
    if edited then io.write("\n") end
    send("e", "")
  elseif what == "interrupt" then
    send("i", "")
  elseif what == "complete" then
    send("c", text)
  end
end

--- Be the terminal of a prompt in another program: `moonbeam --remote SOCKET`. Returns when the user leaves.
-- @param path of the socket
-- @param[opt] file what is to be run there first: see `dot_file.find`
function remote.attach(path, file)
  local number, why = host.connect(path)
  if not number then refuse("cannot attach to %s: %s", path, why) end
  local function send(letter, text) host.send(number, frame(letter, text)) end
  local bye = false
  local read = reader(function(letter, text) bye = obeyed[letter] and obeyed[letter](text) or bye end)
  host.evaluating(false, true) -- interrupts are for the other side
  host.own(number)
  local edited = host.open_terminal()
  if edited then history.load(host.remember) end
  local first = dot_file.find(file)
  if first then send("d", string.pack("<s4s4s4", first.name, first.text or "", first.fault or "")) end
  send("h", string.format("%s %d %d %s %s", PROTOCOL, host.columns(), host.rows(), edited and not os.getenv("NO_COLOR"), edited))
  while not bye do
    local kind, message = core.next_event()
    if kind == "info" and type(message) == "table" and message[1] == "host" then
      if message[2] == "data" then
        read(message[4])
      elseif message[2] == "closed" then
        refuse("%s has closed the connection", path)
      else
        say(send, edited, message[2], message[3])
      end
    end
  end
end

return remote

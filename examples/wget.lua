-- Fetches pages over HTTP, several at once, each into a file of its own.
--
--    moonbeam examples/wget.lua DIRECTORY URL...
--
-- A task for each URL: what has come whole is written in one go, so whoever looks finds all of a page or nothing. The
-- status is 1 when one could not be fetched.
require("moonbeam").import()

local JOBS, TIMEOUT = 8, 60000 -- at a time; ms for each step

local directory, urls = arg[1], table.move(arg, 2, #arg, 1, {})
if #urls == 0 then error("usage: wget.lua DIRECTORY URL...", 0) end

local function check(value, problem)
  if not value then error(problem, 0) end
  return value
end

local function read_line(socket) return check(socket:recv("line", TIMEOUT)) end

local function read_head(socket)
  local status, reason = read_line(socket):match("^HTTP/1%.%d (%d+) ?(.*)$")
  if status ~= "200" then error(status and status .. " " .. reason or "no answer of HTTP's", 0) end
  local head = {}
  for line in read_line, socket do
    if line == "" then return head end
    local name, value = line:match("^([^:]+):%s*(.-)%s*$")
    if name then head[name:lower()] = value end
  end
end

local function read_chunks(socket)
  local chunks = {}
  repeat
    local size = read_line(socket):match("^%x+") or error("a chunk without a size", 0)
    local chunk = check(socket:recv(tonumber(size, 16), TIMEOUT))
    table.insert(chunks, chunk)
    read_line(socket)
  until chunk == ""
  return table.concat(chunks)
end

local function read_body(socket, head)
  if head["transfer-encoding"] == "chunked" then return read_chunks(socket) end
  local length = (head["content-length"] or ""):match("^%d+$")
  return check(socket:recv(tonumber(length) or "*a", TIMEOUT))
end

local function get(url)
  local host, port, path = url:match("^http://([^/:]+):?(%d*)([^#]*)")
  if not host then error("no URL of the form http://host[:port]/path", 0) end
  local socket <close> = check(net.connect(host, tonumber(port) or 80, {timeout = TIMEOUT}))
  check(socket:send(("GET %s HTTP/1.1\r\nHost: %s%s\r\nConnection: close\r\n\r\n")
    :format(path == "" and "/" or path, host, port == "" and "" or ":" .. port)))
  return read_body(socket, read_head(socket))
end

local function fetch(url, path)
  local ok, result = pcall(get, url)
  if not ok then return nil, result end
  local written, problem = fs.write(path, result, {atomic = true})
  if not written then return nil, problem end
  return ("%s: %d bytes in %s"):format(url, #result, path)
end

-- An iterator over URLs and the names of their files: the last part of a path, with a number when it is taken.
local function targets()
  local taken, i = {}, 0
  return function()
    i = i + 1
    if not urls[i] then return nil end
    local name = urls[i]:gsub("[?#].*$", ""):match("://[^/]*/.-([^/]+)$") or "index.html"
    taken[name] = (taken[name] or 0) + 1
    if taken[name] > 1 then name = name .. "." .. taken[name] end
    return urls[i], directory .. "/" .. name
  end
end

local progress = require("moonbeam").progress(#urls, "fetching")
local lines, failures, i = {}, 0, 0
for _, line, problem in Task.async_stream(targets(), fetch, {max_concurrency = JOBS, timeout = "infinity"}) do
  i = i + 1
  failures = failures + (line and 0 or 1)
  lines[i] = line or urls[i] .. ": " .. problem
  progress:step()
end
progress:done()
print(table.concat(lines, "\n"))
os.exit(failures == 0)

-- Checks that calls and includes of the C code run down only: lua5.4 layers.lua LIST [ROOM...]
--
-- LIST, which the build writes (layers.txt), names the rooms, which are the targets, with their objects, and to which
-- other rooms each is linked: these are below it. What a file includes or calls is in its own room or in one below; in
-- the rooms that are given no files call each other in a circle. Prints for each room its largest circle of files, by
-- calls and by includes; then what is wrong, with exit status 1. 77: the objects cannot be read by this nm.

local list_path, strict = arg[1], {}
for i = 2, #arg do strict[arg[i]] = true end

local root, nm
local rooms, order = {}, {} -- name -> {name, links, includes, objects = {[source] = object}, below}
local aliases = {} -- folder of a link -> the folder it leads to
local room

for line in io.lines(list_path) do
  local key, value = line:match "^(%S+) ?(.*)$"
  if key == "root" then
    root = value
  elseif key == "alias" then
    local from, to = value:match "^(%S+) (%S+)$"
    aliases[from] = to
  elseif key == "nm" then
    nm = value
  elseif key == "room" then
    room = {name = value, links = {}, includes = {}, objects = {}, sources = {}}
    rooms[value] = room
    order[#order + 1] = room
  elseif key == "link" or key == "include" then
    local into = key == "link" and room.links or room.includes
    for item in value:gmatch "[^;]+" do into[#into + 1] = item end
  elseif key == "objects" then
    for item in value:gmatch "[^;]+" do room.objects[#room.objects + 1] = item end
  elseif key == "sources" then
    for item in value:gmatch "[^;]+" do
      if item:find "%.c$" then
        room.sources[#room.sources + 1] = item:sub(1, 1) == "/" and item or root .. "/" .. item
      end
    end
  end
end

local function reach(of, into)
  for _, name in ipairs(of.links) do
    local other = rooms[name]
    if other and not into[name] then
      into[name] = true
      reach(other, into)
    end
  end
  return into
end
for _, r in ipairs(order) do r.below = reach(r, {[r.name] = true}) end

local function short(path) return path:sub(1, #root + 1) == root .. "/" and path:sub(#root + 2) or path end

-- Which room a file is of: a source by its target, a header by the source of its name, or else by its folder.
local room_of, count_in = {}, {}
for _, r in ipairs(order) do
  for _, source in ipairs(r.sources) do
    local folder = source:match "^(.*)/"
    room_of[source] = r
    count_in[folder] = count_in[folder] or {}
    count_in[folder][r] = (count_in[folder][r] or 0) + 1
  end
end
local function room_of_header(path)
  local own = room_of[(path:gsub("%.h$", ".c"))]
  if own then return own end
  local best, most = nil, 0
  for r, n in pairs(count_in[path:match "^(.*)/"] or {}) do
    if n > most or n == most and best and r.name < best.name then best, most = r, n end
  end
  return best
end

local wrong = {}
local function complain(...) wrong[#wrong + 1] = string.format(...) end

-- Circles: Tarjan's strongly connected components. nodes: sorted names; edges[a][b]: a names b. Returns the largest
-- one.
local function largest_circle(nodes, edges)
  local index, low, stack, on, counter, largest = {}, {}, {}, {}, 0, {}
  local function visit(v)
    counter = counter + 1
    index[v], low[v] = counter, counter
    stack[#stack + 1], on[v] = v, true
    for w in pairs(edges[v] or {}) do
      if not index[w] then
        visit(w)
        low[v] = math.min(low[v], low[w])
      elseif on[w] then
        low[v] = math.min(low[v], index[w])
      end
    end
    if low[v] == index[v] then
      local component = {}
      repeat
        local w = table.remove(stack)
        on[w] = nil
        component[#component + 1] = w
      until w == v
      if #component > 1 and #component > #largest then largest = component end
    end
  end
  for _, v in ipairs(nodes) do if not index[v] then visit(v) end end
  table.sort(largest)
  return largest
end

-- Includes

local texts = {}
local function read(path)
  if texts[path] == nil then
    local f = io.open(path)
    texts[path] = f and f:read "a" or false
    if f then f:close() end
  end
  return texts[path]
end

local function normal(path)
  local before
  repeat
    before = path
    path = path:gsub("/%./", "/"):gsub("/[^/]+/%.%./", "/", 1)
  until path == before
  return path
end

local function resolve(name, from, r)
  local places = {from:match "^(.*)/"}
  for _, folder in ipairs(r.includes) do places[#places + 1] = folder end
  for _, folder in ipairs(places) do
    local path = normal(folder .. "/" .. name)
    if read(path) then
      local linked, file = path:match "^(.*)/([^/]+)$"
      return aliases[linked] and aliases[linked] .. "/" .. file or path
    end
  end
end

local include_edges, include_nodes = {}, {}
local function scan(path, r)
  if include_edges[path] then return end
  include_edges[path] = {}
  include_nodes[r] = include_nodes[r] or {}
  table.insert(include_nodes[r], path)
  for name in ("\n" .. (read(path) or "")):gmatch '\n[ \t]*#[ \t]*include[ \t]*"([^"]+)"' do
    local found = resolve(name, path, r)
    local other = found and room_of_header(found)
    if other then
      if not r.below[other.name] then
        complain("%s (%s) includes %s, of %s, which is not below it", short(path), r.name, short(found), other.name)
      end
      if other == r then include_edges[path][found] = true end
      scan(found, other)
    end
  end
end
for _, r in ipairs(order) do
  include_nodes[r] = include_nodes[r] or {}
  for _, source in ipairs(r.sources) do scan(source, r) end
end

-- Calls

local defined, used, readable = {}, {}, false -- symbol -> source; source -> symbol -> type
local function quote(s) return "'" .. s:gsub("'", "'\\''") .. "'" end

for _, r in ipairs(order) do
  for _, object in ipairs(r.objects) do
    local source
    for _, s in ipairs(r.sources) do
      local tail = short(s)
      if object:sub(-#tail - 2) == tail .. ".o" then source = s end
    end
    if source then
      if not io.open(object) then
        print("not built: " .. object)
        os.exit(1)
      end
      used[source] = {}
      for line in io.popen(quote(nm) .. " -P " .. quote(object) .. " 2>&1"):lines() do
        local symbol, kind = line:match "^(%S+) (%a)"
        if kind == "U" then
          used[source][symbol] = true
        elseif kind and kind:find "[TDBRCVWGS]" then
          readable = true
          defined[symbol] = {source = source, is_function = kind:find "[TW]" ~= nil}
        end
      end
    end
  end
end
if not readable then
  print("skipped: " .. nm .. " cannot read the objects (they are the link-time optimizer's: gcc-nm could)")
  os.exit(77)
end

local call_edges = {}
for source, symbols in pairs(used) do
  local r = room_of[source]
  call_edges[source] = {}
  for symbol in pairs(symbols) do
    local at = defined[symbol]
    if at and at.source ~= source then
      local other = room_of[at.source]
      if other ~= r and not r.below[other.name] then
        complain("%s (%s) %s %s, of %s (%s), which is not below it", short(source), r.name,
                 at.is_function and "calls" or "uses", symbol, short(at.source), other.name)
      end
      if other == r and at.is_function then
        call_edges[source][at.source] = call_edges[source][at.source] or symbol
      end
    end
  end
end

-- The report

local function names(circle)
  local out = {}
  for i, path in ipairs(circle) do out[i] = path:match "[^/]+$" end
  return table.concat(out, " ")
end

for _, r in ipairs(order) do
  table.sort(r.sources)
  table.sort(include_nodes[r])
  local calls, includes = largest_circle(r.sources, call_edges), largest_circle(include_nodes[r], include_edges)
  print(string.format("%-12s %3d sources, %3d files; largest circle by calls: %d%s; by includes: %d%s",
    r.name, #r.sources,
                      #include_nodes[r], #calls, #calls > 0 and " (" .. names(calls) .. ")" or "", #includes,
                      #includes > 0 and " (" .. names(includes) .. ")" or ""))
  if strict[r.name] and #calls > 0 then
    complain("%s: these files call each other in a circle:", r.name)
    for _, a in ipairs(calls) do
      for _, b in ipairs(calls) do
        if call_edges[a][b] then complain("  %s calls %s, of %s", short(a), call_edges[a][b], short(b)) end
      end
    end
  end
  if strict[r.name] and #includes > 0 then
    complain("%s: these files include each other: %s", r.name, names(includes))
  end
end

table.sort(wrong, function(a, b) return a < b end)
for _, line in ipairs(wrong) do print(line) end
os.exit(#wrong == 0 and 0 or 1)

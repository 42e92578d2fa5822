--- The documentation of the library, read from the LDoc comments of its files.
-- @module moonbeam.shell.docs

local host = require "moonbeam.host"

local docs = {}

-- Where the library's files are.
local function directory()
  local source = debug.getinfo(require("moonbeam").import, "S").source
  return source:match("^@(.*/)[^/]*$")
end

-- Comment blocks with the line of code that follows each.
local function blocks(path)
  local found, block = {}, nil
  for line in io.lines(path) do
    local start, more = line:match("^%-%-%-%s?(.*)$"), line:match("^%-%-%s?(.*)$")
    if start then
      block = {start}
      found[#found + 1] = block
    elseif block and more then
      block[#block + 1] = more
    elseif block then
      block.code = line
      block = nil
    end
  end
  return found
end

-- A block's parts: the text, and its tags in order.
local function parse(block)
  local entry = {text = {}, tags = {}}
  local tag
  for _, line in ipairs(block) do
    local name, rest = line:match("^@(%w+)(.*)$")
    if name then
      tag = {name = name, rest:match("^%s?(.*)$")}
      entry.tags[#entry.tags + 1] = tag
    elseif tag then
      tag[#tag + 1] = line
    else
      entry.text[#entry.text + 1] = line
    end
  end
  return entry
end

-- The name users know a block's code by: "send", "Task.await", "socket:recv"; nil when it is none of theirs.
local function name_of(code)
  local name = code and (code:match("^function%s+([%w_.:]+)") or code:match("^([%w_]+%.[%w_]+)%s*=") or
    code:match("^local function ([%w_]+)"))
  if not name then return nil end
  name = name:gsub("^mb%.", ""):gsub("^helpers%.", "")
  local owner = name:match("^([%w_]+)%.")
  return (not owner or require("moonbeam")[owner]) and name or nil
end

local function usage(name, entry)
  local parameters, depth = {}, 0
  local value = require("moonbeam")[name]
  if value ~= nil and type(value) ~= "function" then return name end
  for _, tag in ipairs(entry.tags) do
    if tag.name == "param" then
      local optional, parameter = tag[1]:match("^(%b[])%s*(%S+)")
      parameter = parameter or tag[1]:match("^%S+")
      if optional then
        local default = optional:match("^%[opt=(.*)%]$")
        parameters[#parameters + 1] = (" [%s%s%s"):format(#parameters > 0 and ", " or "", parameter,
          default and " = " .. default or "")
        depth = depth + 1
      else
        parameters[#parameters + 1] = (#parameters > 0 and ", " or "") .. parameter
      end
    end
  end
  return name .. "(" .. table.concat(parameters):gsub("^ %[", "[") .. ("]"):rep(depth) .. ")"
end

-- All entries by name; a module's by the name of its table.
local function read()
  local entries, root = {}, directory()
  local files = host.entries(root)
  files[#files + 1] = "shell/helpers.lua"
  for _, file in ipairs(files) do
    local module = {}
    for _, block in ipairs(file:find("%.lua$") and blocks(root .. file) or {}) do
      local entry = parse(block)
      local name = name_of(block.code)
      if entry.tags[1] and entry.tags[1].name == "module" then
        module = entry
      elseif name and not block[1]:find("internal", 1, true) then
        entry.usage = usage(name, entry)
        entries[name] = entry
        local owner = name:match("^(%u[%w_]*)[.:]")
        if owner and not entries[owner] then
          entries[owner] = module
          module.usage = owner
        end
      end
    end
  end
  return entries
end

-- What a function or a module is called: a name, or a value that the library's tables hold.
local function find_name(what)
  if type(what) == "string" then return what end
  local mb = require "moonbeam"
  for name, value in next, mb do
    if value == what and type(name) == "string" then return name end
  end
  for module, fields in next, mb do
    for name, value in next, type(fields) == "table" and fields or {} do
      if value == what and type(name) == "string" then return module .. "." .. name end
    end
  end
end

local sections = {
  param = "Parameters", ["return"] = "Returns", usage = "Example",
}

--- The text about a function or a module.
-- @param what its name, or the value itself
-- @return string, or nil when there is none
function docs.about(what)
  local name = find_name(what)
  local entries = read()
  local entry = name and entries[name]
  if not entry then return nil end
  local out, section = {entry.usage, "", table.concat(entry.text, "\n")}, nil
  for _, tag in ipairs(entry.tags) do
    if sections[tag.name] then
      if tag.name ~= section then
        out[#out + 1] = "\n" .. sections[tag.name]
        section = tag.name
      end
      for i, line in ipairs(tag) do
        line = i == 1 and line:gsub("^%b[]%s*", "") or line
        if line ~= "" then out[#out + 1] = "  " .. line end
      end
    end
  end
  if entry.usage == name and name:find("^%u[%w_]*$") then
    local members = {}
    for member in next, entries do
      if member:find("^" .. name .. "[.:]") then members[#members + 1] = member end
    end
    table.sort(members)
    out[#out + 1] = "\nFunctions\n  " .. table.concat(members, "\n  ")
  end
  return table.concat(out, "\n")
end

--- The names that there is something about, in order.
-- @return sequence of strings
function docs.names()
  local names = {}
  for name in next, read() do names[#names + 1] = name end
  table.sort(names)
  return names
end

return docs

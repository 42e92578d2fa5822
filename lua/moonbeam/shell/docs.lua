--- The documentation of the library, read from the LDoc comments of its files.
-- @module moonbeam.shell.docs

local core = require "moonbeam.core"

local docs = {}

-- Modules whose functions are known by their own names, beside the library's.
local others = {}

-- What users call the library's values: value -> names. Fields of the library's own tables, two levels down.
local function public_names()
  local mb, names = require "moonbeam", {}
  local function add(name, value, depth)
    if type(value) == "string" then return end
    if not names[value] then
      names[value] = {}
      for field, inner in pairs(depth < 2 and type(value) == "table" and string.find(name, "^%u") and value or {}) do
        if type(field) == "string" then add(name .. "." .. field, inner, depth + 1) end
      end
    end
    table.insert(names[value], name)
  end
  for name, value in next, mb do add(name, value, 0) end
  for _, module in ipairs(others) do
    for name, value in next, module do add(name, value, 0) end
    names[module] = {}
  end
  names[mb] = {}
  return names
end

-- The library's files with their modules: path, name.
local function files(found, directory, module)
  for _, entry in ipairs(core.entries(directory)) do
    local name = string.match(entry, "^(.*)%.lua$")
    if name then
      found[#found + 1] = {path = directory .. entry, module = name == "init" and module or module .. "." .. name}
    elseif not string.find(entry, ".", 1, true) then
      files(found, directory .. entry .. "/", module .. "." .. entry)
    end
  end
  return found
end

-- A comment block's parts: the text, its tags in order, and the line of code that follows.
local function blocks(path)
  local found, entry, tag = {}, nil, nil
  for line in io.lines(path) do
    local start, more = string.match(line, "^%-%-%-%s?(.*)$"), string.match(line, "^%-%-%s?(.*)$")
    if start then
      entry, tag = {text = {start}, tags = {}}, nil
      found[#found + 1] = entry
    elseif entry and more then
      local name, rest = string.match(more, "^@(%w+)%s?(.*)$")
      if name then
        tag = {name = name, rest}
        table.insert(entry.tags, tag)
      else
        table.insert(tag or entry.text, more)
      end
    elseif entry then
      entry.code = line
      entry = nil
    end
  end
  return found
end

-- The value that a block of a module's file is about.
local function value_of(entry, module)
  local first = entry.tags[1]
  if first and first.name == "module" then return module end
  local field = string.match(entry.code, "^function%s+[%w_]+[.:]([%w_]+)")
    or string.match(entry.code, "^[%w_]+%.([%w_]+)%s*=")
  return type(module) == "table" and field and module[field]
end

-- All entries by name.
local function read()
  local entries, names = {}, public_names()
  local root = string.match(debug.getinfo(require("moonbeam").import, "S").source, "^@(.*/)[^/]*$")
  local modules = core.library_modules()
  for _, file in ipairs(files({}, root, "moonbeam")) do
    local module = modules[file.module]
    local is_public = type(module) == "table" and names[module] -- what is inside of those is nobody's
    for _, entry in ipairs(is_public and blocks(file.path) or {}) do
      entry.value = value_of(entry, module)
      for _, name in ipairs(names[entry.value] or {}) do entries[name] = entry end
    end
  end
  return entries, names
end

-- How a function is called, from its parameters.
local function usage(name, entry)
  if type(entry.value) ~= "function" then return name end
  local parameters, depth = {}, 0
  for _, tag in ipairs(entry.tags) do
    if tag.name == "param" then
      local comma = #parameters > 0 and ", " or ""
      local optional, parameter = string.match(tag[1], "^(%b[])%s*(%S+)")
      if optional then
        local default = string.match(optional, "^%[opt=(.*)%]$")
        parameters[#parameters + 1] = " [" .. comma .. parameter .. (default and " = " .. default or "")
        depth = depth + 1
      else
        parameters[#parameters + 1] = comma .. string.match(tag[1], "^%S+")
      end
    end
  end
  return name .. "(" .. string.gsub(table.concat(parameters), "^ %[", "[") .. string.rep("]", depth) .. ")"
end

local headings = {param = "Parameters", ["return"] = "Returns", usage = "Example"}

local function add_tags(out, entry)
  local heading
  for _, tag in ipairs(entry.tags) do
    if headings[tag.name] then
      if heading ~= tag.name then out[#out + 1] = "\n" .. headings[tag.name] end
      heading = tag.name
      for i, line in ipairs(tag) do
        line = i == 1 and string.gsub(line, "^%b[]%s*", "") or line
        if line ~= "" then out[#out + 1] = "  " .. line end
      end
    end
  end
end

local function add_members(out, name, entries)
  local members = {}
  for member in next, entries do
    if string.sub(member, 1, #name + 1) == name .. "." then members[#members + 1] = member end
  end
  if #members == 0 then return end
  table.sort(members)
  out[#out + 1] = "\nFunctions\n  " .. table.concat(members, "\n  ")
end

-- How a function is called that has no documentation.
local function parameters_of(value)
  local info = debug.getinfo(value, "Su")
  if info.what == "C" then return "..." end
  local parameters = {}
  for n = 1, info.nparams do parameters[n] = debug.getlocal(value, n) end
  if info.isvararg then parameters[#parameters + 1] = "..." end
  return table.concat(parameters, ", ")
end

--- The functions of a module, and how they are called: from the documentation, or else from the function.
-- @param module table
-- @return sequence of texts, sorted
function docs.functions(module)
  local entries, documented, found = read(), {}, {}
  for _, entry in next, entries do
    if entry.value then documented[entry.value] = entry end
  end
  pairs(module) -- loads a module of the library's that has not been
  for name, value in next, module do
    if type(name) == "string" and type(value) == "function" then
      local entry = documented[value]
      found[#found + 1] = entry and usage(name, entry) or name .. "(" .. parameters_of(value) .. ")"
    end
  end
  table.sort(found)
  return found
end

--- The name of a value of the library's; nil when it has none.
function docs.name_of(value)
  local names = public_names()[value]
  return names and names[1]
end

--- The library's own names: of modules, and of functions and other values.
-- @return two sequences, sorted
function docs.names()
  local modules, values = {}, {}
  for name, value in next, require "moonbeam" do
    if type(value) == "table" and core.type(value) == "table" and name ~= "any" and name ~= "is" then
      modules[#modules + 1] = name
    elseif string.sub(name, 1, 1) ~= "_" then
      values[#values + 1] = name
    end
  end
  table.sort(modules)
  table.sort(values)
  return modules, values
end

--- The module of a name: the library's, or what has been loaded by that name; nil when there is none.
function docs.module_of(name)
  local module = core.library_modules()[name] or package.loaded[name]
  if module ~= nil then return module end
  module = require "moonbeam"
  for part in string.gmatch(name, "[^.]+") do module = type(module) == "table" and module[part] or nil end
  return module
end

--- Know the functions of a module of the library by the names that they have there.
function docs.include(module) others[#others + 1] = module end

--- The text about a function or a module.
-- @param what its name, or the value itself
-- @return string, or nil when there is none
function docs.about(what)
  local entries, names = read()
  local name = type(what) == "string" and what or names[what] and names[what][1]
  local entry = entries[name]
  if not entry then return nil end
  local out = {usage(name, entry), "", table.concat(entry.text, "\n")}
  add_tags(out, entry)
  add_members(out, name, entries)
  return table.concat(out, "\n")
end

return docs

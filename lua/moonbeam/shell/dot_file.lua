--- What a prompt runs first: `.moonbeam.lua` of the current directory, or else of the home directory. See IEx's
-- `.iex.exs`.
-- @module moonbeam.shell.dot_file

local dot_file = {}

local NAME = ".moonbeam.lua"
local MOST = 1024 * 1024 -- bytes

local function read(name)
  local file <close>, why = io.open(name)
  if not file then return nil, why end
  local text, message = file:read(MOST + 1)
  if message then return nil, name .. ": " .. message end
  if text and #text > MOST then return nil, string.format("%s: it has more than %d bytes", name, MOST) end
  return text or ""
end

local function is_there(name)
  local file <close> = io.open(name)
  return file ~= nil
end

--- Find the file and read it.
-- @param[opt] given its name; "" for none
-- @return table: name, and text or fault; nil when there is none
function dot_file.find(given)
  if given == "" then return nil end
  local home = os.getenv("HOME")
  local in_home = home and home ~= "" and home .. "/" .. NAME
  local name = given or is_there(NAME) and NAME or in_home and is_there(in_home) and in_home
  if not name then return nil end
  local text, fault = read(name)
  return {name = name, text = text, fault = fault}
end

--- The chunk of such a file.
-- @param found what `find` gave
-- @return function, or nil and what is wrong
function dot_file.compile(found)
  if not found.text then return nil, found.fault end
  return load((string.gsub(found.text, "^#[^\n]*", "")), "@" .. found.name, "t")
end

return dot_file

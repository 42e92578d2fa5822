--- The text of an event: templates, metadata, colours, what is cut off.
--
-- A style is a table with format (a template, a function, "json" or nil), metadata (a sequence of keys or "all"),
-- truncate (bytes of a message), colors (level -> name, enabled). Styles stay as they are.
-- @module moonbeam.logger.text

local core = require "moonbeam.core"
local inspect = require "moonbeam.internal.inspect"

local type, tostring, pcall = type, tostring, pcall

local text = {}

local DEFAULT_FORMAT = "$time $metadata[$level] $message"
local default_style = {}

--- A value of metadata.
function text.value(v)
  if type(v) == "string" then return v end
  return inspect(v)
end

--- The keys of metadata that a style shows.
function text.keys(metadata, keys)
  if keys ~= "all" then return keys or {} end
  local all = {}
  for k in next, metadata do
    if type(k) == "string" and k ~= "report" then all[#all + 1] = k end
  end
  table.sort(all)
  return all
end

-- "key=value key=value ": of the keys in a sequence, or of "all".
local function metadata_text(metadata, keys)
  local shown = ""
  for _, key in ipairs(text.keys(metadata, keys)) do
    local v = metadata[key]
    if v ~= nil then shown = shown .. tostring(key) .. "=" .. text.value(v) .. " " end
  end
  return shown
end

-- Of the second that was asked for last: entries come in bursts.
local last_second, last_clock

local function clock(event)
  local second = event.time // 1000
  if second ~= last_second then last_second, last_clock = second, os.date("%H:%M:%S", second) end
  return string.format("%s.%03d", last_clock, event.time % 1000)
end

local parts = {
  time = clock,
  date = function(event) return os.date("%Y-%m-%d", event.time // 1000) end,
  level = function(event) return event.level end,
  message = function(event) return event.message end,
  node = function() return "nonode@nohost" end,
  pid = function(event) return event.pid and tostring(event.pid) or "" end, -- a finalizer's has none
  metadata = function(event, style) return metadata_text(event.metadata, style.metadata) end,
}

--- The first name in a format that stands for nothing, and the names there are; nil when all are known.
function text.unknown_part(template)
  for name in string.gmatch(template, "%$(%a+)") do
    if not parts[name] then
      local names = {}
      for known in next, parts do names[#names + 1] = "$" .. known end
      table.sort(names)
      return name, table.concat(names, ", ")
    end
  end
end

-- Styles -> their format as a sequence of texts and functions of an event and the style.
local compiled = setmetatable({}, {__mode = "k"})

-- All names of the template are known.
local function compile(template)
  local sequence, from = {}, 1
  for before, name, after in string.gmatch(template, "()%$(%a+)()") do
    sequence[#sequence + 1] = string.sub(template, from, before - 1)
    sequence[#sequence + 1] = parts[name]
    from = after
  end
  sequence[#sequence + 1] = string.sub(template, from)
  return sequence
end

--- The text of an event in a style.
function text.of(event, style)
  local how = style.format or DEFAULT_FORMAT
  if how == "json" then return require "moonbeam.logger.json"(event, style.metadata) end
  if type(how) ~= "string" then
    local made = how(event)
    if type(made) ~= "string" then error("it returned a " .. type(made) .. ", no string", 0) end
    return made
  end
  local sequence, texts = compiled[style], {}
  if not sequence then
    sequence = compile(how)
    compiled[style] = sequence
  end
  for i, part in ipairs(sequence) do texts[i] = type(part) == "string" and part or part(event, style) end
  return table.concat(texts)
end

--- The same; a formatter that fails is told of in the text, and does without.
function text.made(event, style)
  local ok, line = pcall(text.of, event, style)
  if ok then return line end
  return text.of(event, default_style) .. "\n" .. text.failure(line)
end

--- What is said of a formatter that fails.
function text.failure(why) return "(Logger's formatter failed: " .. tostring(why) .. ")" end

--- A text of so many bytes at most, and a word about the rest; no character of UTF-8 is cut in two.
function text.truncate(s, most)
  if #s <= most then return s end
  local n = most
  while n > 0 and n > most - 3 do -- back to the first byte of the character that is cut
    local byte = string.byte(s, n + 1)
    if byte < 0x80 or byte > 0xBF then break end
    n = n - 1
  end
  if n < most and string.byte(s, n + 1) < 0xC0 then n = most end -- there is none
  return string.sub(s, 1, n) .. " (truncated)"
end

local codes = {normal = false}
for i, name in ipairs{"black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"} do
  codes[name], codes["light_" .. name] = 29 + i, 89 + i
end

--- Whether there is a colour of this name.
function text.is_color(name) return codes[name] ~= nil end

-- As c_src/bind/log/log.c has them.
local colors = {
  debug = "cyan", info = "normal", notice = "normal", warning = "yellow", error = "red", critical = "red",
  alert = "red", emergency = "red",
}

--- A text in the colour of its level, where the style, or else the terminal, has any; JSON is for programs.
function text.colored(s, level, style)
  if style.format == "json" then return s end
  local own = style.colors or colors
  local enabled = own.enabled
  if enabled == nil then enabled = core.log_colors() end
  local code = enabled and codes[own[level] or colors[level]]
  if not code then return s end
  local line = string.match(s, "^(.*)\n$") or s
  return string.format("\27[%dm%s\27[0m", code, line)
end

return text

-- A terminal to type into and to look at: a tmux server of its own with one window, in which a command runs.
local mb = require "moonbeam"
local helper = require "spec.helper"

local terminal = {}
terminal.__index = terminal

terminal.moonbeam = helper.run("pwd"):match("%S+") .. "/" .. (os.getenv("MOONBEAM_BUILD") or "build/release") ..
  "/bin/moonbeam"

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

-- options: environment ("NAME=value ..."), width, height, directory (made and removed unless given).
function terminal.start(command, options)
  options = options or {}
  local self = setmetatable({}, terminal)
  self.directory = options.directory or helper.run("mktemp -d"):match("%S+")
  self.own = not options.directory
  self.tmux = ("TMUX_TMPDIR=%s tmux -L spec"):format(self.directory)
  local inside = ("trap : INT; cd %s; export HOME=%s XDG_STATE_HOME=%s/state %s; " ..
    "%s; echo status=$?; stty -a | grep -o '[-]*icanon'; exec cat")
    :format(self.directory, self.directory, self.directory, options.environment or "", command)
  local output, code = helper.run(("%s -f /dev/null new-session -d -x %d -y %d %s"):format(self.tmux,
    options.width or 100, options.height or 30, quote(inside)))
  assert(code == 0, output)
  return self
end

-- The prompt of a new interpreter, with arguments.
function terminal.prompt(arguments, options)
  local self = terminal.start(terminal.moonbeam .. " " .. (arguments or ""), options)
  self:await("mb%(1%)>$")
  return self
end

function terminal:stop()
  helper.run(self.tmux .. " kill-server")
  if self.own then helper.run("rm -rf " .. self.directory) end
end

-- What is on the screen, up to the last character; with escapes: colours too.
function terminal:screen(escapes)
  return (helper.run(self.tmux .. " capture-pane -p " .. (escapes and "-e" or "")):gsub("%s*$", ""))
end

-- Wait until the screen matches.
function terminal:await(pattern)
  local deadline = mb.monotonic_time() + 30 * helper.patience
  while true do
    local screen = self:screen()
    if screen:find(pattern) then return screen end
    if mb.monotonic_time() > deadline then
      error(("the screen never matched %s:\n%s"):format(pattern, screen), 2)
    end
    mb.sleep(10)
  end
end

function terminal:type(text)
  helper.run(self.tmux .. " send-keys -l -- " .. quote(text))
end

-- Keys by tmux's names.
function terminal:press(...)
  helper.run(self.tmux .. " send-keys " .. table.concat({...}, " "))
end

-- Press a key for a signal until the screen matches: of signals that come before a busy machine has let the program
-- take the first, only one is kept.
function terminal:press_until(key, pattern)
  local deadline = mb.monotonic_time() + 10 * helper.patience
  repeat
    self:press(key)
    local again = mb.monotonic_time() + 500
    repeat
      if self:screen():find(pattern) then return end
      mb.sleep(10)
    until mb.monotonic_time() > again
  until again > deadline
  self:await(pattern)
end

-- Type a line and wait for what follows it, up to the next prompt.
function terminal:enter(line, pattern)
  self:type(line)
  self:press("Enter")
  return pattern and self:await(pattern)
end

return terminal

-- Prompts that read from a pipe.
local helper = require "spec.helper"

local moonbeam = helper.run("pwd"):match("%S+") .. "/" .. (os.getenv("MOONBEAM_BUILD") or "build/release") ..
  "/bin/moonbeam"

local feed = {moonbeam = moonbeam}

--- What a prompt that reads these lines from a pipe writes, both streams, below lua's version; and its status.
-- settings: environment ("NAME=value ..."), options, directory (where it runs)
function feed.with(settings, ...)
  local name = os.tmpname()
  local file = assert(io.open(name, "w"))
  for _, line in ipairs{...} do file:write(line, "\n") end
  file:close()
  local output, code = helper.run(("cd %s && cat %s | env HOME=/nonexistent %s timeout %d %s -i %s"):format(
    settings.directory or ".", name, settings.environment or "", 60 * helper.scale, moonbeam, settings.options or ""))
  os.remove(name)
  return output:match("^[^\n]*\n(.*)$"), code
end

function feed.lines(...) return feed.with({}, ...) end

return feed

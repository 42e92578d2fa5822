-- What the specs share about what is the same on every scheduler: programs of their own.
local helper = require "spec.helper"
local assert = require "luassert"

local everywhere = {}

--- Run a program on three schedulers, which prints "ok" when it is content: with `on(n, fn, ...)` a function's results
-- come from a new process on scheduler n.
-- @param source of it
-- @param[opt] files table of texts by the names of modules, which it can require
function everywhere.holds(source, files)
  local directory = os.tmpname()
  os.remove(directory)
  os.execute("mkdir " .. directory)
  for name, text in pairs(files or {}) do
    local file = assert(io.open(directory .. "/" .. name, "w"))
    file:write(text)
    file:close()
  end
  local output = helper.run_script(([[
    local mb = require "moonbeam"
    mb.import()
    package.path = %q .. "/?.lua;" .. package.path
    local function on(n, fn, ...)
      local me, ref = self(), make_ref()
      Process.spawn(function(fn, ...)
        local results = table.pack(pcall(fn, ...))
        send(me, {ref, results})
      end, {scheduler = n}, fn, ...)
      local results = receive{ {{ref, any}}, after = %d }
      assert(type(results) == "table", "no answer")
      return table.unpack(results, 2, results.n)
    end
  ]]):gsub("\n", " "):format(directory, helper.patience * 5) .. source .. "\nprint 'ok'", "2>&1",
    "MOONBEAM_SCHEDULERS=3")
  os.execute("rm -r " .. directory)
  assert.equal("ok\n", output)
end

return everywhere

-- What beginners are told: the pages of spec/host/mistakes, which mistakes.lua explains.
local helper = require "spec.helper"
local mistakes = require "spec.host.mistakes"

describe("what is said to a mistake", function()
  local directory
  local build = os.getenv("MOONBEAM_BUILD") or "build/release"
  helper.with_directory(function(made) directory = made end)

  for _, path in ipairs(mistakes.pages()) do
    for _, mistake in ipairs((mistakes.of(path))) do
      it(("is as %s has it: %s"):format(path:match("[^/]*$"), mistake.title), function()
        if mistake.stock and build:find("san$") then return end -- no stock Lua loads a sanitized module
        assert.equal(mistake.said, mistakes.say(mistake, helper.run, build, directory))
      end)
    end
  end
end)

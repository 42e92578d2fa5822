local feed = require "spec.repl.feed"
local helper = require "spec.helper"
local terminal = require "spec.repl.terminal"

describe("REPL-19: a result that is longer than the screen", function()
  local t

  after_each(function()
    if t then t:stop() end
    t = nil
  end)

  it("REPL-19: is cut on a terminal, and says how to see all of it", function()
    t = terminal.prompt(nil, {height = 12, width = 80})
    t:enter("long = {} for i = 1, 90 do long[i] = 'item ' .. i end", "mb%(2%)>$")
    local screen = t:enter("long", "item 8\",\n%.%.%. 83 more lines; print%(inspect%(v%(2%)%)%) shows them\nmb%(3%)>$")
    assert.matches('\n?{\n  "item 1",\n', screen) -- its beginning is still there
    t:enter("print(inspect(v(2)))", '  "item 90"\n}\nmb%(4%)>$')
    screen = t:enter("('ä'):rep(1000)", "ä\n%.%.%. 563 more bytes; print%(inspect%(v%(4%)%)%) shows them\nmb%(5%)>$")
    assert.equal(719 + 1, select(2, screen:gsub("ä", ""))) -- nine rows, but for a quote
    t:enter("'short', long, 'never', 'mind'",
      '"short"\n{.*"item 7",\n%.%.%. 84 more lines; print%(inspect%(%(select%(2, v%(5%)%)%)%)%) shows them\n'
      .. '%.%.%. 2 more results; they are in v%(5%)\nmb%(6%)>$')
    t:enter("select('#', v(5)), inspect((select(2, v(5)))) == inspect(long)", "\n4\ntrue\nmb%(7%)>$")
  end)

  it("REPL-19: is whole in a pipe", function()
    local output = feed.lines("long = {} for i = 1, 500 do long[i] = 'item ' .. i end", "long")
    assert.matches('^{\n  "item 1",\n.*\n  "item 500"\n}\n$', output)
  end)

  it("REPL-19: is cut at an attached prompt, too", function()
    local directory = helper.run("mktemp -d"):match("%S+")
    local server = terminal.start(feed.moonbeam .. " --listen " .. directory .. "/s -e 'print(\"listening\") receive()'")
    server:await("listening")
    t = terminal.prompt("--remote " .. directory .. "/s", {height = 12})
    t:enter("long = {} for i = 1, 90 do long[i] = 'item ' .. i end", "mb%(2%)>$")
    t:enter("long", "item 8\",\n%.%.%. 83 more lines; print%(inspect%(v%(2%)%)%) shows them\nmb%(3%)>$")
    server:stop()
    helper.run("rm -rf " .. directory)
  end)
end)

local completion = require "moonbeam.shell.completion"

local function raise() error("user code was run") end

local globals = {
  rooms = {{lobby = 1, loft = 2}, kitchen = {sink = {}}, ["the attic"] = {box = 1}, ["x"] = {yard = {well = 1}}},
  visit = function() raise() end,
  trap = setmetatable({}, {__index = raise, __pairs = raise, __len = raise, __call = raise}),
  heir = setmetatable({own = 1}, {__index = {inherited = function() end, number = 1}}),
  word = "text", string = string, print = print,
}

-- What is inserted, and the names that are shown.
local function complete(text)
  local insertion, shown = completion.complete(text, globals, 80)
  local names = {}
  for name in shown:gmatch("%S+") do names[#names + 1] = name end
  return insertion, table.concat(names, " ")
end

describe("completion", function()
  it("offers the fields of what is known without running anything", function()
    for text, expected in pairs{
      ["rooms[1].lob"] = "by", ["rooms[ 1 ] . lob"] = "by", ["x = rooms.kit"] = "chen", ["rooms['x'].ya"] = "rd",
      ['rooms["the attic"].'] = "box", ["f(rooms.x.yard.we"] = "ll", ["rooms['x']['yard'].w"] = "ell",
      ["heir.inh"] = "erited", ["heir:inh"] = "erited", ["word:upp"] = "er", ["string.upp"] = "er", ["a .. pri"] = "nt",
      ["a..pri"] = "nt", ["pri"] = "nt",
    } do
      assert.same({text, expected, ""}, {text, complete(text)})
    end
    assert.same({"lo", ""}, {complete("rooms[1].")})
    assert.same({"", "lobby loft"}, {complete("rooms[1].lo")})
    assert.same({"inherited", ""}, {complete("heir:")}) -- functions only
    assert.same({"", "inherited number own"}, {complete("heir.")})
  end)

  it("offers nothing where the value is not there yet", function()
    for _, text in ipairs{
      "visit().", "visit().pri", "visit{}:pri", "visit'x'.pri", "rooms[i].pri", "rooms[visit()].pri", "rooms[2].",
      "rooms[1][2].",
      "(rooms).", "({}).pri", "'text':pri", "trap.", "trap.pri", "trap:pri", "trap.field.pri", "1.", "1.pri",
      "rooms.1.pri",
      "9pri", "word:upper():lo", "visit:name.pri", "nobody.", "nobody.pri",
    } do
      assert.same({text, "", ""}, {text, complete(text)})
    end
  end)

  it("loads no file for what it is asked about", function()
    local loaded = {}
    for name in pairs(package.loaded) do loaded[name] = true end
    for _, text in ipairs{
      "require 'moonbeam.partition_", "c('moonbeam.partition_", "require(\"spec.", "h('string.up",
    } do
      complete(text)
    end
    for name in pairs(package.loaded) do assert.is_true(loaded[name], name .. " was loaded") end
    assert.equal("supervisor", (complete("require 'moonbeam.partition_")))
    assert.equal("per", (complete("h('string.up")))
  end)

  it("takes time in proportion to the line", function()
    local function time(text)
      local least = math.huge
      for _ = 1, 3 do
        local start = os.clock()
        complete(text)
        least = math.min(least, os.clock() - start)
      end
      return least
    end
    for _, piece in ipairs{"a", "a.", " ", "rooms[1].", "require ", "x = '", "] ", "c ", "\"", "a:"} do
      local short, long = time(piece:rep(1000)), time(piece:rep(10000))
      assert.is_true(long < 40 * (short + 1e-4), ("%q: %g s, ten times as many %g s"):format(piece, short, long))
    end
  end)

  it("shows some of very many names, and how many there are", function()
    globals.many = {}
    for i = 1, 3000 do globals.many["a" .. i], globals.many["b" .. i] = i, i end
    local insertion, shown = completion.complete("many.", globals, 80)
    globals.many = nil
    assert.equal("", insertion)
    assert.matches("\n%.%.%. 6000 in all\n$", shown)
    assert.is_true(#shown < 10000)
  end)
end)

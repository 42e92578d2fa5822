-- docs/behaviour.md has a row for each id in the names of the specs, and no others.
local ID = "%f[%w]%u+%-%d%d%f[^%w]"

local function text_of(path)
  local file <close> = assert(io.open(path))
  return file:read("a")
end

local function add_ids(ids, text)
  for id in text:gmatch(ID) do ids[id] = true end
end

local function missing(from, than)
  local found = {}
  for id in pairs(than) do
    if not from[id] then found[#found + 1] = id end
  end
  table.sort(found)
  return table.concat(found, " ")
end

describe("docs/behaviour.md", function()
  local specs, rows = {}, {}
  for path in assert(io.popen("find spec -name '*_spec.lua'")):lines() do
    for name in text_of(path):gmatch("\n *it%(%s*(%b\"\")") do add_ids(specs, name) end
  end
  for id in text_of("docs/behaviour.md"):gmatch("\n%* %*%*(" .. ID .. ")%*%* %S") do
    assert(not rows[id], id .. " stands there twice")
    rows[id] = true
  end

  it("has a row for every id of a spec", function() assert.equal("", missing(rows, specs)) end)

  it("has a spec for every row", function() assert.equal("", missing(specs, rows)) end)
end)

-- What stands where: a file at the top of lua/moonbeam is public and has a page, what is inside of X is in the folder
-- X.
local function files()
  local found = {}
  for path in assert(io.popen("find lua/moonbeam -name '*.lua'")):lines() do found[#found + 1] = path end
  table.sort(found)
  return found
end

local function text_of(path)
  local file <close> = assert(io.open(path))
  return file:read("a")
end

local function name_of(path)
  return (path:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", "."))
end

describe("the library's files", function()
  it("say what they are by the name that require knows", function()
    for _, path in ipairs(files()) do
      assert.equal(name_of(path), text_of(path):match("\n%-%- @module ([%w._]+)"), path)
    end
  end)

  it("have pages in the documentation when they are public", function()
    local config = {}
    assert(loadfile("docs/config.ld", "t", config))()
    local pages, public = {}, {"lua/moonbeam/shell/helpers.lua", "lua/moonbeam/task/supervisor.lua"}
    for _, page in ipairs(config.file) do pages[#pages + 1] = page:gsub("^%.%./", "") end
    for _, path in ipairs(files()) do
      if path:match("^lua/moonbeam/[^/]*$") then public[#public + 1] = path end
    end
    table.sort(pages)
    table.sort(public)
    assert.same(public, pages)
  end)

  it("require each other in one direction", function()
    local needs, done = {}, {}
    for _, path in ipairs(files()) do
      local name, required = name_of(path), {}
      for module in text_of(path):gmatch('require ?%(?"(moonbeam[%w._]*)"') do required[#required + 1] = module end
      needs[name] = required
    end
    local function visit(name, above)
      assert.falsy(above:find("> " .. name .. " ", 1, true), above .. "> " .. name)
      if done[name] or not needs[name] then return end
      for _, module in ipairs(needs[name]) do
        -- whoever looks at the library from inside asks for it when it is there
        if module ~= "moonbeam" then visit(module, above .. "> " .. name .. " ") end
      end
      done[name] = true
    end
    for name in pairs(needs) do visit(name, "") end
  end)
end)

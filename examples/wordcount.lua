-- Counts words: one task for each file, and a collector process that merges what they find.
--
--    moonbeam examples/wordcount.lua [--all] [files]
--
-- Without files: the licence texts that Debian ships. --all prints every word with its count.
require("moonbeam").import()

local function default_files()
  local files = {}
  local list = assert(io.popen("find /usr/share/common-licenses -type f | sort"))
  for path in list:lines() do files[#files + 1] = path end
  list:close()
  return files
end

local function count_words(path)
  local file = assert(io.open(path))
  local counts = {}
  for line in file:lines() do
    for word in line:lower():gmatch("%w+") do counts[word] = (counts[word] or 0) + 1 end
  end
  file:close()
  return counts
end

-- Adds up what it is sent until it is asked for the result.
local function collect(totals, files)
  return receive{
    {{"counts", is.table}, function(counts)
      for word, n in pairs(counts) do totals[word] = (totals[word] or 0) + n end
      return collect(totals, files + 1)
    end},
    {{"result", is.pid}, function(asker) send(asker, {"totals", totals, files}) end},
  }
end

local all, files = false, {}
for _, argument in ipairs(arg) do
  if argument == "--all" then all = true else files[#files + 1] = argument end
end
if #files == 0 then files = default_files() end

local collector = spawn_link(collect, {}, 0)
local tasks = {}
for i, path in ipairs(files) do
  tasks[i] = Task.async(function() send(collector, {"counts", count_words(path)}) end)
end
Task.await_many(tasks, "infinity")
send(collector, {"result", self()})
local totals, counted = receive{ {{"totals", any, any}} }

local words, sum = {}, 0
for word, n in pairs(totals) do
  words[#words + 1] = word
  sum = sum + n
end
table.sort(words, function(a, b)
  if totals[a] ~= totals[b] then return totals[a] > totals[b] end
  return a < b
end)
print(("%d files, %d words, %d different"):format(counted, sum, #words))
for i = 1, all and #words or math.min(20, #words) do print(("%7d %s"):format(totals[words[i]], words[i])) end

-- Other people's benchmarks against plain lua5.4, by processor time: as the script of the host, and in a process that
-- was spawned beside an idle one, so that preemption is on. Each program runs in the three ways in turn, as it is; what
-- it prints has to be the same in all of them.
--
--    lua5.4 spec/bench/public.lua [--rounds 5] [--only PATTERN] [--moonbeam build/release/bin/moonbeam] CHECKOUT...
--
-- A checkout is a folder with one of these, and what no checkout has is left out:
--
--    git clone https://github.com/smarr/are-we-fast-yet
--    git clone https://github.com/gligneul/Lua-Benchmarks
--    git clone https://github.com/egorpugin/benchmarksgame              the Benchmarks Game
--    git clone https://github.com/Byron/benchmarksgame-cvs-mirror       older programs of it
--
-- The pattern is a Lua one, of names in the table. A time is user's and system's together, from the start of the
-- interpreter to its end, as bash's `time` tells; a ratio is the median of those of the rounds, with the least and the
-- most. Wanted: 0.95 at most as the median of the ratios, and none above 1.05. The status is 1 when a program fails or
-- prints something else. Programs that need modules in C, or start other interpreters, are not among them.

local WANTED_MEDIAN, WANTED_MOST = 0.95, 1.05

if arg[1] == "--process" then -- a chunk to run before, a program, its arguments
  local chunk, program, arguments = arg[2], arg[3], table.pack(table.unpack(arg, 4))
  spawn(function() receive{ {"never"} } end)
  local _, ref = spawn_monitor(function()
    _G.arg = {[0] = program, table.unpack(arguments)}
    assert(load(chunk))()
    assert(loadfile(program))(table.unpack(arguments))
  end)
  local reason = receive{ {{"DOWN", ref, "process", any, any}, function(_, why) return why end} }
  os.exit(reason == "normal", true)
end

-- Scimark repeats a kernel, twice as often each time, until that takes two seconds: with this clock it does so n times.
local function clock(n)
  return ("local calls = 0 os.clock = function() calls = calls + 1 return calls < %d and 0 or 3 end"):format(2 * n)
end

-- A program is its name, its file and its arguments. `fasta` is the size of the input that it reads, `before` a chunk
-- to run before it, `timings` a pattern of what it prints that differs in each run, `not_process` why it is none.
local function suite(title, path, timings, programs)
  for _, program in ipairs(programs) do
    program.title, program.timings = title, timings
    program.name, program.file, program.arguments = program[1], path:format(program[2]), program[3] or ""
  end
  return programs
end

local suites = {
  -- Havlak has no smaller size. They check their answers, but only with some arguments.
  suite("are-we-fast-yet", "benchmarks/Lua/%s.lua", "%d+us", {
    {"Bounce", "harness", "Bounce 1 800"},
    {"CD", "harness", "CD 1 100"},
    {"DeltaBlue", "harness", "DeltaBlue 1 5000"},
    {"Havlak", "harness", "Havlak 1 1"},
    {"Json", "harness", "Json 1 50"},
    {"List", "harness", "List 1 1000"},
    {"Mandelbrot", "harness", "Mandelbrot 2 500"},
    {"NBody", "harness", "NBody 1 250000"},
    {"Permute", "harness", "Permute 1 600"},
    {"Queens", "harness", "Queens 1 800"},
    {"Richards", "harness", "Richards 1 15"},
    {"Sieve", "harness", "Sieve 1 2000"},
    {"Storage", "harness", "Storage 1 250"},
    {"Towers", "harness", "Towers 1 300"},
  }),
  suite("Lua-Benchmarks", "%s.lua", "\t%S+ sec\t%S+ sec\t%d+M", {
    {"ack", "ack", "3 10"},
    {"binary-trees", "binary-trees", "14"},
    {"fannkuch-redux", "fannkuch-redux", "10"},
    {"fasta", "fasta", "1000000"},
    {"fixpoint-fact", "fixpoint-fact", "2000"},
    {"heapsort", "heapsort", "10 80000"},
    {"k-nucleotide", "k-nucleotide", fasta = 100000},
    {"mandel", "mandel", "200"},
    {"n-body", "n-body", "400000"},
    {"qt", "qt"},
    {"queen", "queen", "11"},
    {"regex-dna", "regex-dna", fasta = 300000},
    {"scimark FFT", "scimark", "FFT", before = clock(10)},
    {"scimark LU", "scimark", "LU", before = clock(7)},
    {"scimark MC", "scimark", "MC", before = clock(22)},
    {"scimark SOR", "scimark", "SOR", before = clock(11)},
    {"scimark SPARSE", "scimark", "SPARSE", before = clock(13)},
    {"sieve", "sieve", "2500"},
    {"spectral-norm", "spectral-norm", "500"},
  }),
  suite("benchmarksgame", "problem/%s.lua", nil, {
    {"binarytrees 2", "binarytrees/solution/lua/2", "14"},
    {"fannkuchredux 1", "fannkuchredux/solution/lua/1", "10"},
    {"fasta 2", "fasta/solution/lua/2", "1000000"},
    {"fasta 3", "fasta/solution/lua/3", "1000000"},
    {"knucleotide 2", "knucleotide/solution/lua/2", fasta = 100000},
    {"mandelbrot 1", "mandelbrot/solution/lua/1", "1000"},
    {"mandelbrot 2", "mandelbrot/solution/lua/2", "1000"},
    {"mandelbrot 3", "mandelbrot/solution/lua/3", "1000"},
    {"nbody 1", "nbody/solution/lua/1", "400000"},
    {"nbody 2", "nbody/solution/lua/2", "400000"},
    {"nbody 4", "nbody/solution/lua/4", "400000"},
    {"revcomp 2", "revcomp/solution/lua/2", fasta = 1000000},
    {"revcomp 4", "revcomp/solution/lua/4", fasta = 1000000},
    {"revcomp 5", "revcomp/solution/lua/5", fasta = 1000000, not_process = "it stops the collector"},
    {"simple 1", "simple/solution/lua/1", "800"},
    {"spectralnorm 1", "spectralnorm/solution/lua/1", "500"},
  }),
  suite("benchmarksgame-cvs-mirror", "bench/%s.lua", nil, {
    {"meteor 5", "meteor/meteor.lua-5", "2098"},
    {"meteor 6", "meteor/meteor.lua-6", "2098"},
    {"regexdna 1", "regexdna/regexdna", fasta = 300000},
    {"regexdna 2", "regexdna/regexdna.lua-2", fasta = 300000},
  }),
}
-- What makes the input of others, in the first of these that a checkout has.
local fasta_files = {"fasta.lua", "problem/fasta/solution/lua/2.lua", "bench/fasta/fasta.lua-2.lua"}

local USAGE = "usage: lua5.4 spec/bench/public.lua [--rounds n] [--only PATTERN] [--moonbeam PATH] CHECKOUT..."

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

-- What a command of the shell prints, and whether it succeeded.
local function output_of(command)
  local pipe = assert(io.popen(command))
  local text = pipe:read("a")
  return text, (pipe:close())
end

local here = output_of("pwd"):match("^[^\n]*")
local function absolute(path) return path:sub(1, 1) == "/" and path or here .. "/" .. path end

local function read(name)
  local file = assert(io.open(name, "rb"))
  local text = file:read("a")
  file:close()
  return text
end

local function exists(name)
  local file = io.open(name)
  return file and file:close()
end

local options, checkouts = {rounds = "5", only = "", moonbeam = "build/release/bin/moonbeam"}, {}
local i = 1
while arg[i] do
  local option = arg[i]:match("^%-%-(.*)")
  if option then
    assert(options[option] and arg[i + 1], USAGE)
    options[option] = arg[i + 1]
    i = i + 2
  else
    table.insert(checkouts, absolute(arg[i]))
    i = i + 1
  end
end
local rounds, moonbeam = math.tointeger(tonumber(options.rounds)), quote(absolute(options.moonbeam))
assert(rounds and rounds >= 1 and checkouts[1], USAGE)
assert(exists(absolute(options.moonbeam)), options.moonbeam .. " is not there: build it, or say --moonbeam PATH")

-- Where a checkout has a file.
local function find(file)
  for _, checkout in ipairs(checkouts) do
    if exists(checkout .. "/" .. file) then return checkout .. "/" .. file end
  end
end

local folder = output_of("mktemp -d"):match("^[^\n]+")
local _ <close> = setmetatable({}, {__close = function() os.execute("rm -rf " .. quote(folder)) end})

-- The input of so many thirds of the sequences, made once.
local function fasta(size)
  local name = ("%s/fasta%d"):format(folder, size)
  if not exists(name) then
    local program
    for _, file in ipairs(fasta_files) do program = program or find(file) end
    assert(program, "no checkout has a fasta.lua to make the input of others")
    assert(os.execute(("lua5.4 %s %d >%s"):format(quote(program), size, quote(name))))
  end
  return name
end

-- The ways to run a program: a command, in the program's folder.
local function plain(interpreter)
  return function(program, file)
    local before = program.before and "-e " .. quote(program.before) or ""
    return ("%s %s %s %s"):format(interpreter, before, quote(file), program.arguments)
  end
end
local ways = {
  {name = "lua5.4", command = plain("lua5.4")},
  {name = "script", command = plain(moonbeam)},
  {name = "process", command = function(program, file)
    return ("%s %s --process %s %s %s"):format(moonbeam, quote(absolute(arg[0])), quote(program.before or ""),
      quote(file), program.arguments)
  end},
}

-- Processor time in seconds, and what was printed; or nothing, and the error.
local function run(program, way)
  local path, file = program.path:match("^(.*)/(.*)$")
  local out, err = folder .. "/out", folder .. "/err"
  local time, is_ok = output_of("TIMEFORMAT='%U %S' bash -c " .. quote(
    ("cd %s && time %s <%s >%s 2>%s"):format(quote(path), way.command(program, file),
      program.fasta and quote(fasta(program.fasta)) or "/dev/null", quote(out), quote(err))) .. " 2>&1")
  local user, system = time:match("([%d.]+) ([%d.]+)\n$")
  if not is_ok then
    local said = (read(err) .. time):gsub("\nstack traceback:.*", "")
    return nil, (said:gsub("\n", " "))
  end
  local printed = read(out) .. read(err)
  return tonumber(user) + tonumber(system), program.timings and printed:gsub(program.timings, "") or printed
end

local function median(values)
  table.sort(values)
  return (values[(#values + 1) // 2] + values[#values // 2 + 1]) / 2
end

-- All rounds of a program, each way's times into a list of its name. What is wrong, or nothing.
local function measure(program)
  local mine, expected = {}, nil
  for _, way in ipairs(ways) do
    if way.name ~= "process" or not program.not_process then
      table.insert(mine, way)
      program[way.name] = {}
    end
  end
  for round = 1, rounds do
    for turn = 1, #mine do
      local way = mine[(round + turn - 2) % #mine + 1] -- none is always the first
      local seconds, printed = run(program, way)
      if not seconds then return ("FAILS, %s: %s"):format(way.name, printed) end
      expected = expected or printed
      if printed ~= expected then return ("DIFFERS, %s: it prints something else"):format(way.name) end
      program[way.name][round] = seconds
    end
  end
end

local ratios, bad = {script = {}, process = {}}, 0

-- A column: the median of the times, that of the ratios, the least and the most.
local function column(program, way)
  if not program[way] then return "not in one: " .. program.not_process end
  local values = {}
  for round, seconds in ipairs(program[way]) do values[round] = seconds / program["lua5.4"][round] end
  local ratio = median(values)
  table.insert(ratios[way], ratio)
  return ("%7.3fs %5.2f (%.2f - %.2f)%s"):format(median(program[way]), ratio, values[1], values[#values],
    ratio > WANTED_MOST and " MISSED" or "")
end

for _, programs in ipairs(suites) do
  local is_first = true
  for _, program in ipairs(programs) do
    program.path = find(program.file)
    if program.path and program.name:find(options.only) then
      if is_first then
        print(("%-26s%8s  %-36s%s"):format(program.title, "lua5.4", "script, ratio (least - most)", "process"))
      end
      is_first = false
      local problem = measure(program)
      if problem then
        bad = bad + 1
        print(("%-26s%s"):format(program.name, problem))
      else
        local script, process = column(program, "script"), column(program, "process")
        print(("%-26s%7.3fs  %-36s%s"):format(program.name, median(program["lua5.4"]), script, process))
      end
      io.stdout:flush()
    end
  end
end

assert(#ratios.script + bad > 0, "no checkout has a program of that name: see the head of this file")
for _, way in ipairs{"script", "process"} do
  local above = 0
  for _, ratio in ipairs(ratios[way]) do above = above + (ratio > WANTED_MOST and 1 or 0) end
  if #ratios[way] > 0 then
    local middle = median(ratios[way])
    print(("%s: the median of %d ratios is %.3f (wanted: %.2f%s), the most %.2f, %d above %.2f (wanted: none)"):format(
      way, #ratios[way], middle, WANTED_MEDIAN, middle > WANTED_MEDIAN and ", MISSED" or "",
      ratios[way][#ratios[way]], above, WANTED_MOST))
  end
end
print(("%d failed or printed something else; medians of %d rounds, processor time"):format(bad, rounds))
os.exit(bad == 0, true)

-- Standard input and output: who waits for them is one process, not its scheduler.
local helper = require "spec.helper"

-- Call fn with the name of a file that has this text.
local function with_file(text, fn)
  local name = os.tmpname()
  local file = assert(io.open(name, "w"))
  file:write(text)
  file:close()
  local function closing(...)
    os.remove(name)
    return ...
  end
  return closing(fn(name))
end

-- A script on so many schedulers, one, if nothing is said, with what stands around it in the shell's line.
local function run(source, before, after, schedulers)
  return with_file(source, function(name)
    return helper.run(("%s env MOONBEAM_SCHEDULERS=%d %s %s %s")
      :format(before, schedulers or 1, helper.interpreter(), name, after or ""))
  end)
end

-- What plain lua5.4 prints.
local function run_plain(source, before, after)
  return with_file(source, function(name)
    return helper.run(("%s env -u LUA_PATH -u LUA_CPATH lua5.4 %s %s"):format(before, name, after or ""))
  end)
end

local function quote(text) return "'" .. text:gsub("'", "'\\''") .. "'" end

-- For the scripts: `tell(name)` makes a file, `await(name)` waits for one, `until_waiting(pid)` for a process that
-- waits.
local tools = [[
  local mb = require "moonbeam"
  local me, send, spawn, receive = mb.self(), mb.send, mb.spawn, mb.receive
  local function tell(name)
    local file = assert(io.open(name, "w"))
    file:write("go")
    file:close()
  end
  local function await(name)
    local file = io.open(name)
    while not file do
      mb.sleep(2)
      file = io.open(name)
    end
    file:close()
  end
  local function until_waiting(pid)
    while mb.Process.info(pid, "status") ~= "waiting" do mb.sleep(2) end
    return pid
  end
]]

-- In the shell: wait until there is a file.
local function shell_await(name) return ("while [ ! -e %s ]; do sleep 0.01; done"):format(name) end

-- A directory of its own for fn.
local function in_directory(fn)
  local directory = helper.run("mktemp -d"):match("%S+")
  local function closing(...)
    helper.run("rm -r " .. directory)
    return ...
  end
  return closing(fn(directory .. "/"))
end

describe("standard input", function()
  -- What a process reads that begins when `first` has come, and nothing else until it waits.
  local function read(expression, first, second)
    return in_directory(function(directory)
      return run(tools .. ([[
        await("%sfirst")
        local pid = until_waiting(spawn(function() send(me, {%s}) end))
        tell("%sgo")
        local got = receive()
        for i = 1, 2 do io.stderr:write(tostring(got[i]), "|") end
      ]]):format(directory, expression, directory), ("{ printf %%s %s; : >%sfirst; %s; printf %%s %s; } |")
        :format(quote(first), directory, shell_await(directory .. "go"), quote(second)))
    end)
  end

  for expression, case in pairs{
    ["io.read()"] = {"", "one\ntwo\n", "one|nil|"}, ["io.read('l')"] = {"on", "e\ntwo\n", "one|nil|"},
    ["io.stdin:read('L')"] = {"o", "ne\ntwo\n", "one\n|nil|"}, ["io.read('n')"] = {" 1", "2 x", "12|nil|"},
    ["io.read('*n', 1)"] = {"0x", "fp1;", "30.0|;|"}, ["io.read(2, 'l')"] = {"o", "ne\n", "on|e|"},
    ["io.read('l', 'l')"] = {"one\ntw", "o", "one|two|"}, ["io.lines()()"] = {"on", "e\ntwo\n", "one|nil|"},
    ["io.stdin:lines('L', 1)()"] = {"one\n", "two\n", "one\n|t|"},
    ["io.read('a')"] = {"one\nt", "wo\n", "one\ntwo\n|nil|"},
    ["io.stdin:read(0)"] = {"", "x", "|nil|"}, ["io.read(100000)"] = {"on", "e", "one|nil|"},
    ["io.stdin:read('n', 'n')"] = {"1 2", "", "1|2|"}, ["(io.read())"] = {"", "", "nil|nil|"},
  } do
    it("lets the reader alone wait: " .. expression, function()
      assert.equal(case[3], read(expression, case[1], case[2]))
    end)
  end

  it("leaves what a killed process was reading to the next", function()
    local output = in_directory(function(directory)
      return run(tools .. ([[
        await("%sfirst")
        local pid, ref = mb.spawn_monitor(function() io.read() end)
        until_waiting(pid)
        mb.Process.exit(pid, "kill")
        receive{ {{"DOWN", ref, "process", pid, mb.any}} }
        until_waiting(spawn(function() send(me, io.read(2) .. "-" .. io.read()) end))
        tell("%sgo")
        print(receive())
      ]]):format(directory, directory), ("{ printf a; : >%sfirst; %s; echo bcd; } |"):format(directory,
        shell_await(directory .. "go")))
    end)
    assert.equal("ab-cd\n", output)
  end)

  it("gives each process whole lines, and none is lost, on several schedulers", function()
    local output = run(tools .. [[
      for i = 1, 6 do
        spawn(function()
          for line in io.lines() do send(me, line) end
          send(me, false)
        end, {scheduler = i % 3 + 1})
      end
      local seen, ended, bad = {}, 0, 0
      while ended < 6 do
        local line = receive()
        if line then
          local number, text = line:match("^(%d+) (x*)$")
          if not number or seen[number] or #text ~= tonumber(number) % 50 then bad = bad + 1 end
          seen[number or ""] = true
        else
          ended = ended + 1
        end
      end
      local count = 0
      for _ in pairs(seen) do count = count + 1 end
      print(count, bad)
    ]], [[lua5.4 -e 'io.stdout:setvbuf("full", 1000)
      for i = 1, 3000 do io.write(i, " ", ("x"):rep(i % 50), "\n") end' |]], "", 3)
    assert.equal("3000\t0\n", output)
  end)

  it("wakes who waits on another scheduler for what has been read ahead", function()
    local output = in_directory(function(directory)
      return run(tools .. ([[
        for i = 1, 4 do until_waiting(spawn(function() send(me, io.read()) end, {scheduler = i %% 2 + 1})) end
        tell("%sgo")
        local got = {receive(), receive(), receive(), receive()}
        table.sort(got)
        print(table.concat(got, " "))
        tell("%sdone")
      ]]):format(directory, directory), ("{ %s; printf 'a\\nb\\nc\\nd\\n'; %s; } |")
        :format(shell_await(directory .. "go"), shell_await(directory .. "done")), "", 2)
    end)
    assert.equal("a b c d\n", output)
  end)

  it("reads as plain Lua, whatever comes in which pieces", function()
    local script = [[
      local seed, tasks = ...
      local function run()
        local state = tonumber(seed)
        local function random(n)
          state = (state * 1103515245 + 12345) % 2147483648
          return state // 65536 % n + 1
        end
        local formats = {"l", "L", "n", "*n", 0, 1, 3, 7, 500, "*l"}
        local misses = 0
        repeat
          local some = {}
          for i = 1, random(3) do some[i] = formats[random(#formats)] end
          local got = table.pack(io.read(table.unpack(some)))
          for i = 1, got.n do io.write(math.type(got[i]) or type(got[i]), " ", ("%q"):format(got[i]), "\n") end
          misses = got[1] == nil and misses + 1 or 0
        until misses > 30
        io.write(("%q"):format(io.read("a")), "\n", tostring(io.read("a", "l")), "\n", tostring(io.read()), "\n")
      end
      if package.loaded.moonbeam or pcall(require, "moonbeam") then
        local mb = require "moonbeam"
        local pid, ref = mb.spawn_monitor(run)
        local reason = mb.receive{ {{"DOWN", ref, "process", pid, mb.any}} }
        if reason ~= "normal" then io.write(mb.inspect(reason)) end
      else
        run()
      end
    ]]
    local pieces = {
      "one\n", "\n", "12 ", "0x1p4\n", "-3.25e+2;", "0x", "1e+ ", "nan ", "+.5.5 ", ("9"):rep(250) .. "\n", "  \t\n",
      "a\0b\n", "- 1\n", "0xA.8p-1 ", ".", "--5 ", "1e5e5 ", ("y"):rep(1500) .. "\n", "\r\n",
    }
    local state = 7
    local all = {}
    for _ = 1, 200 do
      state = (state * 1103515245 + 12345) % 2147483648
      all[#all + 1] = pieces[state // 65536 % #pieces + 1]
    end
    with_file(table.concat(all), function(input)
      for seed = 1, 4 do
        local feed = [[lua5.4 -e 'local f = io.open(%q) io.stdout:setvbuf("no")
          local n = %d for c in f:lines(n) do io.write(c) end' | ]]
        local expected = run_plain(script, feed:format(input, 4096), seed)
        assert.equal(expected, (run(script, feed:format(input, seed == 1 and 1 or seed * 5), seed)))
      end
    end)
  end)

  it("says what is wrong as plain Lua does", function()
    local script = [[
      local function try(fn, ...)
        local got = table.pack(pcall(fn, ...))
        for i = 1, got.n do got[i] = tostring(got[i]) end
        io.write(table.concat(got, " "), "\n")
      end
      try(io.read, "x")
      try(io.read, "l", "x")
      try(io.read, 1.5)
      try(io.read, {})
      try(function() return io.stdin:read("l", true) end)
      try(function() for _ in io.lines(nil, "z") do end end)
      try(function() return io.stdin:seek("cur") end)
      try(io.read)
      try(function() return io.stdin:close() end)
    ]]
    local input = "printf 'a\\nb\\nc\\nd\\n' |"
    local function said(output) return (output:gsub("/tmp/[%w_]+", "FILE")) end
    assert.equal(said(run_plain(script, input)), said(run("require 'moonbeam'.sleep(0)" .. script, input)))
  end)

  it("reads a file as plain Lua does, and seeks in it", function()
    local script = [[
      print(io.read("l", 1, "n"), io.stdin:seek("cur"), io.stdin:seek("set", 2), io.read("a"))
      io.stdin:seek("set")
      io.stdin:setvbuf("no")
      for line in io.stdin:lines() do print(line) end
    ]]
    with_file("one\n 23\nthree", function(input)
      assert.equal(run_plain(script, "<" .. input), (run("require 'moonbeam' " .. script, "<" .. input)))
    end)
  end)

  it("holds up nobody while much comes", function()
    local output = run(tools .. [[
      local pid = spawn(function() io.read("a") end)
      for _ = 1, 10 do mb.sleep(1) end
      print(mb.Process.alive(pid))
      os.exit(0, false)
    ]], "timeout 60 yes 2>/dev/null |")
    assert.equal("true\n", output)
  end)

  it("is seen while the only other process computes", function()
    local output = run(tools .. [[
      mb.Process.spawn(function() while true do end end, {scheduler = "here"})
      mb.Process.spawn(function() send(me, io.read()) end, {scheduler = "here"})
      print(receive())
      os.exit(0, false)
    ]], "{ sleep 0.2; echo seen; } | timeout 20")
    assert.equal("seen\n", output)
  end)

  it("shows the question first", function()
    if not helper.run("command -v script"):find("script") then return pending("there is no script(1)") end
    in_directory(function(directory)
      with_file("require 'moonbeam'.sleep(0) io.write('name? ') print('<' .. io.read() .. '>')", function(name)
        helper.run(("{ for i in $(seq 1000); do grep -q 'name[?]' out && break; sleep 0.01; done; " ..
          "cp out seen; echo joe; } |" ..
          " script -qefc %s out >/dev/null"):gsub("%f[%w]out%f[%W]", directory .. "%0"):gsub("seen", directory .. "%0")
          :format(quote(helper.interpreter() .. " " .. name)))
      end)
      assert.matches("name%? $", (helper.run(("cat %sseen"):format(directory))))
      assert.matches("<joe>", (helper.run(("cat %sout"):format(directory))))
    end)
  end)

  it("is a process's own to redirect inside of blocking, too", function()
    local output = with_file("inside\n", function(name)
      return run(([[
        local mb = require "moonbeam"
        print(mb.blocking(function(name)
          io.input(name)
          return io.read(), io.input():close()
        end, %q))
        print(mb.blocking(function() return io.input() == io.stdin and io.read() end))
      ]]):format(name), "echo outside |")
    end)
    assert.equal("inside\ttrue\noutside\n", output)
  end)
end)

describe("standard output", function()
  for what, statement in pairs{
    print = "print(('x'):rep(1000))", ["io.write"] = "io.write(('x'):rep(1000), '\\n')",
    ["one large write"] = "io.write(('x'):rep(1e6))",
    flush = "io.write('x') io.flush()", ["the method flush"] = "io.stdout:write('x'):flush()",
    setvbuf = "io.write('x') io.stdout:setvbuf('full', 1024)",
    ["without a buffer"] = "io.stdout:setvbuf('no') io.write('xx')",
  } do
    it("lets the writer alone wait for a slow reader: " .. what, function()
      local output = in_directory(function(directory)
        return run(tools .. ([[
          local pid = until_waiting(spawn(function() while true do %s end end))
          mb.Process.exit(pid, "kill")
          tell("%sgo")
        ]]):format(statement, directory), "", ("| { %s; tr -d 'x\\n' | wc -c; }")
          :format(shell_await(directory .. "go")))
      end)
      assert.matches("^%s*0", output)
    end)
  end

  it("keeps the order of a process's lines", function()
    local output = run([[
      local mb = require "moonbeam"
      for i = 1, 2000 do print(i, ("x"):rep(50)) end
    ]], "", "| { sleep 0.1; awk '$1 != NR { bad = 1 } END { print NR, bad + 0 }'; }")
    assert.equal("2000 0\n", output)
  end)

  it("keeps what a call writes together, on several schedulers, for a slow reader, when writers are killed", function()
    local output = in_directory(function(directory)
      return run(tools .. ([[
        local pids = {}
        for i = 1, 8 do
          local letter = ("abcdefgh"):sub(i, i)
          pids[i] = spawn(function()
            for j = 1, 40 do
              if j %% 2 == 0 then print((letter):rep(9000 + j)) else io.write((letter):rep(5000 + j), "\n") end
            end
            send(me, letter)
          end, {scheduler = i %% 4 + 1})
        end
        for i = 1, 4 do until_waiting(pids[i]) end
        mb.Process.exit(pids[1], "kill")
        mb.Process.exit(pids[2], "kill")
        tell("%sgo")
        for _ = 1, 6 do receive() end
      ]]):format(directory), "", ("| { %s; grep -cvE '^(a+|b+|c+|d+|e+|f+|g+|h+)$' >%sbad; }; cat %sbad")
        :format(shell_await(directory .. "go"), directory, directory), 4)
    end)
    assert.equal("0\n", output)
  end)

  it("is buffered as in plain Lua", function()
    for _, size in ipairs{1, 10, 4095, 4096, 4097, 5000, 9000} do
      for _, mode in ipairs{"", "('no')", "('line')", "('full', 512)"} do
        if mode ~= "" then mode = "io.stdout:setvbuf" .. mode end
        local script = ([[
          if pcall(require, "moonbeam") then package.loaded.moonbeam.sleep(0) end
          %s
          io.write("begin\n", ("x"):rep(%d), "\n", "rest")
          os.execute("echo between")
          io.write("end")
          os.execute("echo between")
          io.stdout:flush()
          os.execute("echo last")
          print("printed")
          io.write("and left")
        ]]):format(mode, size)
        assert.equal(run_plain(script, "", "| cat"), (run(script, "", "| cat")), mode .. size)
      end
    end
  end)

  it("says why nothing can be written, as plain Lua does", function()
    local script = [[
      if pcall(require, "moonbeam") then package.loaded.moonbeam.sleep(0) end
      local function say(...)
        for i = 1, select("#", ...) do
          local value = select(i, ...)
          io.stderr:write(io.type(value) or tostring(value), " ")
        end
        io.stderr:write("\n")
      end
      say(io.write("x"))
      say(io.stdout:flush())
      say(io.write(("x"):rep(100000)))
      say(io.flush())
      say(io.stdout:seek())
      print("x")
    ]]
    assert.equal(run_plain(script, "", ">/dev/full"), (run(script, "", ">/dev/full")))
    if helper.is_host then
      local closed = script:gsub("say%(io.stdout:seek%(%)%)", "")
      assert.equal(run_plain(closed, "", ">&-"), (run(closed, "", ">&-")))
    end
    in_directory(function(directory)
      local waiting = ("os.execute(%q) "):format(shell_await(directory .. "gone")) .. script
      local before, after = "trap '' PIPE; {", ("; } | { exec <&-; : >%sgone; }"):format(directory)
      local expected = run_plain(waiting, before, after)
      helper.run("rm " .. directory .. "gone")
      assert.equal(expected, (run(waiting, before, after)))
      assert.matches("Broken pipe", expected)
    end)
  end)

  it("ends the program when its reader has gone", function()
    local output = run("require 'moonbeam' while true do print(1) end", "{ env --default-signal=PIPE",
      "; echo status=$? >&2; } | head -1")
    assert.equal("1\nstatus=141\n", output)
  end)

  it("is written where nothing can wait", function()
    local output = run(tools .. [[
      spawn(function()
        ("abc"):gsub(".", function(c) print((c):rep(70000)) end)
        send(me, true)
      end)
      receive()
      io.write(mb.blocking(function() print("blocking") return "back\n" end))
    ]], "", "| { sleep 0.1; tr -s abc; }")
    assert.equal("a\nb\nc\nblocking\nback\n", output)
  end)
end)

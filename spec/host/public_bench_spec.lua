-- The benchmark of other people's programs, on a checkout that has a few made-up ones.
local helper = require "spec.helper"

describe("the benchmark of other people's programs", function()
  helper.setup()

  local directory, checkout
  local spin = "while os.clock() < 0.02 do end " -- so that there is a time to compare

  local function write(name, text)
    local file = assert(io.open(checkout .. "/" .. name, "w"))
    file:write(text)
    file:close()
  end

  local function run(options)
    return helper.run(("lua5.4 spec/bench/public.lua --rounds 2 --moonbeam %s %s '%s'")
      :format(helper.interpreter(), options or "", checkout))
  end

  before_each(function()
    directory = helper.run("mktemp -d"):match("%S+")
    checkout = directory .. "/a checkout"
    helper.run(("mkdir '%s'"):format(checkout))
    write("fasta.lua", spin .. "print('>', arg[1])")
    write("k-nucleotide.lua", spin .. "assert(io.read() == '>\t100000' and not io.read() and dofile 'beside.lua')")
    write("beside.lua", "return true")
  end)

  after_each(function() helper.run("rm -r " .. directory) end)

  it("has a row for each program that there is, and none for what there is not", function()
    local output, code = run()
    assert.equal(0, code, output)
    local figures = " +[%d.]+s +[%d.]+s +[%d.]+ %([%d.]+ %- [%d.]+%)[ %u]* +[%d.]+s +[%d.]+ %([%d.]+ %- [%d.]+%)"
    for _, name in ipairs{"\nfasta", "\nk%-nucleotide"} do assert.matches(name .. figures, output) end
    local _, lines = output:gsub("\n", "")
    assert.equal(6, lines, output)
    assert.matches("\nscript: the median of 2 ratios .*\nprocess: the median of 2 ratios ", output)
  end)

  it("tells who prints something else than in lua5.4, or fails", function()
    write("ack.lua", spin .. "print(#arg, arg[1], arg[2], arg[0], ..., self and 'ours' or 'theirs')")
    write("queen.lua", spin .. "if self then error 'not here' end")
    write("sieve.lua", spin .. "collectgarbage 'stop'")
    local output, code = run()
    assert.equal(1, code, output)
    assert.matches("\nack +DIFFERS, script: it prints something else\n", output)
    assert.matches("\nqueen +FAILS, script: [^\n]*not here", output)
    assert.matches("\nsieve +FAILS, process: [^\n]*is refused in a process", output)
    assert.matches("\nfasta ", output)
    output, code = run("--only fasta")
    assert.equal(0, code, output)
    assert.not_matches("\nack ", output)
  end)

  it("says what is missing", function()
    for options, said in pairs{["--only nothing"] = "no checkout has a program of that name", ["--what"] = "usage: "} do
      local output, code = run(options)
      assert.equal(1, code, output)
      assert.matches(said, output, 1, true)
    end
  end)
end)

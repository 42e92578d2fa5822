-- Libraries that know nothing of processes: what they stop, and what they do not stop in `blocking`. Each is tried
-- where it is installed (Debian: lua-cjson, lua-socket, lua-sql-sqlite3, lua-http).
--
-- Called in a process itself, these hold its scheduler: LuaSocket's calls, unless the timeout is 0; a statement of
-- LuaSQL's that takes long, or waits for another connection's lock; lua-http's requests, since cqueues waits in a poll
-- of its own. cjson waits for nothing. What they give, but for connections and cursors, travels from `blocking`.
local helper = require "spec.helper"
local mb = require "moonbeam"
local Process, net = mb.Process, mb.net

-- Where Debian has files of lua-http and of what that needs, which are the same for 5.4.
local older = ";/usr/share/lua/5.3/?.lua;/usr/share/lua/5.2/?.lua"

-- Tests with a library, when there is it.
local function with(module, tests)
  describe(module, function()
    if not package.searchpath(module, package.path .. older) and not package.searchpath(module, package.cpath) then
      return pending(module .. " is not installed")
    end
    helper.setup()
    tests()
  end)
end

-- Connections are answered by processes of this scheduler: with fn(socket). What blocks it would wait for itself.
local function serve(fn)
  local me, send = mb.self(), mb.send
  local pid = Process.spawn(function()
    local listener = assert(net.listen{host = "127.0.0.1", port = 0})
    send(me, {"port", listener:sockname().port})
    while true do
      local socket = listener:accept()
      if not socket then return end
      fn(socket)
      socket:close()
    end
  end, {scheduler = "here"})
  return helper.await{"port", mb.any}, pid
end

-- The answer to a request of HTTP, whatever it is.
local function hello(socket)
  local line
  repeat line = socket:recv("line") until not line or line == "" or line == "\r"
  socket:send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")
end

local function stop(pid)
  local ref = mb.monitor(pid)
  Process.exit(pid, "kill")
  helper.await{"DOWN", ref, "process", pid, mb.any}
end

describe("libraries", function()
  with("cjson", function()
    it("work in every process, beside each other; what they give travels", function()
      local me, send = mb.self(), mb.send
      for i = 1, 20 do
        mb.spawn(function()
          local cjson = require "cjson"
          local value = cjson.decode(cjson.encode{number = i, list = {1, 2, {text = "\u{e9}\n"}}, none = cjson.null})
          send(me, {"decoded", value, value.none == cjson.null})
        end)
      end
      local sum = 0
      for _ = 1, 20 do
        local value, same = helper.await{"decoded", mb.any, mb.any}
        assert.is_true(same)
        assert.equal(require "cjson".null, value.none)
        assert.same({1, 2, {text = "\u{e9}\n"}}, value.list)
        sum = sum + value.number
      end
      assert.equal(210, sum)
    end)
  end)

  with("socket", function()
    local function echo(socket)
      local line = socket:recv("line")
      if line then socket:send("you said " .. line .. "\n") end
    end

    it("stops nobody in blocking: who is asked runs on the same scheduler", function()
      local port, server = serve(echo)
      local answer = mb.blocking(function(number)
        local client = assert(require "socket".connect("127.0.0.1", number))
        client:send("hello\n")
        local line = client:receive("*l")
        client:close()
        return line
      end, port)
      assert.equal("you said hello", answer)
      stop(server)
    end)

    it("may be asked again and again without waiting, in a process", function()
      local port, server = serve(echo)
      helper.in_process(function()
        local client = require "socket".tcp()
        client:settimeout(0)
        client:connect("127.0.0.1", port)
        while not client:send("hello\n") do mb.sleep(1) end
        local line, why, part
        repeat
          mb.sleep(1)
          line, why, part = client:receive("*l", part)
        until line or why ~= "timeout"
        client:close()
        assert(line == "you said hello", why)
      end)
      stop(server)
    end)

    it("gives an HTTP response", function()
      local port, server = serve(hello)
      local body, code = mb.blocking(function(url) return require "socket.http".request(url) end,
        ("http://127.0.0.1:%d/"):format(port))
      assert.equal("hello", body)
      assert.equal(200, code)
      stop(server)
    end)
  end)

  with("luasql.sqlite3", function()
    -- A file with a table; fn(path).
    local function with_database(fn)
      local path = os.tmpname()
      local ok, why = pcall(function()
        local environment = require "luasql.sqlite3".sqlite3()
        local connection = environment:connect(path)
        assert(connection:execute("CREATE TABLE people (name TEXT, age INTEGER)"))
        assert(connection:execute("INSERT INTO people VALUES ('Ada', 36), ('Alan', 41)"))
        fn(path, connection)
        connection:close()
        environment:close()
      end)
      os.remove(path)
      assert(ok, why)
    end

    it("gives rows from blocking: they travel, connections do not", function()
      with_database(function(path)
        local rows = mb.blocking(function(name)
          local environment = require "luasql.sqlite3".sqlite3()
          local connection = environment:connect(name)
          local cursor, all = connection:execute("SELECT name, age FROM people ORDER BY age DESC"), {}
          for row in function() return cursor:fetch({}, "a") end do all[#all + 1] = row end
          cursor:close()
          connection:close()
          environment:close()
          return all
        end, path)
        assert.same({{name = "Alan", age = 41}, {name = "Ada", age = 36}}, rows)
      end)
    end)

    it("waits for a lock there, and stops nobody: its holder runs on the same scheduler", function()
      with_database(function(path, connection)
        local me, send, blocking = mb.self(), mb.send, mb.blocking
        assert(connection:execute("BEGIN EXCLUSIVE"))
        Process.spawn(function()
          send(me, {"changed", blocking(function(name)
            local environment = require "luasql.sqlite3".sqlite3()
            local other = environment:connect(name, 60000) -- ms: how long it waits for a lock
            local count = assert(other:execute("UPDATE people SET age = age + 1"))
            other:close()
            environment:close()
            return count
          end, path)})
        end, {scheduler = "here"})
        while mb.schedulers().blocking.busy == 0 do mb.sleep(1) end -- nobody tells that the job has begun
        assert(connection:execute("COMMIT"))
        assert.equal(2, helper.await({"changed", mb.any}, 60000))
      end)
    end)
  end)

  with("http.request", function()
    it("gives a response from blocking; who is asked runs on the same scheduler", function()
      local port, server = serve(hello)
      local status, body = mb.blocking(function(url)
        local path <const> = package.path
        package.path = path .. older
        local headers, stream = assert(require "http.request".new_from_uri(url):go(60))
        package.path = path
        return headers:get(":status"), stream:get_body_as_string()
      end, ("http://127.0.0.1:%d/"):format(port))
      assert.equal("200", status)
      assert.equal("hello", body)
      stop(server)
    end)
  end)
end)

--- Files and directories. See Elixir's `File`, and Lua's `io`.
--
-- Whatever touches a disk is done by a thread of a pool; the process that asked waits for it, and nobody else. What
-- fails for reasons outside of the program gives nil, a text and the name of the error, `nil, "ENOENT: no such file or
-- directory: /x", "ENOENT"`; arguments that no call can mean anything by raise. Paths are strings of any bytes but NUL,
-- relative ones to the program's working directory.
--
-- Whole files are read and written by `read`, `write` and `append`, line by line by `lines`; `open` gives a file that
-- is read and written in pieces. That belongs to the process that opened it, closes with it, and does not travel: send
-- its path, or what has been read from it.
-- @module moonbeam.fs

local core = require "moonbeam.core"
local options = require "moonbeam.internal.options"

local c = core.fs()
local check, boolean = options.check, options.boolean
local insert, remove, sub = table.insert, table.remove, string.sub

local fs = {}

local function any() end -- C checks it

-- The results of a call, when the file is closed.
local function closing(file, ...)
  file:close()
  return ...
end

-- Pipes and devices: what may take for ever is for a file.
local function write_slowly(path, data, mode)
  local file, text, code = c.open(path, mode)
  if not file then return nil, text, code end
  local written, why, name = closing(file, file:write(data))
  if not written then return nil, why, name end
  return true
end

local function write(path, data, append, atomic, sync, mode, name)
  local ok, text, code = c.write(path, data, append, atomic, sync, mode, name)
  if code == "EAGAIN" then return write_slowly(path, data, append and "a" or "w") end
  if ok then return true end
  return nil, text, code
end

local write_options = options.of{{"append", boolean}, {"atomic", boolean}, {"sync", boolean}, {"mode", any}}
local append_options = options.of{{"sync", boolean}, {"mode", any}}
local mkdir_options = options.of{{"parents", boolean}, {"mode", any}}
local mkdir_p_options = options.of{{"mode", any}}
local remove_options = options.of{{"recursive", boolean}}
local copy_options = options.of{{"exclusive", boolean}}
local readdir_options = options.of{{"types", boolean}}
local walk_options = options.of{{"depth", options.integer(0)}, {"follow", boolean}}

--- All that is in a file. See Elixir's `File.read/1`.
-- @param path string
-- @return string | nil, text, code
-- @usage
-- fs.write("/tmp/greeting", "hello")
-- assert(fs.read("/tmp/greeting") == "hello")
-- local contents, _, code = fs.read("/tmp")
-- assert(contents == nil and code == "EISDIR")
function fs.read(path)
  local data, text, code = c.read(path)
  if data then return data end
  if code ~= "EAGAIN" then return nil, text, code end
  local file
  file, text, code = c.open(path)
  if not file then return nil, text, code end
  return closing(file, file:read("a"))
end

--- Make this the contents of a file, which is made when it is missing. See Elixir's `File.write/3`.
-- With `atomic` whoever reads it sees the old contents or the new ones, whole: a new file takes the old one's place,
-- with its permissions. With `sync` they are on the disk when the call returns. The permissions of a new file are
-- `mode`, an integer or octal digits; "666" when left out, less what the umask says. A pipe or device that is there
-- is written to as fast as it takes what comes: the process waits for that, alone, and without a bound but its own end.
-- @param path string
-- @param data string, number or sequence of those
-- @param[opt] opts table: append = true, atomic = true, sync = true, mode =
-- @return true | nil, text, code
-- @usage
-- assert(fs.write("/tmp/settings", {"colour=", "red\n"}, {atomic = true, mode = "600"}))
-- assert(fs.read("/tmp/settings") == "colour=red\n")
function fs.write(path, data, opts)
  opts = check(opts, write_options, "fs.write", 3)
  if opts.append and opts.atomic then
    core.argument_error("fs.write", 3, "append and atomic exclude each other: what is appended to stays in place")
  end
  return write(path, data, opts.append, opts.atomic, opts.sync, opts.mode, "fs.write")
end

--- Write behind what is in a file, which is made when it is missing. What several processes and programs append at once
-- does not mix, as far as the system writes it in one piece. See Elixir's `File.write/3` with `:append`.
-- @param path string
-- @param data string, number or sequence of those
-- @param[opt] opts table: sync, mode, as for `write`
-- @return true | nil, text, code
-- @usage
-- fs.remove("/tmp/log")
-- fs.append("/tmp/log", "one\n")
-- fs.append("/tmp/log", "two\n")
-- assert(fs.read("/tmp/log") == "one\ntwo\n")
function fs.append(path, data, opts)
  opts = check(opts, append_options, "fs.append", 3)
  return write(path, data, true, false, opts.sync, opts.mode, "fs.append")
end

--- Open a file. See Elixir's `File.open/2` and Lua's `io.open`.
--
-- Modes are those of `io.open`, "r" (at first), "w", "a", "r+", "w+", "a+", and "x" and "x+": a new file, which must
-- not be there before. The methods of a file, each of which gives nil, text, code when it fails:
--
-- * `file:read([what [, ms]])`: a line without its end (at first, "line" or "l"), a line with it ("L"), so many bytes
-- (a number), or the rest ("a"); at the end of the file nil, "EOF: end of file", "EOF", and "" of the rest. A pipe or
-- device that has nothing is waited for at most so long: nil, "ETIMEDOUT...", and what has come can be read later.
-- * `file:write(data...)` -> file: at the position, or at the end in mode "a". Each is a string, a number or a
-- sequence. A pipe or device that takes nothing is waited for without a bound.
-- * `file:seek([whence [, offset]])` -> position: as in Lua.
-- * `file:pread(n, offset)`, `file:pwrite(data, offset)`: elsewhere; the position stays.
-- * `file:lines([what])`: an iterator; it raises when reading fails.
-- * `file:sync()`, `file:datasync()` -> true: it is on the disk. `file:truncate(size)` -> true.
-- * `file:lock("exclusive" | "shared" [, ms])` -> true | nil, "ETIMEDOUT...": a lock on the whole file among all
-- programs that ask for one (see flock(2)); the process waits for it, at most so long. `file:unlock()` -> true.
-- * `file:stat()`: as `stat`. `file:close()` -> true; closing twice does nothing. To-be-closed variables close it, too.
--
-- A file that is closed raises, and so does another process's.
-- @function open
-- @param path string
-- @param[opt="r"] mode string
-- @param[opt="666"] permissions of a new file: an integer or octal digits
-- @return file | nil, text, code
-- @usage
-- local file <close> = assert(fs.open("/tmp/numbers", "w+"))
-- file:write("1\n2\n")
-- file:seek("set")
-- assert(file:read() == "1")
-- assert(file:read("a") == "2\n")
fs.open = c.open

--- The lines of a file, without their ends, one after the other in constant memory, for a `for` loop: as `io.lines`.
-- Like that it raises when the file cannot be opened or read. Blocks are read ahead while the lines are used. See
-- Elixir's `File.stream!/3`.
-- @param path string
-- @param[opt="line"] what as for `file:read`
-- @return what `for` takes
-- @usage
-- fs.write("/tmp/poem", "roses\nviolets\n")
-- local count = 0
-- for line in fs.lines("/tmp/poem") do count = count + #line end
-- assert(count == 12)
function fs.lines(path, what)
  local file, text = c.open_lines(path, what)
  if not file then return core.raise_at_caller("fs.lines: " .. text) end
  return file:lines(what), nil, nil, file
end

--- What the system knows of a file; of a link: of what it leads to. See Elixir's `File.stat/2`.
-- @function stat
-- @param path string
-- @return table: type ("file", "directory", "link", "fifo", "socket", "char" or "block"), size, mode (the permissions),
-- uid, gid, ino, dev, nlink, rdev, blocks, blksize, and the times atime, mtime, ctime, birthtime in seconds | nil,
-- text, code
-- @usage assert(fs.stat("/tmp").type == "directory")
fs.stat = c.stat

--- The same of the link itself. See Elixir's `File.lstat/2`.
-- @function lstat
-- @param path string
-- @return table | nil, text, code
-- @usage
-- fs.remove("/tmp/link")
-- fs.symlink("/tmp", "/tmp/link")
-- assert(fs.lstat("/tmp/link").type == "link")
fs.lstat = c.lstat

--- Whether there is something of this name; a link that leads nowhere is nothing. See Elixir's `File.exists?/2`.
-- @function exists
-- @param path string
-- @return boolean | nil, text, code when that cannot be found out
-- @usage assert(fs.exists("/tmp") and not fs.exists("/tmp/no/such/file"))
fs.exists = c.exists

--- The names in a directory, sorted by their bytes, without "." and "..". See Elixir's `File.ls/1`.
-- @param path string
-- @param[opt] opts table: types = true gives pairs {name, type}
-- @return sequence | nil, text, code
-- @usage for _, name in ipairs(fs.readdir("/")) do print(name) end
function fs.readdir(path, opts)
  return c.readdir(path, check(opts, readdir_options, "fs.readdir", 2).types)
end

--- All that is below a directory, for a `for` loop: path and type of each, a directory before what is in it.
-- Directories are read as the loop comes to them. Of one that cannot be read there is a third value, the failure's
-- text; when that is the first, `walk` raises.
-- @param path string: the directory, which is not among them
-- @param[opt] opts table: depth = how many levels below it, follow = true: links to directories are directories
-- @return what `for` takes
-- @usage
-- for path, type, failure in fs.walk("/etc/alternatives", {depth = 1}) do
--   if failure then print(failure) elseif type == "link" then print(path) end
-- end
function fs.walk(path, opts)
  opts = check(opts, walk_options, "fs.walk", 2)
  local most, follow = opts.depth or math.huge, opts.follow
  if most == 0 then return function() end end
  local entries, text = c.readdir(path, true)
  if not entries then return core.raise_at_caller("fs.walk: " .. text) end
  local stack = {{path = sub(path, -1) == "/" and path or path .. "/", at = 0, entries = entries}}

  -- Whether a directory has been come to through a link from below itself.
  local function is_above(id)
    for i = 1, #stack do
      if stack[i].id == id then return true end
    end
    return false
  end

  return function()
    while true do
      local directory = stack[#stack]
      if not directory then return nil end
      directory.at = directory.at + 1
      local entry = directory.entries[directory.at]
      if not entry then
        remove(stack)
      else
        local found, type, id = directory.path .. entry[1], entry[2], nil
        if follow and (type == "link" or type == "directory") then
          local stat = c.stat(found)
          if stat then type, id = stat.type, stat.dev .. ":" .. stat.ino end
        end
        if type ~= "directory" or #stack >= most then return found, type end
        if id and is_above(id) then return found, type, "ELOOP: too many symbolic links encountered: " .. found end
        local inside, failure = c.readdir(found, true)
        if not inside then return found, type, failure end
        insert(stack, {path = found .. "/", at = 0, entries = inside, id = id})
        return found, type
      end
    end
  end
end

--- Make a directory. See Elixir's `File.mkdir/1`.
-- @param path string
-- @param[opt] opts table: parents = true makes those above it, too, and is content with one that is there; mode =
-- permissions, "777" at first, less what the umask says
-- @return true | nil, text, code
-- @usage
-- fs.remove("/tmp/a", {recursive = true})
-- assert(fs.mkdir("/tmp/a"))
-- assert(select(3, fs.mkdir("/tmp/a")) == "EEXIST")
function fs.mkdir(path, opts)
  opts = check(opts, mkdir_options, "fs.mkdir", 2)
  return c.mkdir(path, opts.parents, opts.mode, "fs.mkdir")
end

--- `mkdir` with parents. See Elixir's `File.mkdir_p/1`.
-- @param path string
-- @param[opt] opts table: mode
-- @return true | nil, text, code
-- @usage assert(fs.mkdir_p("/tmp/a/b/c"))
function fs.mkdir_p(path, opts)
  return c.mkdir(path, true, check(opts, mkdir_p_options, "fs.mkdir_p", 2).mode, "fs.mkdir_p")
end

--- Give something another name, in the same file system; what has that name is replaced. See Elixir's `File.rename/2`.
-- @function rename
-- @param from string
-- @param to string
-- @return true | nil, text, code
-- @usage
-- fs.write("/tmp/old", "")
-- assert(fs.rename("/tmp/old", "/tmp/new"))
fs.rename = c.rename

--- Remove a file, a link or an empty directory. See Elixir's `File.rm/1` and `File.rm_rf/1`.
-- @param path string
-- @param[opt] opts table: recursive = true: with all that is in it, and content when there is nothing. Links are not
-- followed
-- @return true | nil, text, code
-- @usage
-- fs.mkdir_p("/tmp/rubbish/more")
-- assert(fs.remove("/tmp/rubbish", {recursive = true}))
function fs.remove(path, opts)
  return c.remove(path, check(opts, remove_options, "fs.remove", 2).recursive)
end

--- Copy a file with its permissions. See Elixir's `File.cp/3`.
-- @param from string
-- @param to string
-- @param[opt] opts table: exclusive = true: fail when there is something
-- @return true | nil, text, code
-- @usage
-- fs.write("/tmp/original", "text")
-- assert(fs.copy("/tmp/original", "/tmp/copy"))
-- assert(fs.read("/tmp/copy") == "text")
function fs.copy(from, to, opts)
  return c.copy(from, to, check(opts, copy_options, "fs.copy", 3).exclusive)
end

--- Make a symbolic link. See Elixir's `File.ln_s/2`.
-- @function symlink
-- @param target string: where it leads, from where it stands
-- @param path string
-- @return true | nil, text, code
-- @usage
-- fs.remove("/tmp/here")
-- assert(fs.symlink("/tmp", "/tmp/here"))
-- assert(fs.readlink("/tmp/here") == "/tmp")
fs.symlink = c.symlink

--- Give a file one more name. See Elixir's `File.ln/2`.
-- @function link
-- @param existing string
-- @param path string
-- @return true | nil, text, code
-- @usage
-- fs.write("/tmp/one", "")
-- fs.remove("/tmp/two")
-- assert(fs.link("/tmp/one", "/tmp/two"))
fs.link = c.link

--- Where a symbolic link leads. See Elixir's `File.read_link/1`.
-- @function readlink
-- @param path string
-- @return string | nil, text, code
-- @usage assert(select(3, fs.readlink("/tmp")) == "EINVAL")
fs.readlink = c.readlink

--- The absolute path of something that is there, without links, "." and "..".
-- @function realpath
-- @param path string
-- @return string | nil, text, code
-- @usage assert(fs.realpath("/tmp/../tmp/.") == fs.realpath("/tmp"))
fs.realpath = c.realpath

--- Change permissions. See Elixir's `File.chmod/2`.
-- @function chmod
-- @param path string
-- @param mode integer or octal digits
-- @return true | nil, text, code
-- @usage
-- fs.write("/tmp/secret", "")
-- assert(fs.chmod("/tmp/secret", "600"))
-- assert(fs.stat("/tmp/secret").mode == tonumber("600", 8))
fs.chmod = c.chmod

--- Set the times of a file, in seconds since 1970. See Elixir's `File.touch/2`.
-- @function utime
-- @param path string
-- @param[opt] accessed number; nil: as it is
-- @param[opt] modified number; nil: as it is
-- @return true | nil, text, code
-- @usage
-- fs.write("/tmp/old", "")
-- assert(fs.utime("/tmp/old", nil, 86400))
-- assert(fs.stat("/tmp/old").mtime == 86400)
fs.utime = c.utime

local function template(given)
  if given ~= nil then return given end
  return (os.getenv("TMPDIR") or "/tmp") .. "/moonbeam-XXXXXX"
end

--- Make and open a new file of a name that nobody else has, for reading and writing, with the permissions "600".
-- @param[opt] path string that ends in XXXXXX, for which other characters stand then; in TMPDIR or /tmp when left out
-- @return file, path | nil, text, code
-- @usage
-- local file, path = assert(fs.mkstemp())
-- file:write("for a while")
-- file:close()
-- fs.remove(path)
function fs.mkstemp(path) return c.mkstemp(template(path)) end

--- The same for a directory, with the permissions "700".
-- @param[opt] path string that ends in XXXXXX
-- @return path | nil, text, code
-- @usage
-- local directory = assert(fs.mkdtemp())
-- fs.remove(directory, {recursive = true})
function fs.mkdtemp(path) return c.mkdtemp(template(path)) end

--- Be told of changes to a file, or in a directory (not in those below it): the calling process gets messages
-- `{"fs", watcher, "change" | "rename", name}`, name being that of the file, until it ends or calls `unwatch`. "rename"
-- is said of what comes and goes: made, removed, renamed. Several changes may be told at once, or one several times;
-- when watching fails later on there is `{"fs", watcher, "error", code}`.
-- @function watch
-- @param path string
-- @return a reference, the watcher | nil, text, code
-- @usage
-- local directory = assert(fs.mkdtemp())
-- local watcher = assert(fs.watch(directory))
-- fs.write(directory .. "/new", "")
-- receive{ {{"fs", watcher, "rename", "new"}} }
-- fs.unwatch(watcher)
-- fs.remove(directory, {recursive = true})
fs.watch = c.watch

--- End a watcher of the calling process. What it has told before stays in the mailbox.
-- @function unwatch
-- @param watcher what `watch` gave
-- @return whether there was one
-- @usage assert(fs.unwatch(assert(fs.watch("/tmp"))))
fs.unwatch = c.unwatch

return fs

/* Files as scripts see them: fs.open, fs.mkstemp and the methods of what they give.
 *
 * A method is a loop over steps (file.h): it begins one, waits, and looks what it has brought. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>

#include "heap/arguments.h"
#include "heap/errors.h"
#include "io/failure.h"
#include "io/file.h"
#include "io/fs.h"
#include "io/path.h"
#include "io/waiter.h"

static const char metatable_key; /* its address is the key of the metatable */

enum verb { OPEN, READ, WRITE, SEEK, PREAD, PWRITE, SYNC, DATASYNC, TRUNCATE, STAT, LOCK, UNLOCK, CLOSE, VERBS };

/* What a verb's function returns instead of a number of results: it has begun a step; it is to be called again at f->until. */
enum { BEGUN = -1, PAUSE = -2 };

/* What is to be read, when it is no number of bytes. */
enum { LINE = -1, LINE_WITH_END = -2, ALL = -3 };

enum { FIRST_ROOM = 1 << 20, MOST_BYTES = INT_MAX - 1, LONGEST_PAUSE = 32000000, SHORTEST_PAUSE = 1000000 };

static int failure(lua_State *L, const struct mb_file *f, int64_t error) { return mb_path_failure(L, error, f->path, NULL); }

static int end_of_file(lua_State *L) { return mb_failure(L, UV_EOF); }

static int begin(struct mb_file *f, enum mb_file_step step) {
  mb_file_begin(f, step);
  return BEGUN;
}


/* Be called again when the pause at stack index `at` is over, ns, or the deadline, if there is one; the next one is longer. */
static int pause_for(lua_State *L, struct mb_file *f, uint64_t deadline, int at) {
  lua_Integer pause = lua_tointeger(L, at);
  f->until = mb_now(mb_heap_of(L)->runtime) + (uint64_t)pause;
  if (deadline && deadline < f->until) f->until = deadline;
  lua_pushinteger(L, pause * 2 < LONGEST_PAUSE ? pause * 2 : LONGEST_PAUSE);
  lua_replace(L, at);
  return PAUSE;
}

/* Verbs: the stack has the file at 1 and the arguments of the method behind it. `begun`: a step of theirs has been made. */

static int open_file(lua_State *L, struct mb_file *f, int begun) {
  if (!begun) return begin(f, MB_FILE_OPEN);
  if (f->result == UV_EAGAIN) return pause_for(L, f, 0, 2); /* nobody tells when a pipe gets a reader */
  if (f->result < 0) return failure(L, f, f->result);
  lua_pushvalue(L, 1);
  if (!f->flag) return 1;
  lua_pushstring(L, f->path);
  return 2;
}

static int begin_read(lua_State *L, struct mb_file *f, size_t want, int once) {
  f->block_start = MB_FILE_HEADROOM;
  f->at = f->position + (int64_t)mb_file_available(f);
  f->want = want;
  f->flag = once;
  if (mb_file_reserve(f, MB_FILE_HEADROOM + (want < FIRST_ROOM ? want : FIRST_ROOM)) != 0) return mb_no_memory(L);
  return begin(f, MB_FILE_READ);
}

/* A block, which is larger the longer the line is that is ahead. */
static int begin_block(lua_State *L, struct mb_file *f) {
  size_t available = mb_file_available(f);
  return begin_read(L, f, available > MB_FILE_BLOCK ? available < FIRST_ROOM ? available : FIRST_ROOM : MB_FILE_BLOCK, 1);
}

/* Push the next n bytes that are ahead. */
static int push_bytes(lua_State *L, struct mb_file *f, size_t n) {
  lua_pushlstring(L, n ? f->ahead + f->start : "", n);
  mb_file_take(f, n);
  return 1;
}

/* Push the line that is ahead, if it is whole. */
static int push_line(lua_State *L, struct mb_file *f, int with_end) {
  size_t available = mb_file_available(f);
  const char *from = f->ahead + f->start, *end;
  if (available == f->searched) return 0;
  end = memchr(from + f->searched, '\n', available - f->searched);
  if (!end) {
    f->searched = available;
    return 0;
  }
  lua_pushlstring(L, from, (size_t)(end - from) + (with_end ? 1 : 0));
  mb_file_take(f, (size_t)(end - from) + 1);
  return 1;
}

static int read_what(lua_State *L, struct mb_file *f, lua_Integer what, int begun) {
  size_t available = mb_file_available(f), want = (size_t)what - available;
  int ended = begun && f->ended;
  if (begun && f->result < 0) return failure(L, f, f->result);
  if (what == LINE || what == LINE_WITH_END) {
    if (push_line(L, f, what == LINE_WITH_END)) return 1;
  } else if (what == ALL) {
    if (ended) return push_bytes(L, f, available);
    want = SIZE_MAX / 4;
  } else if ((size_t)what <= available && available) {
    return push_bytes(L, f, (size_t)what);
  }
  if (ended) return available ? push_bytes(L, f, available) : end_of_file(L);
  /* What comes from a pipe comes in pieces. */
  return (what == ALL || what > 0) && !f->waits ? begin_read(L, f, want, 0) : begin_block(L, f);
}

/* Arguments: what, deadline: of the wait for a pipe. */
static int read_file(lua_State *L, struct mb_file *f, int begun) {
  return read_what(L, f, lua_tointeger(L, 2), begun);
}

static int write_at(lua_State *L, struct mb_file *f, int first, int64_t at, enum mb_file_step step) {
  struct mb_heap *h = mb_heap_of(L);
  const char *function = step == MB_FILE_WRITE ? "file:write" : "file:pwrite";
  size_t size = 0, copied = 0;
  int top = step == MB_FILE_WRITE ? lua_gettop(L) : first;
  for (int i = first; i <= top; i++) size += mb_check_data(h, L, i, function, i - 1);
  if (mb_file_reserve(f, size + 1) != 0) return mb_no_memory(L);
  for (int i = first; i <= top; i++) copied += mb_copy_data(L, i, f->block + copied, size - copied);
  if (f->seekable) mb_file_discard(f);
  f->want = copied;
  f->written = 0;
  f->at = at;
  return begin(f, step);
}

static int write_file(lua_State *L, struct mb_file *f, int begun) {
  if (!begun) return write_at(L, f, 2, f->position, MB_FILE_WRITE);
  if (f->result < 0) return failure(L, f, f->result);
  lua_pushvalue(L, 1);
  return 1;
}

/* Arguments: data, offset. */
static int pwrite_file(lua_State *L, struct mb_file *f, int begun) {
  if (!f->seekable) return failure(L, f, UV_ESPIPE);
  if (!begun) return write_at(L, f, 2, lua_tointeger(L, 3), MB_FILE_PWRITE);
  if (f->result < 0) return failure(L, f, f->result);
  lua_pushvalue(L, 1);
  return 1;
}

/* Arguments: n, offset. */
static int pread_file(lua_State *L, struct mb_file *f, int begun) {
  size_t n = (size_t)lua_tointeger(L, 2);
  if (!f->seekable) return failure(L, f, UV_ESPIPE);
  if (!begun) {
    f->block_start = 0;
    f->want = n;
    f->at = lua_tointeger(L, 3);
    f->flag = 0;
    if (mb_file_reserve(f, n < FIRST_ROOM ? n + 1 : FIRST_ROOM) != 0) return mb_no_memory(L);
    return begin(f, MB_FILE_PREAD);
  }
  if (f->result < 0) return failure(L, f, f->result);
  if (f->result == 0 && n > 0) return end_of_file(L);
  lua_pushlstring(L, f->block, (size_t)f->result);
  return 1;
}

/* Arguments: whence, offset. */
static int seek_file(lua_State *L, struct mb_file *f, int begun) {
  const char *whence = lua_tostring(L, 2);
  lua_Integer offset = lua_tointeger(L, 3), from, to;
  if (!f->seekable) return failure(L, f, UV_ESPIPE);
  if (*whence == 'e' && !begun) return begin(f, MB_FILE_STAT);
  if (begun && f->result < 0) return failure(L, f, f->result);
  from = *whence == 's' ? 0 : *whence == 'c' ? f->position : (lua_Integer)f->stat.st_size;
  if (__builtin_add_overflow(from, offset, &to) || to < 0) return failure(L, f, UV_EINVAL);
  if (to >= f->position && to - f->position <= (lua_Integer)mb_file_available(f))
    mb_file_take(f, (size_t)(to - f->position));
  else
    mb_file_discard(f);
  f->position = to;
  lua_pushinteger(L, to);
  return 1;
}

/* A step that brings nothing. */
static int plain(lua_State *L, struct mb_file *f, int begun, enum mb_file_step step) {
  if (!begun) return begin(f, step);
  if (f->result < 0) return failure(L, f, f->result);
  lua_pushboolean(L, 1);
  return 1;
}

static int sync_file(lua_State *L, struct mb_file *f, int begun) { return plain(L, f, begun, MB_FILE_SYNC); }

static int datasync_file(lua_State *L, struct mb_file *f, int begun) { return plain(L, f, begun, MB_FILE_DATASYNC); }

static int truncate_file(lua_State *L, struct mb_file *f, int begun) {
  if (!begun) {
    f->at = lua_tointeger(L, 2);
    if (f->seekable) mb_file_discard(f);
  }
  return plain(L, f, begun, MB_FILE_TRUNCATE);
}

static int stat_file(lua_State *L, struct mb_file *f, int begun) {
  if (!begun) return begin(f, MB_FILE_STAT);
  if (f->result < 0) return failure(L, f, f->result);
  mb_push_stat(L, &f->stat);
  return 1;
}

/* Arguments: operation of flock's, deadline, the last pause. Whoever has the lock may be any program, which tells nobody when it
 * gives it up; a thread that waited in flock itself could not be called back from there, and four of them would be all that
 * the pool has. */
static int lock_file(lua_State *L, struct mb_file *f, int begun) {
  uint64_t deadline = (uint64_t)lua_tointeger(L, 3);
  if (!begun) {
    f->mode = (int)lua_tointeger(L, 2) | LOCK_NB;
    return begin(f, MB_FILE_LOCK);
  }
  if (f->result != UV_EAGAIN) {
    if (f->seekable) mb_file_discard(f); /* what others have written before is to be read now */
    return plain(L, f, begun, MB_FILE_LOCK);
  }
  if (mb_deadline_passed(mb_heap_of(L), deadline)) return mb_failure(L, UV_ETIMEDOUT);
  return pause_for(L, f, deadline, 4);
}

static int unlock_file(lua_State *L, struct mb_file *f, int begun) {
  if (!begun) f->mode = LOCK_UN;
  return plain(L, f, begun, MB_FILE_LOCK);
}

static int close_file(lua_State *L, struct mb_file *f, int begun) {
  if (!begun && f->fd < 0) {
    lua_pushboolean(L, 1);
    return 1;
  }
  f->closing = 1;
  return plain(L, f, begun, MB_FILE_CLOSE);
}

static const struct {
  const char *name;
  int (*go)(lua_State *L, struct mb_file *f, int begun);
} verbs[VERBS] = {[OPEN] = {"fs.open", open_file},
                  [READ] = {"file:read", read_file},
                  [WRITE] = {"file:write", write_file},
                  [SEEK] = {"file:seek", seek_file},
                  [PREAD] = {"file:pread", pread_file},
                  [PWRITE] = {"file:pwrite", pwrite_file},
                  [SYNC] = {"file:sync", sync_file},
                  [DATASYNC] = {"file:datasync", datasync_file},
                  [TRUNCATE] = {"file:truncate", truncate_file},
                  [STAT] = {"file:stat", stat_file},
                  [LOCK] = {"file:lock", lock_file},
                  [UNLOCK] = {"file:unlock", unlock_file},
                  [CLOSE] = {"file:close", close_file}};

/* Raise that it is closed. */
static int refuse_closed(struct mb_heap *h, lua_State *L, enum verb verb, const struct mb_file *f) {
  return mb_raise(h, L, "%s: the file %s is closed", verbs[verb].name, f ? f->path : "");
}

/* Stack: the file, then what the verb is given. context: the verb, and whether it has begun a step. */
static int go(lua_State *L, int status, lua_KContext context) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_file *f = *(struct mb_file **)lua_touserdata(L, 1);
  enum verb verb = (enum verb)(context >> 1);
  int begun = context & 1;
  (void)status;
  for (;;) {
    struct mb_process *p = mb_current_still(h, L);
    uint64_t until = 0;
    if (!begun) mb_file_forget(f);
    if (!f->step && begun && f->result == UV_EAGAIN && (verb == READ || verb == WRITE)) {
      mb_file_go_on(f);
    } else if (!f->step) {
      int results;
      if (mb_file_absorb(f) != 0) return mb_no_memory(L);
      if (!begun && f->fd < 0 && verb != OPEN && verb != CLOSE) return refuse_closed(h, L, verb, f);
      results = verbs[verb].go(L, f, begun);
      if (results >= 0) return mb_worked(h, L, p, MB_COST_MESSAGE, results);
      begun = results == BEGUN;
      if (!begun) until = f->until;
    }
    if (!f->step && !until) continue; /* it has failed at once */
    if (f->step == MB_FILE_AWAIT && verb == READ) {
      until = (uint64_t)lua_tointeger(L, 3);
      if (mb_deadline_passed(h, until)) {
        mb_file_forget(f);
        return mb_worked(h, L, p, MB_COST_MESSAGE, mb_failure(L, UV_ETIMEDOUT));
      }
    }
    f->waiter = mb_pid_of(p);
    mb_block(h, L, p, until, (lua_KContext)verb << 1 | begun, go);
  }
}

/* Do it for the calling process, which waits. */
static int start(lua_State *L, enum verb verb) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  if (!mb_can_wait(h, L)) mb_cannot_wait(h, L, p);
  return go(L, LUA_OK, (lua_KContext)verb << 1);
}

/* Methods */

static void push_metatable(lua_State *L) { lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key); }

/* The file at an index; NULL: it is none. */
static struct mb_file **to_file(lua_State *L, int at) {
  int is;
  if (lua_type(L, at) != LUA_TUSERDATA || !lua_getmetatable(L, at)) return NULL;
  push_metatable(L);
  is = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return is ? lua_touserdata(L, at) : NULL;
}

/* Raise that it belongs to another process. */
static int refuse_stranger(struct mb_heap *h, lua_State *L, enum verb verb, const struct mb_file *f) {
  char owner[MB_ID_TEXT];
  mb_pid_text(f->owner, owner);
  return mb_raise(h, L, "%s: the file %s belongs to %s, the process that opened it: let that one do it, or open the path here",
                  verbs[verb].name, f->path, owner);
}

/* The file that a method is called with: open, and the calling process's. */
static struct mb_file *check_file(lua_State *L, enum verb verb) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_file **box = to_file(L, 1), *f;
  if (!box) mb_bad_type(h, L, verbs[verb].name, 0, "file", 1);
  f = *box;
  if (!f || (f->fd < 0 && !f->step && verb != CLOSE)) refuse_closed(h, L, verb, f);
  if (f->owner != mb_pid_of(mb_current(h, L))) refuse_stranger(h, L, verb, f);
  return f;
}

/* A number of bytes or a place in a file. */
static lua_Integer check_count(lua_State *L, int at, enum verb verb, lua_Integer most, const char *what) {
  int ok;
  lua_Integer n = lua_tointegerx(L, at, &ok);
  if (!ok || lua_type(L, at) != LUA_TNUMBER || n < 0 || n > most)
    mb_bad_argument(mb_heap_of(L), L, verbs[verb].name, at - 1, "%s expected, got %s", what,
                    mb_push_shown(mb_heap_of(L), L, at));
  return n;
}

/* What to read, as a number; nil: a line. */
static lua_Integer check_what(lua_State *L, int at, const char *function, int index) {
  static const struct {
    const char *name;
    int what;
  } names[] = {{"l", LINE}, {"line", LINE}, {"L", LINE_WITH_END}, {"a", ALL}};
  struct mb_heap *h = mb_heap_of(L);
  if (lua_isnoneornil(L, at)) return LINE;
  if (lua_type(L, at) == LUA_TNUMBER) {
    int ok;
    lua_Integer n = lua_tointegerx(L, at, &ok);
    if (ok && n >= 0 && n <= MOST_BYTES) return n;
  } else if (lua_type(L, at) == LUA_TSTRING) {
    const char *name = lua_tostring(L, at);
    if (*name == '*') name++;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
      if (strcmp(names[i].name, name) == 0) return names[i].what;
  }
  return mb_bad_argument(h, L, function, index, "a number of bytes, \"line\", \"L\" or \"a\" expected, got %s",
                         mb_push_shown(h, L, at));
}

static int file_read(lua_State *L) {
  lua_Integer what;
  uint64_t deadline;
  check_file(L, READ);
  what = check_what(L, 2, verbs[READ].name, 1);
  lua_settop(L, 3);
  deadline = mb_check_deadline(mb_heap_of(L), L, 3, verbs[READ].name, 2, MB_TIMEOUT_OPTIONAL);
  lua_settop(L, 1);
  lua_pushinteger(L, what);
  lua_pushinteger(L, (lua_Integer)deadline);
  return start(L, READ);
}

static int file_write(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  check_file(L, WRITE);
  for (int i = 2; i <= lua_gettop(L); i++) mb_check_data(h, L, i, verbs[WRITE].name, i - 1);
  return start(L, WRITE);
}

static int file_pread(lua_State *L) {
  check_file(L, PREAD);
  check_count(L, 2, PREAD, MOST_BYTES, "a number of bytes");
  check_count(L, 3, PREAD, INT64_MAX, "an offset, an integer >= 0,");
  return start(L, PREAD);
}

static int file_pwrite(lua_State *L) {
  check_file(L, PWRITE);
  mb_check_data(mb_heap_of(L), L, 2, verbs[PWRITE].name, 1);
  check_count(L, 3, PWRITE, INT64_MAX, "an offset, an integer >= 0,");
  return start(L, PWRITE);
}

static int file_seek(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  int ok = 1;
  check_file(L, SEEK);
  lua_settop(L, 3);
  if (lua_isnil(L, 2)) {
    lua_pushliteral(L, "cur");
    lua_replace(L, 2);
  }
  if (lua_isnil(L, 3)) {
    lua_pushinteger(L, 0);
    lua_replace(L, 3);
  }
  if (lua_type(L, 2) != LUA_TSTRING ||
      (strcmp(lua_tostring(L, 2), "set") != 0 && strcmp(lua_tostring(L, 2), "cur") != 0 && strcmp(lua_tostring(L, 2), "end") != 0))
    mb_bad_argument(h, L, verbs[SEEK].name, 1, "\"set\", \"cur\" or \"end\" expected, got %s", mb_push_shown(h, L, 2));
  (void)lua_tointegerx(L, 3, &ok);
  if (!ok || lua_type(L, 3) != LUA_TNUMBER)
    mb_bad_argument(h, L, verbs[SEEK].name, 2, "an offset, an integer, expected, got %s", mb_push_shown(h, L, 3));
  return start(L, SEEK);
}

static int file_sync(lua_State *L) {
  check_file(L, SYNC);
  return start(L, SYNC);
}

static int file_datasync(lua_State *L) {
  check_file(L, DATASYNC);
  return start(L, DATASYNC);
}

static int file_truncate(lua_State *L) {
  check_file(L, TRUNCATE);
  check_count(L, 2, TRUNCATE, INT64_MAX, "a size, an integer >= 0,");
  return start(L, TRUNCATE);
}

static int file_stat(lua_State *L) {
  check_file(L, STAT);
  return start(L, STAT);
}

static int file_lock(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  int operation = 0;
  uint64_t deadline;
  check_file(L, LOCK);
  lua_settop(L, 3);
  if (lua_type(L, 2) == LUA_TSTRING)
    operation = strcmp(lua_tostring(L, 2), "exclusive") == 0 ? LOCK_EX : strcmp(lua_tostring(L, 2), "shared") == 0 ? LOCK_SH : 0;
  if (!operation)
    mb_bad_argument(h, L, verbs[LOCK].name, 1, "\"exclusive\" or \"shared\" expected, got %s", mb_push_shown(h, L, 2));
  deadline = mb_check_deadline(h, L, 3, verbs[LOCK].name, 2, MB_TIMEOUT_OPTIONAL);
  lua_settop(L, 1);
  lua_pushinteger(L, operation);
  lua_pushinteger(L, (lua_Integer)deadline);
  lua_pushinteger(L, SHORTEST_PAUSE);
  return start(L, LOCK);
}

static int file_unlock(lua_State *L) {
  check_file(L, UNLOCK);
  return start(L, UNLOCK);
}

/* close, and the end of a to-be-closed variable: where nothing may wait, it is closed in the background. */
static int file_close(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_file **box = to_file(L, 1);
  if (!box) mb_bad_type(h, L, verbs[CLOSE].name, 0, "file", 1);
  if (*box && !mb_can_wait(h, L)) mb_file_close(*box);
  if (!*box || !mb_can_wait(h, L) || (!(*box)->step && (*box)->fd < 0)) {
    lua_pushboolean(L, 1);
    return 1;
  }
  check_file(L, CLOSE);
  return start(L, CLOSE);
}

/* Lines */

enum { UPVALUE_FILE = 2, UPVALUE_WHAT = 3 };

/* What go has brought; failures raise, but for the end. */
static int line_read(lua_State *L, int status, lua_KContext context) {
  (void)status;
  (void)context;
  if (lua_isnil(L, 1) && strcmp(lua_tostring(L, 3), "EOF") != 0)
    return mb_raise(mb_heap_of(L), L, "file:lines: %s", lua_tostring(L, 2));
  lua_settop(L, 1);
  return 1;
}

static int read_on(lua_State *L) { return start(L, READ); }

/* The next line, or whatever it was made for. What can be had without waiting is taken here, and the next block read meanwhile. */
static int next_line(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_file *f = *(struct mb_file **)lua_touserdata(L, lua_upvalueindex(UPVALUE_FILE));
  lua_Integer what = lua_tointeger(L, lua_upvalueindex(UPVALUE_WHAT));
  struct mb_process *p = mb_current(h, L);
  if (!f || (f->fd < 0 && !f->step)) refuse_closed(h, L, READ, f);
  if (f->owner != mb_pid_of(p)) refuse_stranger(h, L, READ, f);
  if (what == LINE || what == LINE_WITH_END) {
    if (push_line(L, f, what == LINE_WITH_END)) return mb_worked(h, L, p, MB_COST_MESSAGE, 1);
    if (!f->step && f->got && mb_file_absorb(f) == 0) {
      int has = push_line(L, f, what == LINE_WITH_END);
      if (f->seekable && f->full) (void)begin_block(L, f);
      if (has) return mb_worked(h, L, p, MB_COST_MESSAGE, 1);
    }
  }
  lua_settop(L, 0);
  lua_pushlightuserdata(L, h);
  lua_pushcclosure(L, read_on, 1);
  lua_pushvalue(L, lua_upvalueindex(UPVALUE_FILE));
  lua_pushvalue(L, lua_upvalueindex(UPVALUE_WHAT));
  lua_callk(L, 2, 3, 0, line_read);
  return line_read(L, LUA_OK, 0);
}

static int file_lines(lua_State *L) {
  lua_Integer what;
  check_file(L, READ);
  what = check_what(L, 2, "file:lines", 1);
  lua_pushlightuserdata(L, mb_heap_of(L));
  lua_pushvalue(L, 1);
  lua_pushinteger(L, what);
  lua_pushcclosure(L, next_line, 3);
  return 1;
}

static int file_tostring(lua_State *L) {
  struct mb_file **box = to_file(L, 1);
  if (!box || !*box || (*box)->fd < 0)
    lua_pushliteral(L, "file (closed)");
  else
    lua_pushfstring(L, "file (%s)", (*box)->path);
  return 1;
}

static int file_collect(lua_State *L) {
  struct mb_heap *h = mb_any_heap_of(L);
  struct mb_file **box = to_file(L, 1), *f = box ? *box : NULL;
  if (!f) return 0;
  *box = NULL;
  mb_file_collect(f, h->scheduler != NULL);
  return 0;
}

/* Opening */

/* flags of open(2) for a mode as io.open's, or with "x": a new file. -1: it is none. */
static int flags_of(const char *mode) {
  int plus = 0, first = *mode;
  if (!first) return -1;
  if (first == 'w' && mode[1] == 'x') first = *++mode;
  for (const char *c = mode + 1; *c; c++) {
    if (*c == '+' && !plus)
      plus = 1;
    else if (*c != 'b' || c[1])
      return -1;
  }
  switch (first) {
    case 'r': return plus ? O_RDWR : O_RDONLY;
    case 'w': return (plus ? O_RDWR : O_WRONLY) | O_CREAT | O_TRUNC;
    case 'a': return (plus ? O_RDWR : O_WRONLY) | O_CREAT | O_APPEND;
    case 'x': return (plus ? O_RDWR : O_WRONLY) | O_CREAT | O_EXCL;
    default: return -1;
  }
}

/* The file's userdata is the only thing on the stack. */
static struct mb_file *new_file(struct mb_heap *h, lua_State *L, const char *path, int at) {
  struct mb_process *p = mb_current(h, L);
  struct mb_file **box, *f;
  if (!mb_can_wait(h, L)) mb_cannot_wait(h, L, p);
  box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  push_metatable(L);
  lua_setmetatable(L, -2);
  f = *box = mb_file_new(h->scheduler, path);
  if (!f) mb_no_memory(L);
  f->box = box;
  lua_replace(L, at);
  lua_settop(L, at);
  mb_file_hold(f, p);
  return f;
}

/* open(path, mode, permissions) -> file */
static int fs_open(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  const char *path = mb_check_path(h, L, 1, "fs.open", 1);
  int flags = O_RDONLY, permissions = mb_check_permissions(h, L, 3, "fs.open", 3);
  struct mb_file *f;
  if (!lua_isnoneornil(L, 2)) {
    flags = lua_type(L, 2) == LUA_TSTRING ? flags_of(lua_tostring(L, 2)) : -1;
    if (flags < 0)
      mb_bad_argument(h, L, "fs.open", 2, "mode \"r\", \"w\", \"a\" or \"x\", with \"+\" or without, expected, got %s",
                      mb_push_shown(h, L, 2));
  }
  f = new_file(h, L, path, 1);
  lua_pushinteger(L, SHORTEST_PAUSE);
  f->flags = flags;
  f->append = (flags & O_APPEND) != 0;
  f->mode = permissions < 0 ? 0666 : permissions;
  return start(L, OPEN);
}

/* mkstemp(template) -> file, path */
static int fs_mkstemp(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  const char *path = mb_check_path(h, L, 1, "fs.mkstemp", 1);
  new_file(h, L, path, 1)->flag = 1;
  lua_pushinteger(L, SHORTEST_PAUSE);
  return start(L, OPEN);
}

void mb_open_file(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"open", fs_open}, {"mkstemp", fs_mkstemp}, {NULL, NULL}};
  static const luaL_Reg methods[] = {{"read", file_read},         {"write", file_write},       {"pread", file_pread},
                                     {"pwrite", file_pwrite},     {"seek", file_seek},         {"sync", file_sync},
                                     {"datasync", file_datasync}, {"truncate", file_truncate}, {"stat", file_stat},
                                     {"lock", file_lock},         {"unlock", file_unlock},     {"close", file_close},
                                     {"lines", file_lines},       {NULL, NULL}};
  static const luaL_Reg events[] = {
      {"__gc", file_collect}, {"__close", file_close}, {"__tostring", file_tostring}, {NULL, NULL}};
  mb_set_functions(h, L, functions);
  lua_newtable(L);
  mb_set_functions(h, L, events);
  lua_newtable(L);
  mb_set_functions(h, L, methods);
  lua_setfield(L, -2, "__index");
  lua_pushliteral(L, "moonbeam.file");
  lua_setfield(L, -2, "__name");
  lua_pushliteral(L, "a file belongs to the process that opened it: send its path, or what is read from it");
  lua_setfield(L, -2, "__stays");
  lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable_key);
}

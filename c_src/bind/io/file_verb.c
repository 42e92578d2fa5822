#include "io/file_verb.h"

#include <string.h>
#include <sys/file.h>

#include "heap/errors.h"
#include "io/failure.h"
#include "io/fs.h"
#include "io/path.h"
#include "io/waiter.h"

/* What a verb's function returns instead of a number of results: it has begun a step; it is to be called again at
 * f->until. */
enum { BEGUN = -1, PAUSE = -2 };

enum { FIRST_ROOM = 1 << 20, LONGEST_PAUSE = 32000000 };

static int failure(lua_State *L, const struct mb_file *f, int64_t error) {
  return mb_path_failure(L, error, f->path, NULL);
}

static int end_of_file(lua_State *L) { return mb_failure(L, UV_EOF); }

static int begin(struct mb_file *f, enum mb_file_step step) {
  mb_file_begin(f, step);
  return BEGUN;
}

/* Be called again when the pause at stack index `at` is over, ns, or the deadline, if there is one; the next one is
 * longer. */
static int pause_for(lua_State *L, struct mb_file *f, uint64_t deadline, int at) {
  lua_Integer pause = lua_tointeger(L, at);
  f->until = mb_now(mb_heap_of(L)->runtime) + (uint64_t)pause;
  if (deadline && deadline < f->until) f->until = deadline;
  lua_pushinteger(L, pause * 2 < LONGEST_PAUSE ? pause * 2 : LONGEST_PAUSE);
  lua_replace(L, at);
  return PAUSE;
}

/* Verbs. `begun`: a step of theirs has been made. */

static int open_file(lua_State *L, struct mb_file *f, int begun) {
  if (!begun) return begin(f, MB_FILE_OPEN);
  if (f->result == UV_EAGAIN) return pause_for(L, f, 0, 2); /* nobody tells when a pipe gets a reader */
  if (f->result < 0) return failure(L, f, f->result);
  lua_pushvalue(L, 1);
  if (!f->flag) return 1;
  lua_pushstring(L, f->path);
  return 2;
}

enum amount { WHAT_COMES, ALL_OF_IT };

static int begin_read(lua_State *L, struct mb_file *f, size_t want, enum amount amount) {
  f->block_start = MB_FILE_HEADROOM;
  f->at = f->position + (int64_t)mb_file_available(f);
  f->want = want;
  f->flag = amount == WHAT_COMES;
  if (mb_file_reserve(f, MB_FILE_HEADROOM + (want < FIRST_ROOM ? want : FIRST_ROOM)) != 0) return mb_no_memory(L);
  return begin(f, MB_FILE_READ);
}

static int begin_block(lua_State *L, struct mb_file *f) {
  size_t want = mb_file_available(f);
  if (want < MB_FILE_BLOCK) want = MB_FILE_BLOCK;
  return begin_read(L, f, want < FIRST_ROOM ? want : FIRST_ROOM, WHAT_COMES);
}

void mb_file_read_ahead(lua_State *L, struct mb_file *f) { (void)begin_block(L, f); }

/* Push the next n bytes that are ahead. */
static int push_bytes(lua_State *L, struct mb_file *f, size_t n) {
  lua_pushlstring(L, n ? f->ahead + f->start : "", n);
  mb_file_take(f, n);
  return 1;
}

int mb_file_push_line(lua_State *L, struct mb_file *f, enum mb_read_what what) {
  size_t available = mb_file_available(f);
  const char *from = f->ahead + f->start, *end;
  if (available == f->searched) return 0;
  end = memchr(from + f->searched, '\n', available - f->searched);
  if (!end) {
    f->searched = available;
    return 0;
  }
  lua_pushlstring(L, from, (size_t)(end - from) + (what == MB_READ_LINE_WITH_END ? 1 : 0));
  mb_file_take(f, (size_t)(end - from) + 1);
  return 1;
}

static int read_what(lua_State *L, struct mb_file *f, lua_Integer what, int begun) {
  size_t available = mb_file_available(f), want = (size_t)what - available;
  int ended = begun && f->ended;
  if (begun && f->result < 0) return failure(L, f, f->result);
  if (what == MB_READ_LINE || what == MB_READ_LINE_WITH_END) {
    if (mb_file_push_line(L, f, (enum mb_read_what)what)) return 1;
  } else if (what == MB_READ_ALL) {
    if (ended) return push_bytes(L, f, available);
    want = SIZE_MAX / 4;
  } else if ((size_t)what <= available && available) {
    return push_bytes(L, f, (size_t)what);
  }
  if (ended) return available ? push_bytes(L, f, available) : end_of_file(L);
  /* What comes from a pipe comes in pieces. */
  return (what == MB_READ_ALL || what > 0) && !f->waits ? begin_read(L, f, want, ALL_OF_IT) : begin_block(L, f);
}

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

static int pwrite_file(lua_State *L, struct mb_file *f, int begun) {
  if (!f->seekable) return failure(L, f, UV_ESPIPE);
  if (!begun) return write_at(L, f, 2, lua_tointeger(L, 3), MB_FILE_PWRITE);
  if (f->result < 0) return failure(L, f, f->result);
  lua_pushvalue(L, 1);
  return 1;
}

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

/* Whoever has the lock may be any program, which tells nobody when it gives it up; a thread that waited in flock itself
 * could not be called back from there, and four of them would be all that the pool has. */
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
} verbs[MB_FILE_VERBS] = {
  [MB_VERB_OPEN] = {"fs.open", open_file},
  [MB_VERB_READ] = {"file:read", read_file},
  [MB_VERB_WRITE] = {"file:write", write_file},
  [MB_VERB_SEEK] = {"file:seek", seek_file},
  [MB_VERB_PREAD] = {"file:pread", pread_file},
  [MB_VERB_PWRITE] = {"file:pwrite", pwrite_file},
  [MB_VERB_SYNC] = {"file:sync", sync_file},
  [MB_VERB_DATASYNC] = {"file:datasync", datasync_file},
  [MB_VERB_TRUNCATE] = {"file:truncate", truncate_file},
  [MB_VERB_STAT] = {"file:stat", stat_file},
  [MB_VERB_LOCK] = {"file:lock", lock_file},
  [MB_VERB_UNLOCK] = {"file:unlock", unlock_file},
  [MB_VERB_CLOSE] = {"file:close", close_file},
};

const char *mb_file_verb_name(enum mb_file_verb verb) { return verbs[verb].name; }

int mb_file_refuse_closed(struct mb_heap *h, lua_State *L, enum mb_file_verb verb, const struct mb_file *f) {
  return mb_raise(h, L, "%s: the file %s is closed", verbs[verb].name, f ? f->path : "");
}

/* Stack: the file, then what the verb is given. context: the verb, and whether it has begun a step. */
static int go(lua_State *L, int status, lua_KContext context) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_file *f = *(struct mb_file **)lua_touserdata(L, 1);
  enum mb_file_verb verb = (enum mb_file_verb)(context >> 1);
  int begun = context & 1;
  (void)status;
  for (;;) {
    struct mb_process *p = mb_current_still(h, L);
    uint64_t until = 0;
    if (!begun) mb_file_forget(f);
    if (!f->step && begun && f->result == UV_EAGAIN && (verb == MB_VERB_READ || verb == MB_VERB_WRITE)) {
      mb_file_go_on(f);
    } else if (!f->step) {
      int results;
      if (mb_file_absorb(f) != 0) return mb_no_memory(L);
      if (!begun && f->fd < 0 && verb != MB_VERB_OPEN && verb != MB_VERB_CLOSE)
        return mb_file_refuse_closed(h, L, verb, f);
      results = verbs[verb].go(L, f, begun);
      if (results >= 0) return mb_worked(h, L, p, MB_COST_MESSAGE, results);
      begun = results == BEGUN;
      if (!begun) until = f->until;
    }
    if (!f->step && !until) continue; /* it has failed at once */
    if (f->step == MB_FILE_AWAIT && verb == MB_VERB_READ) {
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

int mb_file_do(lua_State *L, enum mb_file_verb verb) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  if (!mb_can_wait(h, L)) mb_cannot_wait(h, L, p);
  return go(L, LUA_OK, (lua_KContext)verb << 1);
}

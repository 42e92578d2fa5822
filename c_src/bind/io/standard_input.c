#include "io/standard_input.h"

#include <ctype.h>
#include <errno.h>
#include <locale.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec/buffer.h"
#include "heap/errors.h"
#include "io/standard_output.h"

enum {
  SHORT_LINE = 1024,
  LONGEST_NUMBER = 200, /* characters, as in the library */
  MOST_AT_ONCE = 1 << 20,
  BLOCK = 65536,
  IN_BACKUP = 0x100 /* glibc: what is read next has been put back, and stands elsewhere */
};

static struct {
  pthread_mutex_t mutex; /* guards what is here, with stdin's own lock: see lock */
  struct mb_buffer ahead;
  size_t lineless; /* so many bytes of it have no newline among them */
} in = {.mutex = PTHREAD_MUTEX_INITIALIZER};

/* Lock standard input, unless another thread is in the library with it: nobody waits for that with the mutex. */
static int lock(void) {
  pthread_mutex_lock(&in.mutex);
  if (ftrylockfile(stdin) == 0) return 1;
  pthread_mutex_unlock(&in.mutex);
  return 0;
}

static void unlock(void) {
  funlockfile(stdin);
  pthread_mutex_unlock(&in.mutex);
}

/* A call that reads: what it has looked at so far. stdin is locked. */
struct reading {
  size_t at;     /* in `ahead`: behind what it has read */
  size_t pulled; /* how much has been taken from stdio and the system */
  int ended;     /* the end has been seen: it stays the end for this call */
  int error;     /* errno */
};

/* What a format has read. */
struct piece {
  size_t from, to;
  enum { TEXT, NUMBER } what;
};

enum { FOUND = 1, AT_END = 0 }; /* else MB_STDIN_LATE, MB_STDIN_MORE, or: */
enum { FAILED = -4, NO_MEMORY = -5 };

const struct mb_ready_stream mb_stdin_stream = {.fd = STDIN_FILENO};

int mb_stdin_is_slow(void) {
  struct stat st;
  return fstat(STDIN_FILENO, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) && !S_ISBLK(st.st_mode);
}

/* stdio's own bytes. */
static size_t buffered(void) { return (size_t)(stdin->_IO_read_end - stdin->_IO_read_ptr); }
static int is_put_back(void) { return (stdin->_flags & IN_BACKUP) != 0; }

/* Let stdio have some, when the system does. */
static int fill(struct reading *r) {
  int c;
  if (r->ended) return AT_END;
  mb_stdout_prompt();
  if (!is_put_back() && mb_ready_is_late(STDIN_FILENO)) return MB_STDIN_LATE;
  c = getc_unlocked(stdin);
  if (c != EOF) {
    ungetc(c, stdin);
    return FOUND;
  }
  if (!ferror(stdin)) {
    r->ended = 1;
    return AT_END;
  }
  r->error = errno;
  clearerr_unlocked(stdin);
  return r->error == EAGAIN ? MB_STDIN_LATE : FAILED; /* somebody else has been faster */
}

/* Read past stdio, which has nothing. */
static int read_block(struct reading *r, size_t most) {
  ssize_t n;
  if (mb_ready_is_late(STDIN_FILENO)) return MB_STDIN_LATE;
  if (!mb_buffer_reserve(&in.ahead, most)) return NO_MEMORY;
  n = read(STDIN_FILENO, in.ahead.bytes + in.ahead.size, most);
  if (n > 0) {
    in.ahead.size += (size_t)n;
    r->pulled += (size_t)n;
    return FOUND;
  }
  if (n == 0) {
    r->ended = 1;
    return AT_END;
  }
  r->error = errno;
  return errno == EAGAIN || errno == EINTR ? MB_STDIN_LATE : FAILED;
}

/* Take up to `most` bytes more, and none behind a newline, if `line`. */
static int pull(struct reading *r, size_t most, int line) {
  size_t n;
  if (r->pulled >= MOST_AT_ONCE) return MB_STDIN_MORE;
  if (buffered() == 0) {
    int got;
    if (!line && most >= BUFSIZ && !r->ended && !is_put_back()) return read_block(r, most < BLOCK ? most : BLOCK);
    got = fill(r);
    if (got != FOUND) return got;
  }
  n = buffered() < most ? buffered() : most;
  if (line) {
    const char *end = memchr(stdin->_IO_read_ptr, '\n', n);
    if (end) n = (size_t)(end + 1 - stdin->_IO_read_ptr);
  }
  if (!mb_buffer_reserve(&in.ahead, n)) return NO_MEMORY;
  in.ahead.size += fread_unlocked(in.ahead.bytes + in.ahead.size, 1, n, stdin);
  r->pulled += n;
  return FOUND;
}

/* Let a byte be ahead at r->at. */
static int look(struct reading *r) { return r->at < in.ahead.size ? FOUND : pull(r, 1, 0); }

/* Formats: FOUND and the piece, or AT_END with what was there of it, or another value. */

static int read_line(struct reading *r, struct piece *p, int with_end) {
  for (size_t from = r->at > in.lineless ? r->at : in.lineless;;) {
    const unsigned char *end = in.ahead.size > from ? memchr(in.ahead.bytes + from, '\n', in.ahead.size - from) : NULL;
    int got;
    if (end) {
      size_t behind = (size_t)(end + 1 - in.ahead.bytes);
      *p = (struct piece){r->at, behind - (with_end ? 0 : 1), TEXT};
      r->at = behind;
      return FOUND;
    }
    from = in.ahead.size;
    if (r->at == 0) in.lineless = from;
    got = pull(r, SIZE_MAX, 1);
    if (got == FOUND) continue;
    if (got != AT_END) return got;
    *p = (struct piece){r->at, in.ahead.size, TEXT};
    r->at = in.ahead.size;
    return p->to > p->from ? FOUND : AT_END;
  }
}

static int read_count(struct reading *r, struct piece *p, size_t count) {
  while (in.ahead.size - r->at < count) {
    int got = pull(r, count - (in.ahead.size - r->at), 0);
    if (got == AT_END) break;
    if (got != FOUND) return got;
  }
  *p = (struct piece){r->at, in.ahead.size - r->at < count ? in.ahead.size : r->at + count, TEXT};
  r->at = p->to;
  return p->to > p->from ? FOUND : AT_END;
}

static int read_rest(struct reading *r, struct piece *p) {
  int got = read_count(r, p, SIZE_MAX / 4);
  return got == AT_END ? FOUND : got;
}

/* Whether there is a byte more. */
static int read_none(struct reading *r, struct piece *p) {
  *p = (struct piece){r->at, r->at, TEXT};
  return look(r);
}

/* The longest beginning of a numeral, which need not be one. */
struct numeral {
  struct reading *r;
  size_t from;
  int c;      /* the next character, EOF: there is none */
  int status; /* FOUND, or what keeps from going on */
  int too_long;
};

static void peek(struct numeral *n) {
  int got = look(n->r);
  n->c = got == FOUND ? in.ahead.bytes[n->r->at] : EOF;
  if (got != FOUND && got != AT_END) n->status = got;
}

static int take(struct numeral *n) {
  if (n->r->at - n->from >= LONGEST_NUMBER) {
    n->too_long = 1;
    return 0;
  }
  n->r->at++;
  peek(n);
  return 1;
}

static int take_one_of(struct numeral *n, int a, int b) { return (n->c == a || n->c == b) && take(n); }

static int take_digits(struct numeral *n, int hexadecimal) {
  int count = 0;
  while (n->c != EOF && (hexadecimal ? isxdigit(n->c) : isdigit(n->c)) && take(n)) count++;
  return count;
}

static int read_number(struct reading *r, struct piece *p) {
  struct numeral n = {.r = r, .status = FOUND};
  int hexadecimal = 0, digits = 0, whole = 1;
  for (peek(&n); n.c != EOF && isspace(n.c); peek(&n)) r->at++;
  n.from = r->at;
  take_one_of(&n, '-', '+');
  if (take_one_of(&n, '0', '0')) {
    hexadecimal = take_one_of(&n, 'x', 'X');
    digits = !hexadecimal;
  }
  digits += take_digits(&n, hexadecimal);
  if (take_one_of(&n, localeconv()->decimal_point[0], '.')) digits += take_digits(&n, hexadecimal);
  if (digits && take_one_of(&n, hexadecimal ? 'p' : 'e', hexadecimal ? 'P' : 'E')) {
    take_one_of(&n, '-', '+');
    whole = take_digits(&n, 0);
  }
  *p = (struct piece){n.from, r->at, NUMBER};
  if (n.status != FOUND) return n.status;
  return digits && whole && !n.too_long ? FOUND : AT_END;
}

/* A format, as the library reads it. */
enum format { BAD, LINE, LINE_WITH_END, NUMERAL, REST, COUNT };

static enum format format_at(lua_State *L, int at, size_t *count) {
  const char *name;
  int is;
  if (lua_type(L, at) == LUA_TNUMBER) {
    lua_Integer n = lua_tointegerx(L, at, &is);
    *count = (size_t)n;
    return is && n >= 0 && *count < SIZE_MAX / 4 ? COUNT : BAD;
  }
  if (lua_type(L, at) != LUA_TSTRING) return BAD;
  name = lua_tostring(L, at);
  if (*name == '*') name++;
  switch (*name) {
    case 'l': return LINE;
    case 'L': return LINE_WITH_END;
    case 'n': return NUMERAL;
    case 'a': return REST;
    default: return BAD;
  }
}

/* Raise what the library says of a format that format_at finds bad. */
static int raise_bad(lua_State *L, int at) {
  if (lua_type(L, at) == LUA_TNUMBER) {
    luaL_checkinteger(L, at);
    return mb_no_memory(L);
  }
  luaL_checkstring(L, at);
  return luaL_argerror(L, at, "invalid format");
}

static int read_format(struct reading *r, struct piece *p, enum format format, size_t count) {
  switch (format) {
    case LINE: case LINE_WITH_END: return read_line(r, p, format == LINE_WITH_END);
    case NUMERAL: return read_number(r, p);
    case REST: return read_rest(r, p);
    default: return count ? read_count(r, p, count) : read_none(r, p);
  }
}

/* The first n bytes are read: they are the caller's, and what is behind them stdio's again. */
static struct mb_buffer hand_over(size_t n) {
  struct mb_buffer bytes = in.ahead;
  while (bytes.size > n) ungetc(bytes.bytes[--bytes.size], stdin);
  in.ahead = (struct mb_buffer){0};
  in.lineless = 0;
  return bytes;
}

void mb_stdin_give_back(void) {
  struct mb_buffer bytes;
  flockfile(stdin);
  pthread_mutex_lock(&in.mutex);
  bytes = hand_over(0);
  unlock();
  mb_buffer_deinit(&bytes);
}

void mb_stdin_tell(void) {
  int left = 0;
  if (!mb_ready_is_awaited(STDIN_FILENO)) return;
  if (lock()) {
    left = buffered() > 0 || is_put_back();
    unlock();
  }
  if (left) mb_ready_tell(STDIN_FILENO);
}

/* A line that stdio has: most are so. Its length with the newline, copied to `line`; 0: it is not that simple. */
static size_t short_line(char line[SHORT_LINE]) {
  size_t n = 0;
  const char *end;
  if (!lock()) return 0;
  if (in.ahead.size == 0 && buffered() > 0) {
    n = buffered() < SHORT_LINE ? buffered() : SHORT_LINE;
    end = memchr(stdin->_IO_read_ptr, '\n', n);
    n = end ? fread_unlocked(line, 1, (size_t)(end + 1 - stdin->_IO_read_ptr), stdin) : 0;
  }
  unlock();
  return n;
}

int mb_stdin_read_line(lua_State *L, int first, int count) {
  char line[SHORT_LINE];
  size_t unused, size;
  enum format format = count == 0 ? LINE : count == 1 ? format_at(L, first, &unused) : BAD;
  if ((format != LINE && format != LINE_WITH_END) || !(size = short_line(line))) return 0;
  lua_pushlstring(L, line, size - (format == LINE));
  return 1;
}

static int free_bytes(lua_State *L) {
  mb_buffer_deinit(lua_touserdata(L, 1));
  return 0;
}

/* Push a userdata that frees a buffer. */
static struct mb_buffer *push_buffer(lua_State *L) {
  static const char key; /* its address is the key of the metatable */
  struct mb_buffer *b = lua_newuserdatauv(L, sizeof *b, 0);
  *b = (struct mb_buffer){0};
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &key) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, free_bytes);
    lua_setfield(L, -2, "__gc");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
  }
  lua_setmetatable(L, -2);
  return b;
}

static void push_piece(lua_State *L, const struct mb_buffer *bytes, const struct piece *p) {
  lua_pushlstring(L, p->to > p->from ? (const char *)bytes->bytes + p->from : "", p->to - p->from);
  if (p->what == TEXT) return;
  if (lua_stringtonumber(L, lua_tostring(L, -1)))
    lua_remove(L, -2);
  else
    luaL_pushfail(L);
}

int mb_stdin_read(lua_State *L, int first, int count) {
  struct reading r = {0};
  struct piece *pieces;
  struct mb_buffer *bytes;
  int top = lua_gettop(L), made = 0, got = FOUND, bad = 0;
  luaL_checkstack(L, count + LUA_MINSTACK, "too many arguments");
  bytes = push_buffer(L);
  pieces = lua_newuserdatauv(L, (size_t)(count ? count : 1) * sizeof *pieces, 0);
  if (!lock()) {
    lua_settop(L, top);
    return MB_STDIN_BUSY;
  }
  clearerr_unlocked(stdin);
  do {
    size_t n = 0;
    enum format format = count ? format_at(L, first + made, &n) : LINE;
    bad = format == BAD ? first + made : 0;
    if (!bad) got = read_format(&r, &pieces[made], format, n);
    if (!bad && got >= 0) made++;
  } while (!bad && got == FOUND && made < count);
  if (got >= 0 || got == FAILED) *bytes = hand_over(got == FAILED ? in.ahead.size : r.at);
  unlock();
  if (bad) return raise_bad(L, bad);
  if (got == NO_MEMORY) return mb_no_memory(L);
  if (got == FAILED) {
    errno = r.error;
    return luaL_fileresult(L, 0, NULL);
  }
  if (got < 0) {
    lua_settop(L, top);
    return got;
  }
  for (int i = 0; i < made; i++) {
    if (i == made - 1 && got == AT_END)
      luaL_pushfail(L);
    else
      push_piece(L, bytes, &pieces[i]);
  }
  mb_buffer_deinit(bytes);
  return made;
}

/* The methods of connected sockets. See lua/moonbeam/net.lua for what they do. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "heap/errors.h"
#include "io/address.h"
#include "io/give.h"
#include "io/secure.h"
#include "io/socket.h"

enum {
  PIECE = 65536,         /* bytes that are queued at once */
  BYTES_A_REDUCTION = 256 /* so that a slice that moves bytes ends before the ticker sees it twice */
};

static unsigned cost_of(size_t bytes) { return MB_COST_MESSAGE + (unsigned)(bytes / BYTES_A_REDUCTION); }


/* recv */

enum what { SOME, EXACTLY, LINE, ALL };

static int push_line(lua_State *L, struct mb_socket *s, size_t length, size_t end) {
  const char *line = (const char *)s->bytes + s->start;
  lua_pushlstring(L, line, length > 0 && line[length - 1] == '\r' ? length - 1 : length);
  mb_socket_take(s, length + end);
  return 1;
}

static int push_bytes(lua_State *L, struct mb_socket *s, size_t n) {
  lua_pushlstring(L, n ? (const char *)s->bytes + s->start : "", n);
  mb_socket_take(s, n);
  return 1;
}

/* The results, which are pushed; 0: more has to arrive. */
static int take(lua_State *L, struct mb_socket *s, enum what what, size_t n) {
  const unsigned char *end;
  switch (what) {
    case SOME:
      if (s->size) return push_bytes(L, s, s->size);
      break;
    case EXACTLY:
      if (s->size >= n) return push_bytes(L, s, n);
      break;
    case LINE:
      end = s->size > s->scanned ? memchr(s->bytes + s->start + s->scanned, '\n', s->size - s->scanned) : NULL;
      if (end && (size_t)(end - s->bytes) - s->start <= s->line_limit)
        return push_line(L, s, (size_t)(end - s->bytes) - s->start, 1);
      s->scanned = s->size;
      if (s->size > s->line_limit) {
        char text[64];
        s->scanned = 0; /* the limit may be another one next time */
        snprintf(text, sizeof text, "line longer than %zu bytes", s->line_limit);
        return mb_failure_text(L, "EMSGSIZE", text);
      }
      if (s->ended == UV_EOF && s->size) return push_line(L, s, s->size, 0);
      break;
    case ALL:
      if (s->ended == UV_EOF) return push_bytes(L, s, s->size);
      break;
  }
  return s->ended ? mb_socket_failure(L, s, s->ended) : 0;
}

/* The same after reading what there is more, if anything. */
static int take_more(lua_State *L, struct mb_socket *s, enum what what, size_t n) {
  size_t got;
  int results = 0;
  while (!results && (got = mb_socket_read_now(s)) > 0) {
    if (what == SOME) { /* nothing is unread */
      lua_pushlstring(L, (const char *)s->object.io->loop->buffer, got);
      return 1;
    }
    results = mb_socket_put(s, s->object.io->loop->buffer, got) == 0 ? take(L, s, what, n) : mb_failure(L, UV_ENOMEM);
  }
  return results;
}

/* How many bytes may be unread while somebody waits for this. */
static size_t bound_for(const struct mb_socket *s, enum what what, size_t n) {
  size_t most = what == EXACTLY ? n : what == LINE ? s->line_limit + 2 : what == ALL ? SIZE_MAX : 0;
  return most > s->high_water ? most : s->high_water;
}

/* The results of a call, which are on the top of the stack. */
static int received(struct mb_heap *h, lua_State *L, struct mb_socket *s, struct mb_process *p, int results) {
  mb_socket_waited(s);
  if (!s->more) mb_socket_read(s, s->high_water); /* else the next call reads by itself */
  return mb_worked(h, L, p, cost_of(lua_rawlen(L, -1)), results);
}

/* Stack: 1 socket, 2 what, 3 how many. */
static int receive_on(lua_State *L, int status, lua_KContext deadline) {
  struct mb_heap *h = mb_heap_of(L);
  int waited = status == LUA_YIELD;
  for (;;) {
    struct mb_process *p = mb_current_still(h, L);
    struct mb_socket *s = (struct mb_socket *)mb_object_own(h, L, p, "recv");
    enum what what = (enum what)lua_tointeger(L, 2);
    size_t n = (size_t)lua_tointeger(L, 3);
    int results;
    if (!s) return mb_object_gone(L, waited);
    results = mb_secure(h, L, s, p, (uint64_t)deadline, receive_on);
    if (results < 0) return -results;
    if (!results) {
      waited = 1;
      continue;
    }
    results = take(L, s, what, n);
    if (!results) results = take_more(L, s, what, n);
    if (!results && mb_deadline_passed(h, (uint64_t)deadline)) results = mb_failure(L, UV_ETIMEDOUT);
    if (results) return received(h, L, s, p, results);
    mb_socket_read(s, bound_for(s, what, n));
    if (s->ended) continue;
    uv_ref(&s->uv.handle);
    waited = 1;
    mb_object_wait(h, L, &s->object, p, (uint64_t)deadline, receive_on);
  }
}

static enum what check_what(struct mb_heap *h, lua_State *L, lua_Integer *n) {
  *n = 0;
  if (lua_isnoneornil(L, 2)) return SOME;
  if (lua_type(L, 2) == LUA_TNUMBER) {
    int ok;
    *n = lua_tointegerx(L, 2, &ok);
    if (!ok || *n < 0)
      mb_bad_argument(h, L, "recv", 1, "number of bytes >= 0 expected, got %s", luaL_tolstring(L, 2, NULL));
    return EXACTLY;
  }
  if (lua_type(L, 2) == LUA_TSTRING) {
    const char *what = lua_tostring(L, 2);
    if (*what == '*') what++;
    if (*what == 'l' && (!what[1] || strcmp(what, "line") == 0)) return LINE;
    if (strcmp(what, "a") == 0 || strcmp(what, "all") == 0) return ALL;
    mb_bad_argument(h, L, "recv", 1, "a number of bytes, \"line\" or \"*a\" expected, got \"%s\"", lua_tostring(L, 2));
  }
  mb_bad_type(h, L, "recv", 1, "a number of bytes, \"line\", \"*a\" or nil", 2);
  return SOME;
}

static int receive(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  struct mb_socket *s = (struct mb_socket *)mb_object_own(h, L, p, "recv");
  lua_Integer n;
  enum what what;
  uint64_t deadline;
  lua_settop(L, 3);
  what = check_what(h, L, &n);
  deadline = mb_check_deadline(h, L, 3, "recv", 2, MB_TIMEOUT_OPTIONAL);
  if (s && s->active)
    mb_raise(h, L, "recv: the socket is active: what arrives comes as messages; socket:active(false) first");
  if (s && !s->tls && !s->giving && s->size) { /* the short way: nothing has to be waited for */
    int results = take(L, s, what, (size_t)n);
    if (results) return received(h, L, s, p, results);
  }
  lua_settop(L, 1);
  lua_pushinteger(L, what);
  lua_pushinteger(L, n);
  return receive_on(L, LUA_OK, (lua_KContext)deadline);
}

/* send */

static int sent_failure(lua_State *L, const struct mb_socket *s, int error, size_t taken) {
  (void)mb_socket_failure(L, s, error);
  lua_pushinteger(L, (lua_Integer)taken);
  return 4;
}

/* Stack: 1 socket, 2 text, 3 how many bytes of it have been taken. What does not fit in a queue waits for the end of
 * that: then the kernel takes it from the text itself, and only the rest is copied. */
static int send_on(lua_State *L, int status, lua_KContext deadline) {
  struct mb_heap *h = mb_heap_of(L);
  int waited = status == LUA_YIELD;
  for (;;) {
    struct mb_process *p = mb_current_still(h, L);
    struct mb_socket *s = (struct mb_socket *)mb_object_own(h, L, p, "send");
    size_t size, taken = (size_t)lua_tointeger(L, 3);
    const char *text = lua_tolstring(L, 2, &size);
    int error = s ? s->broken : 0, ready, fits;
    if (!s) return mb_object_gone(L, waited);
    ready = mb_secure(h, L, s, p, (uint64_t)deadline, send_on);
    if (ready < 0) {
      lua_pushinteger(L, 0);
      return -ready + 1;
    }
    if (!ready) {
      waited = 1;
      continue;
    }
    if (!error && s->shut) error = UV_EPIPE;
    fits = mb_socket_queued(s) == 0 || mb_socket_queued(s) + size - taken <= s->high_water;
    if (!error && taken < size && mb_socket_queued(s) == 0) {
      long n = mb_socket_write_now(s, text + taken, size - taken);
      if (n < 0)
        error = (int)n;
      else
        taken += (size_t)n;
    }
    while (!error && fits && taken < size && mb_socket_queued(s) < s->high_water) {
      size_t piece = size - taken < PIECE ? size - taken : PIECE;
      error = mb_socket_queue(s, text + taken, piece);
      if (!error) taken += piece;
    }
    if (!error && taken < size && mb_deadline_passed(h, (uint64_t)deadline)) error = UV_ETIMEDOUT;
    if (error || taken == size) {
      mb_socket_waited(s);
      if (error) return sent_failure(L, s, error, taken);
      lua_pushboolean(L, 1);
      return mb_worked(h, L, p, cost_of(size), 1);
    }
    lua_pushinteger(L, (lua_Integer)taken);
    lua_replace(L, 3);
    uv_ref(&s->uv.handle);
    waited = 1;
    mb_object_wait(h, L, &s->object, p, (uint64_t)deadline, send_on);
  }
}

/* Replace the sequence of strings at `index` by one string. */
static void join(struct mb_heap *h, lua_State *L, int index) {
  luaL_Buffer text;
  lua_Integer n = (lua_Integer)lua_rawlen(L, index);
  luaL_buffinit(L, &text);
  for (lua_Integer i = 1; i <= n; i++) {
    int type = lua_rawgeti(L, index, i);
    if (type != LUA_TSTRING && type != LUA_TNUMBER) mb_bad_argument(h, L, "send", 1, "item %I is a %s, not a string",
                                                                   (LUAI_UACINT)i, lua_typename(L, type));
    luaL_addvalue(&text);
  }
  luaL_pushresult(&text);
  lua_replace(L, index);
}

static int do_send(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  uint64_t deadline = lua_isnoneornil(L, 3) ? 0 : mb_check_deadline(h, L, 3, "send", 2, MB_TIMEOUT_OPTIONAL);
  (void)mb_current(h, L);
  lua_settop(L, 2);
  if (lua_istable(L, 2))
    join(h, L, 2);
  else if (lua_type(L, 2) != LUA_TSTRING && lua_type(L, 2) != LUA_TNUMBER)
    mb_bad_type(h, L, "send", 1, "string or sequence of strings", 2);
  (void)lua_tostring(L, 2);
  lua_pushinteger(L, 0);
  return send_on(L, LUA_OK, (lua_KContext)deadline);
}

/* The others */

static int result(lua_State *L, int error) {
  if (error) return mb_failure(L, error);
  lua_pushboolean(L, 1);
  return 1;
}

/* Stack: 1 socket. */
static int flush_on(lua_State *L, int status, lua_KContext deadline) {
  struct mb_heap *h = mb_heap_of(L);
  int waited = status == LUA_YIELD;
  for (;;) {
    struct mb_process *p = mb_current_still(h, L);
    struct mb_socket *s = (struct mb_socket *)mb_object_own(h, L, p, "flush");
    int error = s ? s->broken : 0;
    if (!s) return mb_object_gone(L, waited);
    if (!error && mb_socket_queued(s) && mb_deadline_passed(h, (uint64_t)deadline)) error = UV_ETIMEDOUT;
    if (error || !mb_socket_queued(s)) {
      mb_socket_waited(s);
      return error ? mb_socket_failure(L, s, error) : mb_worked(h, L, p, MB_COST_MESSAGE, result(L, 0));
    }
    uv_ref(&s->uv.handle);
    waited = 1;
    mb_object_wait(h, L, &s->object, p, (uint64_t)deadline, flush_on);
  }
}

static int do_flush(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  uint64_t deadline = mb_check_deadline(h, L, 2, "flush", 1, MB_TIMEOUT_OPTIONAL);
  (void)mb_current(h, L);
  lua_settop(L, 1);
  return flush_on(L, LUA_OK, (lua_KContext)deadline);
}

/* Stack: 1 socket. */
static int shutdown_on(lua_State *L, int status, lua_KContext unused) {
  struct mb_heap *h = mb_heap_of(L);
  for (int waited = status == LUA_YIELD;; waited = 1) {
    struct mb_process *p = mb_current_still(h, L);
    struct mb_socket *s = (struct mb_socket *)mb_object_own(h, L, p, "shutdown");
    int ready, error;
    if (!s) return mb_object_gone(L, waited);
    ready = mb_secure(h, L, s, p, (uint64_t)unused, shutdown_on);
    if (ready < 0) return -ready;
    if (!ready) continue;
    error = mb_socket_shutdown(s);
    return error ? mb_socket_failure(L, s, error) : result(L, 0);
  }
}

static int do_shutdown(lua_State *L) {
  (void)mb_current(mb_heap_of(L), L);
  lua_settop(L, 1);
  return shutdown_on(L, LUA_OK, 0);
}

static int push_name(lua_State *L, const char *method, int peer) {
  struct mb_socket *s = (struct mb_socket *)mb_object_check(L, method);
  struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
  socklen_t size = sizeof address;
  uv_os_fd_t fd;
  int error;
  if (!s || s->object.closed) return mb_object_gone(L, 0);
  error = uv_fileno(&s->uv.handle, &fd);
  if (error) return mb_failure(L, error);
  if ((peer ? getpeername : getsockname)(fd, (struct sockaddr *)&address, &size) != 0)
    return mb_failure(L, uv_translate_sys_error(errno));
  mb_address_push(mb_heap_of(L), L, (struct sockaddr *)&address, size);
  return 1;
}

static int peername(lua_State *L) { return push_name(L, "peername", 1); }
static int sockname(lua_State *L) { return push_name(L, "sockname", 0); }

/* The mode at a stack index; raises. */
static int check_active(struct mb_heap *h, lua_State *L, int at, const char *function, int *counts) {
  int ok;
  lua_Integer n;
  *counts = 0;
  if (lua_isboolean(L, at)) return lua_toboolean(L, at) ? MB_ACTIVE_ALWAYS : 0;
  if (lua_type(L, at) == LUA_TSTRING && strcmp(lua_tostring(L, at), "once") == 0) return 1;
  n = lua_tointegerx(L, at, &ok);
  *counts = 1;
  if (lua_type(L, at) != LUA_TNUMBER || !ok || n < 1 || n > 32767)
    mb_bad_argument(h, L, function, 1, "active is true, false, \"once\" or a number from 1 to 32767, got %s",
                    mb_push_shown(h, L, at));
  return (int)n;
}

/* Stack: 1 socket, 2 mode, 3 whether it counts. */
static int activate_on(lua_State *L, int status, lua_KContext unused) {
  struct mb_heap *h = mb_heap_of(L);
  for (int waited = status == LUA_YIELD;; waited = 1) {
    struct mb_process *p = mb_current_still(h, L);
    struct mb_socket *s = (struct mb_socket *)mb_object_own(h, L, p, "active");
    int active = (int)lua_tointeger(L, 2), ready = 1;
    if (!s) return mb_object_gone(L, waited);
    if (active) ready = mb_secure(h, L, s, p, (uint64_t)unused, activate_on);
    if (ready < 0) return -ready;
    if (!ready) continue;
    mb_socket_activate(s, active, lua_toboolean(L, 3));
    return mb_worked(h, L, p, MB_COST_MESSAGE, result(L, 0));
  }
}

static int activate(lua_State *L, int active, int counts) {
  lua_settop(L, 1);
  lua_pushinteger(L, active);
  lua_pushboolean(L, counts);
  return activate_on(L, LUA_OK, 0);
}

static int do_active(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  int counts, active;
  (void)mb_object_own(h, L, mb_current(h, L), "active");
  active = check_active(h, L, 2, "active", &counts);
  return activate(L, active, counts);
}

static size_t check_size(struct mb_heap *h, lua_State *L, const char *name) {
  int ok;
  lua_Integer n = lua_tointegerx(L, -1, &ok);
  if (!ok || n < 1)
    mb_bad_argument(h, L, "set", 1, "%s is an integer >= 1, got %s", name, mb_push_shown(h, L, lua_gettop(L)));
  return (size_t)n;
}

/* set{nodelay =, keepalive =, high_water =, line_limit =, active =} */
static int set(lua_State *L) {
  static const char *const known[] = {"nodelay", "keepalive", "high_water", "line_limit", "active", NULL};
  struct mb_heap *h = mb_heap_of(L);
  struct mb_socket *s = (struct mb_socket *)mb_object_own(h, L, mb_current(h, L), "set");
  int error = 0, counts = 0, active = 0, changes_mode;
  if (!lua_istable(L, 2)) mb_bad_type(h, L, "set", 1, "table of options", 2);
  lua_settop(L, 2);
  mb_check_options(h, L, 2, "set", 1, known);
  changes_mode = lua_getfield(L, 2, "active") != LUA_TNIL;
  if (changes_mode) active = check_active(h, L, 3, "set", &counts);
  if (!s) return mb_object_gone(L, 0);
  if (lua_getfield(L, 2, "high_water") != LUA_TNIL) s->high_water = check_size(h, L, "high_water");
  if (lua_getfield(L, 2, "line_limit") != LUA_TNIL) s->line_limit = check_size(h, L, "line_limit");
  if (lua_getfield(L, 2, "nodelay") != LUA_TNIL && !s->is_pipe) {
    int on = mb_check_flag(h, L, 2, "nodelay", "set", 1);
    error = uv_tcp_nodelay(&s->uv.tcp, on);
  }
  if (!error && lua_getfield(L, 2, "keepalive") != LUA_TNIL && !s->is_pipe) {
    if (lua_isboolean(L, -1))
      error = uv_tcp_keepalive(&s->uv.tcp, lua_toboolean(L, -1), 60);
    else
      error = uv_tcp_keepalive(&s->uv.tcp, 1, (unsigned)check_size(h, L, "keepalive"));
  }
  if (error) return mb_failure(L, error);
  return changes_mode ? activate(L, active, counts) : result(L, 0);
}

static int getfd(lua_State *L) {
  struct mb_socket *s = (struct mb_socket *)mb_object_check(L, "getfd");
  uv_os_fd_t fd;
  int error = s && !s->object.closed ? uv_fileno(&s->uv.handle, &fd) : UV_EBADF;
  if (error) return mb_failure(L, error);
  lua_pushinteger(L, fd);
  return 1;
}

const luaL_Reg mb_socket_methods[] = {{"recv", receive},       {"send", do_send},
                                      {"flush", do_flush},     {"shutdown", do_shutdown},
                                      {"close", mb_object_do_close}, {"peername", peername},
                                      {"sockname", sockname},  {"active", do_active},
                                      {"set", set},            {"give_away", mb_socket_give_away},
                                      {"getfd", getfd},        {"handshake", mb_secure_handshake},
                                      {"tls", mb_secure_tls},  {"starttls", mb_secure_starttls},
                                      {NULL, NULL}};

#include "io/udp.h"

#include <stdlib.h>
#include <string.h>

#include "heap/errors.h"
#include "io/address.h"
#include "io/event.h"
#include "io/lookup.h"
#include "io/object.h"

enum { MOST_UNREAD = 1048576 /* bytes of datagrams that wait to be taken; then the kernel keeps, and drops, them */ };

struct datagram {
  struct datagram *next;
  struct sockaddr_storage from;
  size_t size;
  char bytes[];
};

struct udp {
  struct mb_object object;
  uv_udp_t handle;
  struct datagram *first, **last;
  size_t unread;
  int active, counts; /* as of struct mb_socket */
  int error;
  uint8_t reading;
};

static struct udp *of_handle(void *handle) { return (struct udp *)((char *)handle - offsetof(struct udp, handle)); }

static void on_room(uv_handle_t *handle, size_t wanted, uv_buf_t *buffer) {
  (void)wanted;
  *buffer = uv_buf_init((char *)of_handle(handle)->object.io->loop->buffer, MB_READ_SIZE);
}

static int send_message(struct udp *u, const struct sockaddr *from, const char *bytes, size_t size) {
  char host[64] = "";
  int port = 0;
  struct mb_event e;
  if (from->sa_family == AF_INET) {
    uv_ip4_name((const struct sockaddr_in *)from, host, sizeof host);
    port = ntohs(((const struct sockaddr_in *)from)->sin_port);
  } else {
    uv_ip6_name((const struct sockaddr_in6 *)from, host, sizeof host);
    port = ntohs(((const struct sockaddr_in6 *)from)->sin6_port);
  }
  e = mb_event_begin(&u->object, "udp", 5, strlen(host) + size);
  mb_event_string(&e, host, strlen(host));
  mb_event_integer(&e, port);
  mb_event_string(&e, bytes, size);
  if (mb_event_send(&u->object, &e) != 0) return UV_ENOMEM;
  if (u->active < 0 || --u->active > 0) return 0;
  if (u->counts) {
    e = mb_event_begin(&u->object, "udp_passive", 2, 0);
    (void)mb_event_send(&u->object, &e);
  }
  uv_unref((uv_handle_t *)&u->handle);
  return 0;
}

static void stop(struct udp *u) {
  if (u->reading) uv_udp_recv_stop(&u->handle);
  u->reading = 0;
}

static void on_read(uv_udp_t *handle, ssize_t n, const uv_buf_t *buffer, const struct sockaddr *from, unsigned flags) {
  struct udp *u = of_handle(handle);
  struct datagram *d;
  (void)flags;
  if (n < 0) {
    u->error = (int)n;
  } else if (!from) {
    return; /* there is nothing more */
  } else if (u->active) {
    (void)send_message(u, from, buffer->base, (size_t)n);
    return;
  } else if ((d = malloc(sizeof *d + (size_t)n))) {
    *d = (struct datagram){.size = (size_t)n};
    memcpy(&d->from, from, from->sa_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6));
    memcpy(d->bytes, buffer->base, (size_t)n);
    *u->last = d;
    u->last = &d->next;
    u->unread += sizeof *d + (size_t)n;
    if (u->unread >= MOST_UNREAD) stop(u);
  }
  mb_wake_waiter(u->object.io->heap->scheduler, &u->object.waiter);
}

static int start(struct udp *u) {
  int error = u->reading || u->unread >= MOST_UNREAD ? 0 : uv_udp_recv_start(&u->handle, on_room, on_read);
  if (!error && u->unread < MOST_UNREAD) u->reading = 1;
  return error;
}

static void drop_first(struct udp *u) {
  struct datagram *d = u->first;
  u->unread -= sizeof *d + d->size;
  u->first = d->next;
  if (!u->first) u->last = &u->first;
  free(d);
}

static void on_closed(uv_handle_t *handle) { mb_object_release(&of_handle(handle)->object); }

static void close_udp(struct mb_object *o, int how) {
  struct udp *u = (struct udp *)o;
  (void)how;
  stop(u);
  uv_close((uv_handle_t *)&u->handle, on_closed);
}

static void free_udp(struct mb_object *o) {
  struct udp *u = (struct udp *)o;
  while (u->first) drop_first(u);
  free(u);
}

static int is_idle(const struct mb_object *o) { return !((const struct udp *)o)->active; }

static int receive_on(lua_State *L, int status, lua_KContext deadline) {
  struct mb_heap *h = mb_heap_of(L);
  int waited = status == LUA_YIELD;
  for (;;) {
    struct mb_process *p = mb_current_still(h, L);
    struct udp *u = (struct udp *)mb_object_own(h, L, p, "recv");
    int results = 0, error;
    if (!u) return mb_object_gone(L, waited);
    error = u->first ? 0 : u->error;
    if (!error) error = start(u);
    if (u->first) {
      lua_pushlstring(L, u->first->bytes, u->first->size);
      mb_address_push_parts(L, (struct sockaddr *)&u->first->from);
      drop_first(u);
      results = 3;
    } else if (error || mb_deadline_passed(h, (uint64_t)deadline)) {
      u->error = 0; /* of one datagram */
      results = mb_failure(L, error ? error : UV_ETIMEDOUT);
    }
    if (results) {
      u->object.waiter = 0;
      if (waited) uv_unref((uv_handle_t *)&u->handle);
      return mb_worked(h, L, p, MB_COST_MESSAGE, results);
    }
    uv_ref((uv_handle_t *)&u->handle);
    waited = 1;
    mb_object_wait(h, L, &u->object, p, (uint64_t)deadline, receive_on);
  }
}

/* recv([ms]) -> data, host, port */
static int receive(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  struct udp *u = (struct udp *)mb_object_own(h, L, p, "recv");
  uint64_t deadline = mb_check_deadline(h, L, 2, "recv", 1, MB_TIMEOUT_OPTIONAL);
  if (u && u->active)
    mb_raise(h, L, "recv: the socket is active: what arrives comes as messages; socket:active(false) first");
  lua_settop(L, 1);
  return receive_on(L, LUA_OK, (lua_KContext)deadline);
}

static int result(lua_State *L, int error) {
  if (error < 0) return mb_failure(L, error);
  lua_pushboolean(L, 1);
  return 1;
}

/* Send the datagram at index 2 to `to`: it is sent or dropped, nobody waits. */
static int send_now(lua_State *L, struct udp *u, const struct sockaddr_storage *to) {
  size_t size;
  const char *data = lua_tolstring(L, 2, &size);
  uv_buf_t buffer;
  if (size > 65535) return mb_failure(L, UV_EMSGSIZE);
  buffer = uv_buf_init((char *)(uintptr_t)data, (unsigned)size);
  return result(L, uv_udp_try_send(&u->handle, &buffer, 1, (const struct sockaddr *)to));
}

/* Addresses have been looked up. Stack: 1 socket, 2 data, 3 name, 4 port; the addresses, or a failure's values. */
static int send_found(lua_State *L, int status, lua_KContext unused) {
  struct mb_heap *h = mb_heap_of(L);
  struct udp *u;
  struct sockaddr_storage to;
  (void)status;
  (void)unused;
  if (!lua_istable(L, 5)) return lua_gettop(L) - 4;
  u = (struct udp *)mb_object_own(h, L, mb_current_still(h, L), "send");
  if (!u) return mb_object_gone(L, 1);
  if (lua_rawgeti(L, 5, 1) != LUA_TSTRING ||
      mb_address_parse(lua_tostring(L, -1), (int)lua_tointeger(L, 4), &to) != 0)
    return mb_failure(L, UV_EADDRNOTAVAIL);
  return send_now(L, u, &to);
}

/* send(data, host, port [, ms]) -> true. A name is looked up first, which waits. */
static int send_to(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct udp *u = (struct udp *)mb_object_own(h, L, mb_current(h, L), "send");
  struct sockaddr_storage to;
  struct sockaddr own = {.sa_family = AF_UNSPEC};
  int size = sizeof own, ok;
  lua_Integer port;
  uint64_t deadline;
  lua_settop(L, 5);
  port = lua_tointegerx(L, 4, &ok);
  if (lua_type(L, 2) != LUA_TSTRING) return mb_bad_type(h, L, "send", 1, "string", 2);
  if (lua_type(L, 3) != LUA_TSTRING || !*lua_tostring(L, 3))
    return mb_bad_argument(h, L, "send", 2, "host expected, a name or an address, got %s", mb_push_shown(h, L, 3));
  if (strlen(lua_tostring(L, 3)) != lua_rawlen(L, 3))
    return mb_bad_argument(h, L, "send", 2, "host expected, a name or an address, got one with a NUL byte");
  if (lua_type(L, 4) != LUA_TNUMBER || !ok || port < 0 || port > 65535)
    return mb_bad_argument(h, L, "send", 3, "port expected, an integer from 0 to 65535, got %s",
                           mb_push_shown(h, L, 4));
  deadline = mb_check_deadline(h, L, 5, "send", 4, MB_TIMEOUT_OPTIONAL);
  if (!u) return mb_object_gone(L, 0);
  if (mb_address_parse(lua_tostring(L, 3), (int)port, &to) == 0) return send_now(L, u, &to);
  (void)uv_udp_getsockname(&u->handle, &own, &size);
  lua_settop(L, 4);
  lua_pushlightuserdata(L, h);
  lua_pushcclosure(L, mb_lookup, 1);
  lua_pushvalue(L, 3);
  lua_pushstring(L, own.sa_family == AF_INET6 ? "inet6" : "inet");
  lua_pushinteger(L, (lua_Integer)deadline);
  lua_callk(L, 3, LUA_MULTRET, 0, send_found);
  return send_found(L, LUA_OK, 0);
}

static int sockname(lua_State *L) {
  struct udp *u = (struct udp *)mb_object_check(L, "sockname");
  struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
  int size = sizeof address, error;
  if (!u || u->object.closed) return mb_object_gone(L, 0);
  error = uv_udp_getsockname(&u->handle, (struct sockaddr *)&address, &size);
  if (error) return mb_failure(L, error);
  mb_address_push(mb_heap_of(L), L, (struct sockaddr *)&address, (socklen_t)size);
  return 1;
}

/* active(true | false | "once" | n) */
static int do_active(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct udp *u = (struct udp *)mb_object_own(h, L, mb_current(h, L), "active");
  int ok = 1, error, once = lua_type(L, 2) == LUA_TSTRING && strcmp(lua_tostring(L, 2), "once") == 0;
  lua_Integer n = lua_isboolean(L, 2) ? (lua_toboolean(L, 2) ? -1 : 0) : once ? 1 : lua_tointegerx(L, 2, &ok);
  if (!ok || (!lua_isboolean(L, 2) && (n < 1 || n > 32767)))
    return mb_bad_argument(h, L, "active", 1, "active is true, false, \"once\" or a number from 1 to 32767, got %s",
                           mb_push_shown(h, L, 2));
  if (!u) return mb_object_gone(L, 0);
  u->active = (int)n;
  u->counts = !once && n > 0;
  if (u->active)
    uv_ref((uv_handle_t *)&u->handle);
  else
    uv_unref((uv_handle_t *)&u->handle);
  while (u->active && u->first &&
         send_message(u, (struct sockaddr *)&u->first->from, u->first->bytes, u->first->size) == 0)
    drop_first(u);
  error = start(u);
  return result(L, error);
}

static const luaL_Reg methods[] = {{"recv", receive},       {"send", send_to}, {"close", mb_object_do_close},
                                   {"sockname", sockname}, {"active", do_active}, {NULL, NULL}};

static const struct mb_object_type type = {.name = "udp socket",
                                           .kind = MB_HOLDING_UDP,
                                           .methods = methods,
                                           .instead = "a socket belongs to one process",
                                           .close = close_udp,
                                           .free = free_udp,
                                           .is_idle = is_idle};

int mb_udp_open(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  struct sockaddr_storage address;
  struct udp *u;
  int error;
  if (mb_address_parse(luaL_checkstring(L, 1), (int)luaL_checkinteger(L, 2), &address) != 0)
    return mb_failure(L, UV_EINVAL);
  u = calloc(1, sizeof *u);
  if (!u) return mb_failure(L, UV_ENOMEM);
  u->last = &u->first;
  error = uv_udp_init(mb_loop(h->scheduler), &u->handle);
  if (error) {
    free(u);
    return mb_failure(L, error);
  }
  uv_unref((uv_handle_t *)&u->handle);
  mb_object_init(&u->object, h, &type, p);
  error = uv_udp_bind(&u->handle, (struct sockaddr *)&address, lua_toboolean(L, 3) ? UV_UDP_REUSEADDR : 0);
  if (!error) error = start(u);
  if (error) {
    mb_object_close(&u->object, MB_CLOSE_AT_ONCE);
    return mb_failure(L, error);
  }
  mb_object_push(h, L, &u->object);
  return 1;
}

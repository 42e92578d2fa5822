#include "io/dial.h"

#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "heap/arguments.h"
#include "heap/errors.h"
#include "io/address.h"
#include "io/give.h"
#include "io/listener.h"
#include "io/lookup.h"
#include "io/socket.h"
#include "io/tls_context.h"
#include "io/udp.h"

/* Connecting */

struct attempt {
  uv_connect_t request;
  struct mb_socket *socket;
};

static void on_connected(uv_connect_t *request, int status) {
  struct mb_socket *s = ((struct attempt *)request)->socket;
  free(request);
  s->connecting = 0;
  if (status) s->broken = status;
  mb_wake_waiter(s->object.io->heap->scheduler, &s->object.waiter);
  mb_object_release(&s->object);
}

/* Stack: 1 socket. */
static int connect_on(lua_State *L, int status, lua_KContext deadline) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_socket *s = (struct mb_socket *)mb_object_of(L, 1, &mb_socket_type);
  (void)status;
  for (;;) {
    struct mb_process *p = mb_current_still(h, L);
    int error = s->connecting ? 0 : s->broken;
    if (s->object.closed) return mb_object_gone(L, 1);
    if (!s->connecting && !error) {
      uv_unref(&s->uv.handle);
      lua_settop(L, 1);
      return mb_worked(h, L, p, MB_COST_SPAWN, 1);
    }
    if (!error && mb_deadline_passed(h, (uint64_t)deadline)) error = UV_ETIMEDOUT;
    if (error) {
      mb_object_close(&s->object, MB_CLOSE_AT_ONCE);
      return mb_failure(L, error);
    }
    uv_ref(&s->uv.handle);
    s->object.waiter = mb_pid_of(p);
    mb_block(h, L, p, (uint64_t)deadline, deadline, connect_on);
  }
}

static int bind_first(struct mb_socket *s, const char *host, int port, int family) {
  struct sockaddr_storage local;
  int error;
  if (!host) host = family == AF_INET6 ? "::" : "0.0.0.0";
  error = mb_address_parse(host, port, &local);
  return error ? error : uv_tcp_bind(&s->uv.tcp, (struct sockaddr *)&local, 0);
}

/* connect(host | path, port | nil, deadline [, local host, local port]) -> socket: host is a numeric address */
static int do_connect(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  size_t size;
  const char *host = luaL_checklstring(L, 1, &size), *local = luaL_optstring(L, 4, NULL);
  int is_pipe = lua_isnoneornil(L, 2), error;
  lua_KContext deadline = (lua_KContext)luaL_checkinteger(L, 3);
  struct sockaddr_storage address;
  struct mb_socket *s;
  struct attempt *a;
  if (!is_pipe && mb_address_parse(host, (int)luaL_checkinteger(L, 2), &address) != 0) return mb_failure(L, UV_EINVAL);
  if (is_pipe && (size >= sizeof ((struct sockaddr_un *)0)->sun_path || strlen(host) != size))
    return mb_failure(L, UV_ENAMETOOLONG);
  s = mb_socket_new(h, p, is_pipe, 0, &error);
  if (!s) return mb_failure(L, error);
  mb_object_push(h, L, &s->object);
  if (!is_pipe && (local || !lua_isnoneornil(L, 5)))
    error = bind_first(s, local, (int)luaL_optinteger(L, 5, 0), address.ss_family);
  a = error ? NULL : malloc(sizeof *a);
  if (!error && !a) error = UV_ENOMEM;
  if (!error) {
    a->socket = s;
    if (is_pipe)
      uv_pipe_connect(&a->request, &s->uv.pipe, host, on_connected);
    else
      error = uv_tcp_connect(&a->request, &s->uv.tcp, (struct sockaddr *)&address, on_connected);
  }
  if (error) {
    free(a);
    mb_object_close(&s->object, MB_CLOSE_AT_ONCE);
    return mb_failure(L, error);
  }
  s->connecting = 1;
  mb_object_retain(&s->object);
  lua_replace(L, 1);
  lua_settop(L, 1);
  return connect_on(L, LUA_OK, deadline);
}

/* Listening */

/* listen(host | path, port | nil, backlog, reuseaddr, acceptors [, context of TLS]) -> listener: host is a numeric
 * address */
static int do_listen(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  size_t size;
  const char *host = luaL_checklstring(L, 1, &size);
  lua_Integer backlog = luaL_checkinteger(L, 3), acceptors = luaL_checkinteger(L, 5);
  struct mb_listen_options options = {.backlog = backlog < INT_MAX ? (int)backlog : INT_MAX,
                                      .reuse = lua_toboolean(L, 4)};
  uint32_t schedulers = h->runtime->scheduler_count;
  struct sockaddr_storage internet;
  if (!lua_isnoneornil(L, 6)) options.tls = mb_tls_context_at(L, 6);
  options.acceptors = acceptors < schedulers ? (unsigned)acceptors : schedulers;
  if (lua_isnoneornil(L, 2)) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (size >= sizeof address.sun_path || strlen(host) != size) return mb_failure(L, UV_ENAMETOOLONG);
    memcpy(address.sun_path, host, size + 1);
    return mb_listener_push_new(h, L, p, (struct sockaddr *)&address, sizeof address, options);
  }
  if (mb_address_parse(host, (int)luaL_checkinteger(L, 2), &internet) != 0) return mb_failure(L, UV_EINVAL);
  size = internet.ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
  return mb_listener_push_new(h, L, p, (struct sockaddr *)&internet, (socklen_t)size, options);
}

/* numeric(host) -> whether it is an address in numbers */
static int numeric(lua_State *L) {
  struct sockaddr_storage address;
  lua_pushboolean(L, mb_address_parse(luaL_checkstring(L, 1), 0, &address) == 0);
  return 1;
}

static uint64_t id_of(struct mb_heap *h, lua_State *L, int index) {
  uint64_t id = mb_give_id(h, L, index);
  return id ? id : mb_listener_id(L, index);
}

void mb_open_dial(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"net_lookup", mb_lookup}, {"net_connect", do_connect},
                                       {"net_listen", do_listen}, {"net_numeric", numeric},
                                       {"net_udp", mb_udp_open},  {NULL, NULL}};
  h->io->socket_methods = mb_socket_methods;
  h->io->gone_traveller = &mb_listener_guest_type;
  h->io->arrived = mb_listener_arrived;
  h->io->id_of = id_of;
  mb_set_functions(h, L, functions);
}

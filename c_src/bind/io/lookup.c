#include "io/lookup.h"

#include <netdb.h>
#include <stdlib.h>
#include <string.h>

#include "heap/errors.h"
#include "io/address.h"
#include "io/failure.h"
#include "io/io.h"
#include "io/waiter.h"

struct lookup {
  uv_getaddrinfo_t request;
  struct mb_io *io;
  mb_pid waiter;
  int references; /* the userdata's and the request's */
  int done, error;
  struct addrinfo *found;
};

static void release_lookup(struct lookup *l) {
  if (--l->references > 0) return;
  if (l->found) uv_freeaddrinfo(l->found);
  free(l);
}

static void on_found(uv_getaddrinfo_t *request, int status, struct addrinfo *found) {
  struct lookup *l = (struct lookup *)request;
  l->io->uses--;
  l->done = 1;
  l->error = status;
  l->found = found;
  if (l->io->heap->scheduler) mb_wake_waiter(l->io->heap->scheduler, &l->waiter);
  release_lookup(l);
}

static int collect_lookup(lua_State *L) {
  struct lookup **l = lua_touserdata(L, 1);
  if (*l) {
    if (!(*l)->done) uv_cancel((uv_req_t *)&(*l)->request); /* the process has ended */
    release_lookup(*l);
  }
  *l = NULL;
  return 0;
}

static int push_found(lua_State *L, const struct addrinfo *found) {
  lua_Integer n = 0;
  lua_newtable(L);
  for (; found; found = found->ai_next) {
    if (found->ai_family != AF_INET && found->ai_family != AF_INET6) continue;
    mb_address_push_parts(L, found->ai_addr);
    lua_pop(L, 1);
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

/* Stack: 1 lookup. */
static int lookup_on(lua_State *L, int status, lua_KContext deadline) {
  struct mb_heap *h = mb_heap_of(L);
  struct lookup *l = *(struct lookup **)lua_touserdata(L, 1);
  (void)status;
  for (;;) {
    struct mb_process *p = mb_current_still(h, L);
    if (l->done) {
      int results = l->error ? mb_failure(L, l->error) : push_found(L, l->found);
      return mb_worked(h, L, p, MB_COST_SPAWN, results);
    }
    if (mb_deadline_passed(h, (uint64_t)deadline)) return mb_failure(L, UV_ETIMEDOUT);
    l->waiter = mb_pid_of(p);
    mb_block(h, L, p, (uint64_t)deadline, deadline, lookup_on);
  }
}

int mb_lookup(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  const char *name = luaL_checkstring(L, 1), *family = luaL_optstring(L, 2, "");
  lua_KContext deadline = (lua_KContext)luaL_checkinteger(L, 3);
  struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
  struct lookup *l, **box;
  int error;
  (void)mb_current(h, L);
  hints.ai_family = strcmp(family, "inet") == 0 ? AF_INET : strcmp(family, "inet6") == 0 ? AF_INET6 : AF_UNSPEC;
  box = lua_newuserdatauv(L, sizeof *box, 0);
  *box = NULL;
  if (luaL_newmetatable(L, "moonbeam.lookup")) {
    lua_pushcfunction(L, collect_lookup);
    lua_setfield(L, -2, "__gc");
  }
  lua_setmetatable(L, -2);
  l = calloc(1, sizeof *l);
  if (!l) return mb_no_memory(L);
  l->io = h->io;
  l->references = 1;
  *box = l;
  error = uv_getaddrinfo(mb_loop(h->scheduler), &l->request, on_found, name, NULL, &hints);
  if (error) {
    l->done = 1;
    return mb_failure(L, error);
  }
  l->references++;
  l->io->uses++;
  lua_replace(L, 1);
  lua_settop(L, 1);
  return lookup_on(L, LUA_OK, deadline);
}

#include "io/call.h"

#include <stdlib.h>

#include "heap/errors.h"
#include "io/waiter.h"

static const char metatable_key; /* its address is the key of the userdata's metatable */

static void drop(struct mb_call *c) {
  if (c->release) c->release(c);
  free(c);
}

static int collect(lua_State *L) {
  struct mb_call **box = lua_touserdata(L, 1), *c = *box;
  *box = NULL;
  if (!c) return 0;
  c->box = NULL;
  if (c->over || !c->scheduler) drop(c);
  return 0;
}

void *mb_call_new(struct mb_heap *h, lua_State *L, size_t size) {
  struct mb_call **box = lua_newuserdatauv(L, sizeof *box, 0), *c;
  (void)h;
  *box = NULL;
  if (lua_rawgetp(L, LUA_REGISTRYINDEX, &metatable_key) != LUA_TTABLE) {
    lua_pop(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__gc");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &metatable_key);
  }
  lua_setmetatable(L, -2);
  c = *box = calloc(1, size);
  if (!c) mb_no_memory(L);
  c->box = box;
  return c;
}

static void run(uv_work_t *w) {
  struct mb_call *c = (struct mb_call *)w;
  c->run(c);
}

static void over(uv_work_t *w, int status) {
  struct mb_call *c = (struct mb_call *)w;
  c->scheduler->works--;
  c->over = 1;
  if (status < 0) c->result = status;
  if (c->box && mb_process_here(c->scheduler, c->waiter)) {
    mb_wake_waiter(c->scheduler, &c->waiter);
    return;
  }
  if (c->box) *c->box = NULL; /* of one that has been killed, and is not collected yet */
  drop(c);
}

static int waited(lua_State *L, int status, lua_KContext at) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_call **box = lua_touserdata(L, (int)at);
  (void)status;
  for (;;) {
    struct mb_process *p = mb_current_still(h, L);
    struct mb_call *c = *box;
    if (c->over) {
      int results = c->finish(h, L, c);
      if (results == MB_CALL_GOES_ON) {
        if (!mb_can_yield(h, L) || p->flags & MB_IN_PLACE) continue;
        h->preempted = 1;
        return lua_yieldk(L, 0, at, waited);
      }
      *box = NULL;
      drop(c);
      return mb_worked(h, L, p, MB_COST_MESSAGE, results);
    }
    c->waiter = mb_pid_of(p);
    mb_block(h, L, p, 0, at, waited);
  }
}

int mb_call_wait(struct mb_heap *h, lua_State *L, int at) {
  struct mb_call *c = *(struct mb_call **)lua_touserdata(L, at);
  struct mb_process *p = mb_current(h, L);
  int err;
  if (!mb_can_wait(h, L)) mb_cannot_wait(h, L, p);
  c->scheduler = h->scheduler;
  c->waiter = mb_pid_of(p);
  err = uv_queue_work(mb_loop(h->scheduler), &c->work, run, over);
  if (err) {
    c->over = 1;
    c->result = err;
  } else {
    h->scheduler->works++;
  }
  return waited(L, LUA_OK, at);
}

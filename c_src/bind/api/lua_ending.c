/* at_exit, and what moonbeam.ending and supervisors need. */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "codec/codec.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "heap/heap.h"
#include "process/current.h"
#include "process/ending.h"

/* at_exit(fn) */
static int at_exit(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_ending *e = h->ending;
  struct mb_signal *s;
  (void)mb_current(h, L);
  if (!lua_isfunction(L, 1)) return mb_bad_type(h, L, "at_exit", 1, "function", 1);
  lua_settop(L, 1);
  mb_given_to(h, "at_exit", MB_GIVEN_ITSELF, 1);
  s = mb_encode_signal(h, L, 1, 1, "at_exit", MB_MESSAGE);
  mb_given_to_nobody(h);
  pthread_mutex_lock(&e->mutex);
  s->next = e->functions;
  atomic_store(&e->functions, s);
  pthread_mutex_unlock(&e->mutex);
  mb_ticker_need(h->runtime); /* by it the script is left that computes where Lua cannot yield */
  lua_pushboolean(L, 1);
  return 1;
}

static int decode(lua_State *L) {
  const struct mb_signal *s = lua_touserdata(L, 2);
  return mb_decode(lua_touserdata(L, 1), L, s->data);
}

/* take_exit_function() -> the last one that was given and has not been taken: true, fn | false, message; nil: none is
 * left */
static int take_exit_function(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_ending *e = h->ending;
  struct mb_signal *s;
  int status;
  pthread_mutex_lock(&e->mutex);
  s = e->functions;
  if (s) atomic_store(&e->functions, s->next);
  pthread_mutex_unlock(&e->mutex);
  if (!s) return 0;
  lua_settop(L, 0);
  lua_pushcfunction(L, decode);
  lua_pushlightuserdata(L, h);
  lua_pushlightuserdata(L, s);
  status = lua_pcall(L, 2, 1, 0);
  mb_signal_free(s);
  lua_pushboolean(L, status == LUA_OK);
  lua_insert(L, 1);
  return 2;
}

/* Forget the roots that have ended. Under the mutex. */
static void sweep_roots(struct mb_runtime *rt, struct mb_ending *e) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < e->count; i++)
    if (mb_process_table_lookup(&rt->table, e->roots[i])) e->roots[kept++] = e->roots[i];
  e->count = kept;
}

/* enter_supervisor(): the calling process is one. What it starts is supervised. */
static int enter_supervisor(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  struct mb_ending *e = h->ending;
  int ok = 1;
  p->private_flags |= MB_PRIVATE_SUPERVISOR;
  mb_ticker_need(h->runtime); /* as at_exit does */
  if (p->private_flags & MB_PRIVATE_SUPERVISED) return 0;
  pthread_mutex_lock(&e->mutex);
  if (e->count == e->capacity) sweep_roots(h->runtime, e);
  if (e->count * 2 >= e->capacity) {
    uint32_t capacity = e->capacity ? e->capacity * 2 : 8;
    mb_pid *roots = realloc(e->roots, capacity * sizeof *roots);
    ok = roots != NULL;
    if (ok) {
      e->roots = roots;
      e->capacity = capacity;
    }
  }
  if (ok) e->roots[e->count++] = mb_pid_of(p);
  pthread_mutex_unlock(&e->mutex);
  return ok ? 0 : mb_no_memory(L);
}

/* is_linked(pid) -> whether the caller is */
static int is_linked(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  const uint64_t *unlinking = mb_map_get(&mb_current(h, L)->links, mb_to_pid(L, 1));
  lua_pushboolean(L, unlinking && *unlinking == 0);
  return 1;
}

/* root_supervisors() -> those that no supervisor supervises, in the order of their start */
static int root_supervisors(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_ending *e = h->ending;
  uint32_t room = atomic_load(&e->count), count;
  mb_pid *roots = lua_newuserdatauv(L, room * sizeof *roots, 0);
  pthread_mutex_lock(&e->mutex);
  sweep_roots(h->runtime, e);
  count = e->count < room ? e->count : room;
  if (count) memcpy(roots, e->roots, count * sizeof *roots);
  pthread_mutex_unlock(&e->mutex);
  lua_createtable(L, (int)count, 0);
  for (uint32_t i = 0; i < count; i++) {
    mb_push_id(L, roots[i]);
    lua_rawseti(L, -2, (lua_Integer)i + 1);
  }
  return 1;
}

void mb_open_ending(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"at_exit", at_exit},
                                       {"take_exit_function", take_exit_function},
                                       {"enter_supervisor", enter_supervisor},
                                       {"is_linked", is_linked},
                                       {"root_supervisors", root_supervisors},
                                       {NULL, NULL}};
  mb_set_functions(h, L, functions);
}

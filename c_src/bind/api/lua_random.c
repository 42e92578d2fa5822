/* math.random and math.randomseed. The library keeps the state of one generator in a userdata, the functions' upvalue;
 * in there is that of the process which has used it last, the others' are among their private values. A process begins
 * with a seed of its own. */
#include <string.h>
#include <uv.h>

#include "api/own.h"
#include "code/stand_in.h"
#include "core/hash.h"
#include "heap/private.h"

int mb_push_own(struct mb_heap *h, lua_State *L, mb_pid id, struct mb_process *p, enum mb_make make) {
  if (id) return mb_push_private(h, L, p, make);
  mb_push_ref(h, L, MB_REF_PRIVATE);
  if (lua_rawgeti(L, -1, 0) == LUA_TNIL && make == MB_MAKE) { /* no slot has this index */
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -4, 0);
    lua_remove(L, -2);
  }
  lua_remove(L, -2);
  if (lua_istable(L, -1)) return 1;
  lua_pop(L, 1);
  return 0;
}

static void put_away(struct mb_heap *h, lua_State *L) {
  mb_pid id = h->random->owner;
  struct mb_process *p = id ? mb_process_in(h, id) : NULL;
  if (id && !p) return; /* it has ended */
  mb_push_own(h, L, id, p, MB_MAKE);
  lua_pushlstring(L, h->random->state, h->random->size);
  lua_rawseti(L, -2, MB_PRIVATE_RANDOM);
  lua_pop(L, 1);
}

static lua_Integer next_seed(struct mb_heap *h) {
  if (!h->random->seed && uv_random(NULL, NULL, &h->random->seed, sizeof h->random->seed, 0, NULL) != 0)
    h->random->seed = mb_clock_system() ^ (uint64_t)(uintptr_t)h;
  h->random->seed += 0x9e3779b97f4a7c15u;
  return (lua_Integer)mb_hash_u64(h->random->seed);
}

/* Let the library's state be that of the process with this id. */
static void exchange(struct mb_heap *h, lua_State *L, mb_pid id, struct mb_process *p) {
  int top = lua_gettop(L);
  luaL_checkstack(L, 8, NULL);
  put_away(h, L);
  if (mb_push_own(h, L, id, p, MB_IF_MADE) && lua_rawgeti(L, -1, MB_PRIVATE_RANDOM) == LUA_TSTRING) {
    memcpy(h->random->state, lua_tostring(L, -1), h->random->size);
  } else {
    mb_push_ref(h, L, MB_REF_RANDOMSEED);
    lua_pushinteger(L, next_seed(h));
    lua_pushinteger(L, next_seed(h));
    lua_call(L, 2, 0);
  }
  h->random->owner = id;
  lua_settop(L, top);
}

/* A finalizer calls f, a function of the library's: it has a generator that all finalizers of the heap share, so that
 * nobody's sequence depends on when it runs. Another finalizer cannot run meanwhile. */
static int call_outside(struct mb_heap *h, lua_State *L, lua_CFunction f) {
  unsigned char own[MB_RANDOM_SIZE];
  int status;
  luaL_checkstack(L, 4, NULL);
  memcpy(own, h->random->state, h->random->size);
  if (h->random->outside_seeded) {
    memcpy(h->random->state, h->random->outside, h->random->size);
  } else {
    mb_push_ref(h, L, MB_REF_RANDOMSEED);
    lua_pushinteger(L, next_seed(h));
    lua_call(L, 1, 0);
    h->random->outside_seeded = 1;
  }
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_pushcclosure(L, f, 1);
  lua_insert(L, 1);
  status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  memcpy(h->random->outside, h->random->state, h->random->size);
  memcpy(h->random->state, own, h->random->size);
  return status == LUA_OK ? lua_gettop(L) : lua_error(L);
}

/* Call f, the library's, with the state of who calls. The functions here have the library's upvalue, so that it works
 * in their frame. */
static inline int call(struct mb_heap *h, lua_State *L, lua_CFunction f) {
  if (h->scheduler) {
    struct mb_process *p = h->scheduler->current;
    mb_pid id = mb_own_id(p);
    if (mb_outside(h, L)) return call_outside(h, L, f);
    if (id != h->random->owner) exchange(h, L, id, p);
  }
  return f(L);
}

static int do_random(lua_State *L) {
  struct mb_heap *h = mb_heap_here(L);
  return call(h, L, h->random->random);
}

static int do_randomseed(lua_State *L) {
  struct mb_heap *h = mb_heap_here(L);
  return call(h, L, h->random->randomseed);
}

/* The library's function of this name, in the table on the top of the stack; NULL: somebody's own, without a
 * generator. */
static lua_CFunction library_function(lua_State *L, const char *name) {
  int top = lua_gettop(L);
  lua_CFunction f = NULL;
  lua_getfield(L, -1, name);
  if (lua_iscfunction(L, -1) && lua_getupvalue(L, -1, 1)) f = lua_tocfunction(L, top + 1);
  lua_settop(L, top);
  return f;
}

void mb_open_random(struct mb_heap *h, lua_State *L) {
  int top = lua_gettop(L);
  h->random = mb_heap_part(L, sizeof *h->random);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, "math") == LUA_TTABLE && lua_getfield(L, -1, "randomseed") == LUA_TFUNCTION &&
      lua_iscfunction(L, -1) && lua_getupvalue(L, -1, 1) && lua_type(L, -1) == LUA_TUSERDATA &&
      lua_rawlen(L, -1) <= MB_RANDOM_SIZE) {
    h->random->state = lua_touserdata(L, -1);
    h->random->size = lua_rawlen(L, -1);
    lua_settop(L, top + 2);
    h->random->random = library_function(L, "random");
    h->random->randomseed = library_function(L, "randomseed");
    lua_getfield(L, -1, "randomseed");
    h->ref[MB_REF_RANDOMSEED] = luaL_ref(L, LUA_REGISTRYINDEX);
    if (h->random->random) (void)mb_stand_in(h, L, "math", "random", do_random, MB_STAND_IN_STATE);
    (void)mb_stand_in(h, L, "math", "randomseed", do_randomseed, MB_STAND_IN_STATE);
  }
  lua_settop(L, top);
}

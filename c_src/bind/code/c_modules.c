#include "code/c_modules.h"

#include <string.h>

#include "code/stand_in.h"
#include "heap/hook.h"
#include "heap/main_thread.h"

void mb_opening_init(struct mb_opening *o) {
  pthread_mutexattr_t recursive;
  pthread_mutexattr_init(&recursive);
  pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
  pthread_mutex_init(&o->mutex, &recursive);
  pthread_mutexattr_destroy(&recursive);
}

void mb_opening_deinit(struct mb_opening *o) { pthread_mutex_destroy(&o->mutex); }

/* The opener of a C module, upvalue 2. */
static int open_module(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  lua_CFunction opener = lua_tocfunction(L, lua_upvalueindex(2));
  int status;
  h->opens(h, L, opener);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  pthread_mutex_lock(&h->opening->mutex); /* the one place where Lua runs under a lock: that is its purpose */
  h->has_c_modules = 1;
  mb_hook_attend(h);
  mb_ticker_start(h->runtime); /* notices hooks that are set on the main thread */
  status = mb_main_pcall(h, L, lua_gettop(L) - 1);
  pthread_mutex_unlock(&h->opening->mutex);
  if (status != LUA_OK) return lua_error(L);
  if (lua_gettop(L) > 0) h->opened(h, L, opener, 1);
  return lua_gettop(L);
}

/* Put what runs it as above in the place of the opener at `index`. */
static void wrap_opener(struct mb_heap *h, lua_State *L, int index) {
  index = lua_absindex(L, index);
  lua_pushlightuserdata(L, h);
  lua_pushvalue(L, index);
  lua_pushcclosure(L, open_module, 2);
  lua_replace(L, index);
}

/* Call upvalue 2 with the arguments on the stack, which are replaced by its results. Opening a library runs its
 * constructors. */
static void call_locked(struct mb_heap *h, lua_State *L) {
  int status;
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  pthread_mutex_lock(&h->opening->mutex);
  status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
  pthread_mutex_unlock(&h->opening->mutex);
  if (status != LUA_OK) lua_error(L);
}

/* A searcher. A loader in Lua runs where it is called. */
static int search(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  lua_settop(L, 1);
  call_locked(h, L);
  if (lua_iscfunction(L, 1)) wrap_opener(h, L, 1);
  return lua_gettop(L);
}

/* package.loadlib(path, name): how searchers of other people's find openers. */
static int load_library(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  int opener = strncmp(luaL_optstring(L, 2, ""), "luaopen_", 8) == 0;
  call_locked(h, L);
  if (opener && lua_iscfunction(L, 1)) wrap_opener(h, L, 1);
  return lua_gettop(L);
}

void mb_open_c_modules(struct mb_heap *h, lua_State *L) {
  int top = lua_gettop(L);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, "package") == LUA_TTABLE) {
    (void)mb_stand_in(h, L, "package", "loadlib", load_library,
                      MB_STAND_IN_HEAP | MB_STAND_IN_ORIGINAL | MB_STAND_IN_ANY);
    if (lua_getfield(L, -1, "searchers") == LUA_TTABLE) {
      for (lua_Integer i = 1; lua_rawgeti(L, -1, i) != LUA_TNIL; i++) {
        if (lua_iscfunction(L, -1)) {
          lua_pushlightuserdata(L, h);
          lua_insert(L, -2);
          lua_pushcclosure(L, search, 2);
          lua_rawseti(L, -2, i);
        } else {
          lua_pop(L, 1); /* somebody's own: what it finds comes from loadlib or from another searcher */
        }
      }
    }
  }
  lua_settop(L, top);
}

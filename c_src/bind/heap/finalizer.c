#include "heap/finalizer.h"

#include <lauxlib.h>
#include <stdatomic.h>
#include <stddef.h>

/* A value, a thread and the state that all threads share, as far as they are read: Lua 5.4.4 and later. */
struct value {
  void *payload;
  unsigned char type;
};

struct shared {
  lua_Alloc alloc;
  void *alloc_data;
  ptrdiff_t memory[4];
  struct {
    void **buckets;
    int count, size;
  } strings;
  struct value registry, nil;
  unsigned seed;
  unsigned char white, phase, kind, nested, minor, major;
  unsigned char stopped;
};

struct thread {
  void *next;
  unsigned char type, mark, status, hooks;
  unsigned short calls;
  void *top;
  struct shared *shared;
};

enum { STOPPED_BY_USER = 1 };

/* A finalizer, upvalue 1 is where to note what it sees. */
static int check(lua_State *L) {
  int *seen = lua_touserdata(L, lua_upvalueindex(1));
  const struct shared *g = ((const struct thread *)L)->shared;
  *seen = lua_gc(L, LUA_GCISRUNNING) < 0 && (g->stopped & MB_STOPPED_BY_FINALIZER);
  return 0;
}

/* Make an object whose finalizer looks. */
static int make(lua_State *L) {
  lua_newtable(L);
  lua_newtable(L);
  lua_pushlightuserdata(L, lua_touserdata(L, 1));
  lua_pushcclosure(L, check, 1);
  lua_setfield(L, -2, "__gc");
  lua_setmetatable(L, -2);
  lua_rawsetp(L, LUA_REGISTRYINDEX, make);
  return 0;
}

/* Whether the word follows when the collector is stopped and goes on, and outside of a finalizer says that there is
 * none. */
static int follows(lua_State *L) {
  const struct shared *g = ((const struct thread *)L)->shared;
  void *data;
  int ok = g && g->alloc == lua_getallocf(L, &data) && g->alloc_data == data && g->stopped == 0;
  if (!ok) return 0;
  lua_gc(L, LUA_GCSTOP);
  ok = g->stopped == STOPPED_BY_USER;
  lua_gc(L, LUA_GCRESTART);
  return ok && g->stopped == 0 && lua_gc(L, LUA_GCISRUNNING) == 1;
}

static int try_out(void) {
  lua_State *L = luaL_newstate();
  int ok, seen = 0;
  if (!L) return 0;
  ok = follows(L);
  if (ok) {
    lua_pushcfunction(L, make);
    lua_pushlightuserdata(L, &seen);
    ok = lua_pcall(L, 1, 0, 0) == LUA_OK;
  }
  lua_close(L); /* calls the finalizer */
  return ok && seen;
}

int mb_collector_known(void) {
  enum { UNTRIED, NO, YES };
  static atomic_int known; /* relaxed: whoever tries comes to the same result */
  int is = atomic_load_explicit(&known, memory_order_relaxed);
  if (is == UNTRIED) {
    is = try_out() ? YES : NO;
    atomic_store_explicit(&known, is, memory_order_relaxed);
  }
  return is == YES;
}

const unsigned char *mb_collector_word(lua_State *L) {
  return mb_collector_known() ? &((const struct thread *)L)->shared->stopped : NULL;
}

#include "heap/heap.h"

#include <string.h>

static const char heap_key; /* its address is a key in the registry */

_Thread_local struct mb_here mb_here;
atomic_uint mb_heaps_closed;

void mb_heap_ended(lua_State *L) { luaL_error(L, "the runtime has ended: the Lua state is closing"); }

void *mb_heap_part(lua_State *L, size_t size) {
  void *part = memset(lua_newuserdatauv(L, size, 0), 0, size);
  (void)luaL_ref(L, LUA_REGISTRYINDEX);
  return part;
}

void mb_heap_keep(lua_State *L) { lua_rawsetp(L, LUA_REGISTRYINDEX, &heap_key); }

struct mb_heap *mb_heap_find(lua_State *L) {
  struct mb_heap *h;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &heap_key);
  h = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return h;
}

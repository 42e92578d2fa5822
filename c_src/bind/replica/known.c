/* What a heap knows of the tables that are alike in all heaps: see replica.h. */
#include <lauxlib.h>
#include <string.h>

#include "heap/heap.h"
#include "replica/place.h"
#include "replica/replica.h"
#include "replica/replica_inside.h"

void mb_replica_push_known(struct mb_heap *h, lua_State *L, int place) {
  mb_push_ref(h, L, MB_REF_KNOWN);
  if (lua_rawgeti(L, -1, place) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, place);
  }
  lua_remove(L, -2);
}

void mb_replica_know(struct mb_heap *h, lua_State *L, int place, int name) {
  int was, is = !lua_isnil(L, -1);
  mb_replica_push_known(h, L, place);
  lua_pushvalue(L, name);
  was = lua_rawget(L, -2) != LUA_TNIL;
  lua_pop(L, 1);
  lua_pushvalue(L, name);
  lua_pushvalue(L, -3);
  lua_rawset(L, -3);
  lua_pop(L, 2);
  h->replica->known[place] += is - was;
}

void mb_replica_know_standard(struct mb_heap *h, lua_State *L) {
  int top = lua_gettop(L);
  if (h->replica->began) return;
  h->replica->began = 1;
  mb_push_ref(h, L, MB_REF_STANDARD);
  lua_pushnil(L);
  while (lua_next(L, top + 1)) {
    const char *name = lua_tostring(L, top + 2);
    int place = mb_place_of(name);
    if (place >= 0) {
      lua_pushstring(L, name + strlen(name) + 1);
      lua_pushvalue(L, top + 3);
      mb_replica_know(h, L, place, top + 4);
    }
    lua_settop(L, top + 2);
  }
  lua_pushinteger(L, 1);
  mb_place_push_standard_searchers(h, L);
  mb_replica_know(h, L, MB_PLACE_SEARCHERS, lua_gettop(L) - 1);
  lua_settop(L, top);
}

int mb_replica_is_common(lua_State *L, int place, int name) {
  static const char *const others[] = {"config", "loaded", "preload", "searchers"};
  int type = lua_type(L, name);
  for (size_t i = 0; place == MB_PLACE_PACKAGE && type == LUA_TSTRING && i < sizeof others / sizeof *others; i++)
    if (strcmp(lua_tostring(L, name), others[i]) == 0) return 0; /* places of their own, or the heap's */
  return type == LUA_TSTRING || type == LUA_TNUMBER || type == LUA_TBOOLEAN;
}

void mb_replica_begin(struct mb_heap *h, lua_State *L) {
  int top = lua_gettop(L), name = top + 2, value = top + 3;
  luaL_checkstack(L, 12, NULL);
  mb_replica_know_standard(h, L);
  for (int place = 0; place <= MB_PLACE_PACKAGE; place++) {
    if (!mb_push_place(L, place, MB_PLACE_FOUND)) continue;
    lua_pushnil(L);
    while (lua_next(L, top + 1)) {
      if (lua_type(L, value) <= LUA_TSTRING && mb_replica_is_common(L, place, name)) {
        lua_pushvalue(L, value);
        mb_replica_know(h, L, place, name);
      }
      lua_settop(L, name);
    }
    lua_settop(L, top);
  }
}

int mb_replica_is_path(lua_State *L, int place, int name) {
  return place == MB_PLACE_PACKAGE && lua_type(L, name) == LUA_TSTRING &&
         (strcmp(lua_tostring(L, name), "path") == 0 || strcmp(lua_tostring(L, name), "cpath") == 0);
}

int mb_replica_is_of_script(int place) { return place >= MB_PLACE_GLOBALS; }

int mb_replica_protected(struct mb_heap *h, lua_State *L, lua_CFunction f, void *data, int number) {
  int status;
  h->replicating++;
  h->uninterruptible++;
  lua_pushcfunction(L, f);
  lua_pushlightuserdata(L, h);
  if (data)
    lua_pushlightuserdata(L, data);
  else
    lua_pushinteger(L, number);
  status = lua_pcall(L, 2, 0, 0);
  h->uninterruptible--;
  h->replicating--;
  return status;
}

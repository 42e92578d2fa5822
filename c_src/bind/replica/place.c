
#include <lualib.h>
#include <string.h>

#include "heap/heap.h"
#include "replica/place.h"

static int push_loaded(lua_State *L, const char *name) {
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, name);
  lua_remove(L, -2);
  if (lua_istable(L, -1)) return 1;
  lua_pop(L, 1);
  return 0;
}

static int nothing(lua_State *L) {
  (void)L;
  return 0;
}

/* Push any value of the types that have one metatable for all. */
static void push_sample(lua_State *L, int type) {
  switch (type) {
    case 0: lua_pushnil(L); break;
    case 1: lua_pushboolean(L, 0); break;
    case 2: lua_pushinteger(L, 0); break;
    case 3: lua_pushliteral(L, ""); break;
    case 4: lua_pushlightuserdata(L, NULL); break;
    case 5: lua_pushcfunction(L, nothing); break;
    default: (void)lua_pushthread(L);
  }
}

static int push_metatable(lua_State *L, int type, enum mb_place_how how) {
  push_sample(L, type);
  if (!lua_getmetatable(L, -1)) {
    if (how == MB_PLACE_FOUND) {
      lua_pop(L, 1);
      return 0;
    }
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setmetatable(L, -3);
  }
  lua_remove(L, -2);
  return 1;
}

static const char *const libraries[] = {"string", "math", "table", "utf8", "os", "io", "coroutine", "debug", "package"};

int mb_place_of(const char *name) {
  for (int place = 0; place <= MB_PLACE_PACKAGE; place++)
    if (strcmp(libraries[place], name) == 0) return place;
  return -1;
}

int mb_push_place(lua_State *L, int place, enum mb_place_how how) {
  if (place < MB_PLACE_PRELOAD) return push_loaded(L, libraries[place]);
  if (place == MB_PLACE_PRELOAD) return luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE), 1;
  if (place == MB_PLACE_GLOBALS) return lua_pushglobaltable(L), 1;
  if (place == MB_PLACE_FILE) {
    int top = lua_gettop(L);
    if (luaL_getmetatable(L, LUA_FILEHANDLE) == LUA_TTABLE && lua_getfield(L, -1, "__index") == LUA_TTABLE) {
      lua_remove(L, -2);
      return 1;
    }
    lua_settop(L, top);
    return 0;
  }
  return push_metatable(L, place - MB_PLACE_TYPES, how);
}

/* Push package.searchers; 0 and nothing pushed when there is no such table. */
static int push_searchers(lua_State *L) {
  if (!push_loaded(L, "package")) return 0;
  lua_getfield(L, -1, "searchers");
  lua_remove(L, -2);
  if (lua_istable(L, -1)) return 1;
  lua_pop(L, 1);
  return 0;
}

void mb_place_note_searchers(struct mb_heap *h, lua_State *L) {
  lua_Integer count = 0;
  lua_newtable(L); /* number -> searcher, searcher -> number */
  if (push_searchers(L)) {
    lua_Integer n = (lua_Integer)lua_rawlen(L, -1);
    for (lua_Integer i = 1; i <= n; i++) {
      if (lua_rawgeti(L, -1, i) == LUA_TFUNCTION && lua_iscfunction(L, -1)) { /* else the program's own */
        lua_pushvalue(L, -1);
        lua_rawseti(L, -4, ++count);
        lua_pushinteger(L, count);
        lua_rawset(L, -4);
      } else {
        lua_pop(L, 1);
      }
    }
    lua_pop(L, 1);
  }
  lua_rawseti(L, LUA_REGISTRYINDEX, h->ref[MB_REF_SEARCHERS]);
}

void mb_place_push_searchers(struct mb_heap *h, lua_State *L) {
  int list = lua_gettop(L) + 1;
  lua_newtable(L);
  mb_push_ref(h, L, MB_REF_SEARCHERS);
  if (push_searchers(L)) {
    lua_Integer n = (lua_Integer)lua_rawlen(L, -1), count = 0;
    for (lua_Integer i = 1; i <= n; i++) {
      lua_rawgeti(L, list + 2, i);
      lua_pushvalue(L, -1);
      if (lua_rawget(L, list + 1) == LUA_TNIL) { /* another's C function does not travel */
        lua_pop(L, 1);
        if (lua_iscfunction(L, -1)) lua_pop(L, 1);
      } else {
        lua_remove(L, -2);
      }
      if (lua_gettop(L) > list + 2) lua_rawseti(L, list, ++count);
    }
  }
  lua_settop(L, list);
}

void mb_place_push_standard_searchers(struct mb_heap *h, lua_State *L) {
  lua_newtable(L);
  mb_push_ref(h, L, MB_REF_SEARCHERS);
  for (lua_Integer i = (lua_Integer)lua_rawlen(L, -1); i >= 1; i--) {
    lua_pushinteger(L, i);
    lua_rawseti(L, -3, i);
  }
  lua_pop(L, 1);
}

void mb_place_set_searchers(struct mb_heap *h, lua_State *L, int index) {
  int top = lua_gettop(L);
  lua_Integer n = (lua_Integer)lua_rawlen(L, index), had;
  mb_push_ref(h, L, MB_REF_SEARCHERS);
  if (push_searchers(L)) {
    had = (lua_Integer)lua_rawlen(L, -1);
    for (lua_Integer i = 1; i <= n || i <= had; i++) {
      if (i <= n)
        lua_rawgeti(L, index, i);
      else
        lua_pushnil(L);
      if (lua_isinteger(L, -1)) lua_rawget(L, top + 1);
      lua_rawseti(L, top + 2, i);
    }
  }
  lua_settop(L, top);
}

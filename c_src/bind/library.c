#include "library.h"

#include <string.h>
#include <unistd.h>

#include "open.h"

/* Push a copy of the table at `index`; its metatable is left out. */
static void push_copy(lua_State *L, int index) {
  lua_newtable(L);
  lua_pushnil(L);
  while (lua_next(L, index)) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, -4);
  }
}

static void make_globals(struct mb_heap *h, lua_State *L) {
  int globals, base;
  luaL_checkstack(L, 10, NULL);
  mb_push_ref(h, L, MB_REF_BASE);
  base = lua_gettop(L);
  push_copy(L, base);
  globals = lua_gettop(L);
  lua_pushnil(L);
  while (lua_next(L, base)) {
    /* package is looked at as the program has set it */
    if (lua_istable(L, -1) && lua_type(L, -2) == LUA_TSTRING && strcmp(lua_tostring(L, -2), "package") != 0) {
      lua_pushvalue(L, -2);
      push_copy(L, lua_gettop(L) - 1);
      lua_rawset(L, globals);
    }
    lua_pop(L, 1);
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  lua_setfield(L, globals, "_G");
  lua_rawseti(L, LUA_REGISTRYINDEX, h->ref[MB_REF_LIBRARY]);
  lua_pop(L, 1);
}

void mb_library_push_globals(struct mb_heap *h, lua_State *L) {
  mb_push_ref(h, L, MB_REF_LIBRARY);
  if (lua_istable(L, -1)) return;
  lua_pop(L, 1);
  make_globals(h, L);
  mb_push_ref(h, L, MB_REF_LIBRARY);
}

/* The loader of a file: upvalue 1 is its path. */
static int load_file(lua_State *L) {
  const char *path = lua_tostring(L, lua_upvalueindex(1));
  if (luaL_loadfile(L, path) != LUA_OK) return lua_error(L);
  mb_library_push_globals(mb_heap_open(L), L);
  if (!lua_setupvalue(L, -2, 1)) lua_pop(L, 1);
  lua_pushvalue(L, 1);
  lua_pushstring(L, path);
  lua_call(L, 2, 1);
  return 1;
}

static int readable(const char *path) { return access(path, R_OK) == 0; }

/* A searcher for moonbeam.*: upvalue 1 is the directory. */
static int search(lua_State *L) {
  const char *module = luaL_checkstring(L, 1), *share = lua_tostring(L, lua_upvalueindex(1)), *path;
  if (strncmp(module, "moonbeam", 8) != 0 || (module[8] != '\0' && module[8] != '.')) return 0;
  module = luaL_gsub(L, module, ".", "/");
  path = lua_pushfstring(L, "%s/%s.lua", share, module);
  if (!readable(path)) path = lua_pushfstring(L, "%s/%s/init.lua", share, module);
  if (!readable(path)) {
    lua_pushfstring(L, "no file '%s'", path);
    return 1;
  }
  lua_pushstring(L, path);
  lua_pushcclosure(L, load_file, 1);
  lua_pushstring(L, path);
  return 2;
}

void mb_library_search(lua_State *L) {
  int directory = lua_gettop(L);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, "package") == LUA_TTABLE && lua_getfield(L, -1, "searchers") == LUA_TTABLE) {
    for (lua_Integer i = (lua_Integer)lua_rawlen(L, -1); i >= 2; i--) { /* behind package.preload's */
      lua_rawgeti(L, -1, i);
      lua_rawseti(L, -2, i + 1);
    }
    lua_pushvalue(L, directory);
    lua_pushcclosure(L, search, 1);
    lua_rawseti(L, -2, 2);
  }
  lua_settop(L, directory - 1);
}

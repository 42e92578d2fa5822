/* Modules of the library whose files are loaded when they are first used. Their tables are there from the start, in
 * package.loaded and wherever they are copied to, and are filled at the first look inside. */
#include "api.h"
#include "library.h"
#include "modules.h"

/* Fill the module's table, at stack index 1, from its file, and take its metatable off. In one call from Lua, so that
 * no other process of the heap sees half of it. */
static void load(struct mb_heap *h, lua_State *L) {
  const char *name;
  int loaded, status;
  luaL_checkstack(L, 10, NULL);
  if (!luaL_getmetafield(L, 1, "__module")) return; /* somebody else has been here meanwhile */
  name = lua_tostring(L, -1);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  loaded = lua_gettop(L);
  lua_pushnil(L);
  lua_setfield(L, loaded, name);
  mb_push_ref(h, L, MB_REF_REQUIRE);
  lua_pushstring(L, name);
  status = lua_pcall(L, 1, 1, 0);
  lua_pushvalue(L, 1);
  lua_setfield(L, loaded, name);
  if (status != LUA_OK) lua_error(L);
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    lua_pushvalue(L, -2);
    lua_insert(L, -2);
    lua_rawset(L, 1);
  }
  mb_modules_alias(h, L, -1, name, NULL); /* the file's own table, which its functions have */
  if (!lua_getmetatable(L, -1)) lua_pushnil(L);
  lua_setmetatable(L, 1);
  mb_modules_touch(h);
}

static int lazy_index(lua_State *L) {
  load(mb_heap_of(L), L);
  lua_settop(L, 2);
  lua_gettable(L, 1);
  return 1;
}

static int lazy_newindex(lua_State *L) {
  load(mb_heap_of(L), L);
  lua_settop(L, 3);
  lua_settable(L, 1);
  return 0;
}

static int lazy_pairs(lua_State *L) {
  load(mb_heap_of(L), L);
  lua_settop(L, 1);
  mb_library_push_globals(mb_heap_of(L), L);
  lua_getfield(L, -1, "next");
  lua_remove(L, -2);
  lua_insert(L, 1);
  lua_pushnil(L);
  return 3;
}

/* lazy(name) -> the module's table */
static int lazy(lua_State *L) {
  static const luaL_Reg methods[] = {
      {"__index", lazy_index}, {"__newindex", lazy_newindex}, {"__pairs", lazy_pairs}, {NULL, NULL}};
  struct mb_heap *h = mb_heap_of(L);
  luaL_checkstring(L, 1);
  lua_settop(L, 1);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, 1);
  if (lua_rawget(L, 2) != LUA_TNIL) return 1; /* loaded already */
  lua_newtable(L);
  lua_newtable(L);
  mb_set_functions(h, L, methods);
  lua_pushvalue(L, 1);
  lua_setfield(L, -2, "__module");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, -2);
  lua_rawset(L, 2);
  mb_modules_touch(h);
  return 1;
}

void mb_open_module(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"lazy", lazy}, {NULL, NULL}};
  mb_set_functions(h, L, functions);
}

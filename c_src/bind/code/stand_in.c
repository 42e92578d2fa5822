#include "code/stand_in.h"

#include "code/modules.h"

int mb_stand_in(struct mb_heap *h, lua_State *L, const char *module, const char *field, lua_CFunction f,
                enum mb_stand_in how) {
  int table = lua_gettop(L), original = table + 1;
  luaL_checkstack(L, 8, NULL);
  if (lua_getfield(L, table, field) != LUA_TFUNCTION || !(how & MB_STAND_IN_ANY || lua_iscfunction(L, original))) {
    lua_settop(L, table);
    return 0;
  }
  if (module) mb_modules_alias(h, L, original, module, field);
  if (how & MB_STAND_IN_STATE && !(lua_iscfunction(L, original) && lua_getupvalue(L, original, 1))) lua_pushnil(L);
  if (how & MB_STAND_IN_HEAP) lua_pushlightuserdata(L, h);
  if (how & MB_STAND_IN_ORIGINAL) lua_pushvalue(L, original);
  lua_pushcclosure(L, f, lua_gettop(L) - original);
  lua_setfield(L, table, field);
  lua_settop(L, table);
  return 1;
}

void mb_stand_in_all(struct mb_heap *h, lua_State *L, const char *module, const luaL_Reg *functions,
                     enum mb_stand_in how) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, module) == LUA_TTABLE) {
    for (const luaL_Reg *f = functions; f->name; f++) (void)mb_stand_in(h, L, module, f->name, f->func, how);
  }
  lua_pop(L, 2);
}

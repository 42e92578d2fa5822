#include "code/stand_in.h"

#include "code/modules.h"

void mb_replace_functions(struct mb_heap *h, lua_State *L, const char *module, const luaL_Reg *functions) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, module) == LUA_TTABLE) {
    for (const luaL_Reg *f = functions; f->name; f++) {
      lua_pushlightuserdata(L, h);
      lua_getfield(L, -2, f->name);
      mb_modules_alias(h, L, -1, module, f->name);
      lua_pushcclosure(L, f->func, 2);
      lua_setfield(L, -2, f->name);
    }
  }
  lua_pop(L, 2);
}

#include "code/paths.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

static const char *const package_paths[] = {"path", "cpath"};

/* Push the table `package`; 0 and nothing pushed when there is no such table. */
static int push_package(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushliteral(L, "package");
  lua_rawget(L, -2);
  lua_remove(L, -2);
  if (lua_istable(L, -1)) return 1;
  lua_pop(L, 1);
  return 0;
}

void mb_paths_note(struct mb_paths *p, lua_State *L) {
  if (!push_package(L)) return;
  for (int i = 0; i < 2; i++) {
    lua_pushstring(L, package_paths[i]);
    lua_rawget(L, -2);
    if (lua_type(L, -1) == LUA_TSTRING) p->paths[i] = strdup(lua_tostring(L, -1));
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
}

/* The library is found there, too; what the program has changed comes with replica.h. */
void mb_paths_use(const struct mb_paths *p, lua_State *L) {
  if (!push_package(L)) return;
  for (int i = 0; i < 2; i++) {
    if (!p->paths[i]) continue;
    lua_pushstring(L, p->paths[i]);
    lua_setfield(L, -2, package_paths[i]);
  }
  lua_pop(L, 1);
}

void mb_paths_deinit(struct mb_paths *p) {
  for (int i = 0; i < 2; i++) free(p->paths[i]);
}

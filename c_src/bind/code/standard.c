#include "code/standard.h"

#include <lualib.h>

#include "code/modules.h"

/* Name the value on the top of the stack (popped), if it is a C function. */
static void add(struct mb_heap *h, lua_State *L, const char *name) {
  if (lua_iscfunction(L, -1)) {
    mb_modules_set_standard(h, L, -1, "", name);
    mb_modules_alias(h, L, -1, "", name);
  }
  lua_pop(L, 1);
}

/* The table or userdata on the top of the stack is kept by its identity. */
static void keep(struct mb_heap *h, lua_State *L, const char *module, const char *field) {
  if (!lua_istable(L, -1) && !lua_isuserdata(L, -1)) return;
  mb_modules_set_standard(h, L, -1, module, field);
  mb_modules_declare(h, L, -1, module, field);
}

/* What function("", lax) of the base, or of a table there, gives first. */
static void add_iterator(struct mb_heap *h, lua_State *L, const char *table, const char *function, int lax,
                         const char *name) {
  int top = lua_gettop(L);
  mb_push_ref(h, L, MB_REF_BASE);
  if (table && lua_getfield(L, -1, table) != LUA_TTABLE) goto end;
  lua_getfield(L, -1, function);
  lua_pushliteral(L, "");
  lua_pushboolean(L, lax);
  if (lua_pcall(L, 2, 1, 0) == LUA_OK) add(h, L, name);

end:
  lua_settop(L, top);
}

void mb_standard_add(struct mb_heap *h, lua_State *L, const char *what) {
  int table = lua_gettop(L);
  lua_pushnil(L);
  while (lua_next(L, table)) {
    lua_pushstring(L, what);
    lua_pushliteral(L, " ");
    luaL_tolstring(L, table + 1, NULL);
    lua_concat(L, 3);
    lua_insert(L, -2);
    add(h, L, lua_tostring(L, -2));
    lua_settop(L, table + 1);
  }
}

/* The same for a table that is kept, too. */
static void add_table(struct mb_heap *h, lua_State *L, const char *what) {
  if (!lua_istable(L, -1)) return;
  mb_standard_add(h, L, what);
  keep(h, L, "", what);
}

/* Keep fields of a table of Lua's, and leave that on the stack. */
static void keep_fields(struct mb_heap *h, lua_State *L, const char *module, const char *const *fields) {
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, module) != LUA_TTABLE) return;
  for (int i = 0; fields[i]; i++) {
    lua_getfield(L, -1, fields[i]);
    keep(h, L, module, fields[i]);
    lua_pop(L, 1);
  }
}

void mb_open_standard(struct mb_heap *h, lua_State *L) {
  static const char *const tables[] = {"loaded", "preload", "searchers", NULL};
  static const char *const files[] = {"stdin", "stdout", "stderr", NULL};
  int top = lua_gettop(L);
  luaL_checkstack(L, 20, NULL);
  add_iterator(h, L, NULL, "ipairs", 0, "iterator of ipairs");
  add_iterator(h, L, "utf8", "codes", 0, "iterator of utf8.codes");
  add_iterator(h, L, "utf8", "codes", 1, "iterator of lax utf8.codes");
  lua_pushliteral(L, "");
  if (lua_getmetatable(L, -1)) add_table(h, L, "string metatable");
  if (luaL_getmetatable(L, LUA_FILEHANDLE) == LUA_TTABLE) {
    add_table(h, L, "file metatable");
    lua_getfield(L, -1, "__index");
    add_table(h, L, "file methods");
  }
  keep_fields(h, L, "io", files);
  keep_fields(h, L, "package", tables);
  if (lua_istable(L, -1) && lua_getfield(L, -1, "searchers") == LUA_TTABLE) mb_standard_add(h, L, "searcher");
  lua_settop(L, top);
}

#include "code/library.h"

#include <string.h>
#include <unistd.h>

#include "code/modules.h"
#include "heap/fields.h"

static const char root[] = "moonbeam";

/* Push a copy of the table at `index`; its metatable is left out. */
static void push_copy(lua_State *L, int index) {
  lua_newtable(L);
  mb_fields_copy(L, index, lua_gettop(L));
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
    /* package is read as the program has set it */
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

int mb_library_is_name(const char *module) {
  size_t size = sizeof root - 1;
  return strncmp(module, root, size) == 0 && (module[size] == '\0' || module[size] == '.');
}

int mb_library_loaded(struct mb_heap *h, lua_State *L, const char *module) {
  mb_push_ref(h, L, MB_REF_OWN_MODULES);
  if (lua_getfield(L, -1, module) == LUA_TNIL) {
    lua_pop(L, 2);
    return 0;
  }
  lua_remove(L, -2);
  return 1;
}

int mb_library_load(struct mb_heap *h, lua_State *L, const char *module) {
  const char *path;
  if (!h->own_prefix || module[sizeof root - 1] == '\0') return 0;
  lua_pushlstring(L, h->own_prefix + 1, h->own_prefix_size - 1); /* without the @ of a chunk's name */
  luaL_gsub(L, module + sizeof root, ".", "/");
  lua_pushliteral(L, ".lua");
  lua_concat(L, 3);
  path = lua_tostring(L, -1);
  if (access(path, R_OK) != 0) {
    lua_pop(L, 1);
    return 0;
  }
  if (luaL_loadfile(L, path) != LUA_OK) lua_error(L);
  mb_library_push_globals(h, L);
  if (!lua_setupvalue(L, -2, 1)) lua_pop(L, 1);
  lua_pushstring(L, module);
  lua_rotate(L, -3, -1);
  lua_call(L, 2, 1);
  return 1;
}

int mb_library_push(struct mb_heap *h, lua_State *L, const char *module) {
  luaL_checkstack(L, 6, NULL);
  if (mb_library_loaded(h, L, module)) return 1;
  if (!mb_library_load(h, L, module)) return 0;
  lua_pushvalue(L, -1);
  mb_library_put(h, L, module);
  return 1;
}

void mb_library_put(struct mb_heap *h, lua_State *L, const char *module) {
  mb_push_ref(h, L, MB_REF_OWN_MODULES);
  lua_insert(L, -2);
  lua_setfield(L, -2, module);
  lua_pop(L, 1);
  mb_modules_invalidate(h);
}

void mb_library_take(struct mb_heap *h, lua_State *L, const char *module) {
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, module);
  mb_library_put(h, L, module);
  lua_pushnil(L);
  lua_setfield(L, -2, module);
  lua_pop(L, 1);
}

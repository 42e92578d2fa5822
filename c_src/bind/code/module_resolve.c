/* From names to values: see modules.h. */
#include <string.h>

#include "code/library.h"
#include "code/modules_inside.h"
#include "heap/closing.h"

/* Remember the value on the top of the stack, which stays there, as the one behind a name. */
static void remember(struct mb_heap *h, lua_State *L, const char *name, size_t size) {
  mb_push_ref(h, L, MB_REF_RESOLVED);
  lua_pushlstring(L, name, size);
  lua_pushvalue(L, -3);
  lua_rawset(L, -3);
  lua_pop(L, 1);
}

/* Push the module of that name if it is loaded; else 0 and nothing. */
static int push_loaded_module(struct mb_heap *h, lua_State *L, const char *module) {
  if (strcmp(module, "_G") == 0) {
    mb_push_ref(h, L, MB_REF_BASE);
  } else if (!mb_library_is_name(module) || !mb_library_loaded(h, L, module)) {
    lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_getfield(L, -1, module);
    lua_remove(L, -2);
    if (!lua_toboolean(L, -1)) {
      lua_pop(L, 1);
      return 0;
    }
  }
  return 1;
}

/* Push the module of that name, which is loaded now. */
static int load_module(struct mb_heap *h, lua_State *L, const char *module) {
  if (mb_library_is_name(module) && mb_library_push(h, L, module)) return 1;
  mb_push_ref(h, L, MB_REF_REQUIRE);
  lua_pushstring(L, module);
  if (mb_pcall(h, L, 1, 1) != LUA_OK)
    luaL_error(L, MB_CANNOT_RECEIVE "module '%s' cannot be loaded on scheduler %d: %s", module,
               (int)h->scheduler->id + 1, luaL_tolstring(L, -1, NULL));
  mb_modules_note_loaded(h, L, module);
  return 1;
}

enum loading { MODULES_LOADED, MODULES_LOADING };

/* Push the last of a module's names, for errors, and the module itself: the others may have added to it, and are loaded
 * before. 0, and nothing pushed, when one is not loaded and may not be now. */
static int push_modules(struct mb_heap *h, lua_State *L, const char *names, size_t size, enum loading how) {
  const char *end = names + size;
  for (;;) {
    const char *to = memchr(names, MB_NAME_AND, (size_t)(end - names)), *module;
    module = lua_pushlstring(L, names, (size_t)((to ? to : end) - names));
    if (!push_loaded_module(h, L, module) && !(how == MODULES_LOADING && load_module(h, L, module))) {
      lua_pop(L, 1);
      return 0;
    }
    if (!to) return 1;
    lua_pop(L, 2);
    names = to + 1;
  }
}

int mb_modules_loaded(struct mb_heap *h, lua_State *L, const char *name, size_t size) {
  size_t module = strnlen(name, size);
  int top = lua_gettop(L);
  if (module < size && mb_modules_is_of_lua(name)) { /* whatever the program has put there */
    mb_push_ref(h, L, MB_REF_STANDARD);
    lua_pushlstring(L, name, size);
    if (lua_rawget(L, top + 1) != LUA_TNIL) {
      lua_replace(L, top + 1);
      return 1;
    }
    lua_settop(L, top);
  }
  mb_push_ref(h, L, MB_REF_RESOLVED);
  lua_pushlstring(L, name, size);
  if (lua_rawget(L, top + 1) != LUA_TNIL) {
    lua_replace(L, top + 1);
    return 1;
  }
  if (!push_modules(h, L, name, module, MODULES_LOADED)) {
    lua_settop(L, top);
    return 0;
  }
  if (module < size) {
    if (lua_istable(L, -1)) {
      lua_pushlstring(L, name + module + 1, size - module - 1);
      lua_rawget(L, -2);
    } else {
      lua_pushnil(L);
    }
  }
  if (!lua_toboolean(L, -1)) {
    lua_settop(L, top);
    return 0;
  }
  remember(h, L, name, size);
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
  return 1;
}

void mb_modules_resolve(struct mb_heap *h, lua_State *L, const char *name, size_t size) {
  size_t module = strnlen(name, size);
  int top = lua_gettop(L);
  luaL_checkstack(L, 10, NULL);
  if (mb_modules_loaded(h, L, name, size)) return;
  (void)push_modules(h, L, name, module, MODULES_LOADING);
  if (module < size) {
    const char *field;
    if (!lua_istable(L, top + 2)) luaL_error(L, MB_CANNOT_RECEIVE "module '%s' is no table", lua_tostring(L, top + 1));
    field = lua_pushlstring(L, name + module + 1, size - module - 1);
    lua_pushvalue(L, -1);
    lua_gettable(L, top + 2); /* it may not have been loaded yet: see lua_module.c */
    if (lua_isnil(L, -1))
      luaL_error(L, MB_CANNOT_RECEIVE "module '%s' has no field '%s' on scheduler %d; what a process adds to a module "
                    "stays on its own", lua_tostring(L, top + 1), field, (int)h->scheduler->id + 1);
  }
  remember(h, L, name, size);
  lua_replace(L, top + 1);
  lua_settop(L, top + 1);
}

/* Modules of the library whose files are loaded when they are first used. Their tables are there from the start, in the
 * library and wherever they are copied to, and are filled at the first look inside. */
#include <string.h>

#include "api/api.h"
#include "code/library.h"
#include "code/modules.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "heap/fields.h"

/* Fill the module's table, at stack index 1, from its file, and take its metatable off. In one call from Lua, so that
 * no other process of the heap sees half of it. */
static void load(struct mb_heap *h, lua_State *L) {
  const char *name;
  luaL_checkstack(L, 10, NULL);
  if (!luaL_getmetafield(L, 1, "__module")) return; /* somebody else has been here meanwhile */
  name = lua_tostring(L, -1);
  if (!mb_library_load(h, L, name)) luaL_error(L, "module '%s' not found: the library's files are gone", name);
  mb_fields_copy(L, lua_gettop(L), 1);
  mb_modules_alias(h, L, -1, name, NULL); /* the file's own table, which its functions have */
  if (!lua_getmetatable(L, -1)) lua_pushnil(L);
  lua_setmetatable(L, 1);
  mb_modules_invalidate(h);
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
  const char *name = luaL_checkstring(L, 1);
  if (mb_library_loaded(h, L, name)) return 1;
  lua_newtable(L);
  lua_newtable(L);
  mb_set_functions(h, L, methods);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__module");
  lua_setmetatable(L, -2);
  lua_pushvalue(L, -1);
  mb_library_put(h, L, name);
  return 1;
}

/* library(prefix): chunks whose name starts so are the runtime's, and its modules are found there. Errors point past
 * them. Once in a heap. */
static int library(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  luaL_checkstring(L, 1);
  if (h->own_prefix) return 0;
  lua_settop(L, 1);
  h->own_prefix = lua_tolstring(L, 1, &h->own_prefix_size);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &h->own_prefix); /* keeps the string */
  mb_library_take(h, L, "moonbeam.core");
  return 0;
}

/* add_module(name, module) -> module, which is the library's */
static int add_module(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  lua_pushvalue(L, 2);
  mb_library_put(mb_heap_of(L), L, name);
  return 1;
}

/* name(value, "module.field") -> value, which travels by this name from now on */
static int name(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  const char *text, *dot;
  int type = lua_type(L, 1);
  if ((type != LUA_TTABLE && type != LUA_TFUNCTION && type != LUA_TUSERDATA && type != LUA_TLIGHTUSERDATA) ||
      mb_to_pid(L, 1) || mb_to_ref(L, 1))
    return mb_bad_type(h, L, "name", 1, "table, function or userdata", 1);
  if (lua_type(L, 2) != LUA_TSTRING) return mb_bad_type(h, L, "name", 2, "\"module.field\"", 2);
  text = lua_tostring(L, 2);
  dot = strrchr(text, '.');
  if (!dot || dot == text || !dot[1] || strlen(text) != lua_rawlen(L, 2) || lua_rawlen(L, 2) > MB_NAME_MOST)
    return mb_bad_argument(h, L, "name", 2, "\"module.field\" of at most %d bytes expected, got \"%s\"", MB_NAME_MOST,
                           mb_push_short(L, text));
  lua_settop(L, 2);
  lua_pushlstring(L, text, (size_t)(dot - text));
  if (!mb_modules_exists(h, L, lua_tostring(L, -1)))
    return mb_bad_argument(h, L, "name", 2, "there is no module '%s': it is not loaded, and require does not find it",
                           mb_push_short(L, lua_tostring(L, -1)));
  if (type != LUA_TLIGHTUSERDATA) { /* which is the same everywhere */
    mb_modules_declare(h, L, 1, lua_tostring(L, -1), dot + 1);
  }
  lua_settop(L, 1);
  return 1;
}

/* declare(table, module, field | nil): it travels as that field of a module of the library's, or not any more */
static int declare(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  const char *module = luaL_checkstring(L, 2);
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 3);
  if (lua_isnil(L, 3))
    mb_modules_withdraw(h, L, 1);
  else
    mb_modules_declare(h, L, 1, module, luaL_checkstring(L, 3));
  return 0;
}

/* library_modules() -> those that are loaded, by name: a copy */
static int library_modules(lua_State *L) {
  mb_push_ref(mb_heap_of(L), L, MB_REF_OWN_MODULES);
  lua_newtable(L);
  mb_fields_copy(L, lua_gettop(L) - 1, lua_gettop(L));
  return 1;
}

void mb_open_module(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"lazy", lazy},
                                       {"library", library},
                                       {"add_module", add_module},
                                       {"library_modules", library_modules},
                                       {"name", name},
                                       {"declare", declare},
                                       {NULL, NULL}};
  mb_set_functions(h, L, functions);
}

/* The dictionary of the calling process, for the module Process. */
#include <string.h>

#include "api/api.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "heap/private.h"
#include "process/current.h"

/* As mb_push_dictionary, of the calling process. */
static int push_own(struct mb_heap *h, lua_State *L, enum mb_make make) {
  return mb_push_dictionary(h, L, mb_current(h, L), make);
}

static void check_key(struct mb_heap *h, lua_State *L, const char *function) {
  if (lua_isnoneornil(L, 1)) mb_bad_type(h, L, function, 1, "key", 1);
  if (lua_type(L, 1) == LUA_TNUMBER && lua_tonumber(L, 1) != lua_tonumber(L, 1))
    mb_bad_argument(h, L, function, 1, "a key cannot be NaN");
}

static int process_put(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  check_key(h, L, "Process.put");
  lua_settop(L, 2);
  push_own(h, L, MB_MAKE);
  lua_pushvalue(L, 1);
  lua_rawget(L, 3);
  lua_pushvalue(L, 1);
  lua_pushvalue(L, 2);
  lua_rawset(L, 3);
  return 1;
}

static int process_get(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  if (lua_isnone(L, 1)) {
    lua_newtable(L);
    if (push_own(h, L, MB_IF_MADE)) {
      lua_pushnil(L);
      while (lua_next(L, 2)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, 1);
      }
      lua_settop(L, 1);
    }
    return 1;
  }
  check_key(h, L, "Process.get");
  lua_settop(L, 2);
  if (push_own(h, L, MB_IF_MADE)) {
    lua_pushvalue(L, 1);
    if (lua_rawget(L, 3) != LUA_TNIL) return 1;
  }
  lua_settop(L, 2);
  return 1;
}

static int process_delete(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  check_key(h, L, "Process.delete");
  lua_settop(L, 1);
  if (!push_own(h, L, MB_IF_MADE)) return 0;
  lua_pushvalue(L, 1);
  lua_rawget(L, 2);
  lua_pushvalue(L, 1);
  lua_pushnil(L);
  lua_rawset(L, 2);
  return 1;
}

static int process_get_keys(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  lua_Integer n = 0;
  int all = lua_isnone(L, 1);
  lua_settop(L, 1);
  lua_newtable(L);
  if (!push_own(h, L, MB_IF_MADE)) return 1;
  lua_pushnil(L);
  while (lua_next(L, 3)) {
    if (all || lua_compare(L, -1, 1, LUA_OPEQ)) {
      lua_pushvalue(L, -2);
      lua_rawseti(L, 2, ++n);
    }
    lua_pop(L, 1);
  }
  lua_settop(L, 2);
  return 1;
}

void mb_open_dictionary(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"process_put", process_put},
                                       {"process_get", process_get},
                                       {"process_delete", process_delete},
                                       {"process_get_keys", process_get_keys},
                                       {NULL, NULL}};
  mb_set_functions(h, L, functions);
}

#include "heap/arguments.h"

#include <string.h>

#include "heap/errors.h"

void mb_set_functions(struct mb_heap *h, lua_State *L, const luaL_Reg *functions) {
  lua_pushlightuserdata(L, h);
  luaL_setfuncs(L, functions, 1);
}

mb_pid mb_check_pid(struct mb_heap *h, lua_State *L, int at, const char *function, int index) {
  mb_pid pid = mb_to_pid(L, at);
  if (!pid) mb_bad_type(h, L, function, index, "pid", at);
  return pid;
}

const char *mb_check_name(struct mb_heap *h, lua_State *L, int at, const char *function, int index,
                          size_t *size) {
  static const char *const reserved[] = {"nil", "true", "false", "undefined", NULL};
  const char *name;
  if (lua_type(L, at) != LUA_TSTRING) mb_bad_type(h, L, function, index, "name", at);
  name = lua_tolstring(L, at, size);
  if (*size == 0) mb_bad_argument(h, L, function, index, "a name is a non-empty string");
  for (int i = 0; reserved[i]; i++)
    if (strcmp(name, reserved[i]) == 0)
      mb_bad_argument(h, L, function, index, "'%s' is reserved and cannot be a name", name);
  return name;
}

void mb_check_function(struct mb_heap *h, lua_State *L, const char *name) {
  if (lua_isfunction(L, 1)) return;
  if (luaL_getmetafield(L, 1, "__call") != LUA_TNIL) {
    lua_pop(L, 1);
    return;
  }
  mb_bad_type(h, L, name, 1, "function", 1);
}

#include "io/failure.h"

#include <uv.h>

int mb_failure_text(lua_State *L, const char *name, const char *text) {
  lua_pushnil(L);
  lua_pushfstring(L, "%s: %s", name, text);
  lua_pushstring(L, name);
  return 3;
}

int mb_failure(lua_State *L, int error) {
  char name[32], text[128];
  return mb_failure_text(L, uv_err_name_r(error, name, sizeof name), uv_strerror_r(error, text, sizeof text));
}

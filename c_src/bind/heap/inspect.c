#include "heap/inspect.h"

#include <stdlib.h>

#include "heap/closing.h"

void mb_push_inspect(struct mb_heap *h, lua_State *L, int index) {
  int top = lua_gettop(L), made;
  index = lua_absindex(L, index);
  mb_push_ref(h, L, MB_REF_INSPECT);
  made = lua_isfunction(L, -1);
  if (made) {
    lua_pushvalue(L, index);
    made = mb_pcall(h, L, 1, 1) == LUA_OK && lua_type(L, -1) == LUA_TSTRING;
  }
  if (made) return;
  lua_settop(L, top);
  lua_pushfstring(L, "a %s", luaL_typename(L, index));
}

int mb_push_name(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  uint32_t size;
  char *name = mb_names_of(&h->runtime->names, p, &size);
  if (!name) return 0;
  lua_pushlstring(L, name, size);
  free(name);
  return 1;
}

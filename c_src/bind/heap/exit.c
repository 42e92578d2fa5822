#include "heap/exit.h"

void mb_push_exit(struct mb_heap *h, lua_State *L) {
  lua_createtable(L, 0, 1);
  lua_insert(L, -2);
  lua_setfield(L, -2, "reason");
  mb_push_ref(h, L, MB_REF_EXIT_MT);
  lua_setmetatable(L, -2);
}

int mb_is_exit(struct mb_heap *h, lua_State *L, int index) {
  int is;
  if (!lua_istable(L, index) || !lua_getmetatable(L, index)) return 0;
  mb_push_ref(h, L, MB_REF_EXIT_MT);
  is = lua_rawequal(L, -1, -2);
  lua_pop(L, 2);
  return is;
}

#include "heap/private.h"

int mb_push_private(struct mb_heap *h, lua_State *L, struct mb_process *p, enum mb_make make) {
  if (!(p->private_flags & MB_PRIVATE_VALUES) && make == MB_IF_MADE) return 0;
  mb_push_ref(h, L, MB_REF_PRIVATE);
  if (p->private_flags & MB_PRIVATE_VALUES) {
    lua_rawgeti(L, -1, p->index);
  } else {
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, p->index);
    p->private_flags |= MB_PRIVATE_VALUES;
  }
  lua_remove(L, -2);
  return 1;
}

int mb_push_dictionary(struct mb_heap *h, lua_State *L, struct mb_process *p, enum mb_make make) {
  if (!mb_push_private(h, L, p, make)) return 0;
  if (lua_rawgeti(L, -1, MB_PRIVATE_DICTIONARY) != LUA_TTABLE) {
    lua_pop(L, 1);
    if (make == MB_IF_MADE) {
      lua_pop(L, 1);
      return 0;
    }
    lua_createtable(L, 0, 2); /* what the library keeps there, and one of the user's */
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, MB_PRIVATE_DICTIONARY);
  }
  lua_remove(L, -2);
  return 1;
}

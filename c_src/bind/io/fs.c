#include "io/fs.h"

#include "heap/arguments.h"

static int fs(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  lua_settop(L, 0);
  lua_newtable(L);
  mb_open_paths(h, L);
  mb_open_contents(h, L);
  mb_open_opening(h, L);
  mb_open_fs_watch(h, L);
  mb_open_file(h, L);
  return 1;
}

void mb_open_fs(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"fs", fs}, {NULL, NULL}};
  mb_set_functions(h, L, functions);
}

#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <stdlib.h>
#include "host_api.h"
int main(int argc, char **argv) {
  lua_State *L = luaL_newstate();
  struct mb_host_options o = {0};
  struct mb_host_outcome out;
  luaL_openlibs(L);
  if (mb_host_open(L, &o)) { fprintf(stderr, "%s\n", lua_tostring(L, -1)); return 1; }
  if (luaL_loadfile(L, argc > 1 ? argv[1] : NULL)) { fprintf(stderr, "%s\n", lua_tostring(L, -1)); return 1; }
  for (int i = 2; i < argc; i++) lua_pushstring(L, argv[i]);
  mb_host_run(L, argc > 1 ? argc - 2 : 0, &out);
  if (out.text) fprintf(stderr, "moonbeam: %s\n", out.text);
  mb_host_close(L);
  lua_close(L);
  return out.kind != MB_ENDED_NORMAL;
}

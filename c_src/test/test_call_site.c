/* Call sites: that this Lua is one of those whose call sites are understood; what is said of them is tried out there. */
#include <lauxlib.h>

#include "check.h"
#include "code/call_site.h"

int main(void) {
  lua_State *L = luaL_newstate();
  CHECK(L);
  CHECK(mb_call_sites_known(L));
  CHECK(lua_gettop(L) == 0);
  lua_close(L);
  return 0;
}

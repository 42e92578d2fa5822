/* Call sites: that this Lua is one of those whose call sites are understood; what is said of them is tried out
 * there. */
#include <lauxlib.h>

#include "code/call_site.h"
#include "test/check.h"

TEST(this_lua_s_call_sites_are_understood) {
  lua_State *L = luaL_newstate();
  CHECK(L);
  CHECK(mb_call_sites_known(L));
  CHECK(lua_gettop(L) == 0);
  lua_close(L);
}

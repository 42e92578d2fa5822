/* pcall and xpcall, as the library's. The error by which a process that has been ended leaves code where Lua cannot
 * yield, and the interrupt of a prompt's line, are not the user's to catch: they are passed on, so that nothing but
 * to-be-closed variables runs. */
#include "api/api.h"
#include "code/stand_in.h"
#include "heap/closing.h"

/* The results of a protected call that began when mb_unwinding was `then`; `below` values of the stack are none. */
static int results(lua_State *L, int status, int below, int then) {
  if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - below;
  if (mb_unwinding_since(mb_any_heap_of(L), then)) return mb_pass_on(mb_any_heap_of(L), L);
  lua_pushboolean(L, 0);
  lua_pushvalue(L, -2);
  return 2;
}

static int pcall_on(lua_State *L, int status, lua_KContext then) { return results(L, status, 0, (int)then); }
static int xpcall_on(lua_State *L, int status, lua_KContext then) { return results(L, status, 2, (int)then); }

static int do_pcall(lua_State *L) {
  int then = mb_unwinding(mb_any_heap_of(L));
  luaL_checkany(L, 1);
  lua_pushboolean(L, 1); /* the first result */
  lua_insert(L, 1);
  return pcall_on(L, lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, then, pcall_on), then);
}

static int do_xpcall(lua_State *L) {
  int then = mb_unwinding(mb_any_heap_of(L)), arguments = lua_gettop(L) - 2;
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_pushboolean(L, 1);
  lua_pushvalue(L, 1);
  lua_rotate(L, 3, 2); /* both below the arguments */
  return xpcall_on(L, lua_pcallk(L, arguments, LUA_MULTRET, 2, then, xpcall_on), then);
}

void mb_open_protect(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"pcall", do_pcall}, {"xpcall", do_xpcall}, {NULL, NULL}};
  mb_stand_in_all(h, L, "_G", functions, MB_STAND_IN_HEAP | MB_STAND_IN_ANY);
}

/* A C function sets a hook of its own while the runtime's is armed, as signal handlers of other libraries do: the
 * process is preempted all the same, the other hook is called for its events, and a kill gets through. */
#include <lauxlib.h>
#include <lualib.h>
#include <time.h>
#include <unistd.h>

#include "moonbeam.h"
#include "test/check.h"

enum { PATIENCE_S = 60 };

static int calls; /* of the foreign hooks */

static void once(lua_State *L, lua_Debug *ar) {
  (void)ar;
  calls++;
  lua_sethook(L, NULL, 0, 0);
}

static void every(lua_State *L, lua_Debug *ar) {
  CHECK(ar->event == LUA_HOOKCOUNT && lua_gethookmask(L) & LUA_MASKCOUNT);
  calls++;
}

/* As soon as there is a hook, set f in its place. */
static void take_place(lua_State *L, lua_Hook f, int mask, int count) {
  time_t limit = time(NULL) + PATIENCE_S;
  while (!lua_gethook(L)) CHECK(time(NULL) < limit);
  lua_sethook(L, f, mask, count);
}

static int take_once(lua_State *L) {
  take_place(L, once, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
  return 0;
}

static int take_for_good(lua_State *L) {
  take_place(L, every, LUA_MASKCOUNT, 100);
  return 0;
}

static int get_calls(lua_State *L) {
  lua_pushinteger(L, calls);
  return 1;
}

static int open_foreign(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"take_once", take_once}, {"take_for_good", take_for_good}, {"calls", get_calls}, {NULL, NULL}};
  luaL_newlib(L, functions);
  return 1;
}

static const char script[] =
    "local core, foreign = require 'moonbeam.core', require 'foreign'\n"
    "local function loop(take)\n"
    "  require 'foreign'[take]()\n"
    "  while true do end\n"
    "end\n"
    "for _, take in ipairs{'take_once', 'take_for_good'} do\n"
    "  local before, pid = foreign.calls(), core.spawn(loop, take)\n"
    "  for _ = 1, 10 do core.sleep(1) end\n"
    "  while foreign.calls() == before do core.sleep(1) end\n"
    "  local seen = foreign.calls()\n"
    "  while take == 'take_for_good' and foreign.calls() == seen do core.sleep(1) end\n"
    "  core.process_exit(pid, 'kill')\n"
    "  while core.process_alive(pid) do core.sleep(1) end\n"
    "end\n";

TEST(what_has_a_foreign_hook_is_preempted_and_killed_all_the_same) {
  lua_State *L;
  unsetenv("MOONBEAM_PREEMPT");
  L = luaL_newstate();
  CHECK(L);
  luaL_openlibs(L);
  luaL_requiref(L, "foreign", open_foreign, 0);
  luaL_requiref(L, "moonbeam.core", luaopen_moonbeam_core, 0);
  lua_settop(L, 0);
  if (luaL_dostring(L, script) != LUA_OK) {
    fprintf(stderr, "%s\n", lua_tostring(L, -1));
    exit(1);
  }
  lua_close(L);
}

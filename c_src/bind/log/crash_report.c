#include "log/crash_report.h"

#include <stdlib.h>
#include <string.h>

#include "heap/inspect.h"
#include "heap/private.h"

/* report[field] = the value of the process's dictionary for key. */
static void add_local(lua_State *L, int report, int dictionary, const char *field, const char *key) {
  lua_pushstring(L, key);
  lua_rawget(L, dictionary);
  lua_setfield(L, report, field);
}

void mb_push_crash(struct mb_heap *h, lua_State *L, struct mb_process *p, int reason) {
  int report;
  reason = lua_absindex(L, reason);
  luaL_checkstack(L, 8, NULL);
  lua_createtable(L, 0, 10);
  report = lua_gettop(L);
  lua_pushliteral(L, "crash");
  lua_setfield(L, report, "kind");
  mb_push_id(L, mb_pid_of(p));
  lua_setfield(L, report, "pid");
  if (mb_push_name(h, L, p)) lua_setfield(L, report, "name");
  lua_pushvalue(L, reason);
  lua_setfield(L, report, "reason");
  if (lua_istable(L, reason) && lua_rawgeti(L, reason, 1) == LUA_TSTRING && !strcmp(lua_tostring(L, -1), "error")) {
    lua_rawgeti(L, reason, 2);
    lua_setfield(L, report, "error");
    lua_rawgeti(L, reason, 3);
    lua_setfield(L, report, "traceback");
  }
  if (p->site) {
    lua_pushstring(L, p->site);
    lua_setfield(L, report, "spawned_at");
  }
  if (p->parent) {
    mb_push_id(L, p->parent);
    lua_setfield(L, report, "parent");
  }
  lua_settop(L, report);
  if (mb_push_dictionary(h, L, p, MB_IF_MADE)) {
    add_local(L, report, report + 1, "callers", "$callers");
    add_local(L, report, report + 1, "ancestors", "$ancestors");
  }
  lua_settop(L, report);
}


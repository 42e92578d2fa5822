/* collectgarbage. Its settings are those of a scheduler, so a process among others does not change them. */
#include <string.h>

#include "api/own.h"
#include "code/stand_in.h"
#include "heap/errors.h"

static int is_setting(const char *option) {
  static const char *const settings[] = {"stop",     "restart",    "incremental", "generational",
                                         "setpause", "setstepmul", NULL};
  for (int i = 0; settings[i]; i++)
    if (strcmp(option, settings[i]) == 0) return 1;
  return 0;
}

/* Upvalue 1 is the library's. */
static int do_collectgarbage(lua_State *L) {
  const char *option = lua_type(L, 1) == LUA_TSTRING ? lua_tostring(L, 1) : "collect";
  if (is_setting(option)) {
    struct mb_heap *h = mb_heap_here(L);
    struct mb_process *p = mb_running(h);
    if (p && !(p->flags & (MB_IN_PLACE | MB_SCRIPT)) && !h->configuring)
      return mb_raise(h, L,
                      "collectgarbage(\"%s\") is refused in a process, since it counts for all processes of the "
                      "scheduler; call it in the script, or for every scheduler in moonbeam.on_scheduler_start",
                      option);
  }
  return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

void mb_open_collector(struct mb_heap *h, lua_State *L) {
  int top = lua_gettop(L);
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, "_G") == LUA_TTABLE && lua_getfield(L, -1, "collectgarbage") == LUA_TFUNCTION &&
      lua_iscfunction(L, -1)) {
    h->ref[MB_REF_COLLECTGARBAGE] = luaL_ref(L, LUA_REGISTRYINDEX);
    (void)mb_stand_in(h, L, "_G", "collectgarbage", do_collectgarbage, MB_STAND_IN_ORIGINAL);
  }
  lua_settop(L, top);
}

#include "heap/main_thread.h"

#include "heap/hook.h"

/* Keeps what stands below on the main thread out of sight: errors name the line of the level above. */
static int call(lua_State *L) {
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

int mb_main_pcall(struct mb_heap *h, lua_State *L, int arguments) {
  lua_State *top = h->L, *running = h->running;
  int base = lua_gettop(top), status, results;
  if (top == L) return lua_pcall(L, arguments, LUA_MULTRET, 0);
  if (!lua_checkstack(top, arguments + 2)) {
    lua_pop(L, arguments + 1);
    lua_pushliteral(L, "not enough memory"); /* Lua has this string */
    return LUA_ERRMEM;
  }
  lua_pushcfunction(top, call);
  lua_xmove(L, top, arguments + 1);
  if (running) mb_hook_enter(h, top);
  status = lua_pcall(top, arguments + 1, LUA_MULTRET, 0);
  if (running) mb_hook_enter(h, running);
  results = lua_gettop(top) - base;
  if (!lua_checkstack(L, results)) {
    lua_settop(top, base);
    lua_pushliteral(L, "not enough memory");
    return LUA_ERRMEM;
  }
  lua_xmove(top, L, results);
  return status;
}


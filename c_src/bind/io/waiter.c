#include "io/waiter.h"

#include "heap/arguments.h"
#include "process/current.h"

static int deadline(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  lua_pushinteger(L, (lua_Integer)mb_check_deadline(h, L, 1, luaL_checkstring(L, 2), (int)luaL_checkinteger(L, 3),
                                                    MB_TIMEOUT_OPTIONAL));
  return 1;
}

/* Stack: 1 waiter. Looking and waiting are one step: between two instructions of Lua's a callback may run. */
static int suspended(lua_State *L, int status, lua_KContext until) {
  struct mb_heap *h = mb_heap_of(L);
  (void)status;
  for (;;) {
    struct mb_process *p = mb_current_still(h, L);
    int over = lua_getfield(L, 1, "over") != LUA_TNIL;
    lua_settop(L, 1);
    if (over || mb_deadline_passed(h, (uint64_t)until)) {
      lua_pushboolean(L, over);
      return mb_worked(h, L, p, MB_COST_MESSAGE, 1);
    }
    mb_block(h, L, p, (uint64_t)until, until, suspended);
  }
}

static int suspend(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  lua_KContext until = (lua_KContext)luaL_checkinteger(L, 2);
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  (void)mb_current(h, L);
  return suspended(L, LUA_OK, until);
}

/* The function that a starter is given: what it gets are the values of the waiter, upvalue 2, the first time. */
static int resume(lua_State *L) {
  struct mb_heap *h = mb_any_heap_of(L);
  int waiter = lua_upvalueindex(2), n = lua_gettop(L);
  mb_pid pid;
  if (lua_getfield(L, waiter, "over") != LUA_TNIL) return 0;
  lua_pop(L, 1);
  lua_createtable(L, n, 1);
  lua_insert(L, 1);
  for (int i = n; i >= 1; i--) lua_rawseti(L, 1, i);
  lua_pushinteger(L, n);
  lua_setfield(L, 1, "n");
  lua_setfield(L, waiter, "values");
  lua_pushboolean(L, 1);
  lua_setfield(L, waiter, "over");
  lua_getfield(L, waiter, "process");
  pid = mb_to_pid(L, -1);
  if (h->scheduler) mb_wake_waiter(h->scheduler, &pid);
  return 0;
}

static int resumer(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_pushlightuserdata(L, mb_heap_of(L));
  lua_insert(L, 1);
  lua_pushcclosure(L, resume, 2);
  return 1;
}

void mb_open_waiter(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {
      {"deadline", deadline}, {"suspend", suspend}, {"resumer", resumer}, {NULL, NULL}};
  mb_set_functions(h, L, functions);
}

/* Shared values, as scripts see them: see heap/shared.h. */
#include "api/api.h"
#include "codec/shared_make.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "heap/shared.h"

/* share(value) -> value, or a table's handle */
static int share(lua_State *L) {
  struct mb_heap *h = mb_any_heap_of(L);
  luaL_checkany(L, 1);
  lua_settop(L, 1);
  switch (lua_type(L, 1)) {
    case LUA_TNIL: case LUA_TBOOLEAN: case LUA_TNUMBER: case LUA_TSTRING: case LUA_TLIGHTUSERDATA: return 1;
    case LUA_TTABLE: mb_shared_make(h, L, 1); return 1;
    default:
      if (mb_shared_at(h, L, 1)) return 1;
      return mb_raise(h, L, "cannot share: it is a %s: what is shared is data", luaL_typename(L, 1));
  }
}

/* is_shared(value) */
static int is_shared(lua_State *L) {
  lua_pushboolean(L, mb_shared_at(mb_any_heap_of(L), L, 1) != NULL);
  return 1;
}

/* shared_blocks() -> how many shared values there are in the program, wherever what stands for them is */
static int shared_blocks(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)atomic_load_explicit(&mb_shared_blocks, memory_order_relaxed));
  return 1;
}

static const struct mb_shared_ref *check(struct mb_heap *h, lua_State *L) {
  const struct mb_shared_ref *r = mb_shared_at(h, L, 1);
  if (!r) mb_raise(h, L, "shared value expected, got %s", luaL_typename(L, 1));
  return r;
}

static int get(lua_State *L) {
  struct mb_heap *h = mb_any_heap_of(L);
  const struct mb_shared_ref *r = check(h, L);
  lua_settop(L, 2);
  (void)mb_shared_get(h, L, r, 2);
  return 1;
}

static int length(lua_State *L) {
  lua_pushinteger(L, mb_shared_length(check(mb_any_heap_of(L), L)));
  return 1;
}

/* next_shared(handle, key | nil) -> key, value | nil */
static int next_shared(lua_State *L) {
  struct mb_heap *h = mb_any_heap_of(L);
  const struct mb_shared_ref *r = check(h, L);
  int found;
  lua_settop(L, 2);
  found = mb_shared_next(h, L, r, 2);
  if (found < 0) return mb_raise(h, L, "a shared value has no such key to go on from");
  if (found) return 2;
  lua_pushnil(L);
  return 1;
}

/* pairs' values; the second upvalue is next_shared */
static int each(lua_State *L) {
  (void)check(mb_any_heap_of(L), L);
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(2));
  lua_insert(L, 1);
  lua_pushnil(L);
  return 3;
}

static int refuse_change(lua_State *L) {
  return mb_raise(mb_any_heap_of(L), L, "a shared value cannot be changed: share a changed copy instead");
}

static int collect(lua_State *L) {
  mb_shared_collect(L);
  return 0;
}

void mb_open_share(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {
      {"share", share}, {"is_shared", is_shared}, {"next_shared", next_shared}, {"shared_blocks", shared_blocks},
      {NULL, NULL}};
  static const luaL_Reg methods[] = {
      {"__index", get}, {"__len", length}, {"__newindex", refuse_change}, {"__gc", collect}, {NULL, NULL}};
  mb_set_functions(h, L, functions);
  lua_newtable(L);
  mb_set_functions(h, L, methods);
  lua_pushlightuserdata(L, h);
  lua_getfield(L, -3, "next_shared");
  lua_pushcclosure(L, each, 2);
  lua_setfield(L, -2, "__pairs");
  lua_pushliteral(L, "shared value");
  lua_setfield(L, -2, "__name");
  lua_pushboolean(L, 0); /* nobody else finalizes a handle */
  lua_setfield(L, -2, "__metatable");
  mb_shared_open(h, L);
}

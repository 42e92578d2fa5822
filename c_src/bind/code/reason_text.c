#include "code/reason_text.h"

#include "code/library.h"
#include "heap/closing.h"
#include "heap/inspect.h"

/* (heap, function's name, reason) -> text */
static int make_text(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  if (!mb_library_push(h, L, "moonbeam.internal.exit_text")) return 0;
  lua_getfield(L, -1, lua_touserdata(L, 2));
  lua_pushvalue(L, 3);
  lua_call(L, 1, 1);
  return 1;
}

static void push_text(struct mb_heap *h, lua_State *L, int index, const char *function) {
  int top = lua_gettop(L);
  index = lua_absindex(L, index);
  luaL_checkstack(L, 6, NULL);
  lua_pushcfunction(L, make_text);
  lua_pushlightuserdata(L, h);
  lua_pushlightuserdata(L, (void *)function);
  lua_pushvalue(L, index);
  if (mb_pcall(h, L, 3, 1) == LUA_OK && lua_type(L, -1) == LUA_TSTRING) return;
  lua_settop(L, top);
  mb_push_inspect(h, L, index);
}

void mb_push_reason_text(struct mb_heap *h, lua_State *L, int index) { push_text(h, L, index, "reason"); }
void mb_push_reason_line(struct mb_heap *h, lua_State *L, int index) { push_text(h, L, index, "line"); }

int mb_reason_tostring(lua_State *L) {
  lua_settop(L, 1);
  mb_push_reason_text(mb_any_heap_of(L), L, 1);
  return 1;
}

void mb_dress_reason(struct mb_heap *h, lua_State *L) {
  if (!lua_istable(L, -1)) return;
  if (lua_getmetatable(L, -1)) {
    lua_pop(L, 1);
    return;
  }
  mb_push_ref(h, L, MB_REF_REASON_MT);
  lua_setmetatable(L, -2);
}

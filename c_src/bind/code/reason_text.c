#include "code/reason_text.h"

#include <string.h>

#include "code/library.h"
#include "heap/closing.h"
#include "heap/inspect.h"

/* A function of the library's from a value to its text. */
struct maker {
  struct mb_heap *h;
  const char *module, *function;
};

/* (maker, value) -> text */
static int make_text(lua_State *L) {
  const struct maker *maker = lua_touserdata(L, 1);
  if (!mb_library_push(maker->h, L, maker->module)) return 0;
  lua_getfield(L, -1, maker->function);
  lua_pushvalue(L, 2);
  lua_call(L, 1, 1);
  return 1;
}

/* Push what it makes of the value at `index`; 0, and nothing pushed, when that is no text. */
static int push_made(struct maker maker, lua_State *L, int index) {
  int top = lua_gettop(L);
  index = lua_absindex(L, index);
  luaL_checkstack(L, 6, NULL);
  lua_pushcfunction(L, make_text);
  lua_pushlightuserdata(L, &maker);
  lua_pushvalue(L, index);
  if (mb_pcall(maker.h, L, 2, 1) == LUA_OK && lua_type(L, -1) == LUA_TSTRING) return 1;
  lua_settop(L, top);
  return 0;
}

static void push_text(struct mb_heap *h, lua_State *L, int index, const char *function) {
  struct maker maker = {h, "moonbeam.internal.exit_text", function};
  if (!push_made(maker, L, index)) mb_push_inspect(h, L, index);
}

int mb_push_hint(struct mb_heap *h, lua_State *L, int index) {
  struct maker maker = {h, "moonbeam.internal.hints", "of"};
  if (lua_type(L, index) != LUA_TSTRING || !strstr(lua_tostring(L, index), "a nil value (")) return 0;
  return push_made(maker, L, index);
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

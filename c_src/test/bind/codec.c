/* The codec with every allocation failing in turn: encoding either works or raises, and loses nothing. */
#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

#include "bind/open.h"
#include "codec/codec.h"
#include "moonbeam.h"
#include "test/check.h"

static long countdown = -1; /* allocations that still succeed; -1: all */

static void *failing(void *data, void *block, size_t old, size_t size) {
  (void)data;
  (void)old;
  if (size == 0) {
    free(block);
    return NULL;
  }
  if (countdown >= 0 && (!block || size > old) && countdown-- == 0) {
    countdown = 0;
    return NULL;
  }
  return realloc(block, size);
}

/* copy(value) -> the value, encoded and decoded */
static int copy(lua_State *L) {
  struct mb_heap *h = mb_heap_open(L);
  const struct mb_buffer *out;
  void *bytes;
  mb_encode(h, L, 1, 1, "copy", &out);
  bytes = lua_newuserdatauv(L, out->size, 0);
  memcpy(bytes, out->bytes, out->size);
  return mb_decode(h, L, bytes);
}

static const char script[] =
    "local copy = ...\n"
    "local t = {1, 'two', {3, x = 'y'}, f = function(n) return n + #t_global end}\n"
    "t.self = t\n"
    "local deep = {} local at = deep for i = 1, 200 do at[1] = {} at = at[1] end\n"
    "t.deep = deep\n"
    "t_global = {1, 2}\n"
    "local c = copy(t)\n"
    "assert(c[3].x == 'y' and c.self == c and c.f(1) == 3)\n";

TEST(with_each_allocation_failing_in_turn_encoding_works_or_raises) {
  lua_State *L = lua_newstate(failing, NULL);
  int ok = 0;
  CHECK(L);
  luaL_openlibs(L);
  luaL_requiref(L, "moonbeam.core", luaopen_moonbeam_core, 0);
  lua_settop(L, 0);
  for (long n = 0; !ok; n++) {
    CHECK(n < 100000);
    CHECK(luaL_loadstring(L, script) == LUA_OK);
    lua_pushcfunction(L, copy);
    countdown = n;
    ok = lua_pcall(L, 1, 0, 0) == LUA_OK;
    countdown = -1;
    lua_settop(L, 0);
    if (n % 50 == 0) lua_gc(L, LUA_GCCOLLECT, 0);
  }
  lua_close(L);
}

/* Finalizers: that this Lua's collector is one of those whose word can be read, and that it says what lua_gc says. */
#include <lauxlib.h>
#include <lualib.h>

#include "heap/finalizer.h"
#include "test/check.h"

/* is_finalizer() -> what the word says; raises when lua_gc says something else */
static int is_finalizer(lua_State *L) {
  int word = *mb_collector_word(L) & MB_STOPPED_BY_FINALIZER, is = lua_gc(L, LUA_GCISRUNNING) < 0;
  if (!word != !is) return luaL_error(L, "the word says %d, lua_gc %d", word, is);
  lua_pushboolean(L, is);
  return 1;
}

static int note(lua_State *L) {
  *(int *)lua_touserdata(L, lua_upvalueindex(1)) = lua_toboolean(L, 1);
  return 0;
}

TEST(the_collector_s_word_says_what_lua_gc_says) {
  static const char source[] =
      "local is, seen = is_finalizer, {}\n"
      "local function see() seen[#seen + 1] = is() end\n"
      "local mt = {__gc = function() see() coroutine.wrap(see)() pcall(see) table.sort({2, 1}, function() see() end) "
      "end}\n"
      "see() setmetatable({}, mt) collectgarbage() see()\n"
      "collectgarbage('stop') see() collectgarbage('restart')\n"
      "setmetatable({}, mt) coroutine.wrap(function() collectgarbage('step', 10000) collectgarbage() see() end)()\n"
      "local texts = {} for i, v in ipairs(seen) do texts[i] = v and 'y' or 'n' end\n"
      "assert(table.concat(texts):gsub('y+', 'y') == 'nynnyn', table.concat(texts))\n"
      "kept = setmetatable({}, {__gc = function() note(is()) end})\n";
  lua_State *L = luaL_newstate();
  int at_close = 0;
  CHECK(L);
  luaL_openlibs(L);
  CHECK(mb_collector_known());
  lua_register(L, "is_finalizer", is_finalizer);
  lua_pushlightuserdata(L, &at_close);
  lua_pushcclosure(L, note, 1);
  lua_setglobal(L, "note");
  if (luaL_dostring(L, source) != LUA_OK) fprintf(stderr, "%s\n", lua_tostring(L, -1)), exit(1);
  lua_close(L);
  CHECK(at_close);
}

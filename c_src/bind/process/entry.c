#include "process/entry.h"

#include <limits.h>
#include <string.h>

#include "api/api.h"
#include "code/environment.h"
#include "process/run.h"

static const char line[] = "\n\t[C]: in ?"; /* of the entry in a traceback: nothing knows its name */

/* Whether an entry lies at the bottom of a thread, on which p runs or waits. */
static int has_entry(const struct mb_process *p, lua_State *of) {
  return p && !(p->flags & (MB_IN_PLACE | MB_SCRIPT)) && mb_coroutine(p) == of;
}

/* Replace the traceback on the top of the stack by one without the entry's line. */
static void hide_entry(lua_State *L) {
  size_t size;
  const char *text = lua_tolstring(L, -1, &size);
  if (size < sizeof line - 1 || memcmp(text + size - (sizeof line - 1), line, sizeof line - 1) != 0) return;
  lua_pushlstring(L, text, size - (sizeof line - 1));
  lua_remove(L, -2);
}

void mb_push_traceback(lua_State *L, struct mb_process *p, lua_State *of, const char *text, int level) {
  luaL_traceback(L, of, text, level);
  if (has_entry(p, of)) hide_entry(L);
}

/* The message handler: keeps the traceback, since the frames are gone when to-be-closed variables close, and hands on the
 * error as it is. An error of such a variable comes here again and replaces what was kept. */
static int handle(lua_State *L) {
  struct mb_heap *h = mb_heap_find(L);
  struct mb_process *p = h ? mb_running(h) : NULL;
  lua_settop(L, 1);
  if (!p || p->state == MB_EXITING || mb_coroutine(p) != L) return 1;
  if (mb_is_exit(h, L, 1) && !(p->private_flags & MB_PRIVATE_TASK)) return 1; /* whose traceback nobody sees */
  mb_push_traceback(L, p, L, NULL, 1);
  mb_push_private(h, L, p, 1);
  lua_insert(L, -2);
  lua_rawseti(L, -2, MB_PRIVATE_TRACEBACK);
  p->private_flags |= MB_PRIVATE_FAILED;
  lua_settop(L, 1);
  return 1;
}

static int ended(lua_State *L, int status, lua_KContext unused) {
  (void)unused;
  if (status == LUA_OK || status == LUA_YIELD) return 0;
  if (status == LUA_ERRMEM) { /* no handler has been called */
    struct mb_heap *h = mb_heap_find(L);
    struct mb_process *p = mb_running(h);
    p->private_flags &= ~(uint32_t)MB_PRIVATE_FAILED;
    if (p->state != MB_EXITING) p->private_flags |= MB_PRIVATE_FULL;
  }
  return 1;
}

/* Stack: the handler, a place for the function, the process's function, its arguments. */
enum { BEGAN_WITH = 2 };

static int entry(lua_State *L) {
  int arguments = lua_gettop(L) - MB_ENTRY_SLOTS;
  if (arguments < 0) return 0; /* somebody has found it by the debug library */
  lua_copy(L, BEGAN_WITH + 1, BEGAN_WITH); /* whose own place a tail call takes */
  return ended(L, lua_pcallk(L, arguments, 0, 1, 0, ended), 0);
}

void mb_entry_push(lua_State *co) {
  lua_pushcfunction(co, entry);
  lua_pushcfunction(co, handle);
  lua_pushnil(co);
}

int mb_depth(lua_State *co) {
  lua_Debug ar;
  int low = 0, high = 1;
  while (lua_getstack(co, high, &ar)) high *= 2;
  while (low < high) {
    int middle = (low + high) / 2;
    if (lua_getstack(co, middle, &ar))
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

int mb_entry_push_function(lua_State *L, struct mb_process *p) {
  lua_State *co = p->start ? NULL : mb_coroutine(p);
  int levels = co && has_entry(p, co) ? mb_depth(co) : 0, is;
  lua_Debug ar;
  if (!levels || !lua_checkstack(co, 1) || !lua_getstack(co, levels - 1, &ar)) return 0;
  lua_getinfo(co, "f", &ar);
  is = lua_tocfunction(co, -1) == entry;
  lua_pop(co, 1);
  if (!is || !lua_getlocal(co, &ar, BEGAN_WITH)) return 0;
  if (co != L) lua_xmove(co, L, 1);
  return 1;
}

int mb_entry_push_traceback(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  if (!(p->private_flags & MB_PRIVATE_FAILED)) return 0;
  mb_push_private(h, L, p, 0);
  lua_rawgeti(L, -1, MB_PRIVATE_TRACEBACK);
  lua_remove(L, -2);
  return 1;
}

/* The debug library does not see the entry: a process's function is the outermost, as that of a coroutine is. */

/* debug.traceback([thread,] [message [, level]]) */
static int do_traceback(lua_State *L) {
  struct mb_process *p = mb_running(mb_any_heap_of(L));
  lua_State *of = lua_isthread(L, 1) ? lua_tothread(L, 1) : L;
  int message = of == L && !lua_isthread(L, 1) ? 1 : 2;
  int made = lua_isnoneornil(L, message) || lua_isstring(L, message), n = lua_tocfunction(L, lua_upvalueindex(2))(L);
  if (made && has_entry(p, of)) hide_entry(L);
  return n;
}

/* debug.getinfo([thread,] f [, what]) */
static int do_getinfo(lua_State *L) {
  struct mb_process *p = mb_running(mb_any_heap_of(L));
  int given = lua_isthread(L, 1);
  lua_State *of = given ? lua_tothread(L, 1) : L;
  lua_Debug ar;
  if (has_entry(p, of) && lua_isinteger(L, 1 + given) && lua_tointeger(L, 1 + given) <= INT_MAX &&
      lua_getstack(of, (int)lua_tointeger(L, 1 + given), &ar) && lua_checkstack(of, 1)) {
    int is;
    lua_getinfo(of, "f", &ar);
    is = lua_tocfunction(of, -1) == entry;
    lua_pop(of, 1);
    if (is) {
      lua_pushnil(L);
      return 1;
    }
  }
  return lua_tocfunction(L, lua_upvalueindex(2))(L);
}

void mb_open_entry(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"traceback", do_traceback}, {"getinfo", do_getinfo}, {NULL, NULL}};
  mb_replace_functions(h, L, "debug", functions);
}

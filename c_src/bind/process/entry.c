#include "process/entry.h"

#include <limits.h>
#include <string.h>

#include "code/stand_in.h"
#include "heap/closing.h"
#include "heap/errors.h"
#include "heap/exit.h"
#include "heap/private.h"
#include "process/traceback.h"

static int entry(lua_State *L);
static int wrapped_entry(lua_State *L);

/* Whether an entry lies at the bottom of a thread, on which p runs or waits. */
static int has_entry(const struct mb_process *p, lua_State *of) {
  return p && !(p->flags & (MB_IN_PLACE | MB_SCRIPT)) && mb_coroutine(p) == of;
}

/* The C function at a level of a thread; NULL: there is none, or no room to look. */
static lua_CFunction function_at(lua_State *of, lua_Debug *ar, int level) {
  lua_CFunction f;
  if (level < 0 || !lua_checkstack(of, 1) || !lua_getstack(of, level, ar)) return NULL;
  lua_getinfo(of, "f", ar);
  f = lua_tocfunction(of, -1);
  lua_pop(of, 1);
  return f;
}

/* Whether the outermost call of a thread is to be hidden. */
static int hides(const struct mb_process *p, lua_State *of) {
  lua_Debug ar;
  return has_entry(p, of) || function_at(of, &ar, mb_depth(of) - 1) == wrapped_entry;
}

void mb_push_traceback(struct mb_heap *h, lua_State *L, struct mb_process *p, lua_State *of, const char *text,
                       int level) {
  mb_traceback(h, L, of, text, level, mb_depth(of) - hides(p, of));
}

/* The message handler: keeps the traceback, since the frames are gone when to-be-closed variables close, and hands on
 * the error as it is. An error of such a variable comes here again and replaces what was kept. */
static int handle(lua_State *L) {
  struct mb_heap *h = mb_heap_find(L);
  struct mb_process *p = h ? mb_running(h) : NULL;
  lua_settop(L, 1);
  if (!p || p->state == MB_EXITING || mb_coroutine(p) != L) return 1;
  if (mb_is_exit(h, L, 1) && !(p->private_flags & MB_PRIVATE_TASK)) return 1; /* whose traceback nobody sees */
  mb_push_traceback(h, L, p, L, NULL, 1);
  mb_push_private(h, L, p, MB_MAKE);
  lua_insert(L, -2);
  lua_rawseti(L, -2, MB_PRIVATE_TRACEBACK);
  p->private_flags |= MB_PRIVATE_FAILED;
  lua_settop(L, 1);
  return 1;
}

/* Stack: the handler, a place for the function, the process's function, its arguments. */
enum { BEGAN_WITH = 2 };

int mb_entry_start_anew(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  int count = lua_gettop(L);
  lua_State *co = p->flags & MB_IN_PLACE ? NULL : mb_coroutine(p);
  lua_Debug ar;
  if (!has_entry(p, co) || function_at(co, &ar, mb_depth(co) - 1) != entry)
    return mb_raise(h, L, "Process.hibernate: the script's own process cannot leave its stack; spawn one that does");
  luaL_checkstack(L, 4, NULL);
  lua_createtable(L, count, 0);
  lua_insert(L, 1);
  for (int i = count; i >= 1; i--) lua_rawseti(L, 1, i);
  lua_pushinteger(L, count);
  lua_rawseti(L, 1, 0);
  mb_push_private(h, L, p, MB_MAKE);
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, MB_PRIVATE_NEXT);
  p->private_flags |= MB_PRIVATE_STARTS_ANEW;
  return mb_closing_raise(L);
}

/* An error has ended the process's function: if that was mb_entry_start_anew's, put the next function and its arguments
 * in their places: 1. Else, as when what was to be closed has failed, 0. */
static int starts_anew(struct mb_heap *h, lua_State *L, struct mb_process *p, int status) {
  int count;
  if (!(p->private_flags & MB_PRIVATE_STARTS_ANEW)) return 0;
  p->private_flags &= ~(uint32_t)MB_PRIVATE_STARTS_ANEW;
  if (status != LUA_ERRMEM) return 0;
  lua_settop(L, BEGAN_WITH);
  mb_push_private(h, L, p, MB_MAKE);
  lua_rawgeti(L, -1, MB_PRIVATE_NEXT);
  lua_pushnil(L);
  lua_rawseti(L, -3, MB_PRIVATE_NEXT);
  lua_replace(L, BEGAN_WITH + 1);
  lua_rawgeti(L, -1, 0);
  count = (int)lua_tointeger(L, -1);
  lua_pop(L, 1);
  luaL_checkstack(L, count, NULL);
  for (int i = 1; i <= count; i++) lua_rawgeti(L, BEGAN_WITH + 1, i);
  lua_remove(L, BEGAN_WITH + 1);
  return 1;
}

/* Its protected call has ended. */
static int ended(lua_State *L, int status, lua_KContext unused) {
  struct mb_heap *h = NULL;
  struct mb_process *p = NULL;
  (void)unused;
  for (;;) {
    if (status == LUA_OK || status == LUA_YIELD) return 0;
    if (!h) {
      h = mb_heap_find(L);
      p = mb_running(h);
    }
    if (!starts_anew(h, L, p, status)) break;
    status = lua_pcallk(L, lua_gettop(L) - BEGAN_WITH - 1, 0, 1, 0, ended);
  }
  if (status == LUA_ERRMEM) { /* no handler has been called */
    p->private_flags &= ~(uint32_t)MB_PRIVATE_FAILED;
    if (p->state != MB_EXITING) p->private_flags |= MB_PRIVATE_FULL;
  }
  return 1;
}

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
  lua_Debug ar;
  if (!co || !has_entry(p, co) || function_at(co, &ar, mb_depth(co) - 1) != entry) return 0;
  if (!lua_getlocal(co, &ar, BEGAN_WITH)) return 0;
  if (co != L) lua_xmove(co, L, 1);
  return 1;
}

int mb_entry_push_traceback(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  if (!(p->private_flags & MB_PRIVATE_FAILED)) return 0;
  mb_push_private(h, L, p, MB_IF_MADE);
  lua_rawgeti(L, -1, MB_PRIVATE_TRACEBACK);
  lua_remove(L, -2);
  return 1;
}

/* The function at the bottom of a coroutine that coroutine.wrap has made */

/* The message handler: from now on the coroutine closes its variables. */
static int note_failure(lua_State *L) {
  struct mb_heap *h = mb_heap_find(L);
  lua_settop(L, 1);
  if (h) (void)mb_map_put(&h->failing, (uintptr_t)L, 1); /* without memory for it, yields are let through */
  return 1;
}

static int wrapped_ended(lua_State *L, int status, lua_KContext unused) {
  struct mb_heap *h;
  (void)unused;
  if (status == LUA_OK || status == LUA_YIELD) return lua_gettop(L) - 1;
  h = mb_heap_find(L);
  if (h) mb_forget_failing(h, L);
  return lua_error(L); /* the memory error, too, is known by its text */
}

/* Stack: the handler, the coroutine's function, its arguments. */
static int wrapped_entry(lua_State *L) {
  int arguments = lua_gettop(L) - MB_WRAPPED_SLOTS;
  if (arguments < 0) return 0; /* somebody has found it by the debug library */
  return wrapped_ended(L, lua_pcallk(L, arguments, LUA_MULTRET, 1, 0, wrapped_ended), 0);
}

void mb_entry_push_wrapped(lua_State *co) {
  lua_pushcfunction(co, wrapped_entry);
  lua_pushcfunction(co, note_failure);
}

/* The debug library does not see the entries: a process's or coroutine's function is the outermost. */

/* debug.traceback([thread,] [message [, level]]) */
static int do_traceback(lua_State *L) {
  struct mb_heap *h = mb_any_heap_of(L);
  int given = lua_isthread(L, 1), message = 1 + given;
  lua_State *of = given ? lua_tothread(L, 1) : L;
  lua_Integer level = luaL_optinteger(L, message + 1, of == L);
  if (level < 0 || level > INT_MAX || !(lua_isnoneornil(L, message) || lua_isstring(L, message)))
    return lua_tocfunction(L, lua_upvalueindex(2))(L);
  mb_push_traceback(h, L, mb_running(h), of, lua_tostring(L, message), (int)level);
  return 1;
}

/* debug.getinfo([thread,] f [, what]) */
static int do_getinfo(lua_State *L) {
  struct mb_process *p = mb_running(mb_any_heap_of(L));
  int given = lua_isthread(L, 1);
  lua_State *of = given ? lua_tothread(L, 1) : L;
  lua_Debug ar;
  if (lua_isinteger(L, 1 + given) && lua_tointeger(L, 1 + given) >= 0 && lua_tointeger(L, 1 + given) <= INT_MAX) {
    lua_CFunction f = function_at(of, &ar, (int)lua_tointeger(L, 1 + given));
    if (f && (f == wrapped_entry || (f == entry && has_entry(p, of)))) {
      lua_pushnil(L);
      return 1;
    }
  }
  return lua_tocfunction(L, lua_upvalueindex(2))(L);
}

void mb_open_entry(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"traceback", do_traceback}, {"getinfo", do_getinfo}, {NULL, NULL}};
  mb_stand_in_all(h, L, "debug", functions, MB_STAND_IN_HEAP | MB_STAND_IN_ORIGINAL);
}

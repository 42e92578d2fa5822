#include "process/crash.h"

#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "heap/closing.h"
#include "heap/exit.h"
#include "heap/hook.h"
#include "log/crash_report.h"
#include "log/log.h"
#include "process/ending.h"
#include "process/entry.h"

/* Whether the value at `at` is a reason that nobody needs to hear of: as call.is_ordinary has it. */
static int is_ordinary(lua_State *L, int at) {
  const char *text;
  int is;
  if (lua_istable(L, at) && lua_rawlen(L, at) == 2) {
    lua_rawgeti(L, at, 1);
    is = lua_type(L, -1) == LUA_TSTRING && !strcmp(lua_tostring(L, -1), "shutdown");
    lua_pop(L, 1);
    return is;
  }
  if (lua_type(L, at) != LUA_TSTRING) return lua_isnil(L, at);
  text = lua_tostring(L, at);
  return !strcmp(text, "normal") || !strcmp(text, "shutdown");
}

/* Log how p ends: why is at `reason`. An error's traceback is part of that; that of an exit is at `traceback`, else
 * 0. */
static void log_crash(struct mb_heap *h, lua_State *L, struct mb_process *p, int reason, int traceback) {
  mb_push_crash(h, L, p, reason);
  p->private_flags |= MB_PRIVATE_REPORTED;
  if (p->private_flags & MB_PRIVATE_TASK) {
    lua_pushliteral(L, "Task");
    lua_setfield(L, -2, "behaviour");
  }
  if (traceback) {
    lua_pushvalue(L, traceback);
    lua_setfield(L, -2, "traceback");
  }
  mb_log(h, L, MB_LOG_ERROR);
}

static void end(struct mb_heap *h, lua_State *L, struct mb_process *p, int at) {
  struct mb_reason *reason = mb_encode_reason(h, L, at);
  if (p->private_flags & MB_PRIVATE_REPORTED && reason->kind == MB_REASON_OTHER)
    reason->reported = 1; /* the others are shared */
  mb_process_exit(h->scheduler, p, reason);
  mb_reason_release(reason);
}

/* (heap, process, coroutine, error value): ends the process. */
static int crash(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  struct mb_process *p = lua_touserdata(L, 2);
  lua_State *co = lua_tothread(L, 3);
  luaL_checkstack(L, 20, NULL);
  if (mb_is_exit(h, L, 4)) {
    lua_getfield(L, 4, "reason");
    if (lua_isnil(L, -1)) {
      mb_process_exit(h->scheduler, p, h->runtime->normal);
      return 0;
    }
    if (p->private_flags & MB_PRIVATE_TASK && mb_log_wants(h->log, MB_LOG_ERROR) && !is_ordinary(L, 5)) {
      if (!mb_entry_push_traceback(h, L, p)) mb_push_traceback(h, L, p, co, NULL, 0);
      log_crash(h, L, p, 5, 6);
    }
    end(h, L, p, 5);
    return 0;
  }
  if (lua_isnil(L, 4)) {
    lua_pushliteral(L, "nil");
    lua_replace(L, 4);
  }
  if (!mb_entry_push_traceback(h, L, p)) mb_push_traceback(h, L, p, co, NULL, 0);
  if (p == h->script->process) {
    /* The host prints it, as lua does. */
    const char *text = lua_tostring(L, 4);
    if (!text && luaL_callmeta(L, 4, "__tostring")) text = lua_tostring(L, -1);
    if (!text) text = lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 4));
    free(h->script->text);
    h->script->text = strdup(lua_pushfstring(L, "%s\n%s", text, lua_tostring(L, 5)));
    lua_settop(L, 5);
  }
  lua_createtable(L, 3, 0);
  lua_pushliteral(L, "error");
  lua_rawseti(L, 6, 1);
  lua_pushvalue(L, 4);
  lua_rawseti(L, 6, 2);
  lua_pushvalue(L, 5);
  lua_rawseti(L, 6, 3);
  if (p != h->script->process && mb_log_wants(h->log, MB_LOG_ERROR)) log_crash(h, L, p, 6, 0);
  end(h, L, p, 6);
  return 0;
}

void mb_crash(struct mb_heap *h, struct mb_process *p, lua_State *co) {
  lua_State *L = h->reporter;
  int top = lua_gettop(L);
  if (lua_checkstack(L, 12) && lua_checkstack(co, 4)) {
    lua_pushcfunction(L, crash);
    lua_pushlightuserdata(L, h);
    lua_pushlightuserdata(L, p);
    lua_pushthread(co);
    lua_xmove(co, L, 1);
    lua_pushvalue(co, -1);
    lua_xmove(co, L, 1);
    /* What is reported may run code of the user's. */
    mb_closing_begin(h);
    mb_hook_enter(h, L);
    if (lua_pcall(L, 4, 0, 0) != LUA_OK && p->state != MB_EXITING) {
      mb_log_failure(h, L);
      mb_process_exit(h->scheduler, p, h->no_memory);
    }
    mb_hook_leave(h);
    mb_closing_end(h);
  } else {
    mb_process_exit(h->scheduler, p, h->no_memory);
  }
  lua_settop(L, top);
}

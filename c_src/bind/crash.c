#include "crash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "codec.h"
#include "environment.h"
#include "preempt.h"
#include "run.h"
#include "screen.h"

void mb_log(struct mb_heap *h, enum mb_log_level level, const char *text, size_t size) {
  static const char *const names[] = {"debug", "info", "warning", "error"};
  struct mb_buffer b = {0};
  struct timespec now;
  struct tm tm;
  char head[64];
  const struct mb_screen *screen;
  int n;
  if ((int)level < atomic_load_explicit(&h->node->log_level, memory_order_relaxed)) return;
  clock_gettime(CLOCK_REALTIME, &now);
  localtime_r(&now.tv_sec, &tm);
  n = snprintf(head, sizeof head, "%02d:%02d:%02d.%03d [%s] ", tm.tm_hour, tm.tm_min, tm.tm_sec,
               (int)(now.tv_nsec / 1000000), names[level]);
  if (!mb_buffer_reserve(&b, (size_t)n + size + 1)) return;
  memcpy(b.bytes, head, (size_t)n);
  memcpy(b.bytes + n, text, size);
  b.size = (size_t)n + size;
  b.bytes[b.size++] = '\n';
  screen = mb_screen_begin(stderr);
  for (size_t done = 0; done < b.size;) {
    ssize_t wrote = write(STDERR_FILENO, b.bytes + done, b.size - done);
    if (wrote <= 0) break;
    done += (size_t)wrote;
  }
  mb_screen_end(screen, 1);
  mb_buffer_deinit(&b);
}

void mb_push_inspect(struct mb_heap *h, lua_State *L, int index) {
  index = lua_absindex(L, index);
  mb_push_ref(h, L, MB_REF_INSPECT);
  lua_pushvalue(L, index);
  if (!lua_isfunction(L, -2) || lua_pcall(L, 1, 1, 0) != LUA_OK || !lua_isstring(L, -1)) {
    lua_settop(L, lua_gettop(L) - (lua_isfunction(L, -2) ? 2 : 1));
    lua_pushfstring(L, "a %s", luaL_typename(L, index));
  }
}

int mb_push_name(struct mb_heap *h, lua_State *L, struct mb_process *p) {
  uint32_t size;
  char *name = mb_names_of(&h->runtime->names, p, &size);
  if (!name) return 0;
  lua_pushlstring(L, name, size);
  free(name);
  return 1;
}

/* Push the text of an error value as it stands in a report. */
static void push_error_text(struct mb_heap *h, lua_State *L, int index) {
  if (lua_type(L, index) == LUA_TSTRING)
    lua_pushvalue(L, index);
  else
    mb_push_inspect(h, L, index);
}

static void add_pids(lua_State *L, luaL_Buffer *b, int list) {
  char text[MB_ID_TEXT];
  lua_Integer n = (lua_Integer)lua_rawlen(L, list);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, list, i);
    size_t size = mb_pid_text(mb_to_pid(L, -1), text);
    lua_pop(L, 1);
    luaL_addstring(b, i == 1 ? "" : ", ");
    luaL_addlstring(b, text, size);
  }
}

/* Log the crash of p: error value and traceback are at these stack indices. */
static void report(struct mb_heap *h, lua_State *L, struct mb_process *p, int value, int trace) {
  luaL_Buffer b;
  char pid[MB_ID_TEXT];
  int callers = 0, name;
  size_t size;
  const char *text;
  if (atomic_load_explicit(&h->node->log_level, memory_order_relaxed) > MB_LOG_ERROR) return;
  push_error_text(h, L, value);
  int message = lua_gettop(L);
  if (mb_push_locals(h, L, p, 0)) {
    if (lua_rawgeti(L, -1, MB_LOCAL_DICTIONARY) == LUA_TTABLE &&
        lua_getfield(L, -1, "$callers") == LUA_TTABLE)
      callers = lua_gettop(L);
  }
  name = mb_push_name(h, L, p) ? lua_gettop(L) : 0;
  luaL_buffinit(L, &b);
  mb_pid_text(mb_pid_of(p), pid);
  luaL_addstring(&b, "Process ");
  luaL_addstring(&b, pid);
  if (name) {
    luaL_addstring(&b, " (");
    lua_pushvalue(L, name);
    luaL_addvalue(&b);
    luaL_addstring(&b, ")");
  }
  luaL_addstring(&b, " terminating\n** (error) ");
  lua_pushvalue(L, message);
  luaL_addvalue(&b);
  luaL_addstring(&b, "\n");
  lua_pushvalue(L, trace);
  luaL_addvalue(&b);
  if (p->site) {
    luaL_addstring(&b, "\nspawned at ");
    luaL_addstring(&b, p->site);
    if (p->parent) {
      mb_pid_text(p->parent, pid);
      luaL_addstring(&b, " by ");
      luaL_addstring(&b, pid);
    }
  }
  if (callers) {
    luaL_addstring(&b, "\ncallers: ");
    add_pids(L, &b, callers);
  }
  luaL_pushresult(&b);
  text = lua_tolstring(L, -1, &size);
  mb_log(h, MB_LOG_ERROR, text, size);
}

/* (process, coroutine, error value): dooms the process. */
static int crash(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  struct mb_process *p = lua_touserdata(L, 2);
  lua_State *co = lua_tothread(L, 3);
  struct mb_reason *reason;
  luaL_checkstack(L, 20, NULL);
  if (mb_is_exit(h, L, 4)) {
    lua_getfield(L, 4, "reason");
    if (lua_isnil(L, -1)) {
      mb_process_doom(h->scheduler, p, h->runtime->normal);
      return 0;
    }
    reason = mb_encode_reason(h, L, lua_gettop(L));
    mb_process_doom(h->scheduler, p, reason);
    mb_reason_release(reason);
    return 0;
  }
  if (lua_isnil(L, 4)) {
    lua_pushliteral(L, "nil");
    lua_replace(L, 4);
  }
  luaL_traceback(L, co, NULL, 0);
  if (p == h->script) {
    /* The host prints it, as lua does. */
    const char *text = lua_tostring(L, 4);
    if (!text && luaL_callmeta(L, 4, "__tostring")) text = lua_tostring(L, -1);
    if (!text) text = lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 4));
    free(h->script_text);
    h->script_text = strdup(lua_pushfstring(L, "%s\n%s", text, lua_tostring(L, 5)));
    lua_settop(L, 5);
  } else {
    report(h, L, p, 4, 5);
  }
  lua_createtable(L, 3, 0);
  lua_pushliteral(L, "error");
  lua_rawseti(L, -2, 1);
  lua_pushvalue(L, 4);
  lua_rawseti(L, -2, 2);
  lua_pushvalue(L, 5);
  lua_rawseti(L, -2, 3);
  reason = mb_encode_reason(h, L, lua_gettop(L));
  mb_process_doom(h->scheduler, p, reason);
  mb_reason_release(reason);
  return 0;
}

void mb_crash(struct mb_heap *h, struct mb_process *p, lua_State *co) {
  lua_State *L = h->runner;
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
    mb_slice_renew(h->scheduler);
    h->closing++;
    mb_preempt_enter(h, L);
    if (lua_pcall(L, 4, 0, 0) != LUA_OK && p->state != MB_EXITING)
      mb_process_doom(h->scheduler, p, h->no_memory);
    mb_preempt_leave(h);
    h->closing--;
  } else {
    mb_process_doom(h->scheduler, p, h->no_memory);
  }
  lua_settop(L, top);
}

/* The text of a crash's report. In C, so that nothing but the user's own values, each in a protected call, can keep it
 * from being made: a report is written in what is left of a dying process's time. */
#include <string.h>

#include "code/reason_text.h"
#include "core/pid.h"
#include "log/crash_report.h"

enum field {
  BEHAVIOUR, PID, NAME, REASON, EXPLANATION, ERROR, TRACEBACK, LAST_MESSAGE, STATE, SPAWNED_AT, PARENT, CALLERS,
  ANCESTORS, COUNT
};
static const char *const names[COUNT] = {
    "behaviour",    "pid",   "name",       "reason", "explanation", "error", "traceback",
    "last_message", "state", "spawned_at", "parent", "callers",     "ancestors"};

/* Replace the value at a stack index by the text that the function at another gives for it. */
static void shorten(lua_State *L, int at, int text_of) {
  lua_pushvalue(L, text_of);
  lua_pushvalue(L, at);
  if (lua_pcall(L, 1, 1, 0) != LUA_OK || lua_type(L, -1) != LUA_TSTRING) {
    lua_pop(L, 1);
    lua_pushfstring(L, "(a %s)", luaL_typename(L, at));
  }
  lua_replace(L, at);
}

/* Add the value at a stack index: text as it is, a pid as such. */
static void add(lua_State *L, luaL_Buffer *b, int at) {
  char text[MB_ID_TEXT];
  mb_pid pid = mb_to_pid(L, at);
  size_t size;
  if (pid) {
    size = mb_pid_text(pid, text);
    luaL_addlstring(b, text, size);
  } else if (lua_type(L, at) == LUA_TSTRING) {
    const char *string = lua_tolstring(L, at, &size);
    luaL_addlstring(b, string, size);
  }
}

/* Add item i of the sequence at a stack index, a field's. */
static void add_item(lua_State *L, luaL_Buffer *b, int at, lua_Integer i) {
  lua_rawgeti(L, at, i);
  lua_replace(L, at + COUNT); /* a place that is kept for it: the buffer is above */
  add(L, b, at + COUNT);
}

/* Add "\ntitle: item, item" for a sequence of pids and names. */
static void add_list(lua_State *L, luaL_Buffer *b, const char *title, int at) {
  lua_Integer n = lua_istable(L, at) ? (lua_Integer)lua_rawlen(L, at) : 0;
  if (n == 0) return;
  luaL_addchar(b, '\n');
  luaL_addstring(b, title);
  luaL_addstring(b, ": ");
  for (lua_Integer i = 1; i <= n; i++) {
    if (i > 1) luaL_addstring(b, ", ");
    add_item(L, b, at, i);
  }
}

/* "Process #PID<0.5.0> (name)", or "Task #PID<0.5.0> started from #PID<0.2.0>" */
static void add_who(lua_State *L, luaL_Buffer *b, int first, int is_task) {
  if (lua_isnil(L, first + BEHAVIOUR))
    luaL_addstring(b, "Process");
  else
    add(L, b, first + BEHAVIOUR);
  luaL_addchar(b, ' ');
  add(L, b, first + PID);
  if (!lua_isnil(L, first + NAME)) {
    luaL_addstring(b, " (");
    add(L, b, first + NAME);
    luaL_addchar(b, ')');
  }
  if (is_task && lua_istable(L, first + CALLERS)) {
    luaL_addstring(b, " started from ");
    add_item(L, b, first + CALLERS, 1);
  }
  luaL_addstring(b, " terminating\n** ");
}

void mb_push_crash_text(struct mb_heap *h, lua_State *L, int report, int short_text, int reason_text) {
  int first, is_task, is_server;
  luaL_Buffer b;
  luaL_checkstack(L, 3 * COUNT, NULL);
  first = lua_gettop(L) + 1;
  for (int i = 0; i < COUNT; i++) {
    lua_pushstring(L, names[i]);
    lua_rawget(L, report);
  }
  lua_settop(L, first + 2 * COUNT);
  is_task = lua_type(L, first + BEHAVIOUR) == LUA_TSTRING && !strcmp(lua_tostring(L, first + BEHAVIOUR), "Task");
  is_server = !is_task && !lua_isnil(L, first + BEHAVIOUR);
  if (is_server) shorten(L, first + LAST_MESSAGE, short_text);
  if (is_server && !lua_isnil(L, first + NAME)) shorten(L, first + NAME, short_text);
  if (lua_type(L, first + EXPLANATION) == LUA_TSTRING) {
    lua_copy(L, first + EXPLANATION, first + REASON);
  } else if (lua_isnil(L, first + ERROR)) {
    shorten(L, first + REASON, reason_text);
  } else if (lua_type(L, first + ERROR) != LUA_TSTRING) {
    shorten(L, first + ERROR, reason_text); /* it may be one, raised as an error */
  } else if (mb_push_hint(h, L, first + ERROR)) {
    lua_pushfstring(L, "%s\n%s", lua_tostring(L, first + ERROR), lua_tostring(L, -1));
    lua_replace(L, first + ERROR);
    lua_pop(L, 1);
  }
  luaL_buffinit(L, &b);
  add_who(L, &b, first, is_task);
  luaL_addstring(&b, lua_isnil(L, first + ERROR) ? "(stop) " : "(error) ");
  add(L, &b, lua_isnil(L, first + ERROR) ? first + REASON : first + ERROR);
  if (lua_type(L, first + TRACEBACK) == LUA_TSTRING && strchr(lua_tostring(L, first + TRACEBACK), '\n')) { /* any */
    luaL_addchar(&b, '\n');
    add(L, &b, first + TRACEBACK);
  }
  if (is_server && !lua_isnil(L, first + STATE)) {
    luaL_addstring(&b, "\nLast message: ");
    add(L, &b, first + LAST_MESSAGE);
    luaL_addstring(&b, "\nState: ");
    add(L, &b, first + STATE);
  }
  if (!lua_isnil(L, first + SPAWNED_AT)) {
    luaL_addstring(&b, "\nspawned at ");
    add(L, &b, first + SPAWNED_AT);
    if (!lua_isnil(L, first + PARENT)) {
      luaL_addstring(&b, " by ");
      add(L, &b, first + PARENT);
    }
  }
  add_list(L, &b, "callers", first + CALLERS);
  if (!is_task) add_list(L, &b, "ancestors", first + ANCESTORS); /* a task's callers say it */
  luaL_pushresult(&b);
  lua_replace(L, first);
  lua_settop(L, first);
}

void mb_push_crash_place(lua_State *L, int report) {
  lua_getfield(L, report, "behaviour");
  if (!lua_isstring(L, -1)) {
    lua_pop(L, 1);
    lua_pushliteral(L, "Process");
  }
  if (lua_getfield(L, report, "spawned_at") == LUA_TSTRING) {
    lua_pushliteral(L, " spawned at ");
    lua_insert(L, -2);
    lua_concat(L, 3);
  } else {
    lua_pop(L, 1);
  }
}

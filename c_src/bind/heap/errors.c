#include "heap/errors.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "heap/exit.h"

int mb_is_own(const struct mb_heap *h, const char *source) {
  return (h->own_prefix && strncmp(source, h->own_prefix, h->own_prefix_size) == 0) ||
         (*source == '=' && strcmp(source, "=[moonbeam]") == 0); /* the host's driver */
}


int mb_user_line(const struct mb_heap *h, lua_State *L, int level, lua_Debug *ar) {
  for (; lua_getstack(L, level, ar); level++) {
    lua_getinfo(L, "Sl", ar);
    if (ar->currentline > 0 && !mb_is_own(h, ar->source)) return 1;
  }
  return 0;
}

void mb_push_where(struct mb_heap *h, lua_State *L) {
  lua_Debug ar;
  if (mb_user_line(h, L, 0, &ar))
    lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
  else
    lua_pushliteral(L, "");
}

void mb_given_to(struct mb_heap *h, const char *function, enum mb_given_form form, int number) {
  size_t size = function ? strnlen(function, sizeof h->given->to - 1) : 0;
  memcpy(h->given->to, function ? function : "", size);
  h->given->to[size] = 0;
  h->given->form = form;
  h->given->number = number;
}

int mb_raise(struct mb_heap *h, lua_State *L, const char *format, ...) {
  va_list args;
  luaL_checkstack(L, 12, NULL);
  va_start(args, format);
  lua_pushvfstring(L, format, args);
  va_end(args);
  mb_given_to_nobody(h);
  mb_push_where(h, L);
  lua_insert(L, -2);
  lua_concat(L, 2);
  return lua_error(L);
}

int mb_no_memory(lua_State *L) {
  struct mb_heap *h = mb_heap_find(L);
  if (h && lua_checkstack(L, LUA_MINSTACK)) return mb_raise(h, L, "%s", "not enough memory");
  lua_pushliteral(L, "not enough memory"); /* Lua has this string */
  return lua_error(L);
}

int mb_bad_argument(struct mb_heap *h, lua_State *L, const char *function, int index,
                    const char *format, ...) {
  const char *text;
  va_list args;
  luaL_checkstack(L, 8, NULL);
  va_start(args, format);
  text = lua_pushvfstring(L, format, args);
  va_end(args);
  return mb_raise(h, L, "bad argument #%d to '%s' (%s)", index, function, text);
}

const char *mb_type_name(struct mb_heap *h, lua_State *L, int index) {
  if (mb_to_pid(L, index)) return "pid";
  if (mb_to_ref(L, index)) return "reference";
  return mb_is_exit(h, L, index) ? "exit" : luaL_typename(L, index);
}

int mb_bad_type(struct mb_heap *h, lua_State *L, const char *function, int index,
                const char *expected, int at) {
  const char *got = lua_isnone(L, at) ? "no value" : mb_type_name(h, L, at);
  return mb_bad_argument(h, L, function, index, "%s expected, got %s", expected, got);
}

const char *mb_push_short(lua_State *L, const char *text) {
  size_t size = strlen(text);
  if (size > MB_SHORT) {
    size = MB_SHORT;
    while (size > MB_SHORT - 4 && ((unsigned char)text[size] & 0xC0) == 0x80) size--; /* no half character of UTF-8 */
  }
  lua_pushlstring(L, text, size);
  if (!text[size]) return lua_tostring(L, -1);
  lua_pushliteral(L, "...");
  lua_concat(L, 2);
  return lua_tostring(L, -1);
}

const char *mb_push_shown(struct mb_heap *h, lua_State *L, int index) {
  switch (lua_type(L, index)) {
    case LUA_TNONE: return lua_pushliteral(L, "no value");
    case LUA_TSTRING: return lua_pushfstring(L, "\"%s\"", mb_push_short(L, lua_tostring(L, index)));
    case LUA_TBOOLEAN: case LUA_TNUMBER: return luaL_tolstring(L, index, NULL);
    default: return lua_pushstring(L, mb_type_name(h, L, index));
  }
}

static int is_known(lua_State *L, int index, const char *const *known) {
  if (lua_type(L, index) != LUA_TSTRING) return 0;
  for (; *known; known++)
    if (strcmp(lua_tostring(L, index), *known) == 0) return 1;
  return 0;
}

static void unknown_option(struct mb_heap *h, lua_State *L, int key, const char *function, int index,
                           const char *const *known) {
  const char *name =
      lua_type(L, key) == LUA_TSTRING ? mb_push_short(L, lua_tostring(L, key)) : mb_push_shown(h, L, key);
  const char *value = mb_push_shown(h, L, key + 1);
  lua_pushstring(L, *known ? "options: " : "there are none");
  for (int i = 0; known[i]; i++) {
    lua_pushfstring(L, i ? ", %s" : "%s", known[i]);
    lua_concat(L, 2);
  }
  mb_bad_argument(h, L, function, index, "unknown option %s = %s; %s", name, value, lua_tostring(L, -1));
}

void mb_check_options(struct mb_heap *h, lua_State *L, int at, const char *function, int index,
                      const char *const *known) {
  int key;
  if (lua_isnoneornil(L, at)) return;
  if (!lua_istable(L, at)) mb_bad_type(h, L, function, index, "table of options", at);
  luaL_checkstack(L, 10, NULL);
  key = lua_gettop(L) + 1;
  lua_pushnil(L);
  while (lua_next(L, at)) {
    if (!is_known(L, key, known)) unknown_option(h, L, key, function, index, known);
    lua_pop(L, 1);
  }
}

int mb_check_flag(struct mb_heap *h, lua_State *L, int at, const char *name, const char *function, int index) {
  int on;
  lua_getfield(L, at, name);
  if (!lua_isnil(L, -1) && !lua_isboolean(L, -1))
    mb_bad_argument(h, L, function, index, "%s is true or false, got %s", name, mb_push_shown(h, L, lua_gettop(L)));
  on = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return on;
}


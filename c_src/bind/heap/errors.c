#include "heap/errors.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

#include "code/modules.h"
#include "core/hash.h"
#include "process/run.h"

int mb_is_own(const struct mb_heap *h, const char *source) {
  return (h->own_prefix && strncmp(source, h->own_prefix, h->own_prefix_size) == 0) ||
         strcmp(source, "=[moonbeam]") == 0; /* the host's driver */
}

void mb_push_where(struct mb_heap *h, lua_State *L) {
  lua_Debug ar;
  for (int level = 0; lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline <= 0) continue;
    if (mb_is_own(h, ar.source)) continue;
    lua_pushfstring(L, "%s:%d: ", ar.short_src, ar.currentline);
    return;
  }
  lua_pushliteral(L, "");
}

void mb_given_to(struct mb_heap *h, const char *function, int packed) {
  size_t size = function ? strnlen(function, sizeof h->given_to - 1) : 0;
  memcpy(h->given_to, function ? function : "", size);
  h->given_to[size] = 0;
  h->given_packed = packed;
}

/* Complete the refusal on the top of the stack, in whose path a packed request's second item is argument 2. */
static void name_function(struct mb_heap *h, lua_State *L) {
  const char *text = lua_tostring(L, -1);
  if (h->given_packed) {
    text = luaL_gsub(L, text, "request: field \"[2]\"", "request: argument 2");
    text = luaL_gsub(L, text, "request: field \"[2].", "request: argument 2, field \"");
    text = luaL_gsub(L, text, "request: field \"[2][", "request: argument 2, field \"[");
  }
  lua_pushfstring(L, "%s, given to %s", text, h->given_to);
}

int mb_raise(struct mb_heap *h, lua_State *L, const char *format, ...) {
  va_list args;
  luaL_checkstack(L, 12, NULL);
  va_start(args, format);
  lua_pushvfstring(L, format, args);
  va_end(args);
  if (h->given_to[0] && strncmp(lua_tostring(L, -1), "cannot ", 7) == 0) name_function(h, L);
  h->given_to[0] = 0;
  mb_push_where(h, L);
  lua_insert(L, -2);
  lua_concat(L, 2);
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

const char *mb_push_shown(struct mb_heap *h, lua_State *L, int index) {
  switch (lua_type(L, index)) {
    case LUA_TNONE: return lua_pushliteral(L, "no value");
    case LUA_TSTRING: return lua_pushfstring(L, "\"%s\"", lua_tostring(L, index));
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
  const char *name = lua_type(L, key) == LUA_TSTRING ? lua_tostring(L, key) : mb_push_shown(h, L, key);
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

/* Push the name of the function that the user's code has called, and return the line of that code, 0: there is none. */
static int push_called(struct mb_heap *h, lua_State *L, lua_Debug *user) {
  lua_Debug ar;
  int base = lua_gettop(L);
  lua_pushliteral(L, "?");
  for (int level = 0; lua_getstack(L, level, user); level++) {
    lua_getinfo(L, "Sl", user);
    if (user->currentline > 0 && !mb_is_own(h, user->source)) return user->currentline;
    if (level > 0 && user->currentline <= 0) continue; /* pcall and the like */
    lua_settop(L, base);
    ar = *user;
    lua_getinfo(L, "nf", &ar);
    if (ar.name) {
      lua_pushstring(L, ar.name);
    } else if (mb_modules_name(h, L, -1, 0)) {
      size_t size;
      const char *name = lua_tolstring(L, -1, &size), *field = name + strlen(name) + 1;
      lua_pushstring(L, field < name + size ? field : name);
    } else {
      lua_pushliteral(L, "?");
    }
    lua_replace(L, base + 1);
    lua_settop(L, base + 1);
  }
  return 0;
}

/* Whether a finalizer is refused at this place for the first time; not when there have been too many places. */
static int is_new(struct mb_node *n, uint64_t place) {
  for (int i = 0; i < MB_REFUSED_PLACES; i++) {
    uint64_t there = 0; /* relaxed: nothing else depends on it */
    if (atomic_compare_exchange_strong_explicit(&n->refused[i], &there, place, memory_order_relaxed, memory_order_relaxed))
      return 1;
    if (there == place) return 0;
  }
  return 0;
}

void mb_refuse_outside(struct mb_heap *h, lua_State *L) {
  lua_Debug user;
  const char *function;
  uint64_t place;
  int line;
  luaL_checkstack(L, 12, NULL);
  line = push_called(h, L, &user);
  function = lua_tostring(L, -1);
  if (h->configuring) {
    mb_push_where(h, L);
    lua_pushfstring(L, "%s: a function of on_scheduler_start is outside of any process, whichever one is running: let it spawn "
                    "a process that does this, or send a message to one", function);
    lua_concat(L, 2);
    lua_error(L);
  }
  place = mb_hash_bytes(function, strlen(function));
  mb_push_where(h, L);
  lua_pushfstring(L, "%s: a finalizer (__gc) is outside of any process: let it send a message to the process that shall do it",
                  function);
  lua_concat(L, 2);
  if (line) place += mb_hash_bytes(user.short_src, strlen(user.short_src)) + 2 * mb_hash_u64((uint64_t)line);
  if (is_new(h->node, place | 1)) {
    lua_pushfstring(L, "a finalizer has been refused: %s", lua_tostring(L, -1));
    mb_log(h, L, MB_LOG_ERROR);
  }
  lua_error(L);
}

void mb_check_takes(struct mb_heap *h, lua_State *L) {
  if (!h->uninterruptible) return;
  if (mb_outside(h, L)) mb_refuse_outside(h, L);
  mb_raise(h, L, "a guard or predicate cannot wait or take messages");
}

uint64_t mb_check_deadline(struct mb_heap *h, lua_State *L, int at, const char *function, int index,
                           int nil_allowed) {
  lua_Number ms;
  mb_check_takes(h, L);
  mb_current(h, L)->flags &= (uint8_t)~MB_TIMED_OUT;
  if (lua_isnoneornil(L, at)) {
    if (nil_allowed) return 0;
  } else if (lua_type(L, at) == LUA_TNUMBER) {
    ms = lua_tonumber(L, at);
    if (ms == (lua_Number)HUGE_VAL) return 0;
    if (ms == 0) return MB_NO_TIME;
    if (ms > 0 && floor(ms) == ms) {
      uint64_t now = uv_hrtime();
      /* beyond about 290 years: as good as never, and no overflow */
      return ms > 9e12 ? 0 : now + (uint64_t)ms * 1000000u;
    }
    mb_bad_argument(h, L, function, index,
                    "timeout_value: a timeout is an integer >= 0 in ms or \"infinity\", got %s",
                    luaL_tolstring(L, at, NULL));
  } else if (lua_type(L, at) == LUA_TSTRING && strcmp(lua_tostring(L, at), "infinity") == 0) {
    return 0;
  }
  mb_bad_argument(h, L, function, index,
                  "timeout_value: a timeout is an integer >= 0 in ms or \"infinity\", got %s",
                  lua_isnone(L, at) ? "no value" : mb_type_name(h, L, at));
  return 0;
}

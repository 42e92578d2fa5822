#include "io/path.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "heap/errors.h"
#include "io/failure.h"

const char *mb_check_path(struct mb_heap *h, lua_State *L, int at, const char *function, int index) {
  size_t size;
  const char *path;
  if (lua_type(L, at) != LUA_TSTRING) mb_bad_type(h, L, function, index, "path, a string,", at);
  path = lua_tolstring(L, at, &size);
  if (strlen(path) != size)
    mb_bad_argument(h, L, function, index, "a path has no NUL byte, and this one has one behind \"%s\"",
                    mb_push_short(L, path));
  return path;
}

int mb_path_failure(lua_State *L, int64_t error, const char *path, const char *other) {
  char name[32], text[128];
  uv_err_name_r((int)error, name, sizeof name);
  uv_strerror_r((int)error, text, sizeof text);
  lua_pushfstring(L, other ? "%s: %s -> %s" : "%s: %s", text, path, other);
  mb_failure_text(L, name, lua_tostring(L, -1));
  lua_remove(L, -4);
  return 3;
}

static int is_text(lua_State *L, int at) { return lua_type(L, at) == LUA_TSTRING || lua_type(L, at) == LUA_TNUMBER; }

static size_t size_of(lua_State *L, int at) {
  size_t size;
  lua_pushvalue(L, at); /* a number stays one where it is */
  (void)lua_tolstring(L, -1, &size);
  lua_pop(L, 1);
  return size;
}

size_t mb_check_data(struct mb_heap *h, lua_State *L, int at, const char *function, int index) {
  lua_Integer count;
  size_t size = 0;
  if (is_text(L, at)) return size_of(L, at);
  if (!lua_istable(L, at)) mb_bad_type(h, L, function, index, "string or sequence of strings", at);
  count = (lua_Integer)lua_rawlen(L, at);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, at, i);
    if (!is_text(L, -1))
      mb_bad_argument(h, L, function, index, "item %d: string expected, got %s", (int)i, mb_type_name(h, L, -1));
    size += size_of(L, lua_gettop(L));
    lua_pop(L, 1);
  }
  return size;
}

static size_t copy(lua_State *L, int at, char *to, size_t most) {
  size_t size = 0;
  const char *s;
  lua_pushvalue(L, at);
  s = lua_tolstring(L, -1, &size);
  if (size > most) size = most;
  if (s) memcpy(to, s, size);
  lua_pop(L, 1);
  return s ? size : 0;
}

size_t mb_copy_data(lua_State *L, int at, char *to, size_t size) {
  size_t done = 0;
  lua_Integer count;
  if (is_text(L, at)) return copy(L, at, to, size);
  count = (lua_Integer)lua_rawlen(L, at);
  for (lua_Integer i = 1; i <= count && done < size; i++) {
    lua_rawgeti(L, at, i);
    done += copy(L, lua_gettop(L), to + done, size - done);
    lua_pop(L, 1);
  }
  return done;
}

int mb_check_permissions(struct mb_heap *h, lua_State *L, int at, const char *function, int index) {
  lua_Integer mode = -1;
  int ok = 1;
  if (lua_isnoneornil(L, at)) return -1;
  if (lua_type(L, at) == LUA_TSTRING) {
    char *end;
    const char *text = lua_tostring(L, at);
    mode = strspn(text, "01234567") == strlen(text) && strlen(text) <= 5 ? strtol(text, &end, 8) : -1;
  } else {
    mode = lua_tointegerx(L, at, &ok);
  }
  if (!ok || mode < 0 || mode > 07777)
    mb_bad_argument(h, L, function, index, "permissions, an integer or octal digits as \"644\", expected, got %s",
                    mb_push_shown(h, L, at));
  return (int)mode;
}

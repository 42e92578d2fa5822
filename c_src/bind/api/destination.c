#include "api/destination.h"

#include <string.h>

#include "api/api.h"
#include "code/reason_text.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "heap/private.h"
#include "heap/site.h"

/* The name at a stack index leads to a process, or where none has it, to `otherwise`. */
static struct mb_destination find(struct mb_heap *h, lua_State *L, int at, enum mb_destination_kind otherwise) {
  size_t size;
  const char *name = lua_tolstring(L, at, &size);
  mb_pid pid = mb_names_find(&h->runtime->names, name, (uint32_t)size);
  return (struct mb_destination){pid ? MB_TO_PROCESS : otherwise, pid};
}

/* start_failed(function, reason): nil that the running process takes for a pid may come of it. */
static int start_failed(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_running(h);
  const char *site = mb_site(h, L);
  if (!p) return 0;
  lua_settop(L, 2);
  mb_push_private(h, L, p, MB_MAKE);
  lua_createtable(L, 3, 0);
  for (int i = 1; i <= 2; i++) {
    lua_pushvalue(L, i);
    lua_rawseti(L, -2, i);
  }
  lua_pushstring(L, site);
  lua_rawseti(L, -2, 3);
  lua_rawseti(L, -2, MB_PRIVATE_START);
  return 0;
}

/* Whether two sites are lines of the same file. */
static int same_file(const char *a, const char *b) {
  const char *end = a ? strrchr(a, ':') : NULL;
  return end && b && strncmp(a, b, (size_t)(end - a) + 1) == 0 && strrchr(b, ':') == b + (end - a);
}

/* Push what the running process has failed to start last, in words, if the user's line that it runs now is of the same
 * file: a failure elsewhere may be long over. 0: nothing. */
static int push_failed_start(struct mb_heap *h, lua_State *L) {
  struct mb_process *p = mb_running(h);
  const char *site, *reason, *here = mb_site(h, L);
  luaL_checkstack(L, 10, NULL);
  if (!p || !mb_push_private(h, L, p, MB_IF_MADE) || lua_rawgeti(L, -1, MB_PRIVATE_START) != LUA_TTABLE) return 0;
  lua_rawgeti(L, -1, 1);
  lua_rawgeti(L, -2, 2);
  lua_rawgeti(L, -3, 3);
  if (!same_file(lua_tostring(L, -1), here)) return 0;
  mb_push_reason_line(h, L, -2);
  site = lua_tostring(L, -2);
  reason = lua_tostring(L, -1);
  lua_pushfstring(L, "%s at %s has failed: %s", lua_tostring(L, -4), site, reason);
  return 1;
}

struct mb_destination mb_named_destination(struct mb_heap *h, lua_State *L, int at, const char *function, int index,
                                           enum mb_destination_forms forms) {
  if (lua_type(L, at) == LUA_TSTRING) return find(h, L, at, MB_TO_NOBODY);
  if (forms == MB_NAMES_AND_NODES && lua_istable(L, at) && lua_rawlen(L, at) == 2) {
    int top = lua_gettop(L);
    lua_rawgeti(L, at, 1);
    lua_rawgeti(L, at, 2);
    if (lua_type(L, -2) == LUA_TSTRING && lua_type(L, -1) == LUA_TSTRING) {
      struct mb_destination to = {MB_TO_ELSEWHERE, 0};
      if (strcmp(lua_tostring(L, -1), mb_node_name(h->runtime)) == 0) to = find(h, L, -2, MB_TO_ELSEWHERE);
      lua_settop(L, top);
      return to;
    }
    lua_settop(L, top);
  }
  if (lua_isnil(L, at) && push_failed_start(h, L))
    mb_bad_argument(h, L, function, index, "pid or name expected, got nil; %s", lua_tostring(L, -1));
  mb_bad_type(h, L, function, index, "pid or name", at);
  return (struct mb_destination){MB_TO_NOBODY, 0};
}

void mb_open_destination(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"start_failed", start_failed}, {NULL, NULL}};
  mb_set_functions(h, L, functions);
}

#include "api/destination.h"

#include <string.h>

#include "heap/errors.h"

/* The name at a stack index leads to a process, or where none has it, to `otherwise`. */
static struct mb_destination find(struct mb_heap *h, lua_State *L, int at, enum mb_destination_kind otherwise) {
  size_t size;
  const char *name = lua_tolstring(L, at, &size);
  mb_pid pid = mb_names_find(&h->runtime->names, name, (uint32_t)size);
  return (struct mb_destination){pid ? MB_TO_PROCESS : otherwise, pid};
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
  mb_bad_type(h, L, function, index, "pid or name", at);
  return (struct mb_destination){MB_TO_NOBODY, 0};
}

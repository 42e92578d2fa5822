/* Names of processes, for the module Process. */
#include <stdlib.h>
#include <string.h>

#include "api/api.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "heap/inspect.h"
#include "process/current.h"

static int process_register(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  mb_pid pid;
  const char *name;
  size_t size;
  int err;
  (void)mb_caller(h, L);
  pid = mb_check_pid(h, L, 1, "Process.register", 1);
  name = mb_check_name(h, L, 2, "Process.register", 2, &size);
  err = mb_register(h->scheduler, pid, name, (uint32_t)size);
  if (err == MB_ENOPROC)
    return mb_bad_argument(h, L, "Process.register", 1, "the process is not alive");
  if (err == MB_ENAME)
    return mb_bad_argument(h, L, "Process.register", 2, "the name '%s' is taken", mb_push_short(L, name));
  if (err == MB_ENAMED) {
    struct mb_process *p = mb_process_table_lookup(&h->runtime->table, pid);
    if (!p || !mb_push_name(h, L, p)) lua_pushliteral(L, "?"); /* unregistered meanwhile */
    return mb_bad_argument(h, L, "Process.register", 1, "the process is registered already, as '%s'",
                           mb_push_short(L, lua_tostring(L, -1)));
  }
  if (err) return mb_no_memory(L);
  lua_pushboolean(L, 1);
  return 1;
}

static int process_unregister(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  size_t size;
  const char *name = mb_check_name(h, L, 1, "Process.unregister", 1, &size);
  if (!mb_names_remove(h->scheduler, name, (uint32_t)size))
    return mb_bad_argument(h, L, "Process.unregister", 1, "no process is registered as '%s'", mb_push_short(L, name));
  lua_pushboolean(L, 1);
  return 1;
}

static int process_whereis(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  size_t size;
  mb_pid pid;
  const char *name;
  (void)mb_caller(h, L);
  if (lua_type(L, 1) != LUA_TSTRING) return mb_bad_type(h, L, "Process.whereis", 1, "name", 1);
  name = lua_tolstring(L, 1, &size);
  pid = mb_names_find(&h->runtime->names, name, (uint32_t)size);
  mb_push_id_or_nil(L, pid);
  return 1;
}

static int process_registered(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  size_t size;
  char *all = mb_names_all(&h->runtime->names, &size);
  const char *text, *end;
  lua_Integer n = 0;
  if (!all) return mb_no_memory(L);
  lua_pushlstring(L, all, size); /* Lua's memory from here on: what follows may raise */
  free(all);
  text = lua_tostring(L, -1);
  end = text + size;
  lua_newtable(L);
  while (text < end) {
    uint32_t length;
    memcpy(&length, text, sizeof length);
    lua_pushlstring(L, text + sizeof length, length);
    text += sizeof length + length;
    lua_rawseti(L, -2, ++n);
  }
  return 1;
}

void mb_open_name(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"process_register", process_register},
                                       {"process_unregister", process_unregister},
                                       {"process_whereis", process_whereis},
                                       {"process_registered", process_registered},
                                       {NULL, NULL}};
  mb_set_functions(h, L, functions);
}

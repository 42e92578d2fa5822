/* What is known of servers and tasks beside their state: ancestors and callers, and the module of a server, which may
 * be loaded anew.
 *
 * A module that is loaded anew keeps its table, so that everybody who holds it calls the new functions. Servers do not
 * run that table itself but one that falls back on it (gen_server/reload.lua); at a reload that one is given the old
 * fields, and its servers go on with them until each changes over by itself. */
#include <string.h>

#include "api/api.h"
#include "code/adopt.h"
#include "code/modules.h"
#include "heap/arguments.h"
#include "heap/fields.h"
#include "heap/inspect.h"
#include "heap/private.h"
#include "process/current.h"

/* module_name(table) -> the name that require knows it by; nil when there is none */
static int module_name(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  mb_modules_refresh(mb_heap_of(L), L);
  if (!mb_modules_module(mb_heap_of(L), L, 1)) lua_pushnil(L);
  return 1;
}

/* Push running[module], made when there is none. Not in Lua, where two processes might make one each. Returns 1. */
static int stand_in(lua_State *L, int module, int running) {
  lua_pushvalue(L, module);
  if (lua_rawget(L, running) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushvalue(L, module);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
    lua_pushvalue(L, module);
    lua_pushvalue(L, -2);
    lua_rawset(L, running);
  }
  return 1;
}

/* stand_in(module, running): what servers of a loaded module run */
static int get_stand_in(lua_State *L) {
  luaL_checktype(L, 1, LUA_TTABLE);
  luaL_checktype(L, 2, LUA_TTABLE);
  lua_settop(L, 2);
  return stand_in(L, 1, 2);
}

/* Push the sequence under a key of the dictionary at `dictionary`, which may be none: its length, or 0 with something
 * else on top. */
static lua_Integer push_list(lua_State *L, int dictionary, const char *key) {
  if (!lua_istable(L, dictionary)) {
    lua_pushnil(L);
    return 0;
  }
  lua_pushstring(L, key);
  return lua_rawget(L, dictionary) == LUA_TTABLE ? (lua_Integer)lua_rawlen(L, -1) : 0;
}

/* Replace the value on top by {it, the n items at `list`}. */
static void prepend(lua_State *L, int list, lua_Integer n) {
  lua_createtable(L, (int)n + 1, 0);
  lua_insert(L, -2);
  lua_rawseti(L, -2, 1);
  for (lua_Integer i = 1; i <= n; i++) {
    lua_rawgeti(L, list, i);
    lua_rawseti(L, -2, i + 1);
  }
}

/* ancestors() -> what a server started by the caller has for "$ancestors": the caller's name or pid, then its own */
static int ancestors(lua_State *L) {
  enum { DICTIONARY = 1, OWN };
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  lua_Integer n;
  lua_settop(L, 0);
  if (!mb_push_dictionary(h, L, p, MB_IF_MADE)) lua_settop(L, DICTIONARY);
  n = push_list(L, DICTIONARY, "$ancestors");
  if (!mb_push_name(h, L, p)) mb_push_id(L, mb_pid_of(p));
  prepend(L, OWN, n);
  return 1;
}

/* family() -> what a task started by the caller has of it, for enter_task: false when that is only its pid, else
 * {"$ancestors" of the task, "$callers" of the caller | false} */
static int family(lua_State *L) {
  enum { DICTIONARY = 1, ANCESTORS, CALLERS, NAME, FAMILY };
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  lua_Integer n, callers;
  lua_settop(L, 0);
  if (!mb_push_dictionary(h, L, p, MB_IF_MADE)) lua_settop(L, DICTIONARY);
  n = push_list(L, DICTIONARY, "$ancestors");
  callers = push_list(L, DICTIONARY, "$callers");
  if (mb_push_name(h, L, p) || n || callers) {
    if (lua_gettop(L) < NAME) mb_push_id(L, mb_pid_of(p));
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, NAME);
    prepend(L, ANCESTORS, n);
    lua_rawseti(L, FAMILY, 1);
    if (callers)
      lua_pushvalue(L, CALLERS);
    else
      lua_pushboolean(L, 0);
    lua_rawseti(L, FAMILY, 2);
  } else {
    lua_pushboolean(L, 0);
  }
  return 1;
}

/* await_work(): the calling process waits for the request that makes a task of it */
static int await_work(lua_State *L) {
  mb_current(mb_heap_of(L), L)->private_flags |= MB_PRIVATE_AWAITS_WORK;
  return 0;
}

/* enter_task(owner, family): the calling process is a task from now on; its dictionary has "$callers", the owner and then
 * the owner's own, and "$ancestors". */
static int enter_task(lua_State *L) {
  enum { OWNER = 1, FAMILY, ANCESTORS, CALLERS, DICTIONARY };
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = mb_current(h, L);
  lua_Integer n = 0;
  lua_settop(L, FAMILY);
  if (lua_istable(L, FAMILY)) {
    lua_rawgeti(L, FAMILY, 1);
    if (lua_rawgeti(L, FAMILY, 2) == LUA_TTABLE) n = (lua_Integer)lua_rawlen(L, CALLERS);
  }
  lua_settop(L, CALLERS);
  p->private_flags = (p->private_flags & ~(uint32_t)MB_PRIVATE_AWAITS_WORK) | MB_PRIVATE_TASK;
  lua_pushvalue(L, OWNER);
  prepend(L, CALLERS, n);
  lua_replace(L, CALLERS);
  mb_push_dictionary(h, L, p, MB_MAKE);
  lua_pushliteral(L, "$callers");
  lua_pushvalue(L, CALLERS);
  lua_rawset(L, DICTIONARY);
  lua_pushliteral(L, "$ancestors");
  lua_pushvalue(L, lua_istable(L, ANCESTORS) ? ANCESTORS : CALLERS); /* the owner alone is both */
  lua_rawset(L, DICTIONARY);
  return 0;
}

/* enter_server(ancestors, module, running) -> what the server runs. The calling process is a server from now on: its
 * dictionary says so, with "$ancestors" and, if its module is one that require knows, "$module". For such a module the
 * server runs the stand-in that is running[module], which is made when there is none; the runtime's own are not loaded
 * anew, and are spared the way round. */
static int enter_server(lua_State *L) {
  enum { ANCESTORS = 1, MODULE, RUNNING, DICTIONARY };
  struct mb_heap *h = mb_heap_of(L);
  int own;
  luaL_checktype(L, RUNNING, LUA_TTABLE);
  lua_settop(L, RUNNING);
  mb_push_dictionary(h, L, mb_current(h, L), MB_MAKE);
  lua_pushliteral(L, "$ancestors");
  lua_pushvalue(L, ANCESTORS);
  lua_rawset(L, DICTIONARY);
  lua_pushliteral(L, "$module");
  if (!mb_modules_module(h, L, MODULE)) {
    lua_pushvalue(L, MODULE);
    return 1;
  }
  own = strncmp(lua_tostring(L, -1), "moonbeam.", 9) == 0;
  lua_rawset(L, DICTIONARY);
  if (!own) return stand_in(L, MODULE, RUNNING);
  lua_pushvalue(L, MODULE);
  return 1;
}

/* servers_of(name) -> the pids of the processes of this heap whose dictionary has name under "$module" */
static int servers_of(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process_table *t = &h->runtime->table;
  uint32_t extent = mb_process_table_extent(t);
  lua_Integer n = 0;
  luaL_checkstring(L, 1);
  lua_settop(L, 1);
  lua_newtable(L);
  for (uint32_t i = 1; i < extent; i++) {
    struct mb_process *p = mb_process_table_at(t, i);
    mb_pid pid = p ? mb_pid_of(p) : 0;
    if (!pid || !mb_process_in(h, pid) || !mb_push_dictionary(h, L, p, MB_IF_MADE)) continue;
    lua_pushliteral(L, "$module");
    lua_rawget(L, 3);
    if (lua_rawequal(L, 4, 1)) {
      mb_push_id(L, pid);
      lua_rawseti(L, 2, ++n);
    }
    lua_settop(L, 2);
  }
  return 1;
}

/* Assign the fields of one table to another, and its metatable. */
static void assign(lua_State *L, int from, int to) {
  mb_fields_copy(L, from, to);
  if (!lua_getmetatable(L, from)) lua_pushnil(L);
  lua_setmetatable(L, to);
}

static void clear_fields(lua_State *L, int table) {
  lua_pushnil(L);
  while (lua_next(L, table)) {
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_pushnil(L);
    lua_rawset(L, table);
  }
}

/* reload_module(name, running) -> true | false: it is not loaded here | nil, message: it cannot be loaded, and is as it
 * was. running[the module's table] is what its servers run, and is given the old fields; there is none then. No other
 * process of the heap runs meanwhile. */
static int reload_module(lua_State *L) {
  enum { NAME = 1, RUNNING, LOADED, OLD, NEW, FROZEN };
  struct mb_heap *h = mb_heap_of(L);
  int status;
  luaL_checkstring(L, NAME);
  luaL_checktype(L, RUNNING, LUA_TTABLE);
  lua_settop(L, RUNNING);
  luaL_checkstack(L, 10, NULL);
  mb_replica_refresh(h, L);
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, NAME);
  if (lua_rawget(L, LOADED) != LUA_TTABLE) {
    lua_pushboolean(L, 0);
    return 1;
  }
  lua_pushvalue(L, NAME);
  lua_pushnil(L);
  lua_rawset(L, LOADED);
  mb_push_ref(h, L, MB_REF_REQUIRE);
  lua_pushvalue(L, NAME);
  status = lua_pcall(L, 1, 1, 0);
  lua_pushvalue(L, NAME);
  lua_pushvalue(L, OLD);
  lua_rawset(L, LOADED);
  mb_modules_invalidate(h);
  if (status != LUA_OK || !lua_istable(L, NEW)) {
    if (status == LUA_OK)
      lua_pushfstring(L, "module '%s' is a %s, no table", lua_tostring(L, NAME), luaL_typename(L, NEW));
    else
      luaL_tolstring(L, NEW, NULL);
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
  }
  lua_pushvalue(L, OLD);
  if (lua_rawget(L, RUNNING) == LUA_TTABLE) assign(L, OLD, FROZEN);
  lua_pushvalue(L, OLD);
  lua_pushnil(L);
  lua_rawset(L, RUNNING);
  if (!lua_rawequal(L, NEW, OLD)) { /* it may have filled its old table by itself */
    clear_fields(L, OLD);
    assign(L, NEW, OLD);
  }
  lua_pushboolean(L, 1);
  return 1;
}

/* started_schedulers() -> how many have a heap already: the first ones */
static int started_schedulers(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)atomic_load_explicit(&mb_heap_of(L)->runtime->started, memory_order_acquire));
  return 1;
}

void mb_open_server(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"module_name", module_name},
                                       {"ancestors", ancestors},
                                       {"family", family},
                                       {"enter_server", enter_server},
                                       {"await_work", await_work},
                                       {"enter_task", enter_task},
                                       {"stand_in", get_stand_in},
                                       {"servers_of", servers_of},
                                       {"reload_module", reload_module},
                                       {"started_schedulers", started_schedulers},
                                       {NULL, NULL}};
  mb_set_functions(h, L, functions);
}

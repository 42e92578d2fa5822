/* A scheduler that finds no memory for another heap: its processes start in one that is full, and later it tries again.
 * The states' allocators fail one by one, wherever in the opening that is. */
#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>

#include "bind/node.h"
#include "heap/heap.h"
#include "moonbeam.h"
#include "test/check.h"

enum { LIMIT = 3 };

static long left; /* allocations that a new state may make until it is complete; negative: all */
static int opened, closed;

static void *allocate(void *data, void *block, size_t old, size_t size) {
  (void)data;
  (void)old;
  if (size == 0) {
    free(block);
    return NULL;
  }
  if (!block && left == 0) return NULL;
  if (!block && left > 0) left--;
  return realloc(block, size);
}

static lua_State *new_state(void **data) {
  lua_State *L = lua_newstate(allocate, NULL);
  *data = NULL;
  opened += L != NULL;
  return L;
}

static void close_state(lua_State *L, void *data) {
  (void)data;
  left = -1; /* finalizers may allocate */
  closed++;
  lua_close(L);
}

static int prepare(lua_State *L) {
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_PRELOAD_TABLE);
  lua_pushcfunction(L, luaopen_moonbeam_core);
  lua_setfield(L, -2, "moonbeam.core");
  lua_getglobal(L, "require");
  lua_pushliteral(L, "moonbeam.core");
  lua_call(L, 1, 0);
  left = -1; /* it is complete: what its processes want is no part of this */
  return 0;
}

/* fail(n): the next state may make n allocations; all, when n is left out */
static int fail(lua_State *L) {
  struct mb_heap *h = mb_heap_find(L);
  left = (long)luaL_optinteger(L, 1, -1);
  h->heaps->refrain = 0;
  h->heaps->told = 1;
  return 0;
}

static int count(lua_State *L) {
  int n = 0;
  for (struct mb_heap *h = mb_heap_find(L)->heaps->first; h; h = h->next) n++;
  lua_pushinteger(L, n);
  return 1;
}

static const char script[] =
    "local core = require 'moonbeam.core'\n"
    "local me = core.self()\n"
    "local function answer(parent, n)\n"
    "  local core = require 'moonbeam.core'\n"
    "  core.send(parent, n)\n"
    "  core.take()\n"
    "end\n"
    "local function start(n)\n"
    "  local pids, sum = {}, 0\n"
    "  for i = 1, n do pids[i] = core.spawn(answer, me, i) end\n"
    "  for i = 1, n do sum = sum + core.take() end\n"
    "  assert(sum == n * (n + 1) // 2)\n"
    "  return pids\n"
    "end\n"
    "local function stop(pids) for _, pid in ipairs(pids) do core.process_exit(pid, 'kill') end end\n"
    "local failures, n = 0, 0\n"
    "repeat\n"
    "  fail(n)\n"
    "  local pids = start(5)\n"
    "  local opened = count() > 1\n"
    "  if not opened then failures = failures + 1 end\n"
    "  fail()\n"
    "  stop(pids)\n"
    "  n = n + 97\n"
    "until opened\n"
    "assert(failures > 5, failures)\n"
    "stop(start(20))\n";

TEST(processes_start_where_there_is_no_room_when_there_is_no_memory_for_a_heap) {
  lua_State *L = luaL_newstate();
  struct mb_heap *h;
  CHECK(L);
  left = -1;
  luaL_openlibs(L);
  luaL_requiref(L, "moonbeam.core", luaopen_moonbeam_core, 0);
  lua_pop(L, 1);
  h = mb_heap_find(L);
  h->heaps->limit = LIMIT;
  h->node->setup.new_state = new_state;
  h->node->setup.close_state = close_state;
  h->node->setup.prepare = prepare;
  lua_register(L, "fail", fail);
  lua_register(L, "count", count);
  if (luaL_dostring(L, script) != LUA_OK) fprintf(stderr, "%s\n", lua_tostring(L, -1)), exit(1);
  lua_close(L);
  CHECK(opened > 5 && opened == closed);
}

/* The functions of the log's levels: of all, of processes, of modules. */
#include "api/log_level.h"

#include <string.h>

#include "api/api.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "process/current.h"

int mb_log_level_of(lua_State *L, int at, enum mb_log_level least, enum mb_log_level most) {
  const char *name = lua_type(L, at) == LUA_TSTRING ? lua_tostring(L, at) : "";
  for (int level = (int)least; level <= (int)most; level++)
    if (strcmp(name, mb_log_levels[level]) == 0) return level;
  return -1;
}

int mb_log_check_level(struct mb_heap *h, lua_State *L, const char *function, int at, enum mb_log_level least,
                       enum mb_log_level most) {
  int level = mb_log_level_of(L, at, least, most);
  const char *known;
  luaL_Buffer b;
  if (level >= 0) return level;
  luaL_buffinit(L, &b);
  for (level = (int)least; level <= (int)most; level++) {
    luaL_addstring(&b, level > (int)least ? ", \"" : "\"");
    luaL_addstring(&b, mb_log_levels[level]);
    luaL_addchar(&b, '"');
  }
  luaL_pushresult(&b);
  known = lua_tostring(L, -1);
  return mb_bad_argument(h, L, function, at, "unknown level %s (levels: %s)", mb_push_shown(h, L, at), known);
}

/* The level of the module whose code calls the function that runs on L; none: that of all. */
static int module_level(struct mb_heap *h, lua_State *L, int level_of_all) {
  int level = level_of_all, top = lua_gettop(L);
  lua_Debug ar;
  if (mb_user_line(h, L, 1, &ar) && mb_log_push_function(h, L, "module_level")) {
    lua_pushstring(L, ar.source);
    lua_call(L, 1, 1);
    if (lua_isinteger(L, -1)) level = (int)lua_tointeger(L, -1);
  }
  lua_settop(L, top);
  return level;
}

/* A process's own level counts before that of a module, and this before that of all. */
int mb_log_is_wanted(struct mb_heap *h, lua_State *L, enum mb_log_level level) {
  struct mb_log *log = h->log;
  int overrides = atomic_load_explicit(&log->overrides, memory_order_relaxed);
  int least = atomic_load_explicit(&log->level, memory_order_relaxed);
  if (overrides & MB_LOG_OF_PROCESSES) {
    struct mb_process *p = mb_caller(h, L);
    unsigned own = p ? p->private_flags >> MB_LOG_PROCESS_SHIFT : 0;
    if (own) return (int)level >= (int)own - 1;
  }
  if (overrides & MB_LOG_OF_MODULES) least = module_level(h, L, least);
  return (int)level >= least;
}

/* log_level([level]) -> the level before */
static int log_level(lua_State *L) {
  struct mb_log *log = mb_heap_of(L)->log;
  int old = atomic_load_explicit(&log->level, memory_order_relaxed);
  if (!lua_isnoneornil(L, 1)) mb_log_set_level(log, (enum mb_log_level)luaL_checkoption(L, 1, NULL, mb_log_levels));
  lua_pushstring(L, mb_log_levels[old]);
  return 1;
}

/* log_levels() -> table: name -> number, the more the worse, of those of entries and of "all" and "none" */
static int log_levels(lua_State *L) {
  lua_createtable(L, 0, MB_LOG_NONE + 1);
  for (int level = MB_LOG_ALL; level <= MB_LOG_NONE; level++) {
    lua_pushinteger(L, level);
    lua_setfield(L, -2, mb_log_levels[level]);
  }
  return 1;
}

/* The calling process, whose pid is the argument of one of the functions of a process's level. */
static struct mb_process *check_self(struct mb_heap *h, lua_State *L, const char *function) {
  struct mb_process *p = mb_current(h, L);
  if (mb_check_pid(h, L, 1, function, 1) != mb_pid_of(p))
    mb_bad_argument(h, L, function, 1, "the calling process's own pid expected, self(): it alone sets its level");
  return p;
}

static void set_own(struct mb_process *p, unsigned own) {
  p->private_flags = (p->private_flags & ~(~0u << MB_LOG_PROCESS_SHIFT)) | own << MB_LOG_PROCESS_SHIFT;
}

static int put_process_level(lua_State *L) {
  static const char name[] = "Logger.put_process_level";
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = check_self(h, L, name);
  int level = mb_log_check_level(h, L, name, 2, MB_LOG_ALL, MB_LOG_NONE);
  pthread_mutex_lock(&h->log->mutex);
  mb_log_override(h->log, MB_LOG_OF_PROCESSES, (enum mb_log_level)level);
  pthread_mutex_unlock(&h->log->mutex);
  set_own(p, (unsigned)level + 1);
  lua_pushboolean(L, 1);
  return 1;
}

static int get_process_level(lua_State *L) {
  unsigned own = check_self(mb_heap_of(L), L, "Logger.get_process_level")->private_flags >> MB_LOG_PROCESS_SHIFT;
  if (!own) return 0;
  lua_pushstring(L, mb_log_levels[own - 1]);
  return 1;
}

static int delete_process_level(lua_State *L) {
  set_own(check_self(mb_heap_of(L), L, "Logger.delete_process_level"), 0);
  lua_pushboolean(L, 1);
  return 1;
}

/* Logger.enabled([pid]) -> whether the process's own level lets anything through */
static int enabled(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_process *p = lua_isnoneornil(L, 1) ? mb_current(h, L) : check_self(h, L, "Logger.enabled");
  lua_pushboolean(L, p->private_flags >> MB_LOG_PROCESS_SHIFT != MB_LOG_NONE + 1);
  return 1;
}

void mb_open_log_level(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"log_level", log_level},
                                       {"log_levels", log_levels},
                                       {"put_process_level", put_process_level},
                                       {"get_process_level", get_process_level},
                                       {"delete_process_level", delete_process_level},
                                       {"log_enabled", enabled},
                                       {NULL, NULL}};
  mb_set_functions(h, L, functions);
}

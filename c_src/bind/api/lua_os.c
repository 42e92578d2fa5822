/* What there is to know of the system, and the environment: for lua/moonbeam/system.lua. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <uv.h>

#include "api/api.h"
#include "heap/arguments.h"
#include "heap/errors.h"
#include "io/failure.h"

extern char **environ;

/* Other threads may read the environment at any time, by getenv of the C library's, which takes no lock. So one that
 * has been changed is a new array, which takes the place of the old one at once, and neither old arrays nor old strings
 * are freed: a program sets few. */
static pthread_mutex_t environment = PTHREAD_MUTEX_INITIALIZER; /* partners: whoever changes it here */

static size_t count_environment(void) {
  size_t n = 0;
  while (environ && environ[n]) n++;
  return n;
}

static int is_variable(const char *entry, const char *name, size_t size) {
  return strncmp(entry, name, size) == 0 && entry[size] == '=';
}

/* NULL: take it away. 0, or UV_ENOMEM. */
static int change_environment(const char *name, const char *value) {
  size_t size = strlen(name), n, kept = 0;
  static char **last; /* the one before that: each old array stands behind the next one's end */
  char *entry = NULL, **all, **volatile *current = &environ;
  if (value) {
    entry = malloc(size + strlen(value) + 2);
    if (!entry) return UV_ENOMEM;
    memcpy(entry, name, size);
    entry[size] = '=';
    strcpy(entry + size + 1, value);
  }
  pthread_mutex_lock(&environment);
  n = count_environment();
  all = malloc((n + 3) * sizeof *all);
  if (all) {
    for (size_t i = 0; i < n; i++)
      if (!is_variable(environ[i], name, size)) all[kept++] = environ[i];
    if (entry) all[kept++] = entry;
    all[kept] = NULL;
    all[kept + 1] = (char *)last;
    last = all;
    __atomic_store_n(current, all, __ATOMIC_RELEASE); /* partner: getenv of any thread */
  }
  pthread_mutex_unlock(&environment);
  if (!all) free(entry);
  return all ? 0 : UV_ENOMEM;
}

static int result(lua_State *L, int error) {
  if (error) return mb_failure(L, error);
  lua_pushboolean(L, 1);
  return 1;
}

/* set_env(name, value | nil) -> true | failure */
static int set_env(lua_State *L) {
  return result(L, change_environment(luaL_checkstring(L, 1), luaL_optstring(L, 2, NULL)));
}

/* get_env(name) -> string | nil */
static int get_env(lua_State *L) {
  lua_pushstring(L, getenv(luaL_checkstring(L, 1)));
  return 1;
}

/* all_env() -> {name = value} */
static int all_env(lua_State *L) {
  char **all = environ;
  lua_newtable(L);
  for (; all && *all; all++) {
    const char *equals = strchr(*all, '=');
    if (!equals) continue;
    lua_pushlstring(L, *all, (size_t)(equals - *all));
    lua_pushstring(L, equals + 1);
    lua_rawset(L, -3);
  }
  return 1;
}

static int cwd(lua_State *L) {
  char here[4096];
  size_t size = sizeof here;
  int error = uv_cwd(here, &size);
  if (error) return mb_failure(L, error);
  lua_pushlstring(L, here, size);
  return 1;
}

/* chdir(path) -> true | failure */
static int change_directory(lua_State *L) { return result(L, uv_chdir(luaL_checkstring(L, 1))); }

static int hostname(lua_State *L) {
  char name[UV_MAXHOSTNAMESIZE];
  size_t size = sizeof name;
  int error = uv_os_gethostname(name, &size);
  if (error) return mb_failure(L, error);
  lua_pushlstring(L, name, size);
  return 1;
}

static int hrtime(lua_State *L) {
  lua_pushinteger(L, (lua_Integer)mb_now(mb_heap_of(L)->runtime));
  return 1;
}

static void set_text(lua_State *L, const char *field, const char *text) {
  lua_pushstring(L, text);
  lua_setfield(L, -2, field);
}

static void set_count(lua_State *L, const char *field, uint64_t n) {
  lua_pushinteger(L, (lua_Integer)n);
  lua_setfield(L, -2, field);
}

static int os(lua_State *L) {
  struct utsname name;
  if (uname(&name) != 0) return mb_failure(L, uv_translate_sys_error(errno));
  lua_createtable(L, 0, 4);
  set_text(L, "sysname", name.sysname);
  set_text(L, "release", name.release);
  set_text(L, "version", name.version);
  set_text(L, "machine", name.machine);
  return 1;
}

static int memory(lua_State *L) {
  size_t resident;
  int error = uv_resident_set_memory(&resident);
  if (error) return mb_failure(L, error);
  lua_createtable(L, 0, 4);
  set_count(L, "total", uv_get_total_memory());
  set_count(L, "free", uv_get_free_memory());
  set_count(L, "constrained", uv_get_constrained_memory());
  set_count(L, "resident", resident);
  return 1;
}

static int cpu(lua_State *L) {
  uv_cpu_info_t *info;
  int count, error = uv_cpu_info(&info, &count);
  if (error) return mb_failure(L, error);
  lua_createtable(L, count, 0);
  for (int i = 0; i < count; i++) {
    lua_createtable(L, 0, 3);
    set_text(L, "model", info[i].model ? info[i].model : "");
    set_count(L, "speed", (uint64_t)info[i].speed);
    lua_createtable(L, 0, 5);
    set_count(L, "user", info[i].cpu_times.user);
    set_count(L, "nice", info[i].cpu_times.nice);
    set_count(L, "sys", info[i].cpu_times.sys);
    set_count(L, "idle", info[i].cpu_times.idle);
    set_count(L, "irq", info[i].cpu_times.irq);
    lua_setfield(L, -2, "times");
    lua_rawseti(L, -2, i + 1);
  }
  uv_free_cpu_info(info, count);
  return 1;
}

static int pid(lua_State *L) {
  lua_pushinteger(L, getpid());
  return 1;
}

/* os_functions() -> a table of these */
static int os_functions(lua_State *L) {
  static const luaL_Reg functions[] = {
      {"set_env", set_env},        {"get_env", get_env},   {"all_env", all_env}, {"cwd", cwd},
      {"chdir", change_directory}, {"hostname", hostname}, {"hrtime", hrtime},   {"os", os},
      {"memory", memory},          {"cpu", cpu},           {"pid", pid},         {NULL, NULL}};
  lua_createtable(L, 0, sizeof functions / sizeof functions[0]);
  mb_set_functions(mb_heap_of(L), L, functions);
  return 1;
}

void mb_open_os(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"os_functions", os_functions}, {NULL, NULL}};
  mb_set_functions(h, L, functions);
}

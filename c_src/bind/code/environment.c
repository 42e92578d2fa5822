#include "code/environment.h"

#include "code/adopt.h"
#include "code/library.h"
#include "code/modules.h"
#include "code/stand_in.h"
#include "heap/closing.h"
#include "heap/errors.h"
#include "heap/private.h"

void mb_environment_define(struct mb_heap *h, lua_State *L, const char *name) {
  mb_push_ref(h, L, MB_REF_BASE);
  lua_insert(L, -2);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
}

void mb_environment_new(struct mb_heap *h, lua_State *L) {
  lua_createtable(L, 0, 4);
  mb_push_ref(h, L, MB_REF_ENV_MT);
  lua_setmetatable(L, -2);
}

void mb_environment_complete(struct mb_heap *h, lua_State *L, int index) {
  struct mb_process *p = mb_outside(h, L) ? NULL : mb_running(h);
  index = lua_absindex(L, index);
  mb_push_ref(h, L, MB_REF_BASE);
  lua_pushnil(L);
  while (lua_next(L, -2)) {
    lua_pushvalue(L, -2);
    if (lua_rawget(L, index) == LUA_TNIL) { /* what was carried comes first */
      lua_pushvalue(L, -3);
      lua_pushvalue(L, -3);
      lua_rawset(L, index);
    }
    lua_pop(L, 2);
  }
  lua_pop(L, 1);
  lua_pushvalue(L, index);
  lua_setfield(L, index, "_G");
  lua_pushnil(L);
  lua_setmetatable(L, index);
  mb_modules_mark(h, lua_topointer(L, index));
  if (p && p->context && mb_push_private(h, L, p, MB_MAKE)) {
    if (lua_rawgeti(L, -1, MB_PRIVATE_GLOBALS) == LUA_TNIL) {
      lua_pushvalue(L, index);
      lua_rawseti(L, -3, MB_PRIVATE_GLOBALS);
    }
    lua_pop(L, 2);
  }
}

/* Push the table of globals that code loaded by the running process gets; 0 and nothing pushed when it
 * is the state's own: the main chunk and the script. */
static int push_globals(struct mb_heap *h, lua_State *L) {
  struct mb_process *p = mb_running(h);
  if (h->configuring) return 0;
  if (mb_outside(h, L)) { /* a finalizer: globals of nobody's */
    mb_environment_new(h, L);
    mb_environment_complete(h, L, -1);
    return 1;
  }
  if (!p || (p->flags & (MB_IN_PLACE | MB_SCRIPT))) return 0;
  mb_push_private(h, L, p, MB_MAKE);
  if (lua_rawgeti(L, -1, MB_PRIVATE_GLOBALS) == LUA_TNIL) {
    lua_pop(L, 1);
    mb_environment_new(h, L);
    mb_environment_complete(h, L, -1);
  }
  lua_remove(L, -2);
  return 1;
}

/* Call what a function stands in for, its upvalue `original`, with the arguments on the stack: in the same frame, so
 * that the levels of errors and tracebacks are the library's, where it is a C function that needs no upvalues but the
 * first `shared` ones. */
static int call_original(lua_State *L, int original, int shared) {
  lua_CFunction f = lua_tocfunction(L, lua_upvalueindex(original));
  if (f && !lua_getupvalue(L, lua_upvalueindex(original), shared + 1)) return f(L);
  if (f) lua_pop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(original));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  return lua_gettop(L);
}

/* load(chunk [, name [, mode]]) without an environment means the process's globals. */
static int call_load(lua_State *L, int arguments) {
  struct mb_heap *h = mb_any_heap_of(L);
  int then = mb_unwinding(h), results;
  if (lua_gettop(L) < arguments) {
    int given = lua_gettop(L);
    lua_settop(L, arguments - 1);
    if (!push_globals(h, L)) lua_settop(L, given);
  }
  results = call_original(L, 2, 0);
  return mb_unwinding_since(h, then) ? mb_pass_on(h, L) : results; /* it catches what the reader raises */
}

static int do_load(lua_State *L) { return call_load(L, 4); }
static int do_loadfile(lua_State *L) { return call_load(L, 3); }

static int dofile_done(lua_State *L, int status, lua_KContext k) {
  (void)status;
  (void)k;
  return lua_gettop(L) - 1;
}

static int do_dofile(lua_State *L) {
  struct mb_heap *h = mb_any_heap_of(L);
  const char *name = luaL_optstring(L, 1, NULL);
  lua_settop(L, 1);
  if (luaL_loadfile(L, name) != LUA_OK) return lua_error(L);
  if (push_globals(h, L) && !lua_setupvalue(L, -2, 1)) lua_pop(L, 1);
  lua_callk(L, 0, LUA_MULTRET, 0, dofile_done);
  return dofile_done(L, LUA_OK, 0);
}

/* Whether the function that calls the running one is the runtime's. */
static int called_by_library(struct mb_heap *h, lua_State *L) {
  lua_Debug ar;
  return lua_getstack(L, 1, &ar) && lua_getinfo(L, "S", &ar) && mb_is_own(h, ar.source);
}

/* Push what package.loaded has of this name; 0 and nothing pushed when it is not loaded. */
static int push_loaded(lua_State *L, const char *name) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_getfield(L, -1, name);
  lua_remove(L, -2);
  if (lua_toboolean(L, -1)) return 1;
  lua_pop(L, 1);
  return 0;
}

/* Push the library's module of this name; 0 when it has none. The program's is in package.loaded from now on. */
static int require_library(struct mb_heap *h, lua_State *L, const char *name, int by_library) {
  if (!mb_library_is_name(name) || !mb_library_push(h, L, name)) return 0;
  if (by_library) return 1;
  lua_getfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  lua_pushvalue(L, -2);
  lua_setfield(L, -2, name);
  lua_pop(L, 1);
  return 1;
}

/* require; upvalue 1 is the library's own, its table `package`, or nil for a loader of somebody's own; 2 the heap, 3
 * the library's function. */
static int do_require(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, lua_upvalueindex(2));
  const char *name = luaL_checkstring(L, 1);
  int results, by_library = called_by_library(h, L);
  lua_settop(L, 1);
  if (!by_library && push_loaded(L, name)) return 1;
  if (require_library(h, L, name, by_library)) return 1;
  mb_replica_refresh(h, L);
  results = call_original(L, 3, 1);
  lua_pushvalue(L, -results);
  mb_modules_note_loaded(h, L, name);
  lua_pop(L, 1);
  return results;
}

/* The functions that stand in for the library's own, which are their second upvalues. */
static const luaL_Reg replacements[] = {{"load", do_load},
                                        {"loadfile", do_loadfile},
                                        {"dofile", do_dofile},
                                        {NULL, NULL}};

void mb_environment_install(struct mb_heap *h, lua_State *L) {
  mb_push_ref(h, L, MB_REF_BASE);
  for (const luaL_Reg *r = replacements; r->name; r++) {
    lua_getfield(L, -1, r->name);
    lua_setglobal(L, r->name);
  }
  lua_getfield(L, -1, "require");
  lua_setglobal(L, "require");
  lua_pop(L, 1);
}

void mb_environment_open(struct mb_heap *h, lua_State *L) {
  static const char *const standard[] = {
      "assert", "collectgarbage", "error", "getmetatable", "ipairs", "next", "pairs", "pcall",
      "print", "rawequal", "rawget", "rawlen", "rawset", "select", "setmetatable", "tonumber",
      "tostring", "type", "warn", "xpcall", "_VERSION", "coroutine", "table", "io", "os", "string",
      "math", "utf8", "debug", "package", NULL};
  lua_newtable(L);
  h->ref[MB_REF_BASE] = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_createtable(L, 0, 1);
  mb_push_ref(h, L, MB_REF_BASE);
  lua_setfield(L, -2, "__index");
  h->ref[MB_REF_ENV_MT] = luaL_ref(L, LUA_REGISTRYINDEX);
  /* The library's own values, whatever the globals of that name hold by now. */
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  for (int i = 0; standard[i]; i++) {
    if (lua_getfield(L, -1, standard[i]) != LUA_TTABLE) {
      lua_pop(L, 1);
      lua_getfield(L, -1, "_G");
      lua_getfield(L, -1, standard[i]);
      lua_remove(L, -2);
    }
    mb_environment_define(h, L, standard[i]);
  }
  lua_pop(L, 1);
  lua_getglobal(L, "require");
  h->ref[MB_REF_REQUIRE] = luaL_ref(L, LUA_REGISTRYINDEX);
  for (const luaL_Reg *r = replacements; r->name; r++) {
    lua_getglobal(L, r->name);
    mb_environment_define(h, L, r->name);
  }
  lua_getglobal(L, "require");
  mb_environment_define(h, L, "require");
  mb_push_ref(h, L, MB_REF_BASE);
  for (const luaL_Reg *r = replacements; r->name; r++)
    (void)mb_stand_in(h, L, "_G", r->name, r->func, MB_STAND_IN_HEAP | MB_STAND_IN_ORIGINAL | MB_STAND_IN_ANY);
  (void)mb_stand_in(h, L, "_G", "require", do_require,
                    MB_STAND_IN_STATE | MB_STAND_IN_HEAP | MB_STAND_IN_ORIGINAL | MB_STAND_IN_ANY);
  lua_pop(L, 1);
}

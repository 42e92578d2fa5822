/* A C module for the specs, as libraries are that keep the state which opens them: it calls functions there, like an
 * event loop's callbacks, and a signal handler of its sets a hook there, like luaposix's. */
#include <lauxlib.h>
#include <signal.h>
#include <string.h>

static const char kept_key; /* in the registry: the state that opened it */
static lua_State *volatile signalled; /* the last one */
static volatile sig_atomic_t signals, handled;

static lua_State *kept(lua_State *L) {
  lua_State *K;
  lua_rawgetp(L, LUA_REGISTRYINDEX, &kept_key);
  K = lua_touserdata(L, -1);
  lua_pop(L, 1);
  return K;
}

/* call(fn, ...): as pcall, in the state that opened the module */
static int call(lua_State *L) {
  lua_State *K = kept(L);
  int n = lua_gettop(L), base = lua_gettop(K), results;
  if (!lua_checkstack(K, n + LUA_MINSTACK)) return luaL_error(L, "no room");
  lua_xmove(L, K, n);
  lua_pushboolean(L, lua_pcall(K, n - 1, LUA_MULTRET, 0) == LUA_OK);
  results = lua_gettop(K) - base;
  luaL_checkstack(L, results, NULL);
  lua_xmove(K, L, results);
  return results + 1;
}

/* opened_by() -> the thread that opened the module, whether it is the main one */
static int opened_by(lua_State *L) {
  lua_State *K = kept(L);
  int main;
  luaL_checkstack(K, 1, NULL);
  main = lua_pushthread(K);
  if (K != L) lua_xmove(K, L, 1);
  lua_pushboolean(L, main);
  return 2;
}

/* Runs at the next event: what on_signal was given is called with the number of signals so far. */
static void hook(lua_State *L, lua_Debug *ar) {
  (void)ar;
  lua_sethook(L, NULL, 0, 0);
  handled = signals;
  lua_getfield(L, LUA_REGISTRYINDEX, "keeper.handler");
  lua_pushinteger(L, signals);
  if (lua_pcall(L, 1, 0, 0) != LUA_OK) lua_pop(L, 1);
}

static void handle(int number) {
  (void)number;
  signals++;
  lua_sethook(signalled, hook, LUA_MASKCALL | LUA_MASKRET | LUA_MASKCOUNT, 1);
}

/* on_signal(number, fn): fn is called soon after each such signal */
static int on_signal(lua_State *L) {
  struct sigaction action = {.sa_handler = handle, .sa_flags = SA_RESTART};
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_settop(L, 2);
  lua_setfield(L, LUA_REGISTRYINDEX, "keeper.handler");
  sigemptyset(&action.sa_mask);
  return luaL_fileresult(L, sigaction((int)luaL_checkinteger(L, 1), &action, NULL) == 0, NULL);
}

/* raise(number): send the signal to the calling thread */
static int raise_signal(lua_State *L) { return luaL_fileresult(L, raise((int)luaL_checkinteger(L, 1)) == 0, NULL); }

/* handled() -> how many signals had come when the hook ran last */
static int get_handled(lua_State *L) {
  lua_pushinteger(L, handled);
  return 1;
}

int luaopen_keeper(lua_State *L) {
  static const luaL_Reg functions[] = {{"call", call},
                                       {"opened_by", opened_by},
                                       {"on_signal", on_signal},
                                       {"raise", raise_signal},
                                       {"handled", get_handled},
                                       {NULL, NULL}};
  signalled = L;
  lua_pushlightuserdata(L, L);
  lua_rawsetp(L, LUA_REGISTRYINDEX, &kept_key);
  luaL_newlib(L, functions);
  lua_pushinteger(L, SIGUSR1);
  lua_setfield(L, -2, "SIGUSR1");
  lua_pushvalue(L, 1);
  lua_setfield(L, -2, "name");
  lua_pushvalue(L, 2);
  lua_setfield(L, -2, "file");
  lua_newuserdatauv(L, 1, 0);
  lua_setfield(L, -2, "object");
  lua_pushlightuserdata(L, NULL);
  lua_setfield(L, -2, "null");
  return 1;
}

/* Openers that do what openers may do. */

int luaopen_keeper_fails(lua_State *L) {
  lua_newtable(L);
  lua_pushliteral(L, "an error that is a table");
  lua_setfield(L, -2, "text");
  return lua_error(L);
}

int luaopen_keeper_text(lua_State *L) { return luaL_error(L, "no %s today", lua_tostring(L, 1)); }

int luaopen_keeper_requires(lua_State *L) {
  lua_getglobal(L, "require");
  lua_pushliteral(L, "keeper");
  lua_call(L, 1, 1);
  return 1;
}

static int go_on(lua_State *L, int status, lua_KContext k) {
  (void)L;
  (void)status;
  (void)k;
  return 0;
}

int luaopen_keeper_yields(lua_State *L) { return lua_yieldk(L, 0, 0, go_on); }

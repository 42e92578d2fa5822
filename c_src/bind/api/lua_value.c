/* The runtime's own kinds of values: pids, references and patterns, which are light userdata with one
 * metatable for the whole type; the exit object; is and type. */
#include <string.h>

#include "api/api.h"
#include "api/pattern.h"
#include "code/reason_text.h"
#include "code/standard.h"
#include "heap/arguments.h"
#include "heap/closing.h"
#include "heap/errors.h"

static int id_tostring(lua_State *L) {
  uint64_t v = (uint64_t)(uintptr_t)lua_touserdata(L, 1);
  char text[MB_ID_TEXT];
  const char *pattern = mb_pattern_text(v);
  if (pattern)
    lua_pushstring(L, pattern);
  else if (mb_is_pid(v))
    lua_pushlstring(L, text, mb_pid_text(v, text));
  else if (mb_is_ref(v))
    lua_pushlstring(L, text, mb_ref_text(v, text));
  else
    lua_pushfstring(L, "userdata: %p", lua_touserdata(L, 1));
  return 1;
}

/* Pids and references are ordered, like to like. */
static int id_less(lua_State *L) {
  uint64_t a = (uint64_t)(uintptr_t)lua_touserdata(L, 1);
  uint64_t b = (uint64_t)(uintptr_t)lua_touserdata(L, 2);
  if (!lua_islightuserdata(L, 1) || !lua_islightuserdata(L, 2) ||
      (a & MB_TAG_MASK) != (b & MB_TAG_MASK) || !(mb_is_pid(a) || mb_is_ref(a)))
    return luaL_error(L, "attempt to compare %s with %s", luaL_typename(L, 1), luaL_typename(L, 2));
  lua_pushboolean(L, a < b);
  return 1;
}

/* What a pid's or a reference's field may be meant to call: the last name of each of these. */
static const char *const verbs[] = {
    "Agent.get(", "Agent.update(", "Agent.get_and_update(", "GenServer.call(", "GenServer.cast(", "GenServer.stop(",
    "Process.exit(", "Process.alive(", "Process.info(", "send(", "link(", "unlink(", "monitor(", "demonitor(", NULL};

static const char *verb_of(const char *key) {
  size_t size = strlen(key);
  for (int i = 0; verbs[i]; i++) {
    const char *dot = strchr(verbs[i], '.'), *name = dot ? dot + 1 : verbs[i];
    if (strlen(name) == size + 1 && strncmp(name, key, size) == 0) return verbs[i];
  }
  return NULL;
}

/* value[key], or value[key] = v: without this an error, too, but one that says nothing of what the value is for */
static int id_index(lua_State *L) {
  uint64_t v = (uint64_t)(uintptr_t)lua_touserdata(L, 1);
  struct mb_heap *h = mb_heap_find(L);
  const char *what = mb_is_pid(v) ? "pid" : mb_is_ref(v) ? "reference" : NULL, *key = NULL, *verb = NULL;
  if (lua_type(L, 2) == LUA_TSTRING) key = mb_push_short(L, lua_tostring(L, 2));
  if (!h || !what || mb_pattern_text(v)) {
    if (!key) return luaL_error(L, "attempt to index a userdata value");
    return luaL_error(L, "attempt to index a userdata value (field '%s')", key);
  }
  if (!key) return mb_raise(h, L, "a %s has no fields", what);
  verb = verb_of(key);
  return mb_raise(h, L, "a %s has no field '%s': functions take it as an argument, %s%s, ...)", what, key,
                  verb ? verb : mb_is_pid(v) ? "Agent.get(" : "demonitor(", what);
}

static int exit_tostring(lua_State *L) {
  struct mb_heap *h = mb_any_heap_of(L);
  lua_settop(L, 1);
  if (lua_istable(L, 1)) lua_getfield(L, 1, "reason");
  if (lua_type(L, -1) != LUA_TSTRING) mb_push_reason_text(h, L, -1);
  lua_pushfstring(L, "exit: %s", lua_tostring(L, -1));
  return 1;
}

static int type_of(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushstring(L, mb_type_name(mb_any_heap_of(L), L, 1));
  return 1;
}

/* pid(text) -> pid, or nil when it is the text of none */
static int read_pid(lua_State *L) {
  mb_pid pid;
  if (mb_pid_parse(luaL_checkstring(L, 1), &pid))
    mb_push_id(L, pid);
  else
    lua_pushnil(L);
  return 1;
}

/* reason(value) -> value: a table is a reason from now on, that is text where Lua makes text of it */
static int reason(lua_State *L) {
  lua_settop(L, 1);
  mb_dress_reason(mb_any_heap_of(L), L);
  return 1;
}

/* is(fn) -> a pattern that captures what fn says yes to */
static int is_call(lua_State *L) {
  struct mb_heap *h = mb_any_heap_of(L);
  if (!lua_isfunction(L, 2)) return mb_bad_type(h, L, "is", 1, "function", 2);
  lua_createtable(L, 1, 0);
  lua_pushvalue(L, 2);
  lua_rawseti(L, -2, 1);
  mb_push_ref(h, L, MB_REF_PREDICATE_MT);
  lua_setmetatable(L, -2);
  return 1;
}

/* one_of(patterns...) -> a pattern that matches what one of them does, and captures what the first that matches does */
static int one_of(lua_State *L) {
  struct mb_heap *h = mb_any_heap_of(L);
  int count = lua_gettop(L), captures;
  if (count == 0) return mb_bad_argument(h, L, "one_of", 1, "pattern expected, got no value");
  luaL_checkstack(L, 10, NULL);
  captures = mb_count_captures(h, L, 1);
  for (int i = 2; i <= count; i++) {
    int here = mb_count_captures(h, L, i);
    if (here != captures)
      return mb_bad_argument(h, L, "one_of", i,
                             "it captures %d, and argument 1 captures %d: all have to capture as many", here, captures);
  }
  lua_createtable(L, count, 1);
  lua_insert(L, 1);
  for (int i = count; i >= 1; i--) lua_rawseti(L, 1, i);
  lua_pushinteger(L, count);
  lua_setfield(L, 1, "n");
  mb_push_ref(h, L, MB_REF_ONE_OF_MT);
  lua_setmetatable(L, 1);
  return 1;
}

static const char *const kinds[] = {"string", "number", "integer", "boolean", "table", "func", "pid", "ref", NULL};

/* is[key], which is none: a nil would shorten the pattern that it stands in. Whoever looks for the end of a sequence
 * there asks for numbers. */
static int is_index(lua_State *L) {
  struct mb_heap *h = mb_any_heap_of(L);
  if (lua_type(L, 2) != LUA_TSTRING) return 0;
  lua_settop(L, 2);
  lua_pushliteral(L, "");
  for (int i = 0; kinds[i]; i++) {
    lua_pushfstring(L, i ? ", is.%s" : "is.%s", kinds[i]);
    lua_concat(L, 2);
  }
  return mb_raise(h, L, "there is no pattern is.%s: there are %s, and is(fn)", mb_push_short(L, lua_tostring(L, 2)),
                  lua_tostring(L, 3));
}

static void new_metatable(struct mb_heap *h, lua_State *L, const char *name, enum mb_heap_ref which) {
  lua_newtable(L);
  lua_pushstring(L, name);
  lua_setfield(L, -2, "__name");
  lua_pushvalue(L, -1);
  h->ref[which] = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* Add id_index to the metatable on the top of the stack, unless it has such a method. */
static void add_index(lua_State *L, const char *method) {
  lua_pushstring(L, method);
  if (lua_rawget(L, -2) == LUA_TNIL) {
    lua_pushcfunction(L, id_index);
    lua_setfield(L, -3, method);
  }
  lua_pop(L, 1);
}

void mb_open_value(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg id_methods[] = {{"__tostring", id_tostring}, {"__lt", id_less}, {NULL, NULL}};
  static const luaL_Reg functions[] = {
      {"type", type_of}, {"pid", read_pid}, {"one_of", one_of}, {"reason", reason}, {NULL, NULL}};
  mb_set_functions(h, L, functions);

  mb_push_id(L, 0);
  if (!lua_getmetatable(L, -1)) lua_newtable(L); /* another library's is extended, not replaced */
  add_index(L, "__index");
  add_index(L, "__newindex");
  luaL_setfuncs(L, id_methods, 0);
  mb_standard_add(h, L, "id");
  lua_setmetatable(L, -2);
  lua_pop(L, 1);

  new_metatable(h, L, "exit", MB_REF_EXIT_MT);
  lua_pushlightuserdata(L, h);
  lua_pushcclosure(L, exit_tostring, 1);
  lua_setfield(L, -2, "__tostring");
  mb_standard_add(h, L, "exit");
  lua_setfield(L, -2, "exit_mt"); /* fields of the module: so that they travel by name */
  lua_newtable(L);
  lua_pushlightuserdata(L, h);
  lua_pushcclosure(L, mb_reason_tostring, 1);
  lua_setfield(L, -2, "__tostring");
  mb_standard_add(h, L, "reason");
  lua_pushvalue(L, -1);
  h->ref[MB_REF_REASON_MT] = luaL_ref(L, LUA_REGISTRYINDEX);
  lua_setfield(L, -2, "reason_mt");
  new_metatable(h, L, "predicate", MB_REF_PREDICATE_MT);
  lua_setfield(L, -2, "predicate_mt");
  new_metatable(h, L, "one_of", MB_REF_ONE_OF_MT);
  lua_setfield(L, -2, "one_of_mt");

  mb_push_pattern(L, MB_ANY);
  lua_setfield(L, -2, "any");
  mb_push_pattern(L, MB_MAYBE);
  lua_setfield(L, -2, "maybe");
  mb_push_pattern(L, MB_IGNORE);
  lua_setfield(L, -2, "ignore");
  mb_push_pattern(L, MB_REST);
  lua_setfield(L, -2, "rest");
  lua_newtable(L);
  for (int i = 0; kinds[i]; i++) {
    mb_push_pattern(L, (enum mb_pattern)(MB_IS_STRING + i));
    lua_setfield(L, -2, kinds[i]);
  }
  lua_newtable(L);
  lua_pushlightuserdata(L, h);
  lua_pushcclosure(L, is_call, 1);
  lua_setfield(L, -2, "__call");
  lua_pushlightuserdata(L, h);
  lua_pushcclosure(L, is_index, 1);
  lua_setfield(L, -2, "__index");
  mb_standard_add(h, L, "is");
  lua_pushvalue(L, -1);
  lua_setfield(L, -4, "is_mt");
  lua_setmetatable(L, -2);
  lua_setfield(L, -2, "is");
}

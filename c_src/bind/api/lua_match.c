/* Values and patterns: match, matchers, and the choice of a clause for a value, which case and callbacks run. */
#include "api/api.h"
#include "api/clauses.h"
#include "heap/arguments.h"
#include "heap/fields.h"
#include "process/wait.h"

/* Push the metatable of matchers of a shape. The heap keeps it, so that its address stays its own. */
static void push_metatable(struct mb_heap *h, lua_State *L, lua_Integer shape) {
  mb_push_ref(h, L, MB_REF_SHAPES);
  if (lua_rawgeti(L, -1, shape) == LUA_TNIL) {
    lua_pop(L, 1);
    lua_createtable(L, 0, 3);
    lua_pushliteral(L, "matcher");
    lua_setfield(L, -2, "__name");
    lua_pushinteger(L, shape);
    lua_rawsetp(L, -2, &mb_shape_key);
    mb_push_ref(h, L, MB_REF_CLAUSES);
    if (lua_istable(L, -1)) {
      lua_getfield(L, -1, "call");
      lua_setfield(L, -3, "__call");
    }
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_rawseti(L, -3, shape);
    h->shapes->known[h->shapes->next++ % MB_KNOWN_SHAPES] = (struct mb_shape){lua_topointer(L, -1), shape};
  }
  lua_remove(L, -2);
}

/* Push a matcher of the clauses at index 1, the top of the stack, which have this shape. */
static void push_matcher(struct mb_heap *h, lua_State *L, lua_Integer shape) {
  lua_createtable(L, (int)(shape / MB_SHAPE_ONE), shape & MB_SHAPE_AFTER);
  mb_fields_copy(L, 1, 2);
  push_metatable(h, L, shape);
  lua_setmetatable(L, 2);
}

/* matcher(clauses) -> the same clauses, checked once */
static int matcher(lua_State *L) {
  static const struct mb_clauses_of of = {"matcher", 1, 1, NULL};
  struct mb_heap *h = mb_heap_of(L);
  lua_Integer shape;
  if (!lua_istable(L, 1)) return mb_bad_type(h, L, "matcher", 1, "table of clauses", 1);
  lua_settop(L, 1);
  shape = mb_check_clauses(h, L, &of);
  if (shape & MB_SHAPE_AFTER) (void)mb_after_deadline(h, L, &of);
  push_matcher(h, L, shape);
  return 1;
}

/* callback_matcher(clauses, field) -> a matcher of them, for `choose`: a field of GenServer.clauses' argument, where
 * each clause has a body and nothing is waited for */
static int callback_matcher(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  struct mb_clauses_of of = {"GenServer.clauses", 1, 0, luaL_checkstring(L, 2)};
  lua_Integer shape;
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 2);
  shape = mb_check_clauses(h, L, &of);
  for (lua_Integer i = 1; i <= shape / MB_SHAPE_ONE; i++) {
    mb_push_clause(h, L, i);
    if (lua_rawgeti(L, -2, 2) == LUA_TNIL)
      return mb_bad_argument(h, L, of.function, 1, "%s: clause %d has no body: it is {pattern, [when = guard,] body}",
                             of.field, (int)i);
    lua_settop(L, 2);
  }
  lua_settop(L, 1);
  push_matcher(h, L, shape);
  return 1;
}

/* match(pattern, value) -> true, captures... | false */
static int match_value(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  lua_settop(L, 2);
  if (!mb_match(h, L, 1, 2)) {
    lua_pushboolean(L, 0);
    return 1;
  }
  lua_pushboolean(L, 1);
  lua_insert(L, 3);
  return lua_gettop(L) - 2;
}

/* choose(clauses, nil, value) -> as select, or nothing where no clause matches: the values are the captures, or the
 * value. choose(clauses, state, value, true): the captures alone, and guards get the state, too. */
static int choose(lua_State *L) {
  static const struct mb_clauses_of of = {"case", 2, 0, NULL};
  struct mb_heap *h = mb_heap_of(L);
  int more = lua_toboolean(L, 4) ? 2 : 0;
  lua_Integer shape;
  if (!lua_istable(L, 1)) return mb_bad_type(h, L, "case", 2, "table of clauses or matcher", 1);
  lua_settop(L, 3);
  shape = mb_clauses_shape(h, L, &of);
  return mb_try_clauses(h, L, shape, 3, more);
}

/* set_clauses(table): its functions call, of matchers, and explain, of clauses that are ill-formed */
static int set_clauses(lua_State *L) {
  struct mb_heap *h = mb_heap_of(L);
  luaL_checktype(L, 1, LUA_TTABLE);
  lua_settop(L, 1);
  lua_rawseti(L, LUA_REGISTRYINDEX, h->ref[MB_REF_CLAUSES]);
  return 0;
}

void mb_open_match(struct mb_heap *h, lua_State *L) {
  static const luaL_Reg functions[] = {{"matcher", matcher}, {"callback_matcher", callback_matcher},
                                       {"match", match_value}, {"choose", choose},
                                       {"set_clauses", set_clauses}, {NULL, NULL}};
  h->shapes = mb_heap_part(L, sizeof *h->shapes);
  mb_set_functions(h, L, functions);
}

/* Clauses, {pattern, [when = guard,] [body]}, of receive, matcher, case and GenServer.clauses: a table of them is
 * checked once, and what it looks like is its shape. What runs for each message is inline here. */
#ifndef MB_CLAUSES_H
#define MB_CLAUSES_H

#include "api/pattern.h"
#include "heap/closing.h"
#include "heap/errors.h"

/* Whom clauses were given to, as errors say it: argument `index` of `function`, and NULL or which field of it. */
struct mb_clauses_of {
  const char *function;
  int index, waits; /* `after` may stand beside them */
  const char *field;
};

/* A shape: how many clauses there are, times MB_SHAPE_ONE, and whether any of these is there. */
enum { MB_SHAPE_AFTER = 1, MB_SHAPE_GUARDS = 2, MB_SHAPE_ONE = 4 };

enum { MB_KNOWN_SHAPES = 8 };

/* Metatables of matchers and the shapes they stand for: the last ones that were made. */
struct mb_shapes {
  struct mb_shape {
    const void *metatable;
    lua_Integer shape;
  } known[MB_KNOWN_SHAPES];
  unsigned next;
};

extern const char mb_shape_key; /* its address is the key of the shape in a matcher's metatable */

/* Check the clauses at stack index 1; returns their shape. Raises, saying what is wrong with which of them. */
lua_Integer mb_check_clauses(struct mb_heap *h, lua_State *L, const struct mb_clauses_of *of);

/* The deadline of `after` in the clauses at stack index 1. Raises when it is none. */
uint64_t mb_after_deadline(struct mb_heap *h, lua_State *L, const struct mb_clauses_of *of);

/* Raise that clause i, which has been checked, is no table any more. */
void mb_clause_changed(struct mb_heap *h, lua_State *L, lua_Integer i);

/* The shape that the metatable at index `at`, the top of the stack, stands for; -1: none. A matcher's that has
 * travelled has a metatable of its own. */
static inline lua_Integer mb_metatable_shape(struct mb_heap *h, lua_State *L, int at) {
  const void *identity = lua_topointer(L, at);
  for (int i = 0; i < MB_KNOWN_SHAPES; i++)
    if (h->shapes->known[i].metatable == identity) return h->shapes->known[i].shape;
  return lua_rawgetp(L, at, &mb_shape_key) == LUA_TNIL ? -1 : lua_tointeger(L, at + 1);
}

/* The shape of the clauses at index 1, which have been checked if they are a matcher's, and are now if not. */
static inline lua_Integer mb_clauses_shape(struct mb_heap *h, lua_State *L, const struct mb_clauses_of *of) {
  lua_Integer shape = -1;
  int top = lua_gettop(L);
  if (lua_getmetatable(L, 1)) {
    shape = mb_metatable_shape(h, L, top + 1);
    lua_settop(L, top);
  }
  return shape >= 0 ? shape : mb_check_clauses(h, L, of);
}

/* Push clause i of those at index 1, which have been checked, and its pattern. A matcher may have been changed
 * since. */
static inline void mb_push_clause(struct mb_heap *h, lua_State *L, lua_Integer i) {
  if (lua_rawgeti(L, 1, i) != LUA_TTABLE) mb_clause_changed(h, L, i);
  lua_rawgeti(L, -1, 1);
}

/* A guard, with the values from `first` on and, if `more` is an index, the one there, holds when it returns true; one
 * that raises does not. */
static inline int mb_guard_holds(struct mb_heap *h, lua_State *L, int guard, int first, int more) {
  int n = lua_gettop(L) - first + 1, ok;
  luaL_checkstack(L, n + 4, NULL);
  lua_pushvalue(L, guard);
  for (int i = 0; i < n; i++) lua_pushvalue(L, first + i);
  if (more) lua_pushvalue(L, more);
  h->uninterruptible++;
  ok = mb_pcall(h, L, n + (more != 0), 1) == LUA_OK && lua_toboolean(L, -1);
  h->uninterruptible--;
  lua_pop(L, 1);
  return ok;
}

/* What is given to Lua's side, which passes it on to a body: at most so many values as they are, then body and number.
 * Of more values, the first is a table of them all. */
enum { MB_FEW_VALUES = 3, MB_SELECTED = MB_FEW_VALUES + 2 };

/* Push that for the values above `base`; `body` is the stack index of the table whose second item is to be called with
 * them, 0: none. */
static inline int mb_selected(lua_State *L, int base, int body) {
  int count = lua_gettop(L) - base;
  if (count > MB_FEW_VALUES) {
    lua_createtable(L, count, 0);
    lua_insert(L, base + 1);
    for (int i = count; i >= 1; i--) lua_rawseti(L, base + 1, i);
  }
  lua_settop(L, base + MB_FEW_VALUES);
  if (body)
    lua_rawgeti(L, body, 2);
  else
    lua_pushnil(L);
  lua_pushinteger(L, count);
  return MB_SELECTED;
}

/* Try the value on the top of the stack, at `value`, against the clauses at index 1. 0, or MB_SELECTED results were
 * pushed: the captures and, unless there is a value at index `more` that guards get, too, the whole value where nothing
 * is captured. */
static inline int mb_try_clauses(struct mb_heap *h, lua_State *L, lua_Integer shape, int value, int more) {
  int clause = value + 1, pattern = value + 2;
  for (lua_Integer i = 1; i <= shape / MB_SHAPE_ONE; i++) {
    mb_push_clause(h, L, i);
    if (mb_match(h, L, pattern, value)) {
      int ok = 1;
      if (!more && lua_gettop(L) == pattern) lua_pushvalue(L, value);
      if (shape & MB_SHAPE_GUARDS) {
        lua_pushliteral(L, "when");
        if (lua_rawget(L, clause) != LUA_TNIL) {
          lua_replace(L, pattern);
          ok = mb_guard_holds(h, L, pattern, pattern + 1, more);
        } else {
          lua_pop(L, 1);
        }
      }
      if (ok) return mb_selected(L, pattern, clause);
    }
    lua_settop(L, value);
  }
  return 0;
}

#endif

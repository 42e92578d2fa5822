#include "api/clauses.h"

#include <string.h>

#include "heap/table_layout.h"
#include "process/wait.h"

const char mb_shape_key = 0;

static int is_callable(lua_State *L, int index) {
  if (lua_isfunction(L, index)) return 1;
  if (luaL_getmetafield(L, index, "__call") == LUA_TNIL) return 0;
  lua_pop(L, 1);
  return 1;
}

static int bad_clauses(struct mb_heap *h, lua_State *L, const struct mb_clauses_of *of, const char *text) {
  if (!of->field) return mb_bad_argument(h, L, of->function, of->index, "%s", text);
  return mb_bad_argument(h, L, of->function, of->index, "%s: %s", of->field, text);
}

/* Raise what is wrong with clause i, as lua/moonbeam/internal/ill_formed.lua words it. */
static int ill_formed(struct mb_heap *h, lua_State *L, const struct mb_clauses_of *of, int i) {
  int explained = 0;
  mb_push_ref(h, L, MB_REF_CLAUSES);
  if (lua_istable(L, -1)) {
    lua_getfield(L, -1, "explain");
    lua_pushvalue(L, 1);
    lua_pushinteger(L, i);
    explained = mb_pcall(h, L, 2, 1) == LUA_OK && lua_type(L, -1) == LUA_TSTRING;
  }
  if (!explained) lua_pushfstring(L, "clause %d is ill-formed: it is {pattern, [when = guard,] [body]}", i);
  return bad_clauses(h, L, of, lua_tostring(L, -1));
}

/* Whether the value on the top of the stack is a clause; its guard is added to *flags. */
static int is_clause(lua_State *L, int *flags) {
  int clause = lua_gettop(L), has_pattern = 0;
  if (!lua_istable(L, clause)) return 0;
  lua_pushnil(L);
  while (lua_next(L, clause)) {
    int key = clause + 1, value = clause + 2, ok = 0;
    if (lua_type(L, key) == LUA_TNUMBER) {
      lua_Integer n = lua_tointeger(L, key); /* 0 for 1.5 */
      if (n == 1) ok = has_pattern = 1;
      if (n == 2) ok = is_callable(L, value);
    } else if (lua_type(L, key) == LUA_TSTRING && strcmp(lua_tostring(L, key), "when") == 0) {
      *flags |= MB_SHAPE_GUARDS;
      ok = is_callable(L, value);
    }
    if (!ok) return 0;
    lua_settop(L, key);
  }
  return has_pattern;
}

/* How many clauses {pattern, [function]} the table at index 1 holds, and nothing else; 0: that cannot be told in one
 * look. */
static int count_plain(lua_State *L) {
  const struct mb_table *clauses = lua_topointer(L, 1);
  size_t count = mb_table_items(clauses);
  if (mb_table_has_fields(clauses) || count > clauses->item_limit) return 0;
  for (size_t i = 0; i < count; i++) {
    const struct mb_table *clause;
    size_t items;
    if ((clauses->items[i].type & MB_TYPE_BITS) != LUA_TTABLE) return 0;
    clause = clauses->items[i].value.object;
    items = mb_table_items(clause);
    if (mb_table_has_fields(clause) || items < 1 || items > 2 || items > clause->item_limit) return 0;
    if ((clause->items[0].type & MB_TYPE_BITS) == LUA_TNIL) return 0;
    if (items == 2 && (clause->items[1].type & MB_TYPE_BITS) != LUA_TFUNCTION) return 0;
  }
  return (int)count;
}

lua_Integer mb_check_clauses(struct mb_heap *h, lua_State *L, const struct mb_clauses_of *of) {
  int count = 0, flags = 0, top = lua_gettop(L);
  if (mb_table_layout_known(L) && (count = count_plain(L))) return (lua_Integer)count * MB_SHAPE_ONE;
  luaL_checkstack(L, 10, NULL);
  lua_pushnil(L);
  while (lua_next(L, 1)) {
    if (lua_isinteger(L, top + 1)) {
      count++;
    } else if (!of->waits || lua_type(L, top + 1) != LUA_TSTRING || strcmp(lua_tostring(L, top + 1), "after")) {
      const char *name = mb_push_short(L, luaL_tolstring(L, top + 1, NULL));
      lua_pushfstring(L, "unknown field '%s' beside the clauses; %s", name,
                      of->waits ? "only 'after' may stand there" : "there are none");
      bad_clauses(h, L, of, lua_tostring(L, -1));
    } else {
      flags |= MB_SHAPE_AFTER;
    }
    lua_settop(L, top + 1);
  }
  for (int i = 1; i <= count; i++) {
    lua_rawgeti(L, 1, i);
    if (!is_clause(L, &flags)) ill_formed(h, L, of, i);
    lua_settop(L, top);
  }
  return (lua_Integer)count * MB_SHAPE_ONE + flags;
}

void mb_clause_changed(struct mb_heap *h, lua_State *L, lua_Integer i) {
  mb_raise(h, L, "clause %d is no table any more: the matcher has been changed", (int)i);
}

/* Whether a table has more than one field: a function under a name, perhaps, beside its first item. */
static int has_fields(lua_State *L, int table) {
  int top = lua_gettop(L), count = 0;
  lua_pushnil(L);
  while (count < 2 && lua_next(L, table)) {
    lua_settop(L, top + 1);
    count++;
  }
  lua_settop(L, top);
  return count == 2;
}

uint64_t mb_after_deadline(struct mb_heap *h, lua_State *L, const struct mb_clauses_of *of) {
  uint64_t deadline;
  int top = lua_gettop(L);
  lua_getfield(L, 1, "after");
  if (lua_istable(L, -1)) {
    lua_rawgeti(L, -1, 1);
    lua_rawgeti(L, -2, 2);
    if (lua_rawlen(L, top + 1) > 2 || (lua_isnil(L, -1) ? has_fields(L, top + 1) : !is_callable(L, -1)))
      bad_clauses(h, L, of, "after is ms or {ms, function}");
    lua_pop(L, 1);
    if (lua_isnil(L, -1)) bad_clauses(h, L, of, "after is ms or {ms, function}");
  }
  if (!mb_read_deadline(h, L, -1, MB_TIMEOUT_OPTIONAL, &deadline))
    mb_bad_timeout(h, L, -1, of->function, of->index, "after: ");
  lua_settop(L, top);
  return deadline;
}

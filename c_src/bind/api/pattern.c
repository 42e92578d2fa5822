#include "api/pattern.h"

#include <stdlib.h>
#include <string.h>

#include "codec/codec.h"
#include "heap/closing.h"
#include "heap/errors.h"
#include "heap/shared.h"
#include "heap/table_layout.h"

enum { NEST = 150, FEW_NAMES = 16 };
enum { MOST_COUNTED = 1000000 }; /* as many values as a stack of Lua's has */
/* One table's match needs MOST_SLOTS of the stack beside the captures of so many items. */
enum { MOST_SLOTS = 16, FEW_ITEMS = 8 };
enum { UNTOLD = -1 }; /* neither 0 nor 1: the values have to be looked into */

static const char *const texts[] = {"any",        "is.string", "is.number", "is.integer",
                                    "is.boolean", "is.table",  "is.func",   "is.pid", "is.ref",
                                    "maybe",      "ignore",    "rest"};

const char *mb_pattern_text(uint64_t v) {
  return (v & MB_TAG_MASK) == MB_TAG_PATTERN && (v >> 3) < MB_PATTERN_COUNT ? texts[v >> 3] : NULL;
}

void mb_push_pattern(lua_State *L, enum mb_pattern p) {
  mb_push_id(L, (uint64_t)p << 3 | MB_TAG_PATTERN);
}

/* What is matched like a table is one, or a shared one. */

static int is_table(struct mb_heap *h, lua_State *L, int value) {
  return lua_istable(L, value) || mb_shared_at(h, L, value);
}

static lua_Integer length(struct mb_heap *h, lua_State *L, int value) {
  return lua_istable(L, value) ? (lua_Integer)lua_rawlen(L, value) : mb_shared_length(mb_shared_at(h, L, value));
}

/* Push item i of the table. Returns its type. */
static int push_item(struct mb_heap *h, lua_State *L, int value, lua_Integer i) {
  return lua_istable(L, value) ? lua_rawgeti(L, value, i) : mb_shared_geti(h, L, mb_shared_at(h, L, value), i);
}

/* Replace the key on the top of the stack by what the table has there. Returns its type. */
static int get_field(struct mb_heap *h, lua_State *L, int value) {
  int type;
  if (lua_istable(L, value)) return lua_rawget(L, value);
  type = mb_shared_get(h, L, mb_shared_at(h, L, value), -1);
  lua_remove(L, -2);
  return type;
}

static int is_of(struct mb_heap *h, lua_State *L, enum mb_pattern p, int value) {
  switch (p) {
    case MB_IS_STRING: return lua_type(L, value) == LUA_TSTRING;
    case MB_IS_NUMBER: return lua_type(L, value) == LUA_TNUMBER;
    case MB_IS_INTEGER: return lua_isinteger(L, value);
    case MB_IS_BOOLEAN: return lua_isboolean(L, value);
    case MB_IS_TABLE: return is_table(h, L, value);
    case MB_IS_FUNC: return lua_isfunction(L, value);
    case MB_IS_PID: return mb_to_pid(L, value) != 0;
    case MB_IS_REF: return mb_to_ref(L, value) != 0;
    default: return 1;
  }
}

enum made { MADE_BY_NOBODY, MADE_BY_IS, MADE_BY_ONE_OF };

/* Whether a table is what is(fn) or one_of(...) has made. */
static enum made made_by(struct mb_heap *h, lua_State *L, int pattern) {
  enum made made = MADE_BY_NOBODY;
  if (!lua_getmetatable(L, pattern)) return made;
  mb_push_ref(h, L, MB_REF_PREDICATE_MT);
  mb_push_ref(h, L, MB_REF_ONE_OF_MT);
  if (lua_rawequal(L, -3, -2))
    made = MADE_BY_IS;
  else if (lua_rawequal(L, -3, -1))
    made = MADE_BY_ONE_OF;
  lua_pop(L, 3);
  return made;
}

static int match(struct mb_heap *h, lua_State *L, int pattern, int value, int depth);

static int misplaced_rest(struct mb_heap *h, lua_State *L) {
  return mb_raise(h, L, "rest stands last among the items of a table pattern: {any, rest}");
}

/* Whether the key at `index`, which is no string, is one of 1 to `items`. */
static int is_item(lua_State *L, int index, lua_Integer items) {
  return (lua_Unsigned)lua_tointeger(L, index) - 1 < (lua_Unsigned)items;
}

struct name {
  const char *s;
  size_t size;
};

static int by_name(const void *a, const void *b) {
  const struct name *x = a, *y = b;
  int order = memcmp(x->s, y->s, x->size < y->size ? x->size : y->size);
  return order ? order : (x->size > y->size) - (x->size < y->size);
}

/* Add the names of the pattern's fields that are strings, as many as there is room for; returns how many there are. */
static int list_names(lua_State *L, int pattern, lua_Integer items, struct name *names, int room, int *others) {
  int count = 0;
  lua_pushnil(L);
  while (lua_next(L, pattern)) {
    lua_pop(L, 1);
    if (lua_type(L, -1) == LUA_TSTRING) {
      if (count < room) names[count].s = lua_tolstring(L, -1, &names[count].size);
      count++;
    } else if (!is_item(L, -1, items)) {
      *others = 1;
    }
  }
  return count;
}

/* The pattern that a light userdatum is, or -1. */
static inline int pattern_in(const void *light) {
  uint64_t v = (uint64_t)(uintptr_t)light;
  return (v & MB_TAG_MASK) == MB_TAG_PATTERN && (v >> 3) < MB_PATTERN_COUNT ? (int)(v >> 3) : -1;
}

static int pattern_of(lua_State *L, int index) { return pattern_in(lua_touserdata(L, index)); }

/* Whether the value there is that pattern. */
static int is_pattern(lua_State *L, int index, enum mb_pattern p) {
  return lua_touserdata(L, index) == (void *)(uintptr_t)((uint64_t)p << 3 | MB_TAG_PATTERN);
}

/* The named fields of the pattern, in alphabetical order, then keys of other kinds. All have to be there. */
static int match_fields(struct mb_heap *h, lua_State *L, int pattern, int value, int depth,
                        lua_Integer items) {
  struct name few[FEW_NAMES], *names = few;
  int others = 0, base = lua_gettop(L), count = list_names(L, pattern, items, few, FEW_NAMES, &others);
  if (count > FEW_NAMES) {
    names = lua_newuserdatauv(L, (size_t)count * sizeof *names, 0);
    (void)list_names(L, pattern, items, names, count, &others);
  }
  if (count > 1) qsort(names, (size_t)count, sizeof *names, by_name);
  for (int i = 0; i < count; i++) {
    int at = lua_gettop(L);
    lua_pushlstring(L, names[i].s, names[i].size);
    lua_pushvalue(L, at + 1);
    lua_rawget(L, pattern);
    lua_insert(L, at + 1);
    if (get_field(h, L, value) == LUA_TNIL && !is_pattern(L, at + 1, MB_MAYBE)) return 0;
    if (!match(h, L, at + 1, at + 2, depth + 1)) return 0;
    lua_remove(L, at + 1);
    lua_remove(L, at + 1);
  }
  if (names != few) lua_remove(L, base + 1);
  if (others) {
    lua_pushnil(L);
    while (lua_next(L, pattern)) {
      int at = lua_gettop(L);
      if (lua_type(L, at - 1) != LUA_TSTRING && !is_item(L, at - 1, items)) {
        lua_pushvalue(L, at - 1);
        if (get_field(h, L, value) == LUA_TNIL && !is_pattern(L, at, MB_MAYBE)) return 0;
        if (!match(h, L, at, at + 1, depth + 1)) return 0;
        lua_remove(L, at + 1);
        lua_remove(L, at); /* captures stand below the key now: put the key on top */
        lua_pushvalue(L, at - 1);
        lua_remove(L, at - 1);
      } else {
        lua_pop(L, 1);
      }
    }
  }
  return 1;
}

static int match_predicate(struct mb_heap *h, lua_State *L, int pattern, int value) {
  int ok, top = lua_gettop(L);
  lua_rawgeti(L, pattern, 1);
  lua_pushvalue(L, value);
  h->uninterruptible++;
  ok = mb_pcall(h, L, 1, 1) == LUA_OK && lua_toboolean(L, -1);
  h->uninterruptible--;
  lua_settop(L, top);
  if (ok) lua_pushvalue(L, value);
  return ok;
}

static int match_one_of(struct mb_heap *h, lua_State *L, int pattern, int value, int depth) {
  int top = lua_gettop(L);
  lua_Integer count;
  lua_pushliteral(L, "n");
  lua_rawget(L, pattern);
  count = lua_tointeger(L, -1);
  lua_settop(L, top);
  for (lua_Integer i = 1; i <= count; i++) {
    lua_rawgeti(L, pattern, i);
    if (match(h, L, top + 1, value, depth + 1)) {
      lua_remove(L, top + 1);
      return 1;
    }
    lua_settop(L, top);
  }
  return 0;
}

/* How many items a table has: those it says it has by a field n, where nils are at the end. */
static lua_Integer count_items(struct mb_heap *h, lua_State *L, int table) {
  lua_Integer items = length(h, L, table), n;
  lua_pushliteral(L, "n");
  (void)get_field(h, L, table);
  n = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : 0;
  lua_pop(L, 1);
  return n > items && n <= MOST_COUNTED ? n : items;
}

/* Whether a table may have another number of items than the pattern's, and has one of these. Most differ in what they
 * begin with, too. A function of its own: that costs match no registers. */
static __attribute__((noinline)) int fits(struct mb_heap *h, lua_State *L, int pattern, int value,
                                          lua_Integer items) {
  int top = lua_gettop(L), more;
  lua_Integer most = items, least, count;
  if (items == 0) return 0;
  if (lua_rawgeti(L, pattern, 1) == LUA_TSTRING) {
    (void)push_item(h, L, value, 1);
    if (!lua_rawequal(L, top + 1, top + 2)) {
      lua_settop(L, top);
      return 0;
    }
  }
  count = count_items(h, L, value);
  lua_settop(L, top);
  lua_rawgeti(L, pattern, items);
  more = is_pattern(L, top + 1, MB_REST);
  if (more) most--;
  for (least = most; least > 0; least--) {
    lua_settop(L, top);
    lua_rawgeti(L, pattern, least);
    if (!is_pattern(L, top + 1, MB_MAYBE)) break;
  }
  lua_settop(L, top);
  return count >= least && (more || count <= most);
}

/* Match what is no single value: `ignore`, or `rest` as the last item; the pattern's item i is the top of the stack,
 * and goes. */
static __attribute__((noinline)) int match_special(struct mb_heap *h, lua_State *L, int pattern, int value,
                                                   lua_Integer i) {
  int item = lua_gettop(L);
  lua_Integer items = length(h, L, value), count = count_items(h, L, value), others = i - 1;
  if (is_pattern(L, item, MB_IGNORE)) {
    lua_settop(L, item - 1);
    return 1;
  }
  if (i != (lua_Integer)lua_rawlen(L, pattern)) misplaced_rest(h, L);
  lua_createtable(L, items > others ? (int)(items - others) : 0, 0);
  for (lua_Integer from = i; from <= count; from++) {
    if (push_item(h, L, value, from) == LUA_TNIL)
      lua_pop(L, 1);
    else
      lua_rawseti(L, item + 1, from - others);
  }
  if (count > items) { /* it ends in nils, and says how many values it has, too */
    lua_pushliteral(L, "n");
    lua_pushinteger(L, count > others ? count - others : 0);
    lua_rawset(L, item + 1);
  }
  lua_remove(L, item);
  return 1;
}

/* Match item i of the table `value` against that of `pattern`. 0 leaves more on the stack. */
static int match_item(struct mb_heap *h, lua_State *L, int pattern, int value, int depth, lua_Integer i) {
  int item = lua_gettop(L) + 1, type = lua_rawgeti(L, pattern, i), which;
  if (type == LUA_TLIGHTUSERDATA && (which = pattern_of(L, item)) >= 0) {
    if (which >= MB_IGNORE) return match_special(h, L, pattern, value, i);
    lua_pop(L, 1);
    (void)push_item(h, L, value, i);
    return is_of(h, L, (enum mb_pattern)which, item);
  }
  (void)push_item(h, L, value, i);
  if (type == LUA_TTABLE) {
    if (!match(h, L, item, item + 1, depth + 1)) return 0;
    lua_remove(L, item); /* the captures move down */
    lua_remove(L, item);
    luaL_checkstack(L, MOST_SLOTS, "pattern");
    return 1;
  }
  if (!lua_rawequal(L, item, item + 1)) return 0;
  lua_settop(L, item - 1);
  return 1;
}

/* Match item i of the tables where they keep it, if that can be told in one look. */
static inline int match_kept(struct mb_heap *h, lua_State *L, const struct mb_table *patterns,
                             const struct mb_table *values, int value, lua_Integer i) {
  const struct mb_table_item *p = mb_table_item(patterns, i), *v = mb_table_item(values, i);
  if (!p || !v) return UNTOLD;
  switch (p->type) {
    case MB_TYPE_LIGHT: {
      int which = pattern_in(p->value.object);
      if (which < 0) return v->type == MB_TYPE_LIGHT && v->value.object == p->value.object;
      if (which == MB_IGNORE) return 1;
      if (which == MB_REST) return UNTOLD;
      lua_rawgeti(L, value, i);
      return is_of(h, L, (enum mb_pattern)which, -1);
    }
    case MB_TYPE_SHORT_STRING: return v->type == MB_TYPE_SHORT_STRING && v->value.object == p->value.object;
    case MB_TYPE_INTEGER:
      return v->type == MB_TYPE_INTEGER ? v->value.integer == p->value.integer : UNTOLD; /* 1.0 equals 1 */
    case MB_TYPE_FALSE: case MB_TYPE_TRUE: return v->type == p->type;
    default: return UNTOLD;
  }
}

/* Match the items 1 to `items` of two tables, and the fields. 0 leaves more on the stack. */
static int match_items(struct mb_heap *h, lua_State *L, int pattern, int value, int depth, lua_Integer items) {
  int known = mb_table_layout_known(L), both = known && lua_istable(L, value);
  /* They are on the stack, and what they point to is looked up again for each item: code of the user's may run. */
  const struct mb_table *patterns = lua_topointer(L, pattern), *values = lua_topointer(L, value);
  for (lua_Integer i = 1; i <= items; i++) {
    int matches;
    if (i % FEW_ITEMS == 0) luaL_checkstack(L, MOST_SLOTS, "pattern");
    matches = both ? match_kept(h, L, patterns, values, value, i) : UNTOLD;
    if (matches == UNTOLD) matches = match_item(h, L, pattern, value, depth, i);
    if (!matches) return 0;
  }
  if (known && !mb_table_has_fields(patterns) && mb_table_items(patterns) == (size_t)items) return 1;
  return match_fields(h, L, pattern, value, depth, items);
}

static int match(struct mb_heap *h, lua_State *L, int pattern, int value, int depth) {
  int top = lua_gettop(L), type = lua_type(L, pattern), matches;
  lua_Integer items;
  if (type != LUA_TTABLE) {
    int which = type == LUA_TLIGHTUSERDATA ? pattern_of(L, pattern) : -1;
    if (which < 0) return lua_rawequal(L, pattern, value);
    if (which == MB_IGNORE) return 1;
    if (which == MB_REST) misplaced_rest(h, L);
    if (!is_of(h, L, (enum mb_pattern)which, value)) return 0;
    luaL_checkstack(L, MOST_SLOTS, "pattern");
    lua_pushvalue(L, value);
    return 1;
  }
  luaL_checkstack(L, MOST_SLOTS, "pattern");
  if (depth > NEST) mb_raise(h, L, "a pattern nests more than %d levels", NEST);
  switch (made_by(h, L, pattern)) {
    case MADE_BY_IS: return match_predicate(h, L, pattern, value);
    case MADE_BY_ONE_OF: return match_one_of(h, L, pattern, value, depth);
    default: break;
  }
  if (!is_table(h, L, value)) return 0;
  items = (lua_Integer)lua_rawlen(L, pattern);
  if (items != length(h, L, value) && !fits(h, L, pattern, value, items)) return 0;
  matches = match_items(h, L, pattern, value, depth, items);
  if (!matches) lua_settop(L, top);
  return matches;
}

int mb_match(struct mb_heap *h, lua_State *L, int pattern, int value) {
  return match(h, L, pattern, value, 0);
}

static int count_captures(struct mb_heap *h, lua_State *L, int pattern, int depth) {
  int captures = 0, top = lua_gettop(L), which;
  if (lua_islightuserdata(L, pattern)) return (which = pattern_of(L, pattern)) >= 0 && which != MB_IGNORE;
  if (!lua_istable(L, pattern)) return 0;
  luaL_checkstack(L, MOST_SLOTS, "pattern");
  if (depth > NEST) mb_raise(h, L, "a pattern nests more than %d levels", NEST);
  switch (made_by(h, L, pattern)) {
    case MADE_BY_IS: return 1;
    case MADE_BY_ONE_OF: /* as many as each alternative */
      lua_rawgeti(L, pattern, 1);
      captures = count_captures(h, L, top + 1, depth + 1);
      break;
    default:
      lua_pushnil(L);
      while (lua_next(L, pattern)) {
        captures += count_captures(h, L, top + 2, depth + 1);
        lua_settop(L, top + 1);
      }
  }
  lua_settop(L, top);
  return captures;
}

int mb_count_captures(struct mb_heap *h, lua_State *L, int pattern) {
  return count_captures(h, L, pattern, 0);
}

/* Encoded bytes */

/* Whether the value at p differs from the scalar at `index`; *next: what follows it, NULL when the encoded
 * value is not a scalar (then it is taken to differ only from one). */
static int differs(lua_State *L, int index, int literal, const unsigned char *p,
                   const unsigned char **next) {
  unsigned tag = *p++;
  size_t size = 0;
  *next = NULL;
  if (tag >= MB_T_SHORT || tag == MB_T_STRING) {
    size_t wanted;
    const char *s;
    uint32_t n = tag - MB_T_SHORT;
    if (tag == MB_T_STRING) {
      memcpy(&n, p, 4);
      p += 4;
    }
    *next = p + n;
    if (!literal) return 0;
    if (lua_type(L, index) != LUA_TSTRING) return 1;
    s = lua_tolstring(L, index, &wanted);
    return wanted != n || memcmp(s, p, n) != 0;
  }
  switch (tag) {
    case MB_T_NIL: case MB_T_FALSE: case MB_T_TRUE: size = 0; break;
    case MB_T_INT8: size = 1; break;
    case MB_T_INT64: case MB_T_FLOAT: case MB_T_LIGHT: case MB_T_HANDLE: size = 8; break;
    default: return literal && tag != MB_T_AGAIN && tag != MB_T_MODULE && tag != MB_T_FUNCTION && tag != MB_T_SHARED;
  }
  *next = p + size;
  if (!literal) return 0;
  switch (tag) {
    case MB_T_NIL: return !lua_isnil(L, index);
    case MB_T_FALSE: return !(lua_isboolean(L, index) && !lua_toboolean(L, index));
    case MB_T_TRUE: return !(lua_isboolean(L, index) && lua_toboolean(L, index));
    case MB_T_HANDLE: return 1; /* an object, and the wanted one is none */
    case MB_T_LIGHT: {
      uint64_t v;
      memcpy(&v, p, 8);
      return !lua_islightuserdata(L, index) ||
             (uint64_t)(uintptr_t)lua_touserdata(L, index) != v;
    }
    case MB_T_INT8:
      return lua_type(L, index) != LUA_TNUMBER ||
             lua_tonumber(L, index) != (lua_Number)(signed char)*p;
    default: return lua_type(L, index) != LUA_TNUMBER; /* wide numbers: leave it to the match */
  }
}

/* A pattern that only equals one value: not a table and none of the immediates. */
static int is_literal(lua_State *L, int index) {
  int type = lua_type(L, index);
  if (type == LUA_TLIGHTUSERDATA)
    return !mb_pattern_text((uint64_t)(uintptr_t)lua_touserdata(L, index));
  return type == LUA_TSTRING || type == LUA_TNUMBER || type == LUA_TBOOLEAN;
}

/* Whether a table of another length than the pattern's may match. */
static int is_flexible(lua_State *L, int pattern, lua_Integer items) {
  int which;
  lua_rawgeti(L, pattern, items);
  which = pattern_of(L, -1);
  lua_pop(L, 1);
  return which == MB_MAYBE || which == MB_REST;
}

/* The first item of the messages that the runtime makes. */
static const char *head_of(const struct mb_signal *s) {
  switch ((enum mb_signal_kind)s->kind) {
    case MB_CALL: return "$gen_call";
    case MB_SYSTEM: return "$system";
    case MB_CAST: return "$gen_cast";
    case MB_EXITED: return "EXIT";
    case MB_DOWN: return "DOWN";
    default: return NULL;
  }
}

int mb_cannot_match(struct mb_heap *h, lua_State *L, int pattern, const struct mb_signal *s) {
  const unsigned char *p = s->data + MB_ENCODED_HEADER;
  int top = lua_gettop(L), result = 0;
  lua_Integer items;
  uint32_t counts[2];
  if (is_literal(L, pattern)) {
    const unsigned char *next;
    return s->kind != MB_MESSAGE || differs(L, pattern, 1, p, &next);
  }
  if (!lua_istable(L, pattern)) return 0;
  if (made_by(h, L, pattern) != MADE_BY_NOBODY) return 0;
  items = (lua_Integer)lua_rawlen(L, pattern);
  if (s->kind != MB_MESSAGE) {
    const char *head = head_of(s);
    if (items == 0) return 0;
    lua_rawgeti(L, pattern, 1);
    if (is_literal(L, -1)) {
      if (head)
        result = lua_type(L, -1) != LUA_TSTRING || strcmp(lua_tostring(L, -1), head) != 0;
      else
        result = mb_to_ref(L, -1) != s->ref;
    }
    if (!result && s->kind == MB_DOWN && items >= 2) {
      lua_rawgeti(L, pattern, 2);
      if (is_literal(L, -1)) result = mb_to_ref(L, -1) != s->ref;
    }
    lua_settop(L, top);
    return result;
  }
  if (*p != MB_T_TABLE) return *p != MB_T_MODULE && *p != MB_T_ENV && *p != MB_T_SHARED;
  memcpy(counts, p + 1, 8);
  p += 9;
  if (counts[1] == 0 && (lua_Integer)counts[0] != items && !is_flexible(L, pattern, items)) return 1;
  for (lua_Integer i = 1; i <= items && i <= (lua_Integer)counts[0] && p; i++) {
    lua_rawgeti(L, pattern, i);
    result = differs(L, top + 1, is_literal(L, top + 1), p, &p);
    lua_settop(L, top);
    if (result) return 1;
  }
  return 0;
}

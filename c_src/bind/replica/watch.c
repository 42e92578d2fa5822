#include "replica/watch.h"

#include <lauxlib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A table as Lua 5.4 has it. */
union value {
  void *object;
  lua_Integer integer;
  lua_Number number;
};

struct item {
  union value value;
  unsigned char type;
};

struct field {
  union value value;
  unsigned char type, key_type;
  int next;
  union value key;
};

struct table {
  void *next;
  unsigned char type, mark, flags, field_bits;
  unsigned int item_limit;
  const struct item *items;
  const struct field *fields;
  void *last_free, *metatable, *gray;
};

enum {
  LIMIT_IS_HINT = 0x80, /* of flags: the number of items is the next power of two */
  TYPE_BITS = 0x0f,
  FIRST_WITH_VALUE = LUA_TLIGHTUSERDATA /* a type below has no value beside its tag */
};

/* A part of a table as it was: of a field, both types. */
struct part {
  uint64_t value, key; /* 0 where the type has none beside its tag */
  uint16_t types;
};

struct noted {
  const struct table *table;
  const void *metatable;
  size_t first, items, fields; /* parts: the items, then the fields */
};

struct mb_table_watch {
  struct noted *tables;
  size_t table_count, table_capacity;
  struct part *parts;
  size_t part_count, part_capacity;
};

struct mb_table_watch *mb_table_watch_new(void) { return calloc(1, sizeof(struct mb_table_watch)); }

void mb_table_watch_free(struct mb_table_watch *w) {
  if (!w) return;
  free(w->tables);
  free(w->parts);
  free(w);
}

void mb_table_watch_clear(struct mb_table_watch *w) { w->table_count = w->part_count = 0; }

static inline int has_value(unsigned type) { return (type & TYPE_BITS) >= FIRST_WITH_VALUE; }

static inline uint64_t bits(const union value *v) {
  uint64_t all = 0;
  memcpy(&all, v, sizeof *v);
  return all;
}

static uint64_t bits_of(const union value *v, unsigned type) { return has_value(type) ? bits(v) : 0; }

static inline uint16_t types_of(const struct field *f) { return (uint16_t)(f->type | f->key_type << 8); }

static size_t item_count(const struct table *t) {
  size_t n = 1;
  if (!(t->flags & LIMIT_IS_HINT)) return t->item_limit;
  while (n < t->item_limit) n *= 2;
  return n;
}

static size_t field_count(const struct table *t) { return (size_t)1 << t->field_bits; }

/* Room for one more element of a size; 0 when memory is out. */
static int grow(void **array, size_t *capacity, size_t wanted, size_t size) {
  void *bigger;
  size_t n = *capacity;
  if (wanted <= n) return 1;
  while (n < wanted) n = n ? n * 2 : 64;
  bigger = realloc(*array, n * size);
  if (!bigger) return 0;
  *array = bigger;
  *capacity = n;
  return 1;
}

int mb_table_watch_add(struct mb_table_watch *w, lua_State *L, int index) {
  const struct table *t = lua_topointer(L, index);
  struct noted n = {t, t->metatable, w->part_count, item_count(t), field_count(t)};
  struct part *p;
  if (!grow((void **)&w->tables, &w->table_capacity, w->table_count + 1, sizeof n) ||
      !grow((void **)&w->parts, &w->part_capacity, w->part_count + n.items + n.fields, sizeof *p))
    return -1;
  p = w->parts + w->part_count;
  for (size_t i = 0; i < n.items; i++)
    *p++ = (struct part){.value = bits_of(&t->items[i].value, t->items[i].type), .types = t->items[i].type};
  for (size_t i = 0; i < n.fields; i++) {
    const struct field *f = &t->fields[i];
    *p++ = (struct part){bits_of(&f->value, f->type), bits_of(&f->key, f->key_type), types_of(f)};
  }
  w->part_count += n.items + n.fields;
  w->tables[w->table_count++] = n;
  return 0;
}

static int is_as_noted(const struct mb_table_watch *w, const struct noted *n, int names) {
  const struct table *t = n->table;
  const struct part *p = w->parts + n->first, *end;
  const struct field *f = t->fields;
  if (t->metatable != n->metatable || item_count(t) != n->items || field_count(t) != n->fields) return 0;
  for (size_t i = 0; i < n->items; i++, p++)
    if (p->types != t->items[i].type || p->value != bits_of(&t->items[i].value, t->items[i].type)) return 0;
  for (end = p + n->fields; p < end; p++, f++) { /* the loop that counts */
    if (p->types != types_of(f)) return 0;
    if (has_value(f->type) && p->value != bits(&f->value)) return 0;
    if (names && p->key != bits_of(&f->key, f->key_type)) return 0;
  }
  return 1;
}

int mb_table_watch_changed(const struct mb_table_watch *w, int names) {
  for (size_t i = 0; i < w->table_count; i++)
    if (!is_as_noted(w, &w->tables[i], names)) return 1;
  return 0;
}

/* Trying it out */

/* Whether the table at `index`, {10, 20, 30, name = true} with a metatable, is where it is thought to be. */
static int layout_fits(lua_State *L, int index) {
  const struct table *t = lua_topointer(L, index);
  const void *name;
  int found = 0;
  lua_pushliteral(L, "name");
  name = lua_topointer(L, -1);
  lua_getmetatable(L, index);
  found = t->metatable == lua_topointer(L, -1);
  lua_pop(L, 2);
  if (!found || t->field_bits != 0 || item_count(t) != 3) return 0;
  for (int i = 0; i < 3; i++)
    if ((t->items[i].type & TYPE_BITS) != LUA_TNUMBER || t->items[i].value.integer != 10 * (i + 1)) return 0;
  return t->fields->key.object == name && (t->fields->key_type & TYPE_BITS) == LUA_TSTRING &&
         (t->fields->type & TYPE_BITS) == LUA_TBOOLEAN;
}

/* Whether each assignment to the table at `index` is noticed, and reading is none. */
static int notices(struct mb_table_watch *w, lua_State *L, int index) {
  int ok = mb_table_watch_add(w, L, index) == 0 && !mb_table_watch_changed(w, 1);
  (void)lua_rawlen(L, index);
  ok = ok && !mb_table_watch_changed(w, 1);
  for (int i = 0; i < 5 && ok; i++) {
    switch (i) {
      case 0: lua_pushinteger(L, 21), lua_rawseti(L, index, 2); break;
      case 1: lua_pushboolean(L, 0), lua_setfield(L, index, "name"); break;
      case 2: lua_pushliteral(L, "text"), lua_setfield(L, index, "name"); break;
      case 3: lua_pushinteger(L, 1), lua_setfield(L, index, "other"); break;
      default: lua_pushnil(L), lua_setfield(L, index, "other");
    }
    ok = mb_table_watch_changed(w, 1);
    mb_table_watch_clear(w);
    ok = ok && mb_table_watch_add(w, L, index) == 0 && !mb_table_watch_changed(w, 1);
  }
  return ok;
}

int mb_table_watch_works(struct mb_table_watch *w, lua_State *L) {
  int top = lua_gettop(L), ok;
  lua_createtable(L, 3, 1);
  lua_createtable(L, 0, 0);
  lua_setmetatable(L, -2);
  for (int i = 1; i <= 3; i++) {
    lua_pushinteger(L, 10 * i);
    lua_rawseti(L, -2, i);
  }
  lua_pushboolean(L, 1);
  lua_setfield(L, -2, "name");
  ok = layout_fits(L, top + 1) && notices(w, L, top + 1);
  lua_settop(L, top);
  mb_table_watch_clear(w);
  return ok;
}

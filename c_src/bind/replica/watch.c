#include "replica/watch.h"

#include <lauxlib.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "heap/table_layout.h"

enum { FIRST_WITH_VALUE = LUA_TLIGHTUSERDATA }; /* a type below has no value beside its tag */

/* What the threads of a state share begins with, and somewhere in it: the metatables of types, by type. */
struct thread {
  void *next;
  unsigned char type, mark, status, hooks;
  unsigned short calls;
  void *top;
  const void *const *shared;
};
enum { SHARED_WORDS = 160, TYPES = LUA_TTHREAD + 1 };

/* A table as it was. */
struct noted {
  const struct mb_table *table;
  const void *metatable;
  const struct mb_table_item *items;
  const struct mb_table_field *fields;
  unsigned int item_limit;
  unsigned char field_bits, is_hint;
  size_t copy, item_bytes, field_bytes; /* of the copies: the items, then the fields */
};

struct mb_table_watch {
  struct noted *tables;
  size_t table_count, table_capacity;
  unsigned char *copies;
  size_t copied, capacity;
  const void *const *types; /* metatables, where Lua keeps them */
  const void *noted_types[TYPES];
};

struct mb_table_watch *mb_table_watch_new(void) { return calloc(1, sizeof(struct mb_table_watch)); }

void mb_table_watch_free(struct mb_table_watch *w) {
  if (!w) return;
  free(w->tables);
  free(w->copies);
  free(w);
}

void mb_table_watch_clear(struct mb_table_watch *w) {
  w->table_count = w->copied = 0;
  if (w->types) memcpy(w->noted_types, w->types, sizeof w->noted_types);
}

static inline int is_same(const union mb_payload *a, unsigned a_type, const union mb_payload *b, unsigned b_type) {
  return a_type == b_type && ((a_type & MB_TYPE_BITS) < FIRST_WITH_VALUE || memcmp(a, b, sizeof *a) == 0);
}

static size_t field_count(const struct mb_table *t) { return (size_t)1 << t->field_bits; }

/* Room for so many elements of a size; 0 when memory is out. */
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

/* Note the table as it is now; its numbers of items and fields are those that the copies have room for. */
static void note(struct mb_table_watch *w, struct noted *n) {
  const struct mb_table *t = n->table;
  unsigned char *copy = w->copies + n->copy;
  n->metatable = t->metatable;
  n->items = t->items;
  n->fields = t->fields;
  n->item_limit = t->item_limit;
  n->field_bits = t->field_bits;
  n->is_hint = t->flags & MB_LIMIT_IS_HINT;
  if (n->item_bytes) memcpy(copy, t->items, n->item_bytes);
  memcpy(copy + n->item_bytes, t->fields, n->field_bytes);
}

int mb_table_watch_add(struct mb_table_watch *w, lua_State *L, int index) {
  const struct mb_table *t = lua_topointer(L, index);
  struct noted n = {.table = t, .copy = w->copied};
  n.item_bytes = mb_table_items(t) * sizeof(struct mb_table_item);
  n.field_bytes = field_count(t) * sizeof(struct mb_table_field);
  if (!grow((void **)&w->tables, &w->table_capacity, w->table_count + 1, sizeof n) ||
      !grow((void **)&w->copies, &w->capacity, w->copied + n.item_bytes + n.field_bytes, 1))
    return -1;
  note(w, &n);
  w->copied += n.item_bytes + n.field_bytes;
  w->tables[w->table_count++] = n;
  return 0;
}

/* Whether not a bit is another. */
static inline int is_untouched(const struct mb_table_watch *w, const struct noted *n) {
  const struct mb_table *t = n->table;
  const unsigned char *copy = w->copies + n->copy;
  return t->fields == n->fields && t->items == n->items && t->metatable == n->metatable &&
         t->item_limit == n->item_limit && t->field_bits == n->field_bits &&
         (t->flags & MB_LIMIT_IS_HINT) == n->is_hint &&
         memcmp(copy + n->item_bytes, t->fields, n->field_bytes) == 0 &&
         (!n->item_bytes || memcmp(copy, t->items, n->item_bytes) == 0);
}

/* Whether the names and values are as noted, whatever else is kept with them. */
static int is_as_noted(const struct mb_table_watch *w, const struct noted *n) {
  const struct mb_table *t = n->table;
  const struct mb_table_item *item = (const void *)(w->copies + n->copy);
  const struct mb_table_field *field = (const void *)(w->copies + n->copy + n->item_bytes);
  size_t items = mb_table_items(t), fields = field_count(t);
  if (t->metatable != n->metatable || items * sizeof *item != n->item_bytes || fields * sizeof *field != n->field_bytes)
    return 0;
  for (size_t i = 0; i < items; i++)
    if (!is_same(&item[i].value, item[i].type, &t->items[i].value, t->items[i].type)) return 0;
  for (size_t i = 0; i < fields; i++) {
    const struct mb_table_field *f = &t->fields[i];
    if (!is_same(&field[i].value, field[i].type, &f->value, f->type) ||
        !is_same(&field[i].key, field[i].key_type, &f->key, f->key_type))
      return 0;
  }
  return 1;
}

int mb_table_watch_changed(struct mb_table_watch *w) {
  if (memcmp(w->types, w->noted_types, sizeof w->noted_types) != 0) return 1;
  for (struct noted *n = w->tables, *end = n + w->table_count; n < end; n++) {
    if (is_untouched(w, n)) continue;
    if (!is_as_noted(w, n)) return 1;
    note(w, n); /* the collector has cleared a name, or a length was asked for */
  }
  return 0;
}

/* Trying it out */

/* Whether each assignment to the table at `index` is noticed, and reading is none. */
static int notices(struct mb_table_watch *w, lua_State *L, int index) {
  int ok = mb_table_watch_add(w, L, index) == 0 && !mb_table_watch_changed(w);
  (void)lua_rawlen(L, index);
  ok = ok && !mb_table_watch_changed(w);
  for (int i = 0; i < 5 && ok; i++) {
    switch (i) {
      case 0: lua_pushinteger(L, 21), lua_rawseti(L, index, 2); break;
      case 1: lua_pushboolean(L, 0), lua_setfield(L, index, "name"); break;
      case 2: lua_pushliteral(L, "text"), lua_setfield(L, index, "name"); break;
      case 3: lua_pushinteger(L, 1), lua_setfield(L, index, "other"); break;
      default: lua_pushnil(L), lua_setfield(L, index, "other");
    }
    ok = mb_table_watch_changed(w);
    mb_table_watch_clear(w);
    ok = ok && mb_table_watch_add(w, L, index) == 0 && !mb_table_watch_changed(w);
  }
  return ok;
}

/* Whether a metatable of numbers, which is set for the moment, is noticed. */
static int notices_type(struct mb_table_watch *w, lua_State *L, int metatable) {
  int ok;
  mb_table_watch_clear(w);
  lua_pushinteger(L, 0);
  if (!lua_getmetatable(L, -1)) lua_pushnil(L);
  lua_pushinteger(L, 0);
  lua_pushvalue(L, metatable);
  lua_setmetatable(L, -2);
  ok = w->types[LUA_TNUMBER] == lua_topointer(L, metatable) && mb_table_watch_changed(w);
  lua_pushvalue(L, -2);
  lua_setmetatable(L, -2);
  lua_pop(L, 3);
  return ok && !mb_table_watch_changed(w);
}

/* Find the metatables of types: among what all threads share, strings have theirs, and no value of it but that is where
 * nothing else has one. Without a metatable of strings they are not found. */
static int find_types(struct mb_table_watch *w, lua_State *L, int metatable) {
  const void *const *shared = ((const struct thread *)L)->shared;
  const void *strings = NULL;
  void *data;
  lua_pushliteral(L, "");
  if (lua_getmetatable(L, -1)) {
    strings = lua_topointer(L, -1);
    lua_pop(L, 1);
  }
  lua_pop(L, 1);
  w->types = NULL;
  if (!strings || !shared || (lua_Alloc)shared[0] != lua_getallocf(L, &data) || shared[1] != data) return 0;
  for (int i = 2; i < SHARED_WORDS - TYPES; i++) {
    if (shared[i + LUA_TSTRING] != strings) continue;
    w->types = shared + i;
    if (notices_type(w, L, metatable)) return 1;
  }
  w->types = NULL;
  return 0;
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
  ok = mb_table_layout_known(L) && find_types(w, L, top + 1) && notices(w, L, top + 1);
  lua_settop(L, top);
  mb_table_watch_clear(w);
  return ok;
}

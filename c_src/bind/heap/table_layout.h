/* Tables where Lua keeps their parts, for reading: what tells in one look what the API would be asked many times. Tied
 * to the layout of Lua 5.4; mb_table_layout_known tries out whether this is the Lua it is written for. Whatever
 * allocates may run a finalizer, which may change any table: what has been read is good until then. Owner's thread. */
#ifndef MB_TABLE_LAYOUT_H
#define MB_TABLE_LAYOUT_H

#include <lua.h>
#include <stdatomic.h>
#include <stddef.h>

union mb_payload {
  void *object;
  lua_Integer integer;
  lua_Number number;
};

struct mb_table_item {
  union mb_payload value;
  unsigned char type;
};

struct mb_table_field {
  union mb_payload value;
  unsigned char type, key_type;
  int next;
  union mb_payload key;
};

struct mb_table {
  void *next;
  unsigned char type, mark, flags, field_bits;
  unsigned int item_limit;
  const struct mb_table_item *items;
  const struct mb_table_field *fields;
  void *last_free, *metatable, *gray; /* last_free: NULL where there is no room for fields */
};

enum {
  MB_LIMIT_IS_HINT = 0x80, /* of flags: there are more items, up to the next power of two */
  MB_TYPE_BITS = 0x0f,     /* of a type: what lua_type gives */
  MB_TYPE_FALSE = 0x01,    /* whole types */
  MB_TYPE_TRUE = 0x11,
  MB_TYPE_LIGHT = 0x02,
  MB_TYPE_INTEGER = 0x03,
  MB_TYPE_FLOAT = 0x13,
  MB_TYPE_SHORT_STRING = 0x44 /* the same string is the same object */
};

/* The number of items there is room for, at the keys 1 to that, nil or not. */
static inline size_t mb_table_items(const struct mb_table *t) {
  size_t n = 1;
  if (!(t->flags & MB_LIMIT_IS_HINT)) return t->item_limit;
  while (n < t->item_limit) n *= 2;
  return n;
}

/* Whether there may be anything at other keys. */
static inline int mb_table_has_fields(const struct mb_table *t) { return t->last_free != NULL; }

/* Item i where it is kept; NULL: the API has to be asked for it. */
static inline const struct mb_table_item *mb_table_item(const struct mb_table *t, lua_Integer i) {
  return (lua_Unsigned)i - 1 < t->item_limit ? &t->items[i - 1] : NULL;
}

enum mb_layout { MB_LAYOUT_UNTRIED, MB_LAYOUT_OTHER, MB_LAYOUT_KNOWN };
extern atomic_int mb_table_layout; /* relaxed: whoever tries comes to the same result */
int mb_table_layout_try(lua_State *L);

/* Whether tables are as above in this Lua, tried out with some of L's the first time. Stack unchanged; raises memory
 * errors then, and needs 4 slots. Any thread. */
static inline int mb_table_layout_known(lua_State *L) {
  int is = atomic_load_explicit(&mb_table_layout, memory_order_relaxed);
  return is == MB_LAYOUT_UNTRIED ? mb_table_layout_try(L) : is == MB_LAYOUT_KNOWN;
}

#endif

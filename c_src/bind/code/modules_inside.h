/* What the three files about modules share: modules.c (what is asked of them), module_names.c (finding names) and
 * module_resolve.c (what stands behind a name). */
#ifndef MB_MODULES_INSIDE_H
#define MB_MODULES_INSIDE_H

#include "code/modules.h"
#include "core/map.h"

enum { FILTER_BITS = 1 << 16 };

struct mb_modules {
  uint64_t filter[FILTER_BITS / 64]; /* a bit for every object with a name: most have none */
  struct mb_map sources;             /* chunk names (by address) seen when modules were scanned */
  uint64_t scanned;                  /* the encoding (h->encodings) in which they were scanned for an unseen function */
  int stale;
  int settling; /* the heap is being opened */
  lua_Integer count; /* of modules that have been loaded since */
  lua_Integer known; /* count, when modules were scanned last */
};

/* table[value at index] = name. */
void mb_modules_set_name(struct mb_heap *h, lua_State *L, int table, int index, const char *name, size_t size);

/* The same, unless the value has a name already. */
void mb_modules_note(struct mb_heap *h, lua_State *L, int table, int index, const char *name, size_t size);

/* Push the name of the field whose key is at `key`, in the module of that name. */
const char *mb_modules_field_name(lua_State *L, const char *module, int key, size_t *size);

/* Whether a module's field with this value is a constant when the module has been loaded. */
int mb_modules_is_constant(lua_State *L, int index);

/* Name what is loaded now, and forget the names of what is not. */
void mb_modules_scan(struct mb_heap *h, lua_State *L);

#endif

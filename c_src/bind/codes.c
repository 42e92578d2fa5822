#include "codes.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 1024, MOST_ENTRIES = 8192 };

struct mb_codes {
  struct mb_code_entry *buckets[BUCKETS];
  size_t count;
  int factories; /* factory numbers given out */
  struct mb_map by_identity; /* mb_code_identity -> entry; believed while the closure in MB_REF_CODE lives */
};

struct mb_codes *mb_codes_new(void) { return calloc(1, sizeof(struct mb_codes)); }

static void clear(struct mb_codes *c) {
  for (int i = 0; i < BUCKETS; i++) {
    while (c->buckets[i]) {
      struct mb_code_entry *e = c->buckets[i];
      c->buckets[i] = e->next;
      mb_code_free(e->scan);
      free(e);
    }
  }
  mb_map_deinit(&c->by_identity);
  c->count = 0;
  c->factories = 0;
}

void mb_codes_free(struct mb_codes *c) {
  if (!c) return;
  clear(c);
  free(c);
}

void mb_codes_trim(struct mb_heap *h, lua_State *L) {
  if (h->codes->count < MOST_ENTRIES) return; /* more: code made at run time without end */
  lua_newtable(L);
  lua_rawseti(L, LUA_REGISTRYINDEX, h->ref[MB_REF_FACTORIES]);
  clear(h->codes);
}

struct mb_code_entry *mb_codes_get(struct mb_heap *h, lua_State *L, const void *dump, size_t size,
                                   uint64_t hash, int *fresh) {
  struct mb_codes *c = h->codes;
  struct mb_code_entry **bucket = &c->buckets[hash % BUCKETS], *e;
  int err;
  *fresh = 0;
  for (e = *bucket; e; e = e->next)
    if (e->hash == hash && e->size == size && memcmp(e->bytes, dump, size) == 0) return e;
  *fresh = 1;
  e = malloc(sizeof *e + size);
  if (!e) luaL_error(L, "not enough memory");
  *e = (struct mb_code_entry){.hash = hash, .size = (uint32_t)size};
  memcpy(e->bytes, dump, size);
  err = mb_code_scan((const char *)e->bytes, size, &e->scan);
  if (err) {
    free(e);
    luaL_error(L, err == MB_ENOMEM ? "not enough memory" : "bytecode of another Lua");
  }
  e->next = *bucket;
  *bucket = e;
  c->count++;
  return e;
}

struct mb_code_entry *mb_codes_recall(struct mb_heap *h, lua_State *L, int index) {
  const void *identity = h->code_identity ? mb_code_identity(L, index) : NULL;
  uint64_t *entry = identity ? mb_map_get(&h->codes->by_identity, (uintptr_t)identity) : NULL;
  int alive;
  if (!entry) return NULL;
  mb_push_ref(h, L, MB_REF_CODE);
  alive = lua_rawgetp(L, -1, identity) == LUA_TFUNCTION;
  lua_pop(L, 2);
  return alive ? (struct mb_code_entry *)(uintptr_t)*entry : NULL;
}

void mb_codes_remember(struct mb_heap *h, lua_State *L, int index, struct mb_code_entry *e) {
  const void *identity = h->code_identity ? mb_code_identity(L, index) : NULL;
  if (!identity) return;
  index = lua_absindex(L, index);
  mb_push_ref(h, L, MB_REF_CODE);
  lua_pushvalue(L, index);
  lua_rawsetp(L, -2, identity);
  lua_pop(L, 1);
  (void)mb_map_put(&h->codes->by_identity, (uintptr_t)identity, (uintptr_t)e);
}

void mb_codes_push(struct mb_heap *h, lua_State *L, struct mb_code_entry *e) {
  mb_push_ref(h, L, MB_REF_FACTORIES);
  if (e->factory == 0) {
    int number = h->codes->factories + 1;
    if (mb_code_factory(L, (const char *)e->bytes, e->size) != 0)
      luaL_error(L, "bytecode of another Lua");
    lua_rawseti(L, -2, number);
    h->codes->factories = e->factory = number;
  }
  lua_rawgeti(L, -1, e->factory);
  lua_remove(L, -2);
  lua_call(L, 0, 1);
}

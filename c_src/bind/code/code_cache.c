#include "code/code_cache.h"

#include <stdlib.h>
#include <string.h>

#include "heap/errors.h"

enum {
  BUCKETS = 1024,
  MOST_ENTRIES = 8192,       /* more: code made at run time without end */
  MOST_BYTES = 16 << 20,     /* of dumps; the factories take as much again, or more */
  MOST_IDENTITIES = 1 << 16  /* prototypes, of which one dump may have had many */
};

struct mb_code_cache {
  struct mb_code_entry *buckets[BUCKETS];
  size_t count, bytes;
  int factories; /* factory numbers given out */
  struct mb_map by_identity; /* mb_code_identity -> entry; believed while the closure in MB_REF_CODE lives */
};

struct mb_code_cache *mb_code_cache_new(void) { return calloc(1, sizeof(struct mb_code_cache)); }

static void clear(struct mb_code_cache *c) {
  for (int i = 0; i < BUCKETS; i++) {
    while (c->buckets[i]) {
      struct mb_code_entry *e = c->buckets[i];
      c->buckets[i] = e->next;
      mb_code_free(e->scan);
      free(e);
    }
  }
  mb_map_deinit(&c->by_identity);
  c->count = c->bytes = 0;
  c->factories = 0;
}

void mb_code_cache_free(struct mb_code_cache *c) {
  if (!c) return;
  clear(c);
  free(c);
}

void mb_code_cache_trim_now(struct mb_heap *h, lua_State *L) {
  if (h->encoding) return;
  lua_newtable(L); /* finalizers may run in it, and trim, too */
  clear(h->code_cache);
  h->code_cache_full = 0;
  lua_rawseti(L, LUA_REGISTRYINDEX, h->ref[MB_REF_FACTORIES]); /* an existing key: allocates nothing */
}

static struct mb_code_entry *find(struct mb_code_cache *c, const void *dump, size_t size, uint64_t hash) {
  struct mb_code_entry *e = c->buckets[hash % BUCKETS];
  while (e && !(e->hash == hash && e->size == size && memcmp(e->bytes, dump, size) == 0)) e = e->next;
  return e;
}

static struct mb_code_entry *add(struct mb_heap *h, lua_State *L, const void *dump, size_t size, uint64_t hash) {
  struct mb_code_cache *c = h->code_cache;
  struct mb_code_entry **bucket = &c->buckets[hash % BUCKETS], *e = malloc(sizeof *e + size);
  int err;
  if (!e) mb_no_memory(L);
  *e = (struct mb_code_entry){.hash = hash, .size = (uint32_t)size};
  memcpy(e->bytes, dump, size);
  err = mb_code_scan((const char *)e->bytes, size, &e->scan);
  if (err) {
    free(e);
    if (err == MB_ENOMEM) mb_no_memory(L);
    luaL_error(L, "bytecode of another Lua");
  }
  e->next = *bucket;
  *bucket = e;
  c->count++;
  c->bytes += sizeof *e + size;
  h->code_cache_full |= c->count >= MOST_ENTRIES || c->bytes >= MOST_BYTES;
  return e;
}

struct mb_code_entry *mb_code_cache_get(struct mb_heap *h, lua_State *L, const void *dump, size_t size,
                                   uint64_t hash, int *fresh) {
  struct mb_code_entry *e = find(h->code_cache, dump, size, hash);
  *fresh = !e;
  return e ? e : add(h, L, dump, size, hash);
}

struct mb_code_entry *mb_code_cache_recall(struct mb_heap *h, lua_State *L, int index) {
  const void *identity = h->code_identity ? mb_code_identity(L, index) : NULL;
  uint64_t *entry = identity ? mb_map_get(&h->code_cache->by_identity, (uintptr_t)identity) : NULL;
  int alive;
  if (!entry) return NULL;
  mb_push_ref(h, L, MB_REF_CODE);
  alive = lua_rawgetp(L, -1, identity) == LUA_TFUNCTION;
  lua_pop(L, 2);
  return alive ? (struct mb_code_entry *)(uintptr_t)*entry : NULL;
}

void mb_code_cache_remember(struct mb_heap *h, lua_State *L, int index, struct mb_code_entry *e) {
  const void *identity = h->code_identity ? mb_code_identity(L, index) : NULL;
  if (!identity) return;
  index = lua_absindex(L, index);
  mb_push_ref(h, L, MB_REF_CODE);
  lua_pushvalue(L, index);
  lua_rawsetp(L, -2, identity);
  lua_pop(L, 1);
  (void)mb_map_put(&h->code_cache->by_identity, (uintptr_t)identity, (uintptr_t)e);
  h->code_cache_full |= h->code_cache->by_identity.count >= MOST_IDENTITIES;
}

/* Push the factory of a dump, newly made. An entry is not touched after Lua has allocated: a finalizer may trim. */
static void push_new_factory(struct mb_heap *h, lua_State *L, const void *dump, size_t size, uint64_t hash) {
  struct mb_code_entry *e;
  mb_code_cache_trim(h, L);
  if (mb_code_factory(L, dump, size) != 0) luaL_error(L, "bytecode of another Lua");
  mb_push_ref(h, L, MB_REF_FACTORIES);
  e = find(h->code_cache, dump, size, hash);
  if (!e) e = add(h, L, dump, size, hash);
  if (!e->factory) e->factory = ++h->code_cache->factories;
  lua_pushvalue(L, -2);
  lua_rawseti(L, -2, e->factory);
  lua_pop(L, 1);
}

void mb_code_cache_push(struct mb_heap *h, lua_State *L, const void *dump, size_t size, uint64_t hash) {
  struct mb_code_entry *e = find(h->code_cache, dump, size, hash);
  int known = 0;
  if (e && e->factory) {
    mb_push_ref(h, L, MB_REF_FACTORIES);
    known = lua_rawgeti(L, -1, e->factory) == LUA_TFUNCTION; /* else there was no memory to keep it */
    lua_remove(L, -2);
    if (!known) lua_pop(L, 1);
  }
  if (!known) push_new_factory(h, L, dump, size, hash);
  lua_call(L, 0, 1);
}

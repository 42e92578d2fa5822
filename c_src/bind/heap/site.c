#include "heap/site.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "heap/errors.h"

struct mb_sites {
  struct mb_map known; /* hash of file and line -> text */
};

enum { MOST_SITES = 20000 };

const char *mb_site(struct mb_heap *h, lua_State *L) {
  lua_Debug ar;
  uint64_t key, *known;
  char *text;
  size_t size;
  if (!mb_user_line(h, L, &ar)) return NULL;
  key = mb_hash_bytes(ar.short_src, strlen(ar.short_src)) + mb_hash_u64((uint64_t)ar.currentline);
  if (key == 0) key = 1;
  known = mb_map_get(&h->sites->known, key);
  if (known) return (const char *)(uintptr_t)*known;
  if (h->sites->known.count >= MOST_SITES) return NULL;
  size = strlen(ar.short_src) + 16;
  text = malloc(size);
  if (!text) return NULL;
  snprintf(text, size, "%s:%d", ar.short_src, ar.currentline);
  if (mb_map_put(&h->sites->known, key, (uint64_t)(uintptr_t)text) == 0) return text;
  free(text);
  return NULL;
}

struct mb_sites *mb_sites_new(void) { return calloc(1, sizeof(struct mb_sites)); }

void mb_sites_free(struct mb_heap *h) {
  uint32_t cursor = 0;
  if (!h->sites) return;
  for (const struct mb_entry *e; (e = mb_map_next(&h->sites->known, &cursor));)
    free((void *)(uintptr_t)e->value);
  mb_map_deinit(&h->sites->known);
  free(h->sites);
}

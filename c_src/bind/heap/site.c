#include "heap/site.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/hash.h"
#include "heap/errors.h"

struct mb_sites {
  struct mb_map known; /* hash of file and line -> text */
  /* The latest one: who spawns many spawns them in one place. */
  const char *latest;
  int line;
  char file[LUA_IDSIZE];
};

enum { MOST_SITES = 20000 };

static const char *keep(struct mb_sites *sites, const lua_Debug *ar, const char *text) {
  sites->line = ar->currentline;
  memcpy(sites->file, ar->short_src, sizeof sites->file);
  return sites->latest = text;
}

const char *mb_site(struct mb_heap *h, lua_State *L) {
  struct mb_sites *sites = h->sites;
  lua_Debug ar;
  uint64_t key, *known;
  char *text;
  size_t size;
  if (!mb_user_line(h, L, 1, &ar)) return NULL;
  if (ar.currentline == sites->line && strcmp(ar.short_src, sites->file) == 0) return sites->latest;
  key = mb_hash_bytes(ar.short_src, strlen(ar.short_src)) + mb_hash_u64((uint64_t)ar.currentline);
  if (key == 0) key = 1;
  known = mb_map_get(&sites->known, key);
  if (known) return keep(sites, &ar, (const char *)(uintptr_t)*known);
  if (sites->known.count >= MOST_SITES) return NULL;
  size = strlen(ar.short_src) + 16;
  text = malloc(size);
  if (!text) return NULL;
  snprintf(text, size, "%s:%d", ar.short_src, ar.currentline);
  if (mb_map_put(&sites->known, key, (uint64_t)(uintptr_t)text) == 0) return keep(sites, &ar, text);
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

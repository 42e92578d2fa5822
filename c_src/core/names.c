#include "names.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "hash.h"

int mb_names_init(struct mb_names *n) {
  *n = (struct mb_names){.capacity = 64};
  n->buckets = calloc(n->capacity, sizeof *n->buckets);
  if (!n->buckets) return MB_ENOMEM;
  if (uv_rwlock_init(&n->lock) != 0) {
    free(n->buckets);
    n->buckets = NULL;
    return MB_ENOMEM;
  }
  return 0;
}

void mb_names_deinit(struct mb_names *n) {
  if (!n->buckets) return;
  for (uint32_t i = 0; i < n->capacity; i++) {
    for (struct mb_name *e = n->buckets[i], *next; e; e = next) {
      next = e->next;
      free(e);
    }
  }
  free(n->buckets);
  n->buckets = NULL;
  uv_rwlock_destroy(&n->lock);
}

static struct mb_name **find(struct mb_names *n, uint32_t hash, const char *text, uint32_t size) {
  struct mb_name **at = &n->buckets[hash & (n->capacity - 1)];
  while (*at && !((*at)->hash == hash && (*at)->size == size && !memcmp((*at)->text, text, size)))
    at = &(*at)->next;
  return at;
}

mb_pid mb_names_find(struct mb_names *n, const char *text, uint32_t size) {
  uint32_t hash = (uint32_t)mb_hash_bytes(text, size);
  struct mb_name *e;
  mb_pid pid;
  uv_rwlock_rdlock(&n->lock);
  e = *find(n, hash, text, size);
  pid = e ? e->pid : 0;
  uv_rwlock_rdunlock(&n->lock);
  return pid;
}

/* Move all entries to a table of twice the size, which the caller allocated; the old one is returned. */
static struct mb_name **grow(struct mb_names *n, struct mb_name **buckets) {
  struct mb_name **old = n->buckets;
  uint32_t old_capacity = n->capacity;
  n->buckets = buckets;
  n->capacity *= 2;
  for (uint32_t i = 0; i < old_capacity; i++) {
    for (struct mb_name *e = old[i], *next; e; e = next) {
      struct mb_name **at = &n->buckets[e->hash & (n->capacity - 1)];
      next = e->next;
      e->next = *at;
      *at = e;
    }
  }
  return old;
}

int mb_names_add(struct mb_names *n, const char *text, uint32_t size, mb_pid pid,
                 struct mb_name **out) {
  struct mb_name *e = malloc(sizeof *e + size + 1), **at, **spare = NULL;
  uint32_t full = n->capacity; /* a hint: checked again under the lock */
  int taken;
  if (!e) return MB_ENOMEM;
  if (n->count >= full) spare = calloc((size_t)full * 2, sizeof *spare);
  *e = (struct mb_name){.pid = pid, .hash = (uint32_t)mb_hash_bytes(text, size), .size = size};
  memcpy(e->text, text, size);
  e->text[size] = '\0';
  uv_rwlock_wrlock(&n->lock);
  if (spare && n->capacity == full) spare = grow(n, spare);
  at = find(n, e->hash, text, size);
  taken = *at != NULL;
  if (!taken) {
    *at = e;
    n->count++;
  }
  uv_rwlock_wrunlock(&n->lock);
  free(spare);
  if (taken) {
    free(e);
    return MB_ENAME;
  }
  *out = e;
  return 0;
}

mb_pid mb_names_remove(struct mb_names *n, const char *text, uint32_t size) {
  uint32_t hash = (uint32_t)mb_hash_bytes(text, size);
  struct mb_name **at, *e;
  mb_pid pid = 0;
  uv_rwlock_wrlock(&n->lock);
  at = find(n, hash, text, size);
  e = *at;
  if (e) {
    *at = e->next;
    n->count--;
    pid = e->pid;
  }
  uv_rwlock_wrunlock(&n->lock);
  free(e);
  return pid;
}

void mb_names_each(struct mb_names *n, void (*fn)(const struct mb_name *, void *), void *data) {
  uv_rwlock_rdlock(&n->lock);
  for (uint32_t i = 0; i < n->capacity; i++)
    for (struct mb_name *e = n->buckets[i]; e; e = e->next) fn(e, data);
  uv_rwlock_rdunlock(&n->lock);
}

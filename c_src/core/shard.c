#include "shard.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "hash.h"

enum { FIRST_BUCKETS = 8 };

struct mb_registration *mb_registration_new(struct mb_registries *all, mb_pid pid, mb_ref ref,
                                            const struct mb_address *at, struct mb_bytes value) {
  struct mb_registration *e = malloc(sizeof *e + at->key.size + value.size);
  if (!e) return NULL;
  *e = (struct mb_registration){.hash = mb_shard_hash(at), .key_size = at->key.size, .value = e->bytes + at->key.size,
                                .value_size = value.size, .pid = pid, .ref = ref};
  memcpy(e->bytes, at->key.data, at->key.size);
  if (value.size) memcpy(e->value, value.data, value.size);
  atomic_fetch_add_explicit(&all->registrations, 1, memory_order_relaxed);
  return e;
}

void mb_registration_free(struct mb_registries *all, struct mb_registration *e) {
  free(mb_registration_own_value(e));
  free(e);
  atomic_fetch_sub_explicit(&all->registrations, 1, memory_order_relaxed);
}

int mb_shard_init(struct mb_shard *s) {
  *s = (struct mb_shard){.capacity = FIRST_BUCKETS};
  s->buckets = calloc(FIRST_BUCKETS, sizeof *s->buckets);
  if (s->buckets && uv_rwlock_init(&s->lock) == 0) return 0;
  free(s->buckets);
  return MB_ENOMEM;
}

void mb_shard_deinit(struct mb_shard *s) {
  free(s->buckets);
  uv_rwlock_destroy(&s->lock);
}

uint32_t mb_shard_hash(const struct mb_address *at) { return (uint32_t)mb_hash_bytes(at->key.data, at->key.size); }

static int is_at(const struct mb_registration *e, const struct mb_address *at, uint32_t hash) {
  return e->hash == hash && e->key_size == at->key.size && (e->pid == 0) == (at->of == MB_KEY_OF_META) &&
         memcmp(e->bytes, at->key.data, at->key.size) == 0;
}

struct mb_registration **mb_shard_find(struct mb_shard *s, const struct mb_address *at, uint32_t hash) {
  struct mb_registration **e = &s->buckets[hash & (s->capacity - 1)];
  while (*e && !is_at(*e, at, hash)) e = &(*e)->chain;
  return e;
}

void mb_shard_insert(struct mb_shard *s, struct mb_registration **place, struct mb_registration *e) {
  struct mb_registration *first = *place;
  if (first) {
    e->next = first;
    e->prev = first->prev;
    e->prev->next = first->prev = e;
  } else {
    e->next = e->prev = e;
    *place = e;
    s->keys++;
  }
  if (e->pid) s->count++;
}

void mb_shard_remove(struct mb_shard *s, struct mb_registration *e) {
  struct mb_registration **place = &s->buckets[e->hash & (s->capacity - 1)];
  while (*place && *place != e) place = &(*place)->chain;
  if (*place && e->next != e) { /* the first of its ring */
    e->next->chain = e->chain;
    *place = e->next;
  } else if (*place) { /* the only one */
    *place = e->chain;
    s->keys--;
  }
  e->prev->next = e->next;
  e->next->prev = e->prev;
  if (e->pid) s->count--;
}

void mb_shard_grow(struct mb_shard *s) {
  struct mb_registration **buckets, **spare;
  uint32_t capacity;
  uv_rwlock_rdlock(&s->lock);
  capacity = s->keys > s->capacity ? s->capacity * 2 : 0;
  uv_rwlock_rdunlock(&s->lock);
  spare = buckets = capacity ? calloc(capacity, sizeof *buckets) : NULL;
  if (!buckets) return;
  uv_rwlock_wrlock(&s->lock);
  if (s->capacity < capacity) { /* else another thread was faster */
    for (uint32_t i = 0; i < s->capacity; i++) {
      for (struct mb_registration *e = s->buckets[i], *next; e; e = next) {
        struct mb_registration **place = &buckets[e->hash & (capacity - 1)];
        next = e->chain;
        e->chain = *place;
        *place = e;
      }
    }
    spare = s->buckets;
    s->buckets = buckets;
    s->capacity = capacity;
  }
  uv_rwlock_wrunlock(&s->lock);
  free(spare);
}

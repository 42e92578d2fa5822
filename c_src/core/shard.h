/* A part of a registry: a hash table under a lock of its own. */
#ifndef MB_SHARD_H
#define MB_SHARD_H

#include "registry.h"

/* One process under one key. Those of a key form a ring, in the order they were made; the first stands in the table. */
struct mb_registration {
  struct mb_registration *chain; /* shard; of the first of a ring: that of the next ring in its bucket */
  uint32_t hash, key_size;
  struct mb_registration *next, *prev; /* shard; the ring */
  unsigned char *value;  /* shard; in this block, or in one of its own once it has been updated */
  uint32_t value_size;   /* shard */
  mb_pid pid;            /* 0: metadata */
  mb_ref ref;
  struct mb_registration *own_next, *own_prev; /* stripe; what its process has here, the last one made first */
  unsigned char bytes[]; /* the key, then the first value */
};

struct mb_shard {
  uv_rwlock_t lock;
  struct mb_registration **buckets;
  uint32_t capacity; /* a power of two */
  uint32_t keys;
  int64_t count;  /* registrations, without metadata */
  char apart[64]; /* no two locks share a cache line */
};

/* A registration that stands nowhere yet; NULL when memory is out. */
struct mb_registration *mb_registration_new(struct mb_registries *all, mb_pid pid, mb_ref ref,
                                            const struct mb_address *at, struct mb_bytes value);

/* End one that stands nowhere any more. */
void mb_registration_free(struct mb_registries *all, struct mb_registration *e);

/* The block that an updated value has for itself, or NULL. */
static inline unsigned char *mb_registration_own_value(struct mb_registration *e) {
  return e->value != e->bytes + e->key_size ? e->value : NULL;
}

/* 0 or MB_ENOMEM with nothing to deinit. */
int mb_shard_init(struct mb_shard *s);

/* Nobody uses it any more. What is left in it the caller has freed. */
void mb_shard_deinit(struct mb_shard *s);

uint32_t mb_shard_hash(const struct mb_address *at);

/* Under the lock: the place that points to the first one under a key, or where it would be put. */
struct mb_registration **mb_shard_find(struct mb_shard *s, const struct mb_address *at, uint32_t hash);

/* Under the lock: put e last under its key, at the place that was found; take it out. */
void mb_shard_insert(struct mb_shard *s, struct mb_registration **place, struct mb_registration *e);
void mb_shard_remove(struct mb_shard *s, struct mb_registration *e);

/* Without the lock, after an insertion: make the table larger if it has become full. Without memory it stays slow. */
void mb_shard_grow(struct mb_shard *s);

#endif

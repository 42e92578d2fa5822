/* The inside of registries, shared by their parts: which there are and what stands in them (registry.c), what each
 * process has (registration.c), and the link that goes with it (register.c). */
#ifndef MB_REGISTRY_INSIDE_H
#define MB_REGISTRY_INSIDE_H

#include <string.h>

#include "runtime.h"
#include "shard.h"

enum { MB_SHARD_BITS = 4, MB_SHARDS = 1 << MB_SHARD_BITS };

struct mb_registry {
  struct mb_holding holding; /* of its server; first, see registry.c */
  struct mb_registry *next;  /* gate */
  atomic_uint references;   /* one while it is open, one of each membership, and of who is at work on it */
  enum mb_keys keys;
  mb_pid server, link_target;
  struct mb_bytes name, settings; /* in `bytes` */
  unsigned shard_count;            /* that have been made */
  struct mb_shard shards[MB_SHARDS];
  unsigned char bytes[];
};

/* That a process has something in a registry: linked to the link target, and never empty. */
struct mb_membership {
  struct mb_holding holding;     /* of the process; first, see registration.c */
  struct mb_membership *next;    /* stripe; the process's list */
  struct mb_registry *registry;  /* a counted reference */
  struct mb_registration *first; /* stripe */
};

static inline struct mb_shard *mb_registry_shard(struct mb_registry *r, uint32_t hash) {
  return &r->shards[hash >> (32 - MB_SHARD_BITS)];
}

/* Go through the scheduler's gate, which the caller unlocks; and, behind it, look for a registry. */
uv_rwlock_t *mb_registry_enter(struct mb_scheduler *s);
struct mb_registry *mb_registry_find(struct mb_scheduler *s, struct mb_bytes name);

/* A counted reference to an open registry, or NULL; and its end. */
struct mb_registry *mb_registry_acquire(struct mb_scheduler *s, struct mb_bytes name);
void mb_registry_release(struct mb_registries *all, struct mb_registry *r);

/* What becomes of a registration besides the link, on p's thread: see registration.c. Put p under a key of r: 0 or an
 * error as mb_registry_add gives. */
int mb_registration_add(struct mb_scheduler *s, struct mb_process *p, struct mb_registry *r,
                        const struct mb_address *at, struct mb_bytes value, mb_pid *who);

/* Whether p has something in r. */
int mb_registration_any(const struct mb_process *p, const struct mb_registry *r);

/* As mb_registry_remove. *left: the registry's link target when p has nothing there any more, else 0. */
int mb_registration_remove(struct mb_scheduler *s, struct mb_process *p, const struct mb_address *at, mb_ref ref,
                           mb_pid *left);

/* Append to what is copied out, as long as there is room. */
static inline void mb_append(unsigned char *room, size_t size, int64_t *used, const void *data, uint32_t more) {
  if ((size_t)*used + more <= size && more) memcpy(room + *used, data, more);
  *used += more;
}

#endif

/* Registries: from a key to the processes that stand under it with a value each. See Elixir's Registry.
 *
 * A registry belongs to a server process, is found by its name and closes when that process dies. Keys and values are
 * bytes that only the layer above can read; equal keys have equal bytes. A process registers itself alone, so its
 * registrations come and go on its own scheduler's thread; any thread looks things up.
 *
 * Locks, in the order they are taken; nothing is allocated or freed under one, and no signal is sent:
 *   gate    guards which registries there are. A reader takes the gate of its scheduler, so readers of different
 *           schedulers do not meet; whoever opens or closes a registry takes all of them.
 *   shard   guards the registrations of one part of a registry's keys, by hash.
 *   stripe  guards what processes point to: where each is registered, and with what; by slot. Only the process's own
 *           thread writes there, so that thread reads without it. */
#ifndef MB_REGISTRY_H
#define MB_REGISTRY_H

#include <stdatomic.h>
#include <stdint.h>
#include <uv.h>

#include "pid.h"

struct mb_process;
struct mb_registry;
struct mb_scheduler;

enum { MB_GATES = 16, MB_STRIPES = 64, MB_REGISTRY_BUCKETS = 64 };

/* A lock that shares its cache line with no other. */
struct mb_padded_lock {
  uv_rwlock_t lock;
  char apart[64];
};

struct mb_registries {
  struct mb_padded_lock gates[MB_GATES];
  struct mb_registry *buckets[MB_REGISTRY_BUCKETS]; /* gate: by the hash of the name */
  struct mb_padded_lock stripes[MB_STRIPES];
  unsigned locks;                /* that have been made */
  /* How many exist, metadata included. Relaxed: for the census. */
  atomic_int registries, registrations;
};

/* Bytes of somebody else's. */
struct mb_bytes {
  const void *data;
  uint32_t size;
};

/* Whether one process or many can stand under a key. */
enum mb_keys { MB_KEYS_UNIQUE, MB_KEYS_DUPLICATE };

/* What a key is one of: */
enum mb_key_of {
  MB_KEY_OF_PROCESSES,
  MB_KEY_OF_META /* the registry's own data, beside those */
};

struct mb_address {
  struct mb_bytes registry, key;
  enum mb_key_of of;
};

/* What a lookup copies for each registration, the value's bytes behind it. */
struct mb_found {
  mb_pid pid;
  mb_ref ref; /* of this registration */
  uint32_t size;
};

int mb_registries_init(struct mb_registries *all);
void mb_registries_deinit(struct mb_registries *all);

/* The operations below are the scheduler s's thread's. All of them answer MB_EREGISTRY when there is no registry of
 * that name. */

/* Open a registry that belongs to p from now on; those registered are linked to link_target, another process. Without p
 * it is the program's own, for metadata, and stays as long as that.
 * `settings`: for the layer above. 0, MB_ENAME: there is one of this name, which belongs to *server, MB_ENOPROC: p is
 * dead, MB_ENOMEM. */
int mb_registry_open(struct mb_scheduler *s, struct mb_process *p, struct mb_bytes name, enum mb_keys keys,
                     mb_pid link_target, struct mb_bytes settings, mb_pid *server);

/* Whom those registered are linked to. 0. */
int mb_registry_link_target(struct mb_scheduler *s, struct mb_bytes name, mb_pid *link_target);

/* Copy what the registry was opened with. The number of bytes; none is copied when that is more than there is room. */
int64_t mb_registry_settings(struct mb_scheduler *s, struct mb_bytes name, unsigned char *room, size_t size);

/* Register p, which runs on s, and link it to the registry's link target. 0 with that in *who; MB_ENAME: unique,
 * and *who stands there already; MB_ENOPROC: p is dying; MB_ENOMEM. */
int mb_registry_add(struct mb_scheduler *s, struct mb_process *p, const struct mb_address *at, struct mb_bytes value,
                    mb_pid *who);

/* Take away what p, which runs on s, has there, or of that only what has the reference, when it is not 0. With the last
 * of p's registrations here goes the link. How many they were. */
int mb_registry_remove(struct mb_scheduler *s, struct mb_process *p, const struct mb_address *at, mb_ref ref);

/* Copy a struct mb_found and a value for each registration under a key, in the order they were made; with `only` for
 * those of one process. The number of bytes; nothing is copied when that is more than there is room. */
int64_t mb_registry_lookup(struct mb_scheduler *s, const struct mb_address *at, mb_pid only, unsigned char *room,
                           size_t size);

/* What mb_registry_entries copies for each registration, the key's bytes and then the value's behind it. */
struct mb_entry_found {
  struct mb_found found;
  uint32_t key_size;
};

/* Copy a struct mb_entry_found, a key and a value for each registration, or all metadata: those of a key in the order
 * they were made. What comes or goes meanwhile is among them or is not. As mb_registry_lookup. */
int64_t mb_registry_entries(struct mb_scheduler *s, struct mb_bytes name, enum mb_key_of of, unsigned char *room,
                            size_t size);

/* Who stands under a key of a unique registry, 0: nobody. 0, or MB_EDUPLICATE: it is not unique. */
int mb_registry_whereis(struct mb_scheduler *s, const struct mb_address *at, mb_pid *pid);

/* Copy the keys that pid has, the last one first: for each its size (4 bytes) and its bytes. As mb_registry_lookup. */
int64_t mb_registry_keys(struct mb_scheduler *s, struct mb_bytes name, mb_pid pid, unsigned char *room, size_t size);

/* How many registrations there are. */
int64_t mb_registry_count(struct mb_scheduler *s, struct mb_bytes name);

/* Give the registration that p, which runs on s, has under a key of a unique registry another value: 1, 0 when it has
 * none, or MB_ENOMEM. */
int mb_registry_update(struct mb_scheduler *s, struct mb_process *p, const struct mb_address *at,
                       struct mb_bytes value);

/* Set metadata, or take it away: value is NULL. With `expected` only when what is there has that reference, or, 0,
 * nothing is there. 0, 1: that was not so, or MB_ENOMEM. */
int mb_registry_set_meta(struct mb_scheduler *s, const struct mb_address *at, const struct mb_bytes *value,
                         const mb_ref *expected);

/* The reference of what is there: metadata that is set anew has another one. 0: nothing is. */
mb_ref mb_registry_meta_ref(struct mb_scheduler *s, const struct mb_address *at);

/* A link target's exit has reached p, on p's thread: what p had in its registry goes. */
void mb_registry_orphan(struct mb_scheduler *s, struct mb_process *p, mb_pid link_target);

#endif

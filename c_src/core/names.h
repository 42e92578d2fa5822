/* Registered names: from a name to the pid that holds it, for the whole runtime.
 *
 * A chained hash table under one lock; entries are allocated before the lock is taken and freed after
 * it is dropped. A process points to its entry, which stays valid while the process holds the name:
 * only the runtime functions below remove entries, and the owner's death is the last of them. */
#ifndef MB_NAMES_H
#define MB_NAMES_H

#include <stdint.h>
#include <uv.h>

#include "pid.h"

struct mb_name {
  struct mb_name *next;
  mb_pid pid;
  uint32_t hash;
  uint32_t size;
  char text[]; /* size bytes and a zero */
};

struct mb_names {
  uv_rwlock_t lock; /* readers: lookups from every scheduler */
  struct mb_name **buckets;
  uint32_t capacity, count;
};

int mb_names_init(struct mb_names *n);
void mb_names_deinit(struct mb_names *n);

/* The holder's pid, or 0. Any thread. */
mb_pid mb_names_find(struct mb_names *n, const char *text, uint32_t size);

/* Give the name to pid: 0 and the entry, MB_ENAME when somebody holds it, MB_ENOMEM. Any thread. */
int mb_names_add(struct mb_names *n, const char *text, uint32_t size, mb_pid pid,
                 struct mb_name **out);

/* Take the name away from whoever holds it: the pid, or 0 when nobody did. Any thread. */
mb_pid mb_names_remove(struct mb_names *n, const char *text, uint32_t size);

/* Call fn for every name; fn must not come back here. */
void mb_names_each(struct mb_names *n, void (*fn)(const struct mb_name *, void *), void *data);

#endif

/* Registered names: from a name to the pid that holds it, for the whole runtime.
 *
 * A chained hash table under one lock; entries are allocated before the lock is taken and freed after
 * it is dropped. A process points to its entry. That pointer is written under both locks, the table's and
 * then the process's, so it may be read under either; the entry itself lives while the table's is held. */
#ifndef MB_NAMES_H
#define MB_NAMES_H

#include <stdint.h>
#include <uv.h>

#include "holding.h"

struct mb_process;
struct mb_scheduler;

struct mb_name {
  struct mb_holding holding; /* of the process; first, see names.c */
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

/* Give the name to the process pid in slot p. 0, MB_ENAME: somebody holds it, MB_ENAMED: the process has
 * one already, MB_ENOPROC: it is dead, MB_ENOMEM. The thread of any scheduler s. */
int mb_names_add(struct mb_scheduler *s, struct mb_process *p, mb_pid pid, const char *text, uint32_t size);

/* Take the name away from whoever holds it: 1, or 0 when nobody did. The thread of any scheduler s. */
int mb_names_remove(struct mb_scheduler *s, const char *text, uint32_t size);

/* A copy of p's name, zero-terminated, which the caller frees; NULL when it has none. Any thread. */
char *mb_names_of(struct mb_names *n, struct mb_process *p, uint32_t *size);

/* All names, each its size as a uint32_t and its bytes, one after the other; the caller frees them. NULL when memory is
 * out. Any thread. */
char *mb_names_all(struct mb_names *n, size_t *size);

#endif

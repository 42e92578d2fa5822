/* Aliases: references that stand for a process where a message is sent, until the process ends them.
 *
 * A table of the runtime's leads from an alias to its process, so a message to it goes the way of every other signal to
 * that process, in order with them; whether the alias is still active is looked up when it arrives, by the process's own
 * thread, which alone adds and ends aliases. Who is sent to nobody's alias is dropped. Each hangs on its process as a
 * holding, so none outlives it. */
#ifndef MB_ALIAS_H
#define MB_ALIAS_H

#include <uv.h>

#include "map.h"
#include "pid.h"

struct mb_process;
struct mb_runtime;
struct mb_scheduler;

/* What ends an alias beside mb_alias_end, or'ed. */
enum mb_alias_ends {
  MB_ALIAS_EXPLICIT = 0,
  MB_ALIAS_AT_MESSAGE = 1,  /* the first message that arrives */
  MB_ALIAS_WITH_MONITOR = 2 /* the end of the monitor that has the same reference; with both, the message ends that, too */
};

struct mb_aliases {
  uv_rwlock_t lock; /* readers: senders on every scheduler; held for a look-up, or one change of the map */
  int has_lock;
  struct mb_map by_ref; /* -> struct mb_alias */
};

int mb_aliases_init(struct mb_aliases *all);
void mb_aliases_deinit(struct mb_aliases *all);

/* Let ref, a new one of the caller's, stand for p. 0 or MB_ENOMEM. Owner's thread. */
int mb_alias_add(struct mb_scheduler *s, struct mb_process *p, mb_ref ref, enum mb_alias_ends ends);

/* The process that an alias stands for; 0: there is no such alias. Any thread. */
mb_pid mb_alias_find(struct mb_runtime *rt, mb_ref ref);

/* End an alias of p's: 1, or 0 when there was none. Owner's thread. */
int mb_alias_end(struct mb_scheduler *s, struct mb_process *p, mb_ref ref);

/* The monitor of that reference has ended, and an alias that goes with it. p has aliases. Owner's thread. */
void mb_alias_monitor_ended(struct mb_scheduler *s, struct mb_process *p, mb_ref ref);

/* A message to ref has arrived at p: 1 when it is active, else 0. *ends: what this message ends, the alias itself having
 * ended if that is AT_MESSAGE. Owner's thread. */
int mb_alias_arrived(struct mb_scheduler *s, struct mb_process *p, mb_ref ref, enum mb_alias_ends *ends);

#endif

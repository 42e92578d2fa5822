/* How processes begin and end: slots, spawning, and the reaper. Scheduler thread of s. */
#ifndef MB_LIFECYCLE_H
#define MB_LIFECYCLE_H

#include "scheduler.h"

/* What ties a new process to its parent, or'ed. */
enum mb_spawn_ties {
  MB_SPAWN_UNTIED = 0,
  MB_SPAWN_LINKED = 1,
  MB_SPAWN_MONITORED = 2, /* by the parent, as MB_MONITOR_ONLY, */
  MB_SPAWN_ALIAS = 4      /* or, with MB_SPAWN_MONITORED, as MB_MONITOR_ALIAS */
};

/* Spawn. The start signal (kind MB_MESSAGE) is taken over, on failure too. parent: NULL for an untied one without; ref:
 * of the monitor, a new one of the caller's; 0: it is not monitored. 0, MB_ELIMIT or MB_ENOMEM. */
int mb_spawn(struct mb_scheduler *s, struct mb_process *parent, struct mb_signal *start, enum mb_spawn_ties ties,
             mb_ref ref, struct mb_process **out);

/* A process that runs on the scheduler's own thread without a coroutine: the main chunk. */
int mb_spawn_in_place(struct mb_scheduler *s, struct mb_process **out);

/* End the dying, as far as the one that is suspended below, which has to leave its frames first. */
void mb_reap(struct mb_scheduler *s);

#endif

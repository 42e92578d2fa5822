/* How processes begin and end: slots, spawning, and the reaper. Scheduler thread of s. */
#ifndef MB_LIFECYCLE_H
#define MB_LIFECYCLE_H

#include "scheduler.h"

/* Spawn. The start signal (kind MB_MESSAGE) is taken over, on failure too. `link`: linked to the
 * parent; `monitor`: NULL, or where the reference of the parent's new monitor goes, which is
 * *monitor itself when that is not 0. 0, MB_ELIMIT or MB_ENOMEM. */
int mb_spawn(struct mb_scheduler *s, struct mb_process *parent, struct mb_signal *start, int link,
             int alias, mb_ref *monitor, struct mb_process **out);

/* A process that runs on the scheduler's own thread without a coroutine: the main chunk. */
int mb_spawn_in_place(struct mb_scheduler *s, struct mb_process **out);

/* End the dying, as far as the one that is suspended below, which has to leave its frames first. */
void mb_reap(struct mb_scheduler *s);

#endif

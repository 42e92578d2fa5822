/* Going to sleep and being woken, across threads.
 *
 * Who has posted something for a scheduler calls mb_rouse, which costs a load unless that one sleeps. A
 * scheduler announces its sleep first and looks for posts then; posting and rousing happen in the opposite
 * order, all sequentially consistent, so one of the two sees the other.
 *
 * A scheduler that waits for nothing but others is hopeless. The runtime counts those that are not: at zero
 * nobody can ever wake anybody, and the first scheduler is told of the deadlock. */
#ifndef MB_REPOSE_H
#define MB_REPOSE_H

struct mb_scheduler;

enum mb_repose { MB_AWAKE, MB_ASLEEP, MB_HOPELESS };

/* s is about to block. 1: it may; 0: something has been posted, and it is awake. Scheduler thread of s. */
int mb_repose(struct mb_scheduler *s, int hopeless);

/* s has come back from blocking. 1 when it was told of a deadlock. Scheduler thread of s. */
int mb_arise(struct mb_scheduler *s);

/* Something has been posted for s, or its `stop` or `noticed` was set. Any thread; async-signal-safe. */
void mb_rouse(struct mb_scheduler *s);

#endif

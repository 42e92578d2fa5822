/* Going to sleep and being woken, across threads.
 *
 * Who has posted something for a scheduler calls mb_wake_scheduler, which costs a load unless that one sleeps. A
 * scheduler announces its sleep first and looks for posts then; posting and waking happen in the opposite order,
 * all sequentially consistent, so one of the two sees the other.
 *
 * A scheduler that waits for nothing but others is idle, and cannot wake anybody. The runtime counts those that could:
 * at zero nobody ever will, and the first scheduler is told of the deadlock. */
#ifndef MB_PARK_H
#define MB_PARK_H

struct mb_runtime;
struct mb_scheduler;

enum mb_parking { MB_AWAKE, MB_PARKED, MB_PARKED_IDLE };

/* s is about to block. 1: it may; 0: something has been posted, and it is awake. Scheduler thread of s. */
int mb_park(struct mb_scheduler *s, int idle);

/* s has come back from blocking. 1 when it was told of a deadlock. Scheduler thread of s. */
int mb_unparked(struct mb_scheduler *s);

/* Something has been posted for s, or its `stop` or `noticed` was set. Any thread; async-signal-safe. */
void mb_wake_scheduler(struct mb_scheduler *s);

/* Something besides the schedulers could wake one from now on, or not any more: a job on a thread, say. Whoever posted
 * what it had to tell has done so before it is taken away. Any thread. */
void mb_waker_add(struct mb_runtime *rt);
void mb_waker_remove(struct mb_runtime *rt);

#endif

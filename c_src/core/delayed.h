/* Delayed messages: what send_after sends. They stand in the timers of the scheduler whose process has sent them, and in
 * the list of their target when that lives there, too. Scheduler thread. */
#ifndef MB_DELAYED_H
#define MB_DELAYED_H

#include "registry.h"
#include "scheduler.h"

/* send_after. name: NULL, or who is looked for when the time has come, a key in a registry or, with no key, the holder
 * of a registered name; it is copied. The signal is taken over, on failure too. */
int mb_delay(struct mb_scheduler *s, mb_pid to, const struct mb_address *name, struct mb_signal *signal,
             uint64_t deadline, mb_ref *out);

/* ns left until the timer fires, cancelled or not as asked; -1 when there is none such. */
int64_t mb_delayed_read(struct mb_scheduler *s, mb_ref ref, int cancel);

/* Forget the timers aimed at p: it is dead. */
void mb_delayed_drop(struct mb_scheduler *s, struct mb_process *p);

/* The time of the delayed message that t belongs to has come: send it. */
void mb_delayed_fire(struct mb_scheduler *s, struct mb_timer *t);

/* Forget them all, with the map of them. */
void mb_delayed_clear(struct mb_scheduler *s);

#endif

/* Delayed messages: what send_after sends, and send_interval again and again. They stand in the timers of the scheduler whose process has sent them, its
 * maker, and end with the process that they are for.
 *
 * Where the target lives on the maker's scheduler, they are its holdings. Where it lives elsewhere, they are in the
 * list of a watch, one for each maker and target: the maker's map finds it by the target's pid, and it is a holding of
 * the target. When the target exits, before anybody hears of that, its watches are sent to their makers, which then
 * free them with their timers. A watch whose timers are over stays until then. Scheduler thread. */
#ifndef MB_DELAYED_H
#define MB_DELAYED_H

#include "registry.h"
#include "scheduler.h"

/* Send at the deadline and, if the period (ns) is not 0, then after each period. ref: of the timer, a new one of the
 * caller's. name: NULL, or who is looked for when the time has come, a key in a registry or, with no key, the holder of
 * a registered name; it is copied, and there is no period then. The signal is taken over, on failure too. */
int mb_delay(struct mb_scheduler *s, mb_pid to, const struct mb_address *name, struct mb_signal *signal,
             uint64_t deadline, uint64_t period, mb_ref ref);

/* What becomes of a timer that is read. */
enum mb_delayed_then { MB_DELAYED_STAYS, MB_DELAYED_CANCELLED };

/* ns left until the timer fires; -1 when there is none such. */
int64_t mb_delayed_read(struct mb_scheduler *s, mb_ref ref, enum mb_delayed_then then);

/* Free the watches that others have sent, linked by next_ended, with their timers. */
void mb_watches_end(struct mb_scheduler *s, struct mb_watch *ended);

/* The time of the delayed message that t belongs to, which was the deadline, has come: to whom *signal is to be sent, the
 * caller's now; 0: to nobody. It ends, or, with a period, is put back into the heap for the next time. */
mb_pid mb_delayed_due(struct mb_scheduler *s, struct mb_timer *t, uint64_t deadline, struct mb_signal **signal);

/* Forget them all, with the map of them. */
void mb_delayed_clear(struct mb_scheduler *s);

#endif

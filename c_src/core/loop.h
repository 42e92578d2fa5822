/* A scheduler's loop: it runs ready processes in bounded batches and checks timers, what others have posted and libuv's
 * loop in between; with nothing to run it blocks there. The dead are reaped before the next process runs, so nobody
 * sees half of a death. All functions belong to the scheduler's thread unless said otherwise. */
#ifndef MB_LOOP_H
#define MB_LOOP_H

#include "scheduler.h"

int mb_scheduler_init(struct mb_scheduler *s, struct mb_runtime *rt, uint32_t id);

/* Take somebody else's loop, which outlives the scheduler, instead of its own. Before that is used. 0 or an error, with
 * nothing done. */
int mb_scheduler_take_loop(struct mb_scheduler *s, uv_loop_t *loop);

/* Kill every process that lives here, and those that their clean-up code spawns, but for those whose clean-up code
 * calls this. */
void mb_scheduler_kill_all(struct mb_scheduler *s);

/* Close what is on the loop and wait for its requests; others may still wake the scheduler. The callbacks of those
 * whose handles they are get called. A borrowed loop stays as it is. */
void mb_scheduler_empty_loop(struct mb_scheduler *s);

/* Close the loop with all of its handles and free the timers. No process may be left, nor anything posted. */
void mb_scheduler_deinit(struct mb_scheduler *s);

/* Run until `stop` is set or, when `in_place` is not NULL, until that process is runnable again (it is
 * then running). 0, or MB_EDEADLOCK: nothing is runnable and nothing is left that could change it. */
int mb_scheduler_run(struct mb_scheduler *s, struct mb_process *in_place);

/* Handle what others have posted. Not from inside a process. */
void mb_receive_posted(struct mb_scheduler *s);

/* Make mb_scheduler_run return. Any thread; async-signal-safe. */
void mb_scheduler_stop(struct mb_scheduler *s);

/* Let s make the upcall `notice`, between two processes, soon. Any thread; async-signal-safe. */
void mb_scheduler_notice(struct mb_scheduler *s);

/* A process that begins to wait may run the only ready one nested, on its own C stack, and goes on there when that one
 * has woken it. This saves it the way out of its frames and back, which is half of what a request and its answer cost.
 * At most one is suspended below another, so at most two processes' frames lie on a stack. */
static inline int mb_can_run_nested(const struct mb_scheduler *s) {
  const struct mb_process *next = s->ready.head;
  return next && !next->run_next && !(next->flags & MB_IN_PLACE) && !s->suspended_below && !s->dying.head &&
         !mb_check_due(s);
}

/* After mb_can_run_nested. 1: p, which waited, has been woken and runs again, in a new slice. 0: it has to leave the
 * processor, in whatever state it is now. */
int mb_run_nested(struct mb_scheduler *s, struct mb_process *p);

#endif

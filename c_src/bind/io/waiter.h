/* Waiting for an object of C: a socket, a request, a callback.
 *
 * The object keeps the pid of who waits for it, and whoever has news for it wakes that pid with mb_wake_waiter. Nothing
 * has to be undone when the wait ends otherwise, by a kill, an interrupt or its deadline: a pid that is gone is nobody,
 * and a process that is woken and waits for something else looks again. So the calls that wait are loops:
 *
 *   static int receive_on(lua_State *L, int status, lua_KContext deadline) {
 *     for (;;) {
 *       struct mb_process *p = mb_current_still(h, L);
 *       if (... there is something) return mb_worked(h, L, p, MB_COST_MESSAGE, ... the values);
 *       if (mb_deadline_passed(h, deadline)) return mb_failure(L, UV_ETIMEDOUT);
 *       object->waiter = mb_pid_of(p);
 *       mb_block(h, L, p, deadline, deadline, receive_on);
 *     }
 *   }
 *
 * The arguments stay on the Lua stack meanwhile, and the userdata among them keeps the object. */
#ifndef MB_WAITER_H
#define MB_WAITER_H

#include "process/wait.h"

/* Whether the deadline (ns, 0: none) that mb_check_deadline has made of an argument has passed. */
static inline int mb_deadline_passed(const struct mb_heap *h, uint64_t deadline) {
  return deadline && mb_now(h->runtime) >= deadline;
}

/* Wake who waits, if it still lives, and forget it. The scheduler's thread, anywhere. */
static inline void mb_wake_waiter(struct mb_scheduler *s, mb_pid *waiter) {
  struct mb_process *p = *waiter ? mb_process_here(s, *waiter) : NULL;
  *waiter = 0;
  if (p) mb_wake(s, p);
}

/* Functions of moonbeam.core: deadline(ms, function, index) -> deadline; suspend(waiter, deadline) -> whether
 * the waiter, a table, is `over`, or the deadline has passed; resumer(waiter) -> a function that sets the waiter's
 * `over` and `values`, and wakes its `process`, wherever on this scheduler it is called. */
void mb_open_waiter(struct mb_heap *h, lua_State *L);

#endif

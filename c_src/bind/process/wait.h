/* Waiting, giving way and leaving, as the functions of the runtime do it for the process that calls. */
#ifndef MB_WAIT_H
#define MB_WAIT_H

#include "process/current.h"

/* Let the running process wait until it is woken or the deadline (ns, 0: none) has passed; it may be woken for other
 * reasons, so the caller checks again. A coroutine leaves here and goes on in k(ctx), or, when it has been woken by the
 * one that it ran nested, returns; a process without one runs the scheduler in place and returns. Raises where yielding
 * is forbidden, when the process is being closed, and when it would wait for ever with nothing left to wake it. */
void mb_block(struct mb_heap *h, lua_State *L, struct mb_process *p, uint64_t deadline,
              lua_KContext ctx, lua_KFunction k);

/* As mb_block, with an offer (enum mb_offer, and the reference of the reply): what is sent directly is on the top of
 * the stack then. All of the mailbox has been scanned, and the stack is that of a C function which uses little of
 * it. */
void mb_block_offering(struct mb_heap *h, lua_State *L, struct mb_process *p, uint64_t deadline,
                       lua_KContext ctx, lua_KFunction k, int offer, mb_ref awaited);

/* Raise what keeps p from waiting, if anything does: see mb_can_wait. */
void mb_cannot_wait(struct mb_heap *h, lua_State *L, struct mb_process *p);

/* Whether mb_block would not raise. */
static inline int mb_can_wait(const struct mb_heap *h, lua_State *L) {
  const struct mb_process *p = h->scheduler->current;
  return !h->closing && p && p->state != MB_EXITING && mb_can_yield(h, L);
}

/* Let the others run, once round, while p is in place. */
void mb_run_others(struct mb_heap *h, lua_State *L, struct mb_process *p);

/* As mb_worked, when p has used up its slice. */
int mb_give_way(struct mb_heap *h, lua_State *L, struct mb_process *p, int results);

/* A function of the runtime has worked for p (mb_worker) and returns the `results` values on the top of the stack; when
 * that was enough for one slice, p gives way first, where it may. Use as `return mb_worked(...)`. */
static inline int mb_worked(struct mb_heap *h, lua_State *L, struct mb_process *p, unsigned reductions,
                            int results) {
  if (!p) return results;
  p->reductions += reductions;
  return p->reductions >= h->scheduler->reduction_limit ? mb_give_way(h, L, p, results) : results;
}

/* What the functions cost. */
enum { MB_COST_MESSAGE = 1, MB_COST_SPAWN = 40 };

/* Whether the wait of p that mb_check_deadline began is over: it was for no time, or its timer fired. */
int mb_expired(const struct mb_process *p, uint64_t deadline);

/* Raise where the calling process may not take messages: a receive that examines one runs a guard or predicate. */
void mb_check_takes(struct mb_heap *h, lua_State *L);

/* The deadline of a wait for 0 ms. */
#define MB_NO_TIME 1u

/* Whether a timeout may be left out, or nil: as "infinity". */
enum mb_timeout { MB_TIMEOUT_REQUIRED, MB_TIMEOUT_OPTIONAL };

/* A timeout argument in ms as a deadline in ns: 0 for none ("infinity", math.huge), MB_NO_TIME for 0 ms. A new wait of
 * the running process begins. Raises naming the argument. */
uint64_t mb_check_deadline(struct mb_heap *h, lua_State *L, int at, const char *function, int index,
                           enum mb_timeout needed);

/* Its parts: 1 and the deadline, or 0 when the value at index `at` is no timeout; the error, in which `field`
 * ("after: ") says what of the argument that is. */
int mb_read_deadline(struct mb_heap *h, lua_State *L, int at, enum mb_timeout needed, uint64_t *deadline);
int mb_bad_timeout(struct mb_heap *h, lua_State *L, int at, const char *function, int index, const char *field);

#endif

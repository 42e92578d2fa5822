/* Running processes: between the core's scheduler and Lua's coroutines. */
#ifndef MB_RUN_H
#define MB_RUN_H

#include "heap/heap.h"

extern const struct mb_upcalls mb_heap_upcalls;

/* Let the running process wait until it is woken or the deadline (ns, 0: none) has passed; it may be woken for other
 * reasons, so the caller looks again. A coroutine leaves here and goes on in k(ctx), or, when it has been woken by the one
 * that it ran nested, returns; a process without one runs the scheduler in place and returns. Raises where yielding
 * is forbidden, when the process is being closed, and when it would wait for ever with nothing left to wake it. */
void mb_block(struct mb_heap *h, lua_State *L, struct mb_process *p, uint64_t deadline,
              lua_KContext ctx, lua_KFunction k);

/* As mb_block, with an offer (enum mb_offer, and the reference of the reply): what is handed over is on the top of the
 * stack then. All of the mailbox has been looked at, and the stack is that of a C function which uses little of it. */
void mb_block_offering(struct mb_heap *h, lua_State *L, struct mb_process *p, uint64_t deadline,
                       lua_KContext ctx, lua_KFunction k, int offer, mb_ref awaited);

/* Raise what keeps p from waiting, if anything does: see mb_can_wait. */
void mb_cannot_wait(struct mb_heap *h, lua_State *L, struct mb_process *p);

/* Leave if the running process has been ended by what it just did. */
void mb_leave_if_exiting(struct mb_heap *h, lua_State *L, struct mb_process *p);

/* Whether the code that runs on L may leave the processor now. */
static inline int mb_can_yield(const struct mb_heap *h, lua_State *L) {
  const struct mb_process *p = h->scheduler->current;
  if (p && p->flags & MB_IN_PLACE) return !h->uninterruptible && !mb_outside(h, L);
  return lua_isyieldable(L) && !h->unyieldable && h->running == L;
}

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

/* Push what exit(reason) raises; takes the reason from the top of the stack. */
void mb_push_exit(struct mb_heap *h, lua_State *L);

/* Whether the value at an index is what exit() raises. */
int mb_is_exit(struct mb_heap *h, lua_State *L, int index);

/* The coroutine of a process that has started. */
static inline lua_State *mb_coroutine(const struct mb_process *p) { return p->context; }

/* "file:line" of the code that calls the runtime now, kept for the life of the heap. */
const char *mb_site(struct mb_heap *h, lua_State *L);
struct mb_sites *mb_sites_new(void);
void mb_sites_free(struct mb_heap *h);

#endif

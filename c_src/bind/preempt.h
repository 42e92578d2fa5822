/* Preemption: taking the processor from a process that computes.
 *
 * No hook is armed while a process is inside its slice. When the ticker finds it overdue, a signal handler on
 * the same thread arms a count hook on the Lua thread that runs, which Lua allows there and nowhere else; the
 * hook fires at the next instruction of the VM and yields to the scheduler, past the coroutines of the user. */
#ifndef MB_PREEMPT_H
#define MB_PREEMPT_H

#include "heap.h"

enum { MB_PREEMPT_OFF = -1, MB_PREEMPT_BY_TIME = 0 }; /* or: every so many instructions */

/* The upcall of the ticker's signal. Async-signal-safe. */
void mb_preempt_interrupt(struct mb_scheduler *s);

/* L is about to run user code: the hook goes there from now on. */
void mb_preempt_enter(struct mb_heap *h, lua_State *L);

/* No user code runs from now on. */
void mb_preempt_leave(struct mb_heap *h);

/* A slice has ended without giving way: report it when it was too long. Call before mb_preempt_leave. */
void mb_preempt_ended(struct mb_heap *h, lua_State *L);

/* A new thread has taken over the hook of the one that made it: give it the user's only. */
void mb_preempt_adopt(struct mb_heap *h, lua_State *co);

/* Whether the user has a hook on L. */
int mb_preempt_is_hooked(lua_State *L);

/* Read MOONBEAM_PREEMPT and MOONBEAM_LONG_SCHEDULE; make the ticker ready if it is wanted. */
int mb_preempt_open(struct mb_heap *h);

/* Replace debug.sethook and debug.gethook, which would show and lose the hooks above. */
void mb_open_hooks(struct mb_heap *h, lua_State *L);

/* The hook that the user has on a thread, under ours. Async-signal-safe on the scheduler's thread. */
lua_Hook mb_preempt_users_hook(const struct mb_heap *h, lua_State *L, int *mask, int *count);

struct mb_preempt *mb_preempt_new(void);
void mb_preempt_free(struct mb_preempt *t);

/* Take and give the threshold of the report of long slices: ms, 0 for never. */
lua_Integer mb_long_schedule(struct mb_heap *h, lua_Integer ms);

#endif

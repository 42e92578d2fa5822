/* Preemption: taking the processor from a process that computes.
 *
 * No hook is armed while a process is inside its slice. When the ticker finds it overdue, a signal handler on
 * the same thread arms a count hook on the Lua thread that runs, which Lua allows there and nowhere else; the
 * hook fires at the next instruction of the VM and yields to the scheduler, past the coroutines of the user. Where Lua
 * forbids yielding, it waits for the return of the C function that is the reason. */
#ifndef MB_PREEMPT_H
#define MB_PREEMPT_H

#include "heap/heap.h"

enum { MB_PREEMPT_OFF = -1, MB_PREEMPT_BY_TIME = 0 }; /* or: every so many instructions */

/* Let what runs give way at the next instruction where it may. Async-signal-safe on the scheduler's thread. */
void mb_preempt_now(struct mb_heap *h);

/* The upcall of the ticker's signal: the same, when the slice has lasted long enough for what it costs. */
void mb_preempt_overdue(struct mb_scheduler *s);

/* Clean-up code of the dead runs or has ended, or C modules are there: let the ticker preempt what runs even where nobody
 * wants the scheduler, or no longer. */
void mb_preempt_attend(struct mb_heap *h);

/* L is about to run user code: the hook goes there from now on. */
void mb_preempt_enter(struct mb_heap *h, lua_State *L);

/* No user code runs from now on. */
void mb_preempt_leave(struct mb_heap *h);

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

#endif

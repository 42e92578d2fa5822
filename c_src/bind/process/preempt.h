/* Preemption: taking the processor from a process that computes.
 *
 * No hook is armed while a process is inside its slice. When the ticker finds it overdue, a signal handler on
 * the same thread arms a count hook on the Lua thread that runs, which Lua allows there and nowhere else; the
 * hook fires at the next instruction of the VM and yields to the scheduler, past the coroutines of the user. Where Lua
 * forbids yielding, it waits for the return of the C function that is the reason. */
#ifndef MB_PREEMPT_H
#define MB_PREEMPT_H

#include "heap/heap.h"

/* The upcall of the ticker's signal: the same, when the slice has lasted long enough for what it costs. */
void mb_preempt_overdue(struct mb_scheduler *s);

/* Read MOONBEAM_PREEMPT and MOONBEAM_LONG_SCHEDULE; make the ticker ready if it is wanted. */
int mb_preempt_open(struct mb_heap *h);

/* Replace debug.sethook and debug.gethook, which would show and lose the hooks above. */
void mb_open_hooks(struct mb_heap *h, lua_State *L);

#endif

/* Where a process is, and by what it began: for Process.info. Owner's thread; L: who asks. */
#ifndef MB_WHERE_H
#define MB_WHERE_H

#include "heap/heap.h"

/* The Lua thread whose stack is p's; NULL: it has not begun. The main chunk of stock Lua has none of its own: while it
 * waits, the scheduler runs inside its call. */
lua_State *mb_stack_of(const struct mb_heap *h, lua_State *L, const struct mb_process *p);

/* Push where p's function was defined, or the outermost of the user's; of a process that has not started, where it was
 * spawned; nil when there is none. */
void mb_push_initial_location(struct mb_heap *h, lua_State *L, struct mb_process *p);

/* Push "file:line" of the innermost line of the user's; of a process that has not started, where it was spawned; nil
 * when there is none. */
void mb_push_current_location(struct mb_heap *h, lua_State *L, struct mb_process *p);

/* Push the traceback of all threads in which p runs or waits, as of one stack. */
void mb_push_stacktrace(struct mb_heap *h, lua_State *L, struct mb_process *p);

/* Push the name of the user's function in which p runs, or waits; nil when there is none. */
void mb_push_current_function(struct mb_heap *h, lua_State *L, struct mb_process *p);

/* Push the name of the function that p began with; nil when it has not begun. */
void mb_push_initial_call(struct mb_heap *h, lua_State *L, struct mb_process *p);

#endif

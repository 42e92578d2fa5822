/* The functions at the bottom of a process's coroutine, and of those that coroutine.wrap makes. */
#ifndef MB_ENTRY_H
#define MB_ENTRY_H

#include "heap/heap.h"

/* Push what a process begins with, below its function and the arguments: it calls that function protected, so that what
 * is to be closed when it ends by an error or an exit is closed inside the coroutine, where it may wait. The coroutine
 * returns nothing when the function has returned, else the one value it ended with, which mb_crash takes. Pushes
 * MB_ENTRY_SLOTS values and allocates nothing. */
void mb_entry_push(lua_State *co);
enum { MB_ENTRY_SLOTS = 3 };

/* The same for a coroutine that coroutine.wrap makes: what it fails by closes its variables inside of it, where they
 * may wait, and is raised again when they are closed. Pushes MB_WRAPPED_SLOTS values, below the function. */
void mb_entry_push_wrapped(lua_State *co);
enum { MB_WRAPPED_SLOTS = 2 };

/* Whether a coroutine closes its variables after an error, for which Lua forbids it to yield; the runtime's own yields
 * go through. */
static inline int mb_is_failing(const struct mb_heap *h, lua_State *co) {
  return h->failing.count && mb_map_get(&h->failing, (uintptr_t)co);
}

/* It does not any more, or another one has its address now. */
static inline void mb_forget_failing(struct mb_heap *h, lua_State *co) {
  if (h->failing.count) mb_map_remove(&h->failing, (uintptr_t)co, NULL);
}

/* The running process leaves its stack, whose variables are closed, and goes on with the function at stack index 1 and
 * the arguments above it, as if it had begun with them; it may wait (mb_can_wait). Raises what nobody may catch; or,
 * where there is no entry, that it cannot be done. */
int mb_entry_start_anew(struct mb_heap *h, lua_State *L, struct mb_process *p);

/* Push the traceback of the error, or a task's exit, that p ended with, as it was where that was raised; 0 and nothing
 * pushed when there is none: it has not come from Lua code, or memory was out. */
int mb_entry_push_traceback(struct mb_heap *h, lua_State *L, struct mb_process *p);

/* How many levels a stack has. lua_getstack counts from the top: asking for each in turn would cost the square of
 * it. */
int mb_depth(lua_State *co);

/* Push the function that p, which has begun, began with, even if that has left by a tail call; 0 and nothing pushed
 * when it is not known. */
int mb_entry_push_function(lua_State *L, struct mb_process *p);

/* Push the traceback, as traceback.h has it, of a thread where p runs, or waits: without what it begins with. */
void mb_push_traceback(struct mb_heap *h, lua_State *L, struct mb_process *p, lua_State *of, const char *text,
                       int level);

/* Puts the runtime's debug.traceback and debug.getinfo into the standard library. */
void mb_open_entry(struct mb_heap *h, lua_State *L);

#endif

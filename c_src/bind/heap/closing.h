/* Clean-up code of the dead, and reports of their ends, which may call the user's code. It cannot be interrupted: the
 * scheduler does nothing else meanwhile. So its time is bounded (MOONBEAM_CLEANUP_TIMEOUT); what has not ended by then
 * is raised out at every instruction, and logged with the place. */
#ifndef MB_CLOSING_H
#define MB_CLOSING_H

#include "heap/heap.h"

/* Such code runs from here on, on behalf of the scheduler's current process, with all of its time. May be nested: then
 * the time is that of the outermost. */
void mb_closing_begin(struct mb_heap *h);
void mb_closing_begin_for(struct mb_heap *h, uint64_t ns);
void mb_closing_end(struct mb_heap *h);

/* What runs is the runtime's own, not the user's: its time begins anew. */
void mb_closing_renew(struct mb_heap *h);

/* The running process, which is exiting, cannot yield: the caller raises an error that ends it. Until mb_closing_left
 * what runs on its stack is its clean-up code. */
void mb_closing_leave(struct mb_heap *h);

/* It has left the processor. */
void mb_closing_left(struct mb_heap *h);

/* Raise what ends the process: Lua's memory error, for which no message handler is called. One would run as if it were
 * the process, or inside the hook, where nothing could end it. */
int mb_closing_raise(lua_State *L);

/* How often what runs now is clean-up code of what an error that nobody may catch has left: of a process that has to
 * leave, or leaves its stack, or of an interrupted line of a prompt's. */
static inline int mb_unwinding(const struct mb_heap *h) {
  const struct mb_process *p = mb_running(h);
  return h->closing + (p && (p->private_flags & (MB_PRIVATE_INTERRUPTED_AGAIN | MB_PRIVATE_STARTS_ANEW)) != 0);
}

/* Whether such an error has come since mb_unwinding was `then`. Whatever catches errors of the user's code asks that
 * first, and when an error has been caught and this is true, raises it, or what stands for it, again. */
static inline int mb_unwinding_since(const struct mb_heap *h, int then) { return mb_unwinding(h) > then; }

/* Raise it again; it is on the top of the stack. */
int mb_pass_on(struct mb_heap *h, lua_State *L);

/* As lua_pcall, for C that goes on when the user's code has raised. */
int mb_pcall(struct mb_heap *h, lua_State *L, int arguments, int results);

#endif

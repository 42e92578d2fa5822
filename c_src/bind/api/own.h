/* What Lua's library keeps once per state and each process has for itself: the generator of math.random, and the default
 * files of io. The library's own functions serve all processes: what belongs to the one that runs is put in its place
 * first. A process that uses neither has neither. The main chunk of a stock interpreter counts as one process, whichever it
 * is by now. A heap's own thread. */
#ifndef MB_OWN_H
#define MB_OWN_H

#include "code/environment.h"
#include "heap/heap.h"

/* Who runs, for comparing; 0: the main chunk. */
static inline mb_pid mb_own_id(const struct mb_process *p) { return p && !(p->flags & MB_IN_PLACE) ? mb_pid_of(p) : 0; }

/* Push the private values of p, as mb_push_private; of the main chunk's, whether it has a process or not, if id
 * is 0. */
int mb_push_own(struct mb_heap *h, lua_State *L, mb_pid id, struct mb_process *p, int make);

/* The heap of what runs on L, for functions whose upvalues are the library's. It may have been closed. */
static inline struct mb_heap *mb_heap_here(lua_State *L) {
  if (mb_here.running == L && mb_here.closed == atomic_load_explicit(&mb_heaps_closed, memory_order_relaxed))
    return mb_here.heap;
  return mb_heap_find(L);
}

/* Put these functions in the place of the library's; the stack stays. */
void mb_open_random(struct mb_heap *h, lua_State *L);
void mb_open_files(struct mb_heap *h, lua_State *L);
void mb_open_collector(struct mb_heap *h, lua_State *L);

/* Let the library's default files be those of the running process. */
void mb_use_files(struct mb_heap *h, lua_State *L);

/* A new process has the default files of its parent. Those that are not the standard ones keep it on this scheduler. */
void mb_inherit_files(struct mb_heap *h, lua_State *L, struct mb_process *parent, struct mb_process *p);

/* It is placed elsewhere: it has the standard ones. */
void mb_disinherit_files(struct mb_heap *h, lua_State *L, struct mb_process *p);

#endif

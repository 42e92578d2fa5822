/* mb.blocking: functions that stop a thread run on one of a pool's.
 *
 * A thread of the pool has a Lua state with a heap of its own, made as those of schedulers are, so functions and values
 * travel there by the same bytes. It runs no scheduler: what stands for one is there to be asked for references and to
 * send by, and what its code does is outside of any process, as a finalizer's is. The caller waits for a reply, so one
 * that has been killed, or has left its wait, hears nothing.
 *
 * Threads are made while jobs wait and there are fewer than the limit, and end when they have had nothing to do for a
 * while. The end of the program waits for them as for schedulers, and no longer. */
#ifndef MB_BLOCKING_H
#define MB_BLOCKING_H

#include "heap/heap.h"

struct mb_pool;

struct mb_pool_counts {
  unsigned limit, threads, busy; /* threads there may be, there are, and that run something */
  unsigned queued;               /* jobs that wait for one */
};

/* How the states of threads are made and closed, each on its own thread. */
struct mb_pool_states {
  lua_State *(*open)(struct mb_scheduler *s, void **data); /* with a heap on s; NULL when it cannot be made */
  void (*close)(struct mb_scheduler *s, lua_State *L, void *data);
};

/* A pool without a thread so far; NULL when memory is out. */
struct mb_pool *mb_pool_new(struct mb_runtime *rt, const struct mb_pool_states *states);

/* Let the threads end, and wait for it until `until` (ns, of mb_clock_system); jobs that wait are dropped. 0, or -1
 * when a thread has not ended: then the pool is not to be freed, nor what it uses. The first heap's thread. */
int mb_pool_stop(struct mb_pool *pool, uint64_t until);

/* After mb_pool_stop; NULL is allowed. */
void mb_pool_free(struct mb_pool *pool);

/* Any thread. */
void mb_pool_count(struct mb_pool *pool, struct mb_pool_counts *out);

/* The calling thread, which is of the pool and whose heap h is, ends: what it runs has ended the program. */
_Noreturn void mb_pool_retire(struct mb_heap *h);

/* Functions of moonbeam.core: blocking. */
void mb_open_blocking(struct mb_heap *h, lua_State *L);

#endif

/* Who calls: the process that runs, or nobody, when the code is outside of any. */
#ifndef MB_CURRENT_H
#define MB_CURRENT_H

#include "heap/heap.h"

enum { MB_REFUSED_PLACES = 1000 };

/* Of all heaps. */
struct mb_refusals {
  _Atomic uint64_t places[MB_REFUSED_PLACES]; /* hashes: a finalizer has been refused something there; 0: none */
};

/* As mb_current, when there is none, it is dying, or what calls is outside of any. */
struct mb_process *mb_current_anew(struct mb_heap *h, lua_State *L);

/* The process that calls, for what only a process can do: raises outside of any. In stock Lua the
 * main process is made here when it does not exist or has died. Raises when no slot is left. */
static inline struct mb_process *mb_current(struct mb_heap *h, lua_State *L) {
  struct mb_process *p = h->scheduler->current;
  return p && p->state != MB_EXITING && !mb_outside(h, L) ? p : mb_current_anew(h, L);
}

/* The same in a function that has called it before, and has waited since, perhaps. */
static inline struct mb_process *mb_current_still(struct mb_heap *h, lua_State *L) {
  struct mb_process *p = h->scheduler->current;
  return p && p->state != MB_EXITING ? p : mb_current_anew(h, L);
}

/* The same for what is done outside of processes, too: NULL there. */
static inline struct mb_process *mb_caller(struct mb_heap *h, lua_State *L) {
  return mb_outside(h, L) ? NULL : mb_current_still(h, L);
}

/* The process whose time is used, even from outside; NULL when a finalizer runs while there is none. */
static inline struct mb_process *mb_worker(struct mb_heap *h, lua_State *L) {
  struct mb_process *p = h->scheduler->current;
  return p && p->state != MB_EXITING ? p : mb_caller(h, L);
}

/* The pid that stands for whoever calls: from outside of any process, the one that none has. */
static inline mb_pid mb_caller_pid(struct mb_heap *h, lua_State *L) {
  const struct mb_process *p = mb_caller(h, L);
  return p ? mb_pid_of(p) : mb_pid_make(0, 0);
}

/* Leave if the running process has been ended by what it just did. */
void mb_leave_if_exiting(struct mb_heap *h, lua_State *L, struct mb_process *p);

/* Raise what ends the main chunk, whose process has been ended: it is told the only way there is. */
void mb_raise_main_exit(struct mb_heap *h, lua_State *L);

/* Raise that what runs on L, outside of any process, cannot do what it has asked for: only a process can. For a
 * finalizer, whose errors Lua drops, logged once per place. */
void mb_refuse_outside(struct mb_heap *h, lua_State *L);

#endif

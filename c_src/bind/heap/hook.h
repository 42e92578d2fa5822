/* Who has the hook of a Lua thread: there is one, for the runtime's, the user's and those of C libraries.
 *
 * Ours is armed by the ticker's signal, on the thread that runs, and taken off again; the user's fires under it, for
 * its own events. Or, for tests, it counts instructions and is always there. What it does when it fires is preemption's
 * (process/preempt.c). */
#ifndef MB_HOOK_H
#define MB_HOOK_H

#include "heap/heap.h"

enum { MB_PREEMPT_OFF = -1, MB_PREEMPT_BY_TIME = 0 }; /* or: every so many instructions */

/* What our hook is for at `armed`. */
enum mb_hook_goal {
  MB_GOAL_GIVE_WAY, /* the slice is over: to yield at the next instruction */
  MB_GOAL_RETURN    /* it may not yield there: to hear of every return, until one leads to where it may */
};

/* What it took, in processor time, to preempt the last slice of a process that was. */
struct mb_hook_cost {
  mb_pid pid;
  uint64_t ns;
};
enum { MB_HOOK_COSTS = 64 }; /* remembered; who is forgotten pays once more */

struct mb_hook {
  /* Shared with the signal handler, which runs on the same thread; only compiler order matters. */
  lua_State *volatile armed;   /* where the hook has been set, by time; somebody else's may have taken its place */
  volatile int goal;           /* enum mb_hook_goal */
  volatile sig_atomic_t busy;  /* the hook is being changed: the handler leaves it alone */
  /* The user's hook at `armed`, put back when ours has fired. */
  lua_Hook user_hook;
  int user_mask, user_count;
  int at_entry; /* at `armed`, the next event may be that of a function's first instruction */
  int entries;  /* times that more were waited for because of that */
  uint64_t slice; /* in which the hook was set last */
  struct mb_hook_cost costs[MB_HOOK_COSTS]; /* by the hash of the pid */
  int every;            /* MB_PREEMPT_*, or a number of instructions */
  /* Ours has fired at L: where it was armed, or where instructions are counted. Set when the heap opens. */
  void (*event)(struct mb_heap *h, lua_State *L, lua_Debug *ar);
};

/* Whether the hook at L is ours, and setting it there as it is. */
int mb_hook_is_ours(lua_State *L);
void mb_hook_set(lua_State *L, int mask, int count);

/* Whether the hook that was armed by time is at L. */
int mb_hook_is_armed(const struct mb_hook *t, lua_State *L);

/* Arm it by time. */
void mb_hook_arm(struct mb_heap *h, lua_State *L, enum mb_hook_goal goal);

/* L is about to yield in it. */
void mb_hook_await(struct mb_heap *h, lua_State *L);

/* The hook that the user, or a C library, has at L: NULL when it is ours or none. */
lua_Hook mb_hook_theirs(lua_State *L, int *mask, int *count);

/* What (ns) a slice of p's has used when it is preempted, at least. */
uint64_t mb_hook_patience(const struct mb_heap *h, const struct mb_process *p);

/* Take the hook that was armed by time off again. */
void mb_hook_disarm(struct mb_hook *t);

/* Let what runs give way at the next instruction where it may. Async-signal-safe on the scheduler's thread. */
void mb_hook_now(struct mb_heap *h);

/* Clean-up code of the dead runs or has ended, or C modules are there: let the ticker preempt what runs even where
 * nobody wants the scheduler, or no longer. */
void mb_hook_attend(struct mb_heap *h);

/* L is about to run user code: the hook goes there from now on. */
void mb_hook_enter(struct mb_heap *h, lua_State *L);

/* No user code runs from now on. */
void mb_hook_leave(struct mb_heap *h);

/* A new thread has taken over the hook of the one that made it: give it the user's only. */
void mb_hook_adopt(struct mb_heap *h, lua_State *co);

/* Whether the user has a hook on L. */
int mb_hook_has_user(lua_State *L);

/* The hook that the user has on a thread, under ours. Async-signal-safe on the scheduler's thread. */
lua_Hook mb_hook_of_user(const struct mb_heap *h, lua_State *L, int *mask, int *count);

/* Hand a hook that a library has set on the main thread to `to`, where user code runs or is about to: on the main
 * thread of this heap it would never fire. For every place where a process goes on. Async-signal-safe on the
 * scheduler's thread. */
void mb_main_give_hook(struct mb_heap *h, lua_State *to);

static inline void mb_main_pass_hook(struct mb_heap *h, lua_State *to) {
  if (h->has_c_modules && lua_gethook(h->L)) mb_main_give_hook(h, to);
}

/* Whether what runs, where it may not yield, is to do so as soon as it may. */
static inline int mb_hook_is_kept(const struct mb_heap *h) {
  const struct mb_process *p = h->scheduler->current;
  return !h->closing && p && p->state == MB_RUNNING;
}

#endif

/* What the files of preemption share: `preempt` owns the hook, `user_hooks` shows users theirs, `long_slice` reports. */
#ifndef MB_PREEMPT_INSIDE_H
#define MB_PREEMPT_INSIDE_H

#include "process/preempt.h"

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

struct mb_preempt {
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
  uint64_t reported;    /* slice that has been reported */
  struct mb_map places; /* hash of the place -> 1 */
};

/* The hook that the user, or a C library, has at L: NULL when it is ours or none. */
lua_Hook mb_preempt_theirs(lua_State *L, int *mask, int *count);

/* How old (ns) a slice of p's is when it is preempted, at least. */
uint64_t mb_preempt_patience(const struct mb_heap *h, const struct mb_process *p);

/* Take the hook that was armed by time off again. */
void mb_preempt_disarm(struct mb_preempt *t);

#endif

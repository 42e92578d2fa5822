#include "process/preempt.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/hash.h"
#include "heap/main_thread.h"
#include "process/closing.h"
#include "process/long_slice.h"
#include "process/preempt_inside.h"
#include "process/run.h"

enum {
  LONG_SCHEDULE_MS = 50, /* a slice that lasts longer is reported */
  ENDING_MS = 1000,      /* what cannot be preempted is not waited for longer when the program is to end */
  NEVER = INT_MAX,       /* a count that is ours, see await_event */
  MOST_ENTRIES = 100,    /* see armed_hook */
  WORTH = 20             /* a slice lasts that many times as long as it takes to preempt it, at least */
};

static void hook(lua_State *L, lua_Debug *ar);

/* Arming */

lua_Hook mb_preempt_theirs(lua_State *L, int *mask, int *count) {
  lua_Hook f = lua_gethook(L);
  if (f == hook) f = NULL;
  *mask = f ? lua_gethookmask(L) : 0;
  *count = f ? lua_gethookcount(L) : 0;
  if (*count == NEVER) {
    *mask &= ~LUA_MASKCOUNT;
    *count = 0;
  }
  return f;
}

/* Whether the hook of every so many instructions is at L; otherwise the user's is, or none. */
static int is_at(const struct mb_preempt *t, lua_State *L) { return t->every > 0 && lua_gethook(L) == hook; }

/* Whether the hook that was armed by time is at L. A C function, or a signal handler of the program's, may have set
 * another: then that one counts as the user's, and ours is armed anew. */
static int is_armed_at(const struct mb_preempt *t, lua_State *L) { return t->armed == L && lua_gethook(L) == hook; }

static uint64_t slice_number(const struct mb_scheduler *s) {
  return atomic_load_explicit(&s->slice.number, memory_order_relaxed);
}

static uint64_t processor_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static struct mb_hook_cost *cost_of(struct mb_preempt *t, const struct mb_process *p) {
  return &t->costs[mb_hash_u64(mb_pid_of(p)) % MB_HOOK_COSTS];
}

/* Set our hook, and count what that takes: Lua goes over all calls of the stack. */
static void put(struct mb_heap *h, lua_State *L, int mask, int count) {
  struct mb_preempt *t = h->preempt;
  const struct mb_process *p = h->scheduler->current;
  uint64_t number = slice_number(h->scheduler), began = processor_ns(), took;
  lua_sethook(L, hook, mask, count);
  took = processor_ns() - began;
  if (p) {
    struct mb_hook_cost *cost = cost_of(t, p);
    if (t->slice == number && cost->pid == mb_pid_of(p)) took += cost->ns;
    *cost = (struct mb_hook_cost){mb_pid_of(p), took};
  }
  t->slice = number;
}

/* Put the user's hook back. */
static void take_off(struct mb_preempt *t) {
  if (is_armed_at(t, t->armed)) lua_sethook(t->armed, t->user_hook, t->user_mask, t->user_count);
  t->armed = NULL;
}

/* Set the hook by time. To give way, it fires at the next instruction; it hears of returns in any case, for the report of
 * what returns then. Where it may not yield, it waits for a return, and the user's own events go on. */
static void arm(struct mb_heap *h, lua_State *L, enum mb_hook_goal goal) {
  struct mb_preempt *t = h->preempt;
  sig_atomic_t busy = t->busy;
  int mask, count;
  t->busy = 1;
  if (t->armed && t->armed != L) take_off(t);
  if (!is_armed_at(t, L)) {
    t->user_hook = mb_preempt_theirs(L, &t->user_mask, &t->user_count);
    t->at_entry = t->user_mask & LUA_MASKCALL;
    t->entries = 0;
    t->armed = L;
  }
  t->goal = goal;
  mask = t->user_mask | LUA_MASKRET;
  count = t->user_count;
  if (goal == MB_GOAL_GIVE_WAY) {
    /* Yielding at a count event would lose the line event of the same instruction: then yield at that. */
    mask = mask & LUA_MASKLINE ? mask & ~LUA_MASKCOUNT : mask | LUA_MASKCOUNT;
    count = 1;
  }
  put(h, L, mask, count);
  t->busy = busy;
}

void mb_preempt_disarm(struct mb_preempt *t) {
  if (!t->armed) return;
  t->busy = 1;
  take_off(t);
  t->busy = 0;
}

/* L is about to yield in a hook. Lua marks the function that runs and takes the mark away at its next count or line
 * event, which no hook hears of. Such an event must come at once, or the mark would swallow one of a hook that is set
 * later in the same function. After a yield at a count event, Lua counts one to the next. */
static void await_event(struct mb_heap *h, lua_State *L) {
  int mask, count;
  lua_Hook user;
  h->running = NULL; /* the handler arms nothing meanwhile; who resumes or runs next enters */
  mb_preempt_disarm(h->preempt); /* it may just have done so */
  user = mb_preempt_theirs(L, &mask, &count);
  if (mask & (LUA_MASKLINE | LUA_MASKCOUNT)) return;
  if (user)
    lua_sethook(L, user, mask | LUA_MASKCOUNT, NEVER);
  else if (lua_gethook(L) != hook)
    lua_sethook(L, hook, LUA_MASKCOUNT, 1); /* takes itself off at the event after */
}

void mb_preempt_now(struct mb_heap *h) {
  struct mb_preempt *t = h->preempt;
  lua_State *L = h->running;
  if (!t || !L || t->busy) return;
  mb_main_pass_hook(h, L);
  if (is_at(t, L) || (is_armed_at(t, L) && t->goal == MB_GOAL_GIVE_WAY)) return;
  arm(h, L, MB_GOAL_GIVE_WAY);
}

/* Interrupting takes the longer, the deeper the calls are nested: then slices are longer, too. */
uint64_t mb_preempt_patience(const struct mb_heap *h, const struct mb_process *p) {
  const struct mb_hook_cost *cost = cost_of(h->preempt, p);
  int again = h->preempt->slice == slice_number(h->scheduler);
  return cost->pid == mb_pid_of(p) ? cost->ns * (again ? 2 * WORTH : WORTH) : 0;
}

void mb_preempt_overdue(struct mb_scheduler *s) {
  struct mb_heap *h = s->heap;
  const struct mb_process *p = s->current;
  if (!h || !h->preempt || !h->running) return; /* and a heap that has been closed runs nothing */
  if (!p || mb_slice_age(s) >= mb_preempt_patience(h, p)) mb_preempt_now(h);
}

/* Whether what runs on L, which may not yield, is to do so as soon as it may. */
static int is_kept(const struct mb_heap *h) {
  const struct mb_process *p = h->scheduler->current;
  return !h->closing && p && p->state == MB_RUNNING;
}

/* Whether the hook waits for a return in code that has resumed L, which cannot yield before that. */
static int is_kept_outside(const struct mb_heap *h, lua_State *L) {
  const struct mb_preempt *t = h->preempt;
  lua_Debug ar;
  return t->goal == MB_GOAL_RETURN && !mb_can_yield(h, L) && lua_status(t->armed) == LUA_OK && lua_getstack(t->armed, 0, &ar);
}

void mb_preempt_enter(struct mb_heap *h, lua_State *L) {
  struct mb_preempt *t = h->preempt;
  if (t->every > 0) {
    lua_Hook now = lua_gethook(L);
    if (!now || (now == hook && lua_gethookcount(L) != t->every)) lua_sethook(L, hook, LUA_MASKCOUNT, t->every);
  }
  mb_here = (struct mb_here){L, h, atomic_load_explicit(&mb_heaps_closed, memory_order_relaxed)};
  h->running = L; /* first: from here on the handler arms nothing else */
  if (t->armed && t->armed != L && !is_kept_outside(h, L)) { /* what was meant for the one is now meant for the other */
    h->running = NULL;
    mb_preempt_disarm(t);
    h->running = L;
    if (!is_at(t, L)) arm(h, L, mb_can_yield(h, L) || !is_kept(h) ? MB_GOAL_GIVE_WAY : MB_GOAL_RETURN);
  }
}

void mb_preempt_attend(struct mb_heap *h) {
  /* a hook of a library's may be due on the main thread; relaxed, partner: the ticker */
  atomic_store_explicit(&h->scheduler->slice.attended, h->closing || h->has_c_modules, memory_order_relaxed);
}

void mb_preempt_leave(struct mb_heap *h) {
  mb_here.running = NULL;
  h->running = NULL; /* first: from here on the handler arms nothing */
  if (h->preempt->armed) mb_preempt_disarm(h->preempt);
}

void mb_preempt_adopt(struct mb_heap *h, lua_State *co) {
  struct mb_preempt *t = h->preempt;
  if (lua_gethook(co) != hook) return;
  if (t->armed)
    lua_sethook(co, t->user_hook, t->user_mask, t->user_count);
  else
    lua_sethook(co, NULL, 0, 0);
}

lua_Hook mb_preempt_users_hook(const struct mb_heap *h, lua_State *L, int *mask, int *count) {
  const struct mb_preempt *t = h->preempt;
  if (!is_armed_at(t, L)) return mb_preempt_theirs(L, mask, count);
  *mask = t->user_mask;
  *count = t->user_count;
  return t->user_hook;
}

int mb_preempt_is_hooked(lua_State *L) {
  lua_Hook f = lua_gethook(L);
  return f && f != hook;
}

/* The hook */

/* Let a process that is exiting, and may not yield here, leave. */
static void expel(struct mb_heap *h, lua_State *L) {
  h->scheduler->current->private_flags |= MB_PRIVATE_HOOKED;
  mb_closing_leave(h);
  mb_closing_raise(L);
}

/* Raise, and let whoever catches it be asked again at the next instruction, and so on until it has left. */
static void cut(struct mb_heap *h, lua_State *L) {
  if (h->scheduler->current) h->scheduler->current->private_flags |= MB_PRIVATE_HOOKED;
  if (h->preempt->every > 0) {
    lua_sethook(L, hook, LUA_MASKCOUNT, 1);
  } else {
    lua_sethook(L, NULL, 0, 0); /* the user's hook has ended with its process */
    arm(h, L, MB_GOAL_GIVE_WAY);
  }
  mb_closing_raise(L);
}

/* The slice of what runs on L is over. 1: it has to yield. Raises where it has to leave and cannot yield. */
static int slice_is_over(struct mb_heap *h, lua_State *L) {
  struct mb_scheduler *s = h->scheduler;
  struct mb_process *p = s->current;
  int can = mb_can_yield(h, L), outside = mb_outside(h, L) && !mb_configures_itself(h);
  if (h->closing) {
    if (mb_closing_is_over(h, L)) cut(h, L);
    return 0;
  }
  /* outside: a coroutine of a finalizer's, or what a scheduler starts with. What becomes of p waits until that has ended. */
  if (!p || (outside && !h->configuring)) return 0;
  if (!can && !outside && p->state == MB_RUNNING && atomic_load_explicit(&p->inbox, memory_order_relaxed))
    mb_inbox_drain(s, p, mb_pid_of(p)); /* it may never leave here: let a kill from another scheduler reach it */
  if (!can && !(p->flags & MB_IN_PLACE) &&
      (atomic_load_explicit(&s->stop, memory_order_relaxed) ||
       (mb_ending_wanted(&h->node->ending) && mb_slice_age(s) > ENDING_MS * 1000000ull)))
    mb_process_exit(s, p, h->runtime->killed); /* the end of the program does not wait for it */
  else if (outside)
    return mb_long_slice_check(h, L, L), 0;
  if (p->state == MB_EXITING) {
    if (p->flags & MB_IN_PLACE) mb_leave_if_exiting(h, L, p);
    if (!can) expel(h, L);
    return 1;
  }
  mb_long_slice_check(h, L, L);
  if (!can) return 0;
  if (h->preempt->every == MB_PREEMPT_BY_TIME && !mb_scheduler_wanted(s, uv_hrtime())) return 0; /* long, but nobody's harm */
  if (p->reductions < s->reduction_limit) p->reductions = s->reduction_limit;
  if (p->flags & MB_IN_PLACE) {
    mb_run_others(h, L, p);
    return 0;
  }
  h->preempted = 1;
  s->check_soon = 1;
  return 1;
}

/* Call the user's hook while ours is armed at L. It may set another: ours goes over that. */
static void call_user(struct mb_heap *h, lua_State *L, lua_Debug *ar) {
  if (h->preempt->user_hook) h->preempt->user_hook(L, ar);
  if (!is_armed_at(h->preempt, L)) arm(h, L, h->preempt->goal);
}

/* Our hook where it was armed by time. The user's is called for its own events. After a yield at a function's first
 * instruction Lua would call a call hook again, so then the next event is waited for, unless there are ever new calls. */
static void armed_hook(struct mb_heap *h, struct mb_preempt *t, lua_State *L, lua_Debug *ar) {
  int is_return = ar->event == LUA_HOOKRET, may_yield_here = ar->event == LUA_HOOKLINE || ar->event == LUA_HOOKCOUNT;
  int gives_way = t->goal == MB_GOAL_GIVE_WAY, can = mb_can_yield(h, L);
  int theirs = is_return                       ? t->user_mask & LUA_MASKRET
               : ar->event != LUA_HOOKCOUNT    ? 1
               : t->user_mask & LUA_MASKCOUNT  ? !gives_way || t->user_count == 1
                                               : 0;
  if (!may_yield_here) {
    if (theirs) call_user(h, L, ar);
    if (is_return && can) mb_long_slice_check(h, L, L);
    if (is_return && !gives_way && can)
      arm(h, L, MB_GOAL_GIVE_WAY);
    else if (!is_return)
      t->at_entry = 1;
  } else if (!gives_way && !can) {
    if (theirs) call_user(h, L, ar);
  } else if (t->at_entry && t->entries < MOST_ENTRIES) {
    t->at_entry = 0;
    t->entries++;
    if (theirs) call_user(h, L, ar);
  } else if (!can && is_kept(h)) {
    if (theirs) call_user(h, L, ar);
    (void)slice_is_over(h, L);
    arm(h, L, MB_GOAL_RETURN);
  } else {
    lua_Hook user = theirs ? t->user_hook : NULL;
    int over;
    if (!t->user_hook && is_armed_at(t, L))
      t->armed = NULL; /* it takes itself off at the event after, which has to come anyway */
    else
      mb_preempt_disarm(t);
    if (user) user(L, ar);
    over = slice_is_over(h, L);
    if (over) {
      await_event(h, L);
      lua_yield(L, 0);
    }
  }
}

/* Our hook of every so many instructions. Where it may not yield, it hears of returns until it may. */
static void counting_hook(struct mb_heap *h, lua_State *L, const lua_Debug *ar) {
  mb_main_pass_hook(h, L);
  if (ar->event == LUA_HOOKRET) {
    if (mb_can_yield(h, L) && lua_gethook(L) == hook) lua_sethook(L, hook, LUA_MASKCOUNT, 1);
  } else if (slice_is_over(h, L)) {
    lua_yield(L, 0);
  } else if (!mb_can_yield(h, L) && is_kept(h) && lua_gethook(L) == hook && !(lua_gethookmask(L) & LUA_MASKRET)) {
    lua_sethook(L, hook, LUA_MASKCOUNT | LUA_MASKRET, h->preempt->every);
  }
}

static struct mb_heap *heap_of(lua_State *L) {
  if (mb_here.running == L && mb_here.closed == atomic_load_explicit(&mb_heaps_closed, memory_order_relaxed))
    return mb_here.heap;
  return mb_heap_find(L);
}

static void hook(lua_State *L, lua_Debug *ar) {
  struct mb_heap *h = heap_of(L);
  struct mb_preempt *t = h ? h->preempt : NULL;
  if (!t || !h->scheduler) {
    lua_sethook(L, NULL, 0, 0);
  } else if (t->armed == L) {
    armed_hook(h, t, L, ar);
  } else if (t->every > 0) {
    counting_hook(h, L, ar);
  } else { /* left by await_event, or Lua gave it to a new thread */
    lua_sethook(L, NULL, 0, 0);
  }
}

/* Making and ending */

int mb_preempt_open(struct mb_heap *h) {
  const char *how = getenv("MOONBEAM_PREEMPT"), *threshold = getenv("MOONBEAM_LONG_SCHEDULE");
  struct mb_preempt *t = h->preempt;
  unsigned long long_ms;
  if (how && strcmp(how, "off") == 0) {
    t->every = MB_PREEMPT_OFF;
  } else if (how && *how) {
    long n = strtol(how, NULL, 10);
    t->every = n > 0 && n < INT32_MAX ? (int)n : MB_PREEMPT_BY_TIME;
  }
  mb_closing_open(h);
  if (!h->owner) return 0;
  /* Where slices are counted, what is printed does not depend on the clock unless that is wanted. */
  long_ms = t->every > 0 ? 0 : LONG_SCHEDULE_MS;
  if (threshold && *threshold) long_ms = strtoul(threshold, NULL, 10);
  h->node->long_ns = long_ms * 1000000ull;
  return t->every != MB_PREEMPT_OFF ? mb_ticker_init(h->runtime) : 0;
}

struct mb_preempt *mb_preempt_new(void) {
  return calloc(1, sizeof(struct mb_preempt));
}

void mb_preempt_free(struct mb_preempt *t) {
  if (!t) return;
  mb_map_deinit(&t->places);
  free(t);
}

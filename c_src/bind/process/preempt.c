#include "process/preempt.h"

#include <limits.h>
#include <time.h>

#include "heap/bounds.h"
#include "heap/closing.h"
#include "heap/hook.h"
#include "heap/outside.h"
#include "heap/settings.h"
#include "process/cleanup.h"
#include "process/current.h"
#include "process/ending.h"
#include "process/interrupt.h"
#include "process/long_slice.h"
#include "process/wait.h"

enum {
  LONG_SCHEDULE_MS = 50, /* a slice that lasts longer is reported */
  ENDING_MS = 1000,      /* what cannot be preempted is not waited for longer when the program is to end */
  MOST_ENTRIES = 100     /* see armed_hook */
};

void mb_preempt_overdue(struct mb_scheduler *s) {
  const struct mb_process *p = s->current;
  struct mb_heap *h = mb_running_heap(s);
  if (!h || !h->hook || !h->running) return; /* and a heap that has been closed runs nothing */
  if (mb_interrupt_overdue(h)) return;
  if (p && !mb_slice_is_overdue(s)) return; /* the signal was meant for the one before */
  if (!p || atomic_load_explicit(&s->slice.struck, memory_order_relaxed) >= mb_hook_patience(h, p)) mb_hook_now(h);
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
  if (h->hook->every > 0) {
    mb_hook_set(L, LUA_MASKCOUNT, 1);
  } else {
    lua_sethook(L, NULL, 0, 0); /* the user's hook has ended with its process */
    mb_hook_arm(h, L, MB_GOAL_GIVE_WAY);
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
  /* outside: a coroutine of a finalizer's, or what a scheduler starts with. What becomes of p waits until that has
   * ended. */
  if (!p || (outside && !h->configuring)) return 0;
  if (!can && !outside && p->state == MB_RUNNING && atomic_load_explicit(&p->inbox, memory_order_relaxed))
    mb_inbox_drain(s, p, mb_pid_of(p)); /* it may never leave here: let a kill from another scheduler reach it */
  if (!can && !(p->flags & MB_IN_PLACE) &&
      (atomic_load_explicit(&s->stop, memory_order_relaxed) == MB_STOP_LEAVES ||
       (mb_ending_wanted(h->ending) && mb_slice_age(s) > ENDING_MS * 1000000ull)))
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
  if (h->hook->every == MB_PREEMPT_BY_TIME && !mb_scheduler_demand(s, mb_now(h->runtime)))
    return 0; /* long, but nobody's harm */
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
  if (h->hook->user_hook) h->hook->user_hook(L, ar);
  if (!mb_hook_is_armed(h->hook, L)) mb_hook_arm(h, L, h->hook->goal);
}

/* Our hook where it was armed by time. The user's is called for its own events. After a yield at a function's first
 * instruction Lua would call a call hook again, so then the next event is waited for, unless there are ever new
 * calls. */
static void armed_hook(struct mb_heap *h, struct mb_hook *t, lua_State *L, lua_Debug *ar) {
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
      mb_hook_arm(h, L, MB_GOAL_GIVE_WAY);
    else if (!is_return)
      t->at_entry = 1;
  } else if (!gives_way && !can) {
    if (theirs) call_user(h, L, ar);
  } else if (t->at_entry && t->entries < MOST_ENTRIES) {
    t->at_entry = 0;
    t->entries++;
    if (theirs) call_user(h, L, ar);
  } else if (!can && mb_hook_is_kept(h)) {
    if (theirs) call_user(h, L, ar);
    (void)slice_is_over(h, L);
    mb_hook_arm(h, L, MB_GOAL_RETURN);
  } else {
    lua_Hook user = theirs ? t->user_hook : NULL;
    int over;
    if (!t->user_hook && mb_hook_is_armed(t, L))
      t->armed = NULL; /* it takes itself off at the event after, which has to come anyway */
    else
      mb_hook_disarm(t);
    if (user) user(L, ar);
    over = slice_is_over(h, L);
    if (over) {
      mb_hook_await(h, L);
      lua_yield(L, 0);
    }
  }
}

/* Our hook of every so many instructions. Where it may not yield, it hears of returns until it may. */
static void counting_hook(struct mb_heap *h, lua_State *L, const lua_Debug *ar) {
  mb_main_pass_hook(h, L);
  if (ar->event == LUA_HOOKRET) {
    if (mb_can_yield(h, L) && mb_hook_is_ours(L)) mb_hook_set(L, LUA_MASKCOUNT, 1);
  } else if (slice_is_over(h, L)) {
    lua_yield(L, 0);
  } else if (!mb_can_yield(h, L) && mb_hook_is_kept(h) && mb_hook_is_ours(L) && !(lua_gethookmask(L) & LUA_MASKRET)) {
    mb_hook_set(L, LUA_MASKCOUNT | LUA_MASKRET, h->hook->every);
  }
}

static void event(struct mb_heap *h, lua_State *L, lua_Debug *ar) {
  if (h->hook->armed == L)
    armed_hook(h, h->hook, L, ar);
  else
    counting_hook(h, L, ar);
}

/* Opening */

int mb_preempt_open(struct mb_heap *h) {
  int64_t every = mb_setting(MB_SET_PREEMPT, MB_PREEMPT_BY_TIME);
  struct mb_hook *t = h->hook;
  int64_t long_ms, stuck_ms;
  t->event = event;
  t->every = every == MB_SETTING_OFF ? MB_PREEMPT_OFF : (int)every;
  mb_closing_open(h);
  if (!h->owner) return 0;
  /* Where slices are counted or not cut, what is printed does not depend on the clock unless that is wanted. */
  long_ms = mb_setting(MB_SET_LONG_SCHEDULE, t->every == MB_PREEMPT_BY_TIME ? LONG_SCHEDULE_MS : 0);
  /* a program that hangs says so in any case */
  stuck_ms = mb_setting(MB_SET_LONG_SCHEDULE, t->every == MB_PREEMPT_OFF ? 0 : LONG_SCHEDULE_MS);
  h->bounds->long_ns = (uint64_t)long_ms * 1000000u;
  h->bounds->stuck_ns = (uint64_t)stuck_ms * 1000000u;
  return mb_ticker_init(h->runtime, t->every == MB_PREEMPT_OFF ? MB_TICKER_RESERVED : MB_TICKER_FOR_ALL);
}


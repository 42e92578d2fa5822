#include "heap/hook.h"

#include <limits.h>
#include <stdlib.h>
#include <time.h>

#include "core/hash.h"

enum {
  NEVER = INT_MAX, /* a count that is ours, see mb_hook_await */
  WORTH = 50       /* a slice lasts that many times as long as it takes to preempt it, at least */
};

/* The one hook that is ours; what comes of it, the layer above says. */
static void hook(lua_State *L, lua_Debug *ar) {
  struct mb_heap *h = mb_heap_here(L);
  struct mb_hook *t = h ? h->hook : NULL;
  /* or left by mb_hook_await, or given to a new thread by Lua */
  if (!t || !h->scheduler || (t->armed != L && t->every <= 0))
    lua_sethook(L, NULL, 0, 0);
  else
    t->event(h, L, ar);
}

int mb_hook_is_ours(lua_State *L) { return lua_gethook(L) == hook; }

void mb_hook_set(lua_State *L, int mask, int count) { lua_sethook(L, hook, mask, count); }

lua_Hook mb_hook_theirs(lua_State *L, int *mask, int *count) {
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
static int is_at(const struct mb_hook *t, lua_State *L) { return t->every > 0 && lua_gethook(L) == hook; }

/* Whether the hook that was armed by time is at L. A C function, or a signal handler of the program's, may have set
 * another: then that one counts as the user's, and ours is armed anew. */
int mb_hook_is_armed(const struct mb_hook *t, lua_State *L) { return t->armed == L && lua_gethook(L) == hook; }

static uint64_t slice_number(const struct mb_scheduler *s) {
  return atomic_load_explicit(&s->slice.number, memory_order_relaxed);
}

static uint64_t processor_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static struct mb_hook_cost *cost_of(struct mb_hook *t, const struct mb_process *p) {
  return &t->costs[mb_hash_u64(mb_pid_of(p)) % MB_HOOK_COSTS];
}

/* Set our hook, and count what that takes: Lua goes over all calls of the stack. */
static void put(struct mb_heap *h, lua_State *L, int mask, int count) {
  struct mb_hook *t = h->hook;
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
static void take_off(struct mb_hook *t) {
  if (mb_hook_is_armed(t, t->armed)) lua_sethook(t->armed, t->user_hook, t->user_mask, t->user_count);
  t->armed = NULL;
}

/* Set the hook by time. To give way, it fires at the next instruction; it hears of returns in any case, for the report
 * of what returns then. Where it may not yield, it waits for a return, and the user's own events go on. */
void mb_hook_arm(struct mb_heap *h, lua_State *L, enum mb_hook_goal goal) {
  struct mb_hook *t = h->hook;
  sig_atomic_t busy = t->busy;
  int mask, count;
  t->busy = 1;
  if (t->armed && t->armed != L) take_off(t);
  if (!mb_hook_is_armed(t, L)) {
    t->user_hook = mb_hook_theirs(L, &t->user_mask, &t->user_count);
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

void mb_hook_disarm(struct mb_hook *t) {
  if (!t->armed) return;
  t->busy = 1;
  take_off(t);
  t->busy = 0;
}

/* L is about to yield in a hook. Lua marks the function that runs and takes the mark away at its next count or line
 * event, which no hook hears of. Such an event must come at once, or the mark would swallow one of a hook that is set
 * later in the same function. After a yield at a count event, Lua counts one to the next. */
void mb_hook_await(struct mb_heap *h, lua_State *L) {
  int mask, count;
  lua_Hook user;
  h->running = NULL; /* the handler arms nothing meanwhile; who resumes or runs next enters */
  mb_hook_disarm(h->hook); /* it may just have done so */
  user = mb_hook_theirs(L, &mask, &count);
  if (mask & (LUA_MASKLINE | LUA_MASKCOUNT)) return;
  if (user)
    lua_sethook(L, user, mask | LUA_MASKCOUNT, NEVER);
  else if (lua_gethook(L) != hook)
    lua_sethook(L, hook, LUA_MASKCOUNT, 1); /* takes itself off at the event after */
}

void mb_hook_now(struct mb_heap *h) {
  struct mb_hook *t = h->hook;
  lua_State *L = h->running;
  if (!t || !L || t->busy) return;
  mb_main_pass_hook(h, L);
  if (is_at(t, L) || (mb_hook_is_armed(t, L) && t->goal == MB_GOAL_GIVE_WAY)) return;
  mb_hook_arm(h, L, MB_GOAL_GIVE_WAY);
}

/* Interrupting takes the longer, the deeper the calls are nested: then slices are longer, too. */
uint64_t mb_hook_patience(const struct mb_heap *h, const struct mb_process *p) {
  const struct mb_hook_cost *cost = cost_of(h->hook, p);
  int again = h->hook->slice == slice_number(h->scheduler);
  return cost->pid == mb_pid_of(p) ? cost->ns * (again ? 2 * WORTH : WORTH) : 0;
}

/* Whether the hook waits for a return in code that has resumed L, which cannot yield before that. */
static int is_kept_outside(const struct mb_heap *h, lua_State *L) {
  const struct mb_hook *t = h->hook;
  lua_Debug ar;
  return t->goal == MB_GOAL_RETURN && !mb_can_yield(h, L) && lua_status(t->armed) == LUA_OK &&
         lua_getstack(t->armed, 0, &ar);
}

void mb_hook_enter(struct mb_heap *h, lua_State *L) {
  struct mb_hook *t = h->hook;
  if (t->every > 0) {
    lua_Hook now = lua_gethook(L);
    if (!now || (now == hook && lua_gethookcount(L) != t->every)) lua_sethook(L, hook, LUA_MASKCOUNT, t->every);
  }
  mb_here = (struct mb_here){L, h, atomic_load_explicit(&mb_heaps_closed, memory_order_relaxed)};
  h->running = L; /* first: from here on the handler arms nothing else */
  if (t->armed && t->armed != L && !is_kept_outside(h, L)) { /* what was meant for the one is now meant for the other */
    h->running = NULL;
    mb_hook_disarm(t);
    h->running = L;
    if (!is_at(t, L)) mb_hook_arm(h, L, mb_can_yield(h, L) || !mb_hook_is_kept(h) ? MB_GOAL_GIVE_WAY : MB_GOAL_RETURN);
  }
}

void mb_hook_attend(struct mb_heap *h) {
  /* a hook of a library's may be due on the main thread */
  int attends = h->closing || (h->has_c_modules && h->hook->every != MB_PREEMPT_OFF);
  h->heaps->attending += (unsigned)(attends - h->attends);
  h->attends = attends;
  /* relaxed, partner: the ticker */
  atomic_store_explicit(&h->scheduler->slice.attended, h->heaps->attending > 0, memory_order_relaxed);
}

void mb_hook_leave(struct mb_heap *h) {
  mb_here.running = NULL;
  h->running = NULL; /* first: from here on the handler arms nothing */
  if (h->hook->armed) mb_hook_disarm(h->hook);
}

void mb_hook_adopt(struct mb_heap *h, lua_State *co) {
  struct mb_hook *t = h->hook;
  if (lua_gethook(co) != hook) return;
  if (t->armed)
    lua_sethook(co, t->user_hook, t->user_mask, t->user_count);
  else
    lua_sethook(co, NULL, 0, 0);
}

lua_Hook mb_hook_of_user(const struct mb_heap *h, lua_State *L, int *mask, int *count) {
  const struct mb_hook *t = h->hook;
  if (!mb_hook_is_armed(t, L)) return mb_hook_theirs(L, mask, count);
  *mask = t->user_mask;
  *count = t->user_count;
  return t->user_hook;
}

int mb_hook_has_user(lua_State *L) {
  lua_Hook f = lua_gethook(L);
  return f && f != hook;
}

void mb_main_give_hook(struct mb_heap *h, lua_State *to) {
  lua_State *from = h->L;
  lua_Hook f;
  int mask, count;
  if (h->main_runs || from == to || !mb_hook_has_user(from)) return;
  f = lua_gethook(from);
  mask = lua_gethookmask(from);
  count = lua_gethookcount(from);
  lua_sethook(from, NULL, 0, 0); /* first: a signal that comes in between sets the same one */
  lua_sethook(to, f, mask, count);
}


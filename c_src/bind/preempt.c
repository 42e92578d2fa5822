#include "preempt.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "api.h"
#include "closing.h"
#include "crash.h"
#include "entry.h"
#include "errors.h"
#include "hash.h"
#include "main_thread.h"
#include "modules.h"
#include "open.h"
#include "run.h"

enum {
  LONG_SCHEDULE_MS = 50, /* a slice that lasts longer is reported */
  MOST_PLACES = 1000,    /* reported at most */
  COUNT_STEP = 1000,     /* a user's count hook is counted in such steps: arming resets Lua's counter */
  NEVER = INT_MAX,       /* a count that is ours, see await_event */
  MOST_ENTRIES = 100     /* see armed_hook */
};

struct mb_preempt {
  /* Shared with the signal handler, which runs on the same thread; only compiler order matters. */
  lua_State *volatile armed;   /* where the hook is, by time */
  uint64_t asked_at;           /* ns: when the handler last asked for the processor, */
  uint64_t asked_in;           /* in which slice; 0: it has been answered */
  /* The user's hook at `armed`, put back when ours has fired. */
  lua_Hook user_hook;
  int user_mask, user_count;
  int at_entry; /* at `armed`, the next event may be that of a function's first instruction */
  int entries;  /* times that more were waited for because of that */
  int every;           /* enum above, or a number of instructions */
  uint64_t reported;   /* slice that has been reported */
  struct mb_map places; /* hash of the place -> 1 */
};

static void hook(lua_State *L, lua_Debug *ar);

/* Arming */

/* The hook that the user has at L: NULL when it is ours or none. */
static lua_Hook users(lua_State *L, int *mask, int *count) {
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

static void arm(struct mb_preempt *t, lua_State *L) {
  int mask;
  t->user_hook = users(L, &t->user_mask, &t->user_count);
  mask = t->user_mask & ~LUA_MASKCOUNT;
  /* Yielding at a count event would lose the line event of the same instruction: then yield at that. */
  if (!(mask & LUA_MASKLINE)) mask |= LUA_MASKCOUNT;
  t->at_entry = mask & LUA_MASKCALL;
  t->entries = 0;
  t->armed = L;
  lua_sethook(L, hook, mask, 1);
}

static void disarm(struct mb_preempt *t) {
  lua_State *L = t->armed;
  if (!L) return;
  if (lua_gethook(L) == hook) lua_sethook(L, t->user_hook, t->user_mask, t->user_count);
  t->armed = NULL;
}

/* L is about to yield in a hook. Lua marks the function that runs and takes the mark away at its next count or line
 * event, which no hook hears of. Such an event must come at once, or the mark would swallow one of a hook that is set
 * later in the same function. After a yield at a count event, Lua counts one to the next. */
static void await_event(struct mb_heap *h, lua_State *L) {
  int mask, count;
  lua_Hook user = users(L, &mask, &count);
  if (mask & (LUA_MASKLINE | LUA_MASKCOUNT)) return;
  h->running = NULL; /* the handler arms nothing meanwhile; who resumes or runs next enters */
  if (user)
    lua_sethook(L, user, mask | LUA_MASKCOUNT, NEVER);
  else
    lua_sethook(L, hook, LUA_MASKCOUNT, 1); /* takes itself off at the event after */
}

static uint64_t slice_number(const struct mb_scheduler *s) {
  return atomic_load_explicit(&s->slice.number, memory_order_relaxed);
}

static uint64_t long_ns(const struct mb_heap *h) {
  return atomic_load_explicit(&h->node->long_ns, memory_order_relaxed);
}

/* Whether the present slice is too long and has not been reported. */
static int is_long(const struct mb_heap *h) {
  const struct mb_preempt *t = h->preempt;
  uint64_t limit = long_ns(h);
  return limit && mb_slice_age(h->scheduler) >= limit &&
         t->reported != slice_number(h->scheduler);
}

void mb_preempt_interrupt(struct mb_scheduler *s) {
  struct mb_heap *h = s->heap;
  struct mb_preempt *t = h ? h->preempt : NULL;
  if (!t || !h->running || t->armed) return;
  mb_main_pass_hook(h, h->running);
  if (is_at(t, h->running)) return;
  t->asked_at = uv_hrtime();
  t->asked_in = slice_number(s);
  arm(t, h->running);
}

void mb_preempt_enter(struct mb_heap *h, lua_State *L) {
  struct mb_preempt *t = h->preempt;
  if (t->every > 0) {
    lua_Hook now = lua_gethook(L);
    if (!now || (now == hook && lua_gethookcount(L) != t->every)) lua_sethook(L, hook, LUA_MASKCOUNT, t->every);
  }
  mb_here = (struct mb_here){L, h, atomic_load_explicit(&mb_heaps_closed, memory_order_relaxed)};
  h->running = L; /* first: from here on the handler arms nothing else */
  if (t->armed && t->armed != L) { /* what was meant for the one is now meant for the other */
    h->running = NULL;
    disarm(t);
    if (!is_at(t, L)) arm(t, L);
    h->running = L;
  }
}

void mb_preempt_leave(struct mb_heap *h) {
  mb_here.running = NULL;
  h->running = NULL; /* first: from here on the handler arms nothing */
  if (h->preempt->armed) disarm(h->preempt);
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
  if (t->armed != L) return users(L, mask, count);
  *mask = t->user_mask;
  *count = t->user_count;
  return t->user_hook;
}

int mb_preempt_is_hooked(lua_State *L) {
  lua_Hook f = lua_gethook(L);
  return f && f != hook;
}

/* The report of slices that last too long */

enum { PLACE_DEPTH = 32 }; /* levels looked at: lua_getstack counts from the top, so a deep stack would cost its square */

/* The place to blame: where Lua called the innermost C function, else the line that runs. */
static uint64_t place(lua_State *L) {
  lua_Debug ar;
  uint64_t key = 1;
  int found = 0, after_c = 0;
  for (int level = 0; level < PLACE_DEPTH && lua_getstack(L, level, &ar); level++) {
    lua_getinfo(L, "Sl", &ar);
    if (ar.currentline <= 0) {
      after_c = level > 0;
    } else if (!found || after_c) {
      key = mb_hash_bytes(ar.short_src, strlen(ar.short_src)) + mb_hash_u64((uint64_t)ar.currentline);
      found = 1;
      if (after_c) break;
    }
  }
  return key ? key : 1;
}

static int report(lua_State *L) {
  struct mb_heap *h = lua_touserdata(L, 1);
  lua_State *of = lua_touserdata(L, 2);
  struct mb_process *p = h->scheduler->current;
  char pid[MB_ID_TEXT];
  const char *text;
  int named;
  mb_pid_text(mb_pid_of(p), pid);
  named = mb_push_name(h, L, p);
  text = lua_pushfstring(L, "Process %s%s%s%s has held scheduler %d for %d ms without giving way", pid,
                         named ? " (" : "", named ? lua_tostring(L, -1) : "", named ? ")" : "",
                         (int)h->scheduler->id + 1, (int)(lua_tointeger(L, 3) / 1000000));
  mb_push_traceback(L, p, of, text, of == L); /* without this function */
  mb_log(h, L, MB_LOG_WARNING);
  return 0;
}

/* Report the slice of `of` when it has lasted too long and could not be cut: it may not yield here, or it was in a
 * C function since it was asked to. Once per slice and per place. Uses the stack of L. */
static void check_length(struct mb_heap *h, lua_State *L, lua_State *of, int could_yield) {
  struct mb_preempt *t = h->preempt;
  struct mb_scheduler *s = h->scheduler;
  uint64_t key;
  if (!is_long(h) || !s->current || !lua_checkstack(L, 4)) return;
  if (could_yield && (t->asked_in != slice_number(s) || uv_hrtime() - t->asked_at < long_ns(h))) return;
  t->reported = slice_number(s);
  key = place(of);
  if (t->places.count >= MOST_PLACES || mb_map_get(&t->places, key) || mb_map_put(&t->places, key, 1) != 0)
    return;
  lua_pushcfunction(L, report);
  lua_pushlightuserdata(L, h);
  lua_pushlightuserdata(L, of);
  lua_pushinteger(L, (lua_Integer)mb_slice_age(s));
  if (lua_pcall(L, 3, 0, 0) != LUA_OK) lua_pop(L, 1);
}

void mb_preempt_ended(struct mb_heap *h, lua_State *L) {
  const struct mb_process *p = h->scheduler->current;
  if (p && p->local & MB_LOCAL_FAILED) return; /* its frames are gone, and there will be a report with them */
  if (mb_slice_age(h->scheduler)) check_length(h, h->runner, L, 1);
}

lua_Integer mb_long_schedule(struct mb_heap *h, lua_Integer ms) {
  lua_Integer old = (lua_Integer)(long_ns(h) / 1000000);
  if (ms >= 0) atomic_store_explicit(&h->node->long_ns, (uint64_t)ms * 1000000, memory_order_relaxed);
  return old;
}

/* The hook */

/* Let a process that is doomed, and may not yield here, leave. */
static void expel(struct mb_heap *h, lua_State *L) {
  h->scheduler->current->local |= MB_LOCAL_HOOKED;
  mb_closing_leave(h);
  mb_closing_pass_on(L);
}

/* Raise, and let whoever catches it be asked again at the next instruction, and so on until it has left. */
static void cut(struct mb_heap *h, lua_State *L) {
  struct mb_preempt *t = h->preempt;
  if (h->scheduler->current) h->scheduler->current->local |= MB_LOCAL_HOOKED;
  if (t->every > 0) {
    lua_sethook(L, hook, LUA_MASKCOUNT, 1);
  } else {
    lua_sethook(L, NULL, 0, 0); /* the user's hook has ended with its process */
    arm(t, L);
  }
  mb_closing_pass_on(L);
}

/* The slice of what runs on L is over. 1: it has to yield. Raises where it has to leave and cannot yield. */
static int slice_is_over(struct mb_heap *h, lua_State *L) {
  struct mb_scheduler *s = h->scheduler;
  struct mb_process *p = s->current;
  int can = mb_can_yield(h, L);
  if (h->closing) {
    if (mb_closing_is_over(h, L)) cut(h, L);
    return 0;
  }
  if (!p || mb_outside(h, L)) return 0; /* a coroutine of a finalizer's: what becomes of p waits until that has ended */
  if (!can && p->state == MB_RUNNING && atomic_load_explicit(&p->inbox, memory_order_relaxed))
    mb_inbox_drain(s, p, mb_pid_of(p)); /* it may never leave here: let a kill from another scheduler reach it */
  if (!can && atomic_load_explicit(&s->stop, memory_order_relaxed) && !(p->flags & MB_IN_PLACE))
    mb_process_doom(s, p, h->runtime->killed); /* the end of the program does not wait for it */
  if (p->state == MB_EXITING) {
    if (p->flags & MB_IN_PLACE) mb_leave_if_doomed(h, L, p);
    if (!can) expel(h, L);
    return 1;
  }
  check_length(h, L, L, can);
  if (!can) return 0;
  if (h->preempt->every == MB_PREEMPT_BY_TIME && !mb_scheduler_wanted(s)) return 0; /* long, but nobody's harm */
  if (p->reductions < s->reduction_limit) p->reductions = s->reduction_limit;
  if (p->flags & MB_IN_PLACE) {
    mb_run_others(h, L, p);
    return 0;
  }
  h->preempted = 1;
  s->look_soon = 1;
  return 1;
}

/* Our hook where it was armed by time. The user's is called for its own events. After a yield at a function's first
 * instruction Lua would call a call hook again, so then the next event is waited for, unless there are ever new calls. */
static void armed_hook(struct mb_heap *h, struct mb_preempt *t, lua_State *L, lua_Debug *ar) {
  int single = t->user_mask & LUA_MASKCOUNT && t->user_count == 1;
  lua_Hook user = ar->event != LUA_HOOKCOUNT || single ? t->user_hook : NULL;
  if (ar->event != LUA_HOOKLINE && ar->event != LUA_HOOKCOUNT) { /* no place to yield */
    if (ar->event != LUA_HOOKRET) t->at_entry = 1;
  } else if (t->at_entry && t->entries < MOST_ENTRIES) {
    t->at_entry = 0;
    t->entries++;
  } else {
    int over;
    disarm(t);
    if (user) user(L, ar);
    over = slice_is_over(h, L);
    t->asked_in = 0;
    if (over) {
      await_event(h, L);
      lua_yield(L, 0);
    }
    return;
  }
  if (user) user(L, ar);
}

static void hook(lua_State *L, lua_Debug *ar) {
  struct mb_heap *h = mb_heap_find(L);
  struct mb_preempt *t = h ? h->preempt : NULL;
  if (!t || !h->scheduler) {
    lua_sethook(L, NULL, 0, 0);
  } else if (t->armed == L) {
    armed_hook(h, t, L, ar);
  } else if (t->every > 0) {
    mb_main_pass_hook(h, L);
    if (slice_is_over(h, L)) lua_yield(L, 0);
  } else { /* left by await_event, or Lua gave it to a new thread */
    lua_sethook(L, NULL, 0, 0);
  }
}

/* The user's hooks */

struct counted { /* a count hook of the user's with a large count */
  lua_Hook hook;
  int mask, count;
  int left, step;
};

static struct counted *push_counted(struct mb_heap *h, lua_State *L, lua_State *at) {
  struct counted *c;
  luaL_checkstack(L, 4, NULL);
  mb_push_ref(h, L, MB_REF_HOOKS);
  lua_pushthread(at);
  if (at != L) lua_xmove(at, L, 1);
  lua_rawget(L, -2);
  lua_remove(L, -2);
  c = lua_touserdata(L, -1);
  return c;
}

static void count_step(lua_State *L, struct counted *c);

static void counted_hook(lua_State *L, lua_Debug *ar) {
  struct mb_heap *h = mb_heap_find(L);
  struct counted *c = h ? push_counted(h, L, L) : NULL;
  if (!c) {
    lua_sethook(L, NULL, 0, 0);
    return;
  }
  if (ar->event != LUA_HOOKCOUNT) {
    c->hook(L, ar);
  } else {
    c->left -= c->step;
    if (c->left <= 0) {
      c->left = c->count;
      c->hook(L, ar);
    }
    if (lua_gethook(L) == counted_hook) count_step(L, c);
  }
  lua_pop(L, 1);
}

static void count_step(lua_State *L, struct counted *c) {
  c->step = c->left < COUNT_STEP ? c->left : COUNT_STEP;
  lua_sethook(L, counted_hook, c->mask, c->step);
}

/* The library's function, upvalue 2, called in this very frame: a hook that it sets sees no other. */
static int original(lua_State *L) { return lua_tocfunction(L, lua_upvalueindex(2))(L); }

/* Take our hook off, and let nothing arm it again until look_back. */
static lua_State *look_away(struct mb_heap *h, lua_State *L) {
  lua_State *at = lua_isthread(L, 1) ? lua_tothread(L, 1) : L;
  lua_Hook user;
  int mask, count;
  h->running = NULL;
  disarm(h->preempt);
  user = users(at, &mask, &count);
  if (user != lua_gethook(at) || count != lua_gethookcount(at)) lua_sethook(at, user, mask, count);
  return at;
}

static void look_back(struct mb_heap *h, lua_State *running) {
  if (running) mb_preempt_enter(h, running);
}

/* debug.sethook([thread,] [hook, mask [, count]]) */
static int set_hook(lua_State *L) {
  struct mb_heap *h = mb_any_heap_of(L);
  struct mb_process *p = mb_running(h);
  lua_State *running = h->running, *at;
  int first = lua_isthread(L, 1) ? 2 : 1;
  if (!lua_isnoneornil(L, first)) { /* so that the library's does not raise */
    luaL_checkstring(L, first + 1);
    luaL_checktype(L, first, LUA_TFUNCTION);
    luaL_optinteger(L, first + 2, 0);
  }
  at = look_away(h, L);
  (void)original(L);
  if (p && at == mb_coroutine(p)) p->local |= MB_LOCAL_HOOKED;
  if (lua_gethook(at) && (lua_gethookmask(at) & LUA_MASKCOUNT) && lua_gethookcount(at) > COUNT_STEP) {
    struct counted *c;
    mb_push_ref(h, L, MB_REF_HOOKS);
    lua_pushthread(at);
    if (at != L) lua_xmove(at, L, 1);
    c = lua_newuserdatauv(L, sizeof *c, 0);
    c->hook = lua_gethook(at);
    c->mask = lua_gethookmask(at);
    c->count = c->left = lua_gethookcount(at);
    lua_rawset(L, -3);
    count_step(at, c);
  }
  look_back(h, running);
  return 0;
}

/* debug.gethook([thread]) */
static int get_hook(lua_State *L) {
  struct mb_heap *h = mb_any_heap_of(L);
  lua_State *running = h->running, *at = look_away(h, L);
  struct counted *c = NULL;
  int results;
  if (lua_gethook(at) == counted_hook) {
    lua_settop(L, 1); /* the thread, or something that does not matter */
    c = push_counted(h, L, at);
    lua_sethook(at, c->hook, c->mask, c->count);
  }
  results = original(L);
  if (c) count_step(at, c);
  look_back(h, running);
  return results;
}

static void replace(struct mb_heap *h, lua_State *L, const char *name, lua_CFunction f) {
  lua_getfield(L, -1, name);
  if (!lua_iscfunction(L, -1)) {
    lua_pop(L, 1);
    return;
  }
  mb_modules_alias(h, L, -1, "debug", name);
  lua_pushlightuserdata(L, h);
  lua_insert(L, -2);
  lua_pushcclosure(L, f, 2);
  lua_setfield(L, -2, name);
}

void mb_open_hooks(struct mb_heap *h, lua_State *L) {
  luaL_getsubtable(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
  if (lua_getfield(L, -1, "debug") == LUA_TTABLE) {
    replace(h, L, "sethook", set_hook);
    replace(h, L, "gethook", get_hook);
  }
  lua_pop(L, 2);
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

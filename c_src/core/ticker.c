#include "ticker.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "demand.h"
#include "error.h"
#include "runtime.h"

#define MS_NS 1000000ull

enum {
  FEW = 8,           /* slices that have begun since the last tick: then the present one may be long */
  STRIKES = 3,       /* sent at each slice's length; then */
  STRIKE_MS = 4,     /* a slice that does not give way is signalled every so many ms of its own */
  CHASES = 8,        /* in a tick, of a slice that computes and waits in turn, */
  CHASE_SAMPLES = 32,  /* for about 20 us each: it may compute for a few only; */
  CHASE_TICKS = 64,  /* and for how long after it has last run */
  SPARED_MS = 64,    /* see pursue */
  STUCK_MS = 2000,   /* age of a slice that is told of, */
  AWAITED_MS = 1000, /* and how long somebody has waited for it by then */
  MOST_MS = 20 /* that one tick counts for: the program may have been stopped meanwhile */
};

#define IDLE_NS (16 * MS_NS)  /* without anything new, before the ticker goes to sleep or slows down */
#define SLOW_NS (8 * MS_NS)   /* from one look to the next, at most */
#define SOON_NS (MS_NS / 16)  /* and at least: to look costs as much as to switch threads twice */
#define TIMED_NS (64 * MS_NS) /* for which slices are timed after one has been signalled, */
#define CROWDED_NS 2000ull    /* unless more than one begins in such a time: then none is long */

struct beat {
  uint64_t now, passed; /* ns: since the last one */
  uint64_t next;        /* and until the next one */
  int quiet;            /* nothing has moved for a while */
  int demand;           /* the most that there is on a scheduler: enum mb_demand */
};

static void look_in(struct beat *beat, uint64_t ns) {
  if (ns < SOON_NS) ns = SOON_NS;
  if (ns < beat->next) beat->next = ns;
}

/* The scheduler that this thread runs. The handler reads it on its own thread; attaching touches it first,
 * so that reading allocates nothing. */
static _Thread_local struct mb_scheduler *volatile here;

/* Who uses the signal, in the whole program: dispositions are the program's, too. Under its mutex. */
static pthread_mutex_t signal_mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned signal_users;
static struct sigaction signal_before;

static void on_signal(int number) {
  struct mb_scheduler *s = here;
  int saved = errno;
  (void)number;
  if (s) s->runtime->upcalls->preempt(s);
  errno = saved;
}

static int take_signal(void) {
  struct sigaction ours = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, now;
  int ok = 1;
  pthread_mutex_lock(&signal_mutex);
  if (signal_users == 0) {
    sigemptyset(&ours.sa_mask);
    ok = sigaction(SIGURG, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) &&
         (now.sa_handler == SIG_DFL || now.sa_handler == SIG_IGN) &&
         sigaction(SIGURG, &ours, &signal_before) == 0;
  }
  if (ok) signal_users++;
  pthread_mutex_unlock(&signal_mutex);
  return ok;
}

/* Whether the signal is still ours: whoever has taken it over is sent none. */
static int has_signal(void) {
  struct sigaction now;
  return sigaction(SIGURG, NULL, &now) == 0 && now.sa_handler == on_signal;
}

static void give_signal_back(void) {
  pthread_mutex_lock(&signal_mutex);
  if (--signal_users == 0 && has_signal()) sigaction(SIGURG, &signal_before, NULL);
  pthread_mutex_unlock(&signal_mutex);
}

/* The slice, which is wanted and may use so much, computes: at this very moment, so nothing else is done first. */
static void strike(struct mb_slice *slice) {
  slice->elusive = 0;
  if (slice->used < slice->strike_at) return;
  atomic_store_explicit(&slice->struck, slice->used, memory_order_relaxed);
  pthread_kill(slice->thread.thread, SIGURG);
  slice->strike_at = slice->used + (++slice->strikes < STRIKES ? slice->limit : STRIKE_MS * MS_NS);
  if (!slice->signalled) slice->held = 0;
  slice->signalled = 1;
}

/* How much of what has passed others had the thread's processor: it did not run then, nor wait in the kernel. */
static uint64_t lost(struct mb_slice *slice, enum mb_thread_state state, uint64_t passed) {
  uint64_t ran = slice->thread.ran - slice->ran, others, delay;
  if (!slice->thread.has_clock || ran >= passed - passed / 8) return 0; /* the kernel's account costs more */
  others = passed - ran;
  delay = mb_thread_delay(&slice->thread);
  return state != MB_THREAD_RUNS && delay < others ? delay : others; /* else it is ready still, and has not been let */
}

/* Somebody waits for the slice, which has used so much more. */
static void stretch(struct mb_slice *slice, uint64_t own) {
  if (slice->stirred && !slice->signalled) slice->held = 0; /* it has waited in the kernel, but not in one go */
  slice->held += own;
  if (slice->held <= slice->longest) return;
  slice->longest = slice->held;
  atomic_store_explicit(&slice->stretch, (unsigned)(slice->held / MS_NS) * 2 + (slice->signalled != 0),
                        memory_order_relaxed);
  /* release: partner of mb_slice_stretch, which reads the rest after it has seen this */
  atomic_store_explicit(&slice->stretch_of, slice->seen, memory_order_release);
}

static void tell(struct mb_scheduler *s) {
  struct mb_slice *slice = &s->slice;
  /* acquire: partner of mb_slice_begin; when the number is still the same, so was the process */
  struct mb_process *p = atomic_load_explicit(&slice->process, memory_order_acquire);
  mb_pid pid = p ? atomic_load_explicit(&p->pid, memory_order_relaxed) : 0;
  const char *site = p ? atomic_load_explicit(&p->site, memory_order_relaxed) : NULL;
  if (pid && atomic_load_explicit(&slice->number, memory_order_relaxed) == slice->seen)
    slice->told = s->runtime->upcalls->stuck(s, p, pid, site, (unsigned)(slice->age / MS_NS));
}

static void time_slices(struct mb_slice *slice, uint64_t now) {
  slice->timing = TIMED_NS;
  if (atomic_load_explicit(&slice->timed, memory_order_relaxed)) return;
  slice->timed_since = now;
  atomic_store_explicit(&slice->timed, 1, memory_order_relaxed); /* partner: mb_slice_renew */
}

/* `number` is that of the present slice, or of the one that has just ended. */
static void cease_timing(struct mb_slice *slice, uint64_t number, uint64_t passed) {
  if (!slice->timing) return;
  slice->timing = slice->timing > passed && (number - slice->seen) * CROWDED_NS <= passed ? slice->timing - passed : 0;
  if (!slice->timing) atomic_store_explicit(&slice->timed, 0, memory_order_relaxed);
}

/* When to look again at a slice that has used `own` of what has passed. */
static void look_again(struct mb_scheduler *s, struct beat *beat, enum mb_demand demand, uint64_t passed,
                       uint64_t own) {
  const struct mb_slice *slice = &s->slice;
  uint64_t at = slice->strike_at > slice->limit ? slice->strike_at : slice->limit;
  if (demand >= MB_DEMAND_TURN && slice->used < at && (own || !passed)) {
    uint64_t left = at - slice->used;
    if (own && own < passed) left = left < SLOW_NS ? left * passed / own : SLOW_NS; /* it shares the processor */
    look_in(beat, left);
  } else if (demand == MB_DEMAND_TURN && !own && passed) { /* others have the processor, and may keep it */
    look_in(beat, passed < SLOW_NS / 4 ? 2 * passed : SLOW_NS / 2);
  } else {
    uint64_t first = mb_scheduler_next_due(s);
    if (first > beat->now) look_in(beat, first - beat->now);
    if (demand || !beat->quiet || slice->elusive) look_in(beat, MB_TICK_NS);
  }
}

/* See to a slice that may be overdue. 1: something may change with the next tick. */
static int pursue(struct mb_scheduler *s, struct beat *beat, enum mb_demand demand, uint64_t passed) {
  struct mb_slice *slice = &s->slice;
  int reserved = atomic_load_explicit(&s->runtime->ticker.reserved, memory_order_relaxed);
  int armed = ((demand && !reserved) || atomic_load_explicit(&slice->attended, memory_order_relaxed)) && has_signal();
  enum mb_thread_state state = mb_thread_sample(&slice->thread);
  int runs = state == MB_THREAD_RUNS;
  uint64_t own;
  if (state == MB_THREAD_STILL && demand && mb_thread_is_ready(&slice->thread)) {
    state = MB_THREAD_RUNS;
    /* One that was seen to wait has been woken this moment, and its wait is not quite over: it is spared for a
     * while. */
    runs = !slice->waits || slice->age > SPARED_MS * MS_NS;
  }
  slice->waits = !runs;
  own = passed - lost(slice, state, passed);
  slice->used += own;
  if (!demand && slice->thread.ran - slice->ran < passed / 2) armed = 0; /* only who does nothing but compute */
  if (armed && runs && slice->used + slice->limit / 8 >= slice->limit) {
    strike(slice);
    time_slices(slice, beat->now);
  }
  slice->stirred |= state != MB_THREAD_STILL;
  if (slice->elusive) slice->elusive--;
  if (demand >= MB_DEMAND_TURN && !reserved) {
    stretch(slice, own);
    if (!slice->told && slice->age >= STUCK_MS * MS_NS && slice->held >= AWAITED_MS * MS_NS) tell(s);
  } else {
    slice->held = 0;
  }
  if (armed && !runs && slice->stirred) slice->elusive = CHASE_TICKS;
  if (!armed) {
    slice->strikes = slice->elusive = 0;
    slice->strike_at = 0;
  }
  slice->stirred = 0;
  slice->ran = slice->thread.ran;
  look_again(s, beat, demand, passed, own);
  return slice->elusive != 0;
}

/* Sample a slice again that was seen to wait. 1: it is to be sampled again. */
static int chase(struct mb_slice *slice) {
  enum mb_thread_state state = MB_THREAD_STILL;
  if (!slice->elusive || !slice->attached || !has_signal()) return 0;
  if (atomic_load_explicit(&slice->number, memory_order_relaxed) != slice->seen) return 0;
  for (int i = 0; state == MB_THREAD_STILL && i < CHASE_SAMPLES; i++) state = mb_thread_sample(&slice->thread);
  if (state == MB_THREAD_RUNS) strike(slice);
  slice->stirred |= state != MB_THREAD_STILL;
  return slice->elusive;
}

static void begin(struct mb_slice *slice, uint64_t number) {
  slice->seen = number;
  slice->age = slice->used = slice->held = slice->longest = 0;
  slice->strikes = 0;
  slice->strike_at = 0;
  slice->signalled = slice->stirred = slice->waits = slice->elusive = slice->told = 0;
}

/* A slice is seen for the first time. What the thread has not run of what has passed, the slice has not. */
static void meet(struct mb_slice *slice, uint64_t number, const struct beat *beat) {
  uint64_t began = atomic_load_explicit(&slice->began, memory_order_relaxed), ran, others = 0;
  begin(slice, number);
  if (slice->attached) mb_thread_look(&slice->thread);
  ran = slice->thread.ran - slice->ran;
  slice->ran = slice->thread.ran;
  if (!slice->timing || began <= slice->timed_since || began >= beat->now) return; /* nobody knows when it began */
  slice->age = beat->now - began < beat->passed ? beat->now - began : beat->passed;
  if (slice->thread.has_clock && ran < beat->passed) others = beat->passed - ran;
  slice->used = slice->age > others ? slice->age - others : 0;
}

/* Whether a scheduler is at work; *moved is set when it has changed processes since the last tick, or
 * may soon. */
static int inspect(struct mb_scheduler *s, struct beat *beat, int *moved) {
  struct mb_slice *slice = &s->slice;
  /* acquire: partner of mb_slice_renew, which writes began before it */
  uint64_t number = atomic_load_explicit(&slice->number, memory_order_acquire), passed = beat->passed;
  enum mb_demand demand;
  cease_timing(slice, number, passed);
  if (!atomic_load_explicit(&slice->busy, memory_order_relaxed)) {
    begin(slice, 0);
    if (!beat->quiet) look_in(beat, MB_TICK_NS);
    return 0;
  }
  atomic_fetch_add_explicit(&slice->ticks, 1, memory_order_relaxed);
  demand = mb_scheduler_demand(s, beat->now);
  if ((int)demand > beat->demand) beat->demand = (int)demand;
  slice->limit = demand == MB_DEMAND_SOON ? MB_SHORT_SLICE_NS : MB_SLICE_NS;
  if (number != slice->seen) {
    if (demand == MB_DEMAND_SOON && number - slice->seen <= FEW) time_slices(slice, beat->now);
    meet(slice, number, beat);
    *moved = 1;
    if (slice->used + slice->limit / 8 < slice->limit) {
      look_in(beat, slice->timing && slice->attached ? slice->limit - slice->used : MB_TICK_NS);
      return 1;
    }
    passed = 0;
  }
  slice->age += passed;
  if (atomic_load_explicit(&slice->overdue, memory_order_relaxed) != number) {
    atomic_store_explicit(&slice->since, beat->now - slice->age, memory_order_relaxed);
    /* release: partner of mb_slice_age, which reads since after it has seen this */
    atomic_store_explicit(&slice->overdue, number, memory_order_release);
  }
  if (slice->attached)
    *moved |= pursue(s, beat, demand, passed);
  else
    look_in(beat, MB_TICK_NS);
  return 1;
}

/* Say to all whether the ticker rests. */
static void set_rests(struct mb_runtime *rt, uint32_t count, int rests) {
  for (uint32_t i = 0; i < count; i++) /* partner: mb_ticker_awaits */
    atomic_store(&rt->schedulers[i].slice.rests, rests);
}

/* Whether somebody wants a scheduler. */
static int is_wanted(struct mb_runtime *rt, uint32_t count) {
  int demand = 0;
  for (uint32_t i = 0; i < count; i++) demand |= (int)mb_scheduler_demand(&rt->schedulers[i], mb_now(rt));
  return demand;
}

/* Let time pass. */
static void pass(struct mb_runtime *rt, uint32_t count, const struct beat *beat) {
  struct mb_ticker *t = &rt->ticker;
  int chasing = 0, rests = beat->next > MB_TICK_NS && !beat->demand;
  for (uint32_t i = 0; i < count; i++) chasing |= rt->schedulers[i].slice.elusive;
  if (!chasing && rests) set_rests(rt, count, 1); /* first: who waits from here on says so */
  if (!chasing) (void)uv_cond_timedwait(&t->cond, &t->mutex, rests && is_wanted(rt, count) ? MB_TICK_NS : beat->next);
  if (!chasing && rests) set_rests(rt, count, 0);
  for (uint64_t spent = 0; chasing && spent < beat->next && !t->quit; spent += MB_TICK_NS / CHASES) {
    (void)uv_cond_timedwait(&t->cond, &t->mutex, MB_TICK_NS / CHASES);
    chasing = 0;
    for (uint32_t i = 0; i < count; i++) chasing |= chase(&rt->schedulers[i].slice);
  }
}

/* Wake in time: at first, Linux may be late by 50 us. */
static void be_punctual(void) {
#ifdef __linux__
  prctl(PR_SET_TIMERSLACK, 1ul);
#endif
}

static void tick(void *data) {
  struct mb_runtime *rt = data;
  struct mb_ticker *t = &rt->ticker;
  struct beat beat = {.now = mb_now(rt)};
  uint64_t quiet = 0;
  be_punctual();
  uv_mutex_lock(&t->mutex);
  while (!t->quit) {
    int busy = 0, moved = 0;
    uint32_t count = atomic_load_explicit(&rt->started, memory_order_acquire);
    beat.passed = mb_now(rt) - beat.now;
    beat.now += beat.passed;
    if (beat.passed > MOST_MS * MS_NS) beat.passed = MOST_MS * MS_NS;
    beat.quiet = quiet >= IDLE_NS;
    beat.next = SLOW_NS;
    beat.demand = 0;
    for (uint32_t i = 0; i < count; i++) busy |= inspect(&rt->schedulers[i], &beat, &moved);
    quiet = moved ? 0 : quiet + beat.passed;
    if (!busy && quiet >= IDLE_NS) {
      /* sequentially consistent: partner of mb_ticker_wake; one of the two sees the other */
      atomic_store(&t->asleep, 1);
      for (uint32_t i = 0; i < count; i++) busy |= atomic_load(&rt->schedulers[i].slice.busy);
      if (!busy) uv_cond_wait(&t->cond, &t->mutex);
      atomic_store(&t->asleep, 0);
      quiet = 0;
    } else {
      pass(rt, count, &beat);
    }
  }
  uv_mutex_unlock(&t->mutex);
}

int mb_ticker_init(struct mb_runtime *rt, enum mb_ticker_use use) {
  struct mb_ticker *t = &rt->ticker;
  if (uv_mutex_init(&t->mutex) != 0) return MB_ENOMEM;
  if (uv_cond_init(&t->cond) != 0) {
    uv_mutex_destroy(&t->mutex);
    return MB_ENOMEM;
  }
  t->initialized = 1;
  atomic_store(&t->reserved, use == MB_TICKER_RESERVED);
  atomic_store(&t->state, MB_TICKER_READY);
  return 0;
}

void mb_ticker_start(struct mb_runtime *rt) {
  if (!atomic_load_explicit(&rt->ticker.reserved, memory_order_relaxed)) mb_ticker_need(rt);
}

void mb_ticker_need(struct mb_runtime *rt) {
  struct mb_ticker *t = &rt->ticker;
  sigset_t all, before;
  int ready = MB_TICKER_READY;
  if (!atomic_compare_exchange_strong(&t->state, &ready, MB_TICKER_OFF)) return;
  if (!take_signal()) return;
  sigfillset(&all); /* the ticker handles no signal itself */
  pthread_sigmask(SIG_SETMASK, &all, &before);
  if (uv_thread_create(&t->thread, tick, rt) == 0)
    atomic_store(&t->state, MB_TICKER_RUNS);
  else
    give_signal_back();
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void mb_ticker_deinit(struct mb_runtime *rt) {
  struct mb_ticker *t = &rt->ticker;
  if (!t->initialized) return;
  if (atomic_exchange(&t->state, MB_TICKER_OFF) == MB_TICKER_RUNS) {
    uv_mutex_lock(&t->mutex);
    t->quit = 1;
    uv_cond_signal(&t->cond);
    uv_mutex_unlock(&t->mutex);
    uv_thread_join(&t->thread);
    give_signal_back();
  }
  uv_cond_destroy(&t->cond);
  uv_mutex_destroy(&t->mutex);
  t->initialized = 0;
}

void mb_ticker_attach(struct mb_scheduler *s) {
  struct mb_ticker *t = &s->runtime->ticker;
  here = s;
  if (!t->initialized || (s->slice.attached && pthread_equal(s->slice.thread.thread, pthread_self()))) return;
  uv_mutex_lock(&t->mutex); /* partner: the ticker, which signals under it */
  mb_thread_init(&s->slice.thread);
  s->slice.attached = 1;
  uv_mutex_unlock(&t->mutex);
}

void mb_ticker_detach(struct mb_scheduler *s) {
  struct mb_ticker *t = &s->runtime->ticker;
  if (here == s) here = NULL;
  if (!t->initialized) return;
  uv_mutex_lock(&t->mutex);
  s->slice.attached = 0;
  uv_mutex_unlock(&t->mutex);
}

int mb_ticker_thread(struct mb_scheduler *s, pthread_t *thread) {
  struct mb_ticker *t = &s->runtime->ticker;
  int runs;
  if (!t->initialized) return 0;
  uv_mutex_lock(&t->mutex);
  runs = s->slice.attached;
  *thread = s->slice.thread.thread;
  uv_mutex_unlock(&t->mutex);
  return runs;
}

void mb_ticker_hurry(struct mb_scheduler *s) {
  struct mb_ticker *t = &s->runtime->ticker;
  if (!atomic_exchange_explicit(&s->slice.rests, 0, memory_order_relaxed)) return;
  uv_mutex_lock(&t->mutex);
  uv_cond_signal(&t->cond);
  uv_mutex_unlock(&t->mutex);
}

void mb_ticker_wake(struct mb_scheduler *s) {
  struct mb_ticker *t = &s->runtime->ticker;
  atomic_store(&s->slice.busy, 1); /* partner: the ticker going to sleep */
  if (!atomic_load(&t->asleep)) return;
  uv_mutex_lock(&t->mutex);
  uv_cond_signal(&t->cond);
  uv_mutex_unlock(&t->mutex);
}

struct mb_stretch mb_slice_stretch(const struct mb_scheduler *s) {
  const struct mb_slice *slice = &s->slice;
  uint64_t number = atomic_load_explicit(&slice->number, memory_order_relaxed);
  unsigned word;
  /* acquire: partner of the release in stretch() */
  if (atomic_load_explicit(&slice->stretch_of, memory_order_acquire) != number) return (struct mb_stretch){0};
  word = atomic_load_explicit(&slice->stretch, memory_order_relaxed);
  return (struct mb_stretch){word / 2, word & 1};
}

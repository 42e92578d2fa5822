#include "ticker.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "error.h"
#include "runtime.h"

enum {
  IDLE_TICKS = 16, /* ticks without anything new before the ticker goes to sleep or slows down */
  SLOW_FACTOR = 8, /* how much slower while nothing moves */
  STRIKE_EVERY = 4, /* a slice that does not give way is preempted every so many ms */
  CHASES = 8,        /* in a tick, of a slice that computes and waits in turn, */
  CHASE_SAMPLES = 32,  /* for about 20 us each: it may compute for a few only; */
  CHASE_TICKS = 64,  /* and for how long after it has last run */
  SPARED_MS = 64,    /* see pursue */
  STUCK_MS = 2000,   /* age of a slice that is told of, */
  AWAITED_MS = 1000, /* and how long somebody has waited for it by then */
  MOST_MS = 20 /* that one tick counts for: the program may have been stopped meanwhile */
};

#define MS_NS 1000000ull

struct beat {
  uint64_t now, passed; /* ns: since the last one */
  unsigned ticks;       /* that were to pass since then */
};

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

/* The slice, which is overdue and wanted, computes: at this very moment, so nothing else is done first. */
static void strike(struct mb_slice *slice, unsigned ticks) {
  unsigned n = ++slice->strikes;
  slice->elusive = 0;
  if (ticks == 1 && n > 2 && n % STRIKE_EVERY != 0) return;
  pthread_kill(slice->thread.thread, SIGURG);
  if (!slice->signalled) slice->held = 0;
  slice->signalled = 1;
}

/* Another tick has passed in which somebody waits for the slice. Time in which others had its processor is not its own:
 * what counts is what it has run, and what it has waited in the kernel. */
static void stretch(struct mb_slice *slice, enum mb_thread_state state, uint64_t passed) {
  uint64_t ran = slice->thread.ran - slice->ran, delay = mb_thread_delay(&slice->thread), others;
  others = !slice->thread.has_clock || ran >= passed ? 0 : passed - ran;
  if (state != MB_THREAD_RUNS && delay < others) others = delay; /* else it is ready still, and has not been let */
  passed -= others;
  if (slice->stirred && !slice->signalled) slice->held = 0; /* it has waited in the kernel, but not in one go */
  slice->held += passed;
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

/* See to a slice that is overdue. 1: something may change with the next tick. */
static int pursue(struct mb_scheduler *s, const struct beat *beat) {
  struct mb_slice *slice = &s->slice;
  int awaited = mb_scheduler_awaited(s, beat->now);
  int wanted = awaited || mb_scheduler_wanted(s, beat->now);
  int reserved = atomic_load_explicit(&s->runtime->ticker.reserved, memory_order_relaxed);
  int armed = ((wanted && !reserved) || atomic_load_explicit(&slice->attended, memory_order_relaxed)) && has_signal();
  enum mb_thread_state state = mb_thread_sample(&slice->thread);
  int runs = state == MB_THREAD_RUNS;
  if (state == MB_THREAD_STILL && wanted && mb_thread_is_ready(&slice->thread)) {
    state = MB_THREAD_RUNS;
    /* One that was seen to wait has been woken this moment, and its wait is not quite over: it is spared for a
     * while. */
    runs = !slice->waits || slice->age > SPARED_MS * MS_NS;
  }
  slice->waits = !runs;
  if (!wanted && slice->thread.ran - slice->ran < beat->passed / 2) armed = 0; /* only who does nothing but compute */
  if (armed && runs) strike(slice, beat->ticks);
  slice->stirred |= state != MB_THREAD_STILL;
  if (slice->elusive) slice->elusive--;
  if (awaited && !reserved) {
    stretch(slice, state, beat->passed);
    if (!slice->told && slice->age >= STUCK_MS * MS_NS && slice->held >= AWAITED_MS * MS_NS) tell(s);
  } else {
    slice->held = 0;
  }
  if (armed && !runs && slice->stirred) slice->elusive = CHASE_TICKS;
  if (!armed) slice->strikes = slice->elusive = 0;
  slice->stirred = 0;
  slice->ran = slice->thread.ran;
  return slice->elusive || (state == MB_THREAD_RUNS && atomic_load_explicit(&s->timers.first, memory_order_relaxed));
}

/* Sample a slice again that was seen to wait. 1: it is to be sampled again. */
static int chase(struct mb_slice *slice, unsigned ticks) {
  enum mb_thread_state state = MB_THREAD_STILL;
  if (!slice->elusive || !slice->attached || !has_signal()) return 0;
  if (atomic_load_explicit(&slice->number, memory_order_relaxed) != slice->seen) return 0;
  for (int i = 0; state == MB_THREAD_STILL && i < CHASE_SAMPLES; i++) state = mb_thread_sample(&slice->thread);
  if (state == MB_THREAD_RUNS) strike(slice, ticks);
  slice->stirred |= state != MB_THREAD_STILL;
  return slice->elusive;
}

static void begin(struct mb_slice *slice, uint64_t number) {
  slice->seen = number;
  slice->age = slice->held = slice->longest = 0;
  slice->strikes = 0;
  slice->signalled = slice->stirred = slice->waits = slice->elusive = slice->told = 0;
}

/* Whether a scheduler is at work; *moved is set when it has changed processes since the last tick, or
 * may soon. */
static int inspect(struct mb_scheduler *s, const struct beat *beat, int *moved) {
  struct mb_slice *slice = &s->slice;
  uint64_t number;
  if (!atomic_load_explicit(&slice->busy, memory_order_relaxed)) {
    begin(slice, 0);
    return 0;
  }
  atomic_fetch_add_explicit(&slice->ticks, 1, memory_order_relaxed);
  number = atomic_load_explicit(&slice->number, memory_order_relaxed);
  if (number != slice->seen) {
    /* A slice that began when the last one was preempted has lasted a tick already. */
    int follows = slice->signalled && number == slice->seen + 1;
    begin(slice, number);
    *moved = 1;
    if (!follows) return 1;
  }
  slice->age += beat->passed;
  if (atomic_load_explicit(&slice->overdue, memory_order_relaxed) != number) {
    atomic_store_explicit(&slice->since, beat->now - MB_TICK_NS, memory_order_relaxed);
    /* release: partner of mb_slice_age, which reads since after it has seen this */
    atomic_store_explicit(&slice->overdue, number, memory_order_release);
  }
  if (slice->attached) *moved |= pursue(s, beat);
  return 1;
}

/* Let a tick pass. */
static void pass(struct mb_runtime *rt, uint32_t count, unsigned ticks) {
  struct mb_ticker *t = &rt->ticker;
  int chasing = 0;
  for (uint32_t i = 0; i < count; i++) chasing |= rt->schedulers[i].slice.elusive;
  if (!chasing) (void)uv_cond_timedwait(&t->cond, &t->mutex, MB_TICK_NS * ticks);
  for (int n = 0; chasing && n < CHASES && !t->quit; n++) {
    (void)uv_cond_timedwait(&t->cond, &t->mutex, MB_TICK_NS / CHASES);
    chasing = 0;
    for (uint32_t i = 0; i < count; i++) chasing |= chase(&rt->schedulers[i].slice, ticks);
  }
}

static void tick(void *data) {
  struct mb_runtime *rt = data;
  struct mb_ticker *t = &rt->ticker;
  struct beat beat = {.now = mb_now(rt), .ticks = 1};
  unsigned quiet = 0;
  uv_mutex_lock(&t->mutex);
  while (!t->quit) {
    int busy = 0, moved = 0;
    uint32_t count = atomic_load_explicit(&rt->started, memory_order_acquire);
    beat.passed = mb_now(rt) - beat.now;
    beat.now += beat.passed;
    if (beat.passed > MOST_MS * MS_NS) beat.passed = MOST_MS * MS_NS;
    for (uint32_t i = 0; i < count; i++) busy |= inspect(&rt->schedulers[i], &beat, &moved);
    quiet = moved ? 0 : quiet + 1;
    if (!busy && quiet >= IDLE_TICKS) {
      /* sequentially consistent: partner of mb_ticker_wake; one of the two sees the other */
      atomic_store(&t->asleep, 1);
      for (uint32_t i = 0; i < count; i++) busy |= atomic_load(&rt->schedulers[i].slice.busy);
      if (!busy) uv_cond_wait(&t->cond, &t->mutex);
      atomic_store(&t->asleep, 0);
      quiet = 0;
    } else {
      beat.ticks = quiet >= IDLE_TICKS ? SLOW_FACTOR : 1;
      pass(rt, count, beat.ticks);
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

#include "ticker.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "error.h"
#include "runtime.h"

enum {
  IDLE_TICKS = 16, /* ticks without anything new before the ticker goes to sleep or slows down */
  SLOW_FACTOR = 8, /* how much slower while nothing moves */
  MOST_STRIKES = 16 /* a slice that does not give way is interrupted at least every so many ms */
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
  if (s) s->runtime->upcalls->interrupt(s);
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

/* Whether a scheduler is at work; *moved is set when it has changed processes since the last tick, which was
 * `lasted` ms ago. */
static int inspect(struct mb_scheduler *s, unsigned lasted, int *moved) {
  struct mb_slice *slice = &s->slice;
  uint64_t number;
  if (!atomic_load_explicit(&slice->busy, memory_order_relaxed)) {
    slice->signalled = 0;
    slice->seen = 0;
    return 0;
  }
  atomic_fetch_add_explicit(&slice->ticks, 1, memory_order_relaxed);
  number = atomic_load_explicit(&slice->number, memory_order_relaxed);
  /* A slice that began when the last one was interrupted has lasted a tick already. */
  if (number == slice->seen || (slice->signalled && number == slice->seen + 1)) {
    if (number != slice->seen) {
      *moved = 1;
      slice->strikes = 0;
    }
    if (atomic_load_explicit(&slice->overdue, memory_order_relaxed) != number) {
      atomic_store_explicit(&slice->since, uv_hrtime() - MB_TICK_NS, memory_order_relaxed);
      /* release: partner of mb_slice_age, which reads since after it has seen this */
      atomic_store_explicit(&slice->overdue, number, memory_order_release);
    }
    slice->strikes++;
    slice->signalled = 1;
    if ((slice->strikes & (slice->strikes - 1)) == 0 || slice->strikes % (MOST_STRIKES / lasted) == 0)
      if (slice->attached && has_signal()) pthread_kill(slice->thread, SIGURG);
  } else {
    *moved = 1;
    slice->strikes = 0;
    slice->signalled = 0;
  }
  slice->seen = number;
  return 1;
}

static void tick(void *data) {
  struct mb_runtime *rt = data;
  struct mb_ticker *t = &rt->ticker;
  unsigned quiet = 0, lasted = 1;
  uv_mutex_lock(&t->mutex);
  while (!t->quit) {
    int busy = 0, moved = 0;
    uint32_t count = atomic_load_explicit(&rt->started, memory_order_acquire);
    for (uint32_t i = 0; i < count; i++) busy |= inspect(&rt->schedulers[i], lasted, &moved);
    quiet = moved ? 0 : quiet + 1;
    if (!busy && quiet >= IDLE_TICKS) {
      /* sequentially consistent: partner of mb_ticker_wake; one of the two sees the other */
      atomic_store(&t->asleep, 1);
      for (uint32_t i = 0; i < count; i++) busy |= atomic_load(&rt->schedulers[i].slice.busy);
      if (!busy) uv_cond_wait(&t->cond, &t->mutex);
      atomic_store(&t->asleep, 0);
      quiet = 0;
    } else {
      lasted = quiet >= IDLE_TICKS ? SLOW_FACTOR : 1;
      (void)uv_cond_timedwait(&t->cond, &t->mutex, MB_TICK_NS * lasted);
    }
  }
  uv_mutex_unlock(&t->mutex);
}

int mb_ticker_init(struct mb_runtime *rt) {
  struct mb_ticker *t = &rt->ticker;
  if (uv_mutex_init(&t->mutex) != 0) return MB_ENOMEM;
  if (uv_cond_init(&t->cond) != 0) {
    uv_mutex_destroy(&t->mutex);
    return MB_ENOMEM;
  }
  t->initialized = 1;
  atomic_store(&t->state, MB_TICKER_READY);
  return 0;
}

void mb_ticker_start(struct mb_runtime *rt) {
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
  if (!t->initialized || (s->slice.attached && pthread_equal(s->slice.thread, pthread_self()))) return;
  uv_mutex_lock(&t->mutex); /* partner: the ticker, which signals under it */
  s->slice.thread = pthread_self();
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

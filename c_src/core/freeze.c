#include "freeze.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "end_watch.h"
#include "park.h"
#include "runtime.h"
#include "thread_state.h"

enum {
  STEP_MS = 10,
  PATIENCE_MS = 100 /* with what cannot be interrupted: a C function, which may never return */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER; /* guards the rest; partners: schedulers that have stopped */
static pthread_cond_t stopped = PTHREAD_COND_INITIALIZER;
static struct mb_runtime *first; /* by next_to_freeze: those that have schedulers in other threads */
static unsigned awaited;         /* schedulers that have been told and have not stopped */

/* Wait for a step, or less. What counts of it, in ms. */
static unsigned wait_step(uint64_t *delayed) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_nsec += STEP_MS * 1000000l;
  if (until.tv_nsec >= 1000000000l) until.tv_sec++, until.tv_nsec -= 1000000000l;
  return pthread_cond_timedwait(&stopped, &mutex, &until) ? mb_end_counts(STEP_MS, delayed) : 0;
}

static void tell(struct mb_scheduler *s) {
  pthread_t thread;
  int none = 0, runs = mb_ticker_thread(s, &thread); /* else it is opening, and stops when it is about to run */
  if (runs && pthread_equal(thread, pthread_self())) return;
  if (!atomic_compare_exchange_strong(&s->stop, &none, MB_STOP_FROZEN)) return; /* it stops already, for another end */
  s->freeze_awaited = runs;
  awaited += (unsigned)runs;
  mb_wake_scheduler(s);
}

static void freeze(void) {
  uint64_t delayed = mb_program_delay();
  pthread_mutex_lock(&mutex);
  for (struct mb_runtime *rt = first; rt; rt = rt->next_to_freeze)
    for (uint32_t i = 0; i < rt->started; i++) tell(&rt->schedulers[i]);
  for (unsigned waited = 0; awaited && waited < PATIENCE_MS;) waited += wait_step(&delayed);
  pthread_mutex_unlock(&mutex);
}

/* In a forked process there is nobody but the caller. */
static void forked(void) {
  pthread_mutex_init(&mutex, NULL);
  first = NULL;
}

static void begin(void) {
  mb_keep_loaded();
  (void)atexit(freeze);
  (void)pthread_atfork(NULL, NULL, forked);
}

void mb_freeze_at_exit(struct mb_runtime *rt) {
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  pthread_once(&once, begin);
  pthread_mutex_lock(&mutex);
  rt->next_to_freeze = first;
  first = rt;
  pthread_mutex_unlock(&mutex);
}

void mb_freeze_forget(struct mb_runtime *rt) {
  struct mb_runtime **at = &first;
  pthread_mutex_lock(&mutex);
  while (*at && *at != rt) at = &(*at)->next_to_freeze;
  if (*at) *at = rt->next_to_freeze;
  pthread_mutex_unlock(&mutex);
}

_Noreturn void mb_freeze_here(struct mb_scheduler *s) {
  pthread_mutex_lock(&mutex);
  awaited -= (unsigned)s->freeze_awaited;
  pthread_cond_signal(&stopped);
  pthread_mutex_unlock(&mutex);
  for (;;) pause();
}

/* The ticker: a thread that notices slices that last too long and interrupts their scheduler's thread with a
 * signal; it tells every scheduler at work, too, that time has passed. It sleeps while nothing runs, and it is not
 * started before a runtime has two processes.
 *
 * The signal's disposition belongs to the whole program. SIGURG is taken only when nobody else has it, no longer sent
 * when somebody has taken it over, and given back when the last runtime that uses it ends; its default is to be ignored,
 * so one that comes late does no harm. */
#ifndef MB_TICKER_H
#define MB_TICKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <uv.h>

struct mb_runtime;
struct mb_scheduler;

#define MB_TICK_NS 1000000ull /* a slice: between one and two ticks, one tick among busy neighbours */

/* What the ticker and a scheduler know of each other. */
struct mb_slice {
  /* Written by the scheduler's thread, read by the ticker. */
  _Atomic uint64_t number; /* of the present slice; one process runs per slice */
  atomic_int busy;         /* 0 while the scheduler blocks in its loop */
  /* Written by the ticker, read by the scheduler's thread: slice `overdue` lasts since `since` (ns); how often the
   * scheduler has been found at work, relaxed: it only says that time passes. */
  _Atomic uint64_t overdue, since;
  atomic_uint ticks;
  /* The ticker's own. */
  uint64_t seen;
  unsigned strikes; /* ticks that found the same slice */
  int signalled;
  /* Under the ticker's mutex. */
  pthread_t thread;
  int attached;
};

struct mb_ticker {
  uv_thread_t thread;
  uv_mutex_t mutex;
  uv_cond_t cond;
  int initialized, quit; /* quit: under mutex */
  atomic_int state;      /* enum mb_ticker_state */
  atomic_int asleep;     /* partner: mb_ticker_wake, which stores busy before it loads this */
};

enum mb_ticker_state { MB_TICKER_OFF, MB_TICKER_READY, MB_TICKER_RUNS };

/* Make the ticker ready to be started; without this nothing is preempted by time. 0 or an error. */
int mb_ticker_init(struct mb_runtime *rt);
void mb_ticker_deinit(struct mb_runtime *rt);

/* Start it, once. It stays off when somebody else handles SIGURG. Any thread. */
void mb_ticker_start(struct mb_runtime *rt);

/* The calling thread runs this scheduler from now on. */
void mb_ticker_attach(struct mb_scheduler *s);
void mb_ticker_detach(struct mb_scheduler *s);

/* The scheduler leaves its loop and has something to run. */
void mb_ticker_wake(struct mb_scheduler *s);

#endif

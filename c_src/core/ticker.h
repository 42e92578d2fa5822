/* The ticker: a thread that notices slices that last too long and preempts what runs there, by a signal to the
 * scheduler's thread; it tells every scheduler at work, too, that time has passed. It sleeps while nothing runs, and it
 * is not started before a runtime has two processes.
 *
 * A slice lasts as long as who waits for it allows, in time of its thread's: what others had of the processor does not
 * count. The ticker looks when that may be over, and each millisecond where slices are short anyway; while nobody waits
 * it rests.
 *
 * A signal would end what a C library waits for, so none is sent to a thread that waits in the kernel, nor where nobody
 * wants the scheduler. A slice that computes and waits in turn is sampled more often, until it is met computing. What
 * holds a scheduler in spite of that is measured, and told.
 *
 * The signal's disposition belongs to the whole program. SIGURG is taken only when nobody else has it, no longer sent
 * when somebody has taken it over, and given back when the last runtime that uses it ends; its default is to be
 * ignored, so one that comes late does no harm. */
#ifndef MB_TICKER_H
#define MB_TICKER_H

#include <stdatomic.h>
#include <stdint.h>
#include <uv.h>

#include "thread_state.h"

struct mb_process;
struct mb_runtime;
struct mb_scheduler;

#define MB_TICK_NS 1000000ull      /* how often it looks, where nobody is in need of it */
#define MB_SLICE_NS MB_TICK_NS     /* a slice, while those wait that have used up theirs, or only the loop does, */
#define MB_SHORT_SLICE_NS 200000ull /* and while somebody else waits: see enum mb_demand */

/* What the ticker and a scheduler know of each other. */
struct mb_slice {
  /* Written by the scheduler's thread, read by the ticker. */
  _Atomic uint64_t number; /* of the present slice; one process runs per slice. Release: began is written before */
  _Atomic uint64_t began;  /* ns: when it began, if that has been wanted by then; relaxed */
  _Atomic(struct mb_process *) process; /* that runs; NULL: none. Written after the number */
  atomic_int busy;         /* 0 while the scheduler blocks in its loop */
  atomic_int attended; /* the layer above wants it preempted even where nobody wants the scheduler; relaxed */
  /* Written by the ticker, read by the scheduler's thread: slice `overdue` lasts since `since` (ns); how often the
   * scheduler has been found at work, relaxed: it only says that time passes. */
  _Atomic uint64_t overdue, since;
  _Atomic uint64_t struck; /* ns that the slice had used when it was signalled; relaxed: the signal comes after it */
  atomic_uint ticks;
  atomic_int timed; /* it is to be said when a slice begins; relaxed */
  atomic_int rests; /* nobody waits, and the ticker does not look for a while: who is ready calls mb_ticker_hurry */
  /* The longest stretch of slice `stretch_of` in which somebody waited and it could not be preempted: see
   * mb_stretch. */
  _Atomic uint64_t stretch_of;
  atomic_uint stretch;
  /* The ticker's own, for slice `seen`. */
  uint64_t seen;
  uint64_t age;     /* ns since it began, as far as is known, */
  uint64_t used;    /* and those of them in which the thread ran, or waited in the kernel: not those that others had */
  uint64_t limit;   /* what it may use, as of the last tick */
  unsigned strikes; /* how often it has been signalled, */
  uint64_t strike_at; /* and what it has used when it is signalled again */
  int signalled;
  int stirred; /* it has run since the last tick */
  int waits;   /* it did not when it was sampled last */
  unsigned elusive; /* ticks for which it is sampled more often; 0: not at all */
  uint64_t held, longest; /* ns: the present stretch, and the longest */
  uint64_t ran;           /* thread.ran at the last tick */
  uint64_t timing, timed_since; /* ns: for how much longer slices are timed, and since when */
  int told;
  /* Under the ticker's mutex. */
  struct mb_thread thread;
  int attached;
};

/* A stretch: how long, and whether it is one since the signal was sent; else the thread has waited in the kernel. */
struct mb_stretch {
  unsigned ms;
  int signalled;
};

struct mb_ticker {
  uv_thread_t thread;
  uv_mutex_t mutex;
  uv_cond_t cond;
  int initialized, quit; /* quit: under mutex */
  atomic_int state;      /* enum mb_ticker_state */
  atomic_int reserved;   /* whoever only wants the scheduler waits; relaxed; cleared when the program is to end */
  atomic_int asleep;     /* partner: mb_ticker_wake, which stores busy before it loads this */
};

enum mb_ticker_state { MB_TICKER_OFF, MB_TICKER_READY, MB_TICKER_RUNS };

enum mb_ticker_use {
  MB_TICKER_FOR_ALL,
  MB_TICKER_RESERVED /* for clean-up code and the end of the program */
};

/* Make the ticker ready to be started. 0 or an error. */
int mb_ticker_init(struct mb_runtime *rt, enum mb_ticker_use use);
void mb_ticker_deinit(struct mb_runtime *rt);

/* Start it, once, unless it is reserved. It stays off when somebody else handles SIGURG. Any thread. */
void mb_ticker_start(struct mb_runtime *rt);

/* The same, for what it is reserved for. */
void mb_ticker_need(struct mb_runtime *rt);

/* The program is to end: it is not reserved any more. Async-signal-safe. */
static inline void mb_ticker_release(struct mb_ticker *t) {
  atomic_store_explicit(&t->reserved, 0, memory_order_relaxed);
}

/* The calling thread runs this scheduler from now on. */
void mb_ticker_attach(struct mb_scheduler *s);
void mb_ticker_detach(struct mb_scheduler *s);

/* Whether a thread runs s, as the ticker knows; and which. Any thread. */
int mb_ticker_thread(struct mb_scheduler *s, pthread_t *thread);

/* Somebody waits for s, whose slice.rests was set. Any thread; not from a signal handler. Cold: once in a rest, and
 * whoever wakes or spawns has the call in its code. */
__attribute__((cold)) void mb_ticker_hurry(struct mb_scheduler *s);

/* The scheduler leaves its loop and has something to run. */
void mb_ticker_wake(struct mb_scheduler *s);

/* The longest stretch of the present slice. The scheduler's thread. */
struct mb_stretch mb_slice_stretch(const struct mb_scheduler *s);

#endif

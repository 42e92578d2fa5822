/* The time (ns, monotonic): nothing of the core or of the binding asks the system by itself.
 *
 * A runtime has a clock, which follows the system's. A test may let it stand: virtual time. Each reading moves it by
 * a microsecond, so that who waits for time to pass by computing sees it pass; and when nothing is left to run it goes
 * on to the next deadline at once, so that an hour takes no time and every run is like the last one. That is for one
 * scheduler without a ticker; what the system does (threads, descriptors) takes its own time. */
#ifndef MB_CLOCK_H
#define MB_CLOCK_H

#include <stdatomic.h>
#include <stdint.h>
#include <uv.h>

enum { MB_CLOCK_STEP_NS = 1000 };

struct mb_clock {
  _Atomic uint64_t at; /* virtual time; 0: the system's. Relaxed */
};

/* The system's time, for waits that the system ends. Any thread. */
static inline uint64_t mb_clock_system(void) { return uv_hrtime(); }

/* Any thread. */
static inline uint64_t mb_clock_now(struct mb_clock *c) {
  if (!atomic_load_explicit(&c->at, memory_order_relaxed)) return mb_clock_system();
  return atomic_fetch_add_explicit(&c->at, MB_CLOCK_STEP_NS, memory_order_relaxed) + MB_CLOCK_STEP_NS;
}

/* From now on it stands at `at`, which is not 0. Before anything runs. */
static inline void mb_clock_stand(struct mb_clock *c, uint64_t at) {
  atomic_store_explicit(&c->at, at, memory_order_relaxed);
}

/* Nothing is to be done until then. 1: it is then, 0: the caller has to wait for it. Scheduler's thread. */
static inline int mb_clock_skip(struct mb_clock *c, uint64_t until) {
  uint64_t at = atomic_load_explicit(&c->at, memory_order_relaxed);
  if (!at) return 0;
  if (until > at) atomic_store_explicit(&c->at, until, memory_order_relaxed);
  return 1;
}

#endif

/* A one-word spin lock for sections of a few instructions that never allocate, block or call out.
 * Waiters give up the processor after a short spin, so a preempted holder costs a time slice at most. */
#ifndef MB_LOCK_H
#define MB_LOCK_H

#include <sched.h>
#include <stdatomic.h>

struct mb_lock {
  atomic_uchar taken;
};

static inline void mb_lock_take(struct mb_lock *l) {
  unsigned spins = 0;
  /* acquire: partner of the release in mb_lock_drop */
  while (atomic_exchange_explicit(&l->taken, 1, memory_order_acquire)) {
    while (atomic_load_explicit(&l->taken, memory_order_relaxed))
      if (++spins % 64 == 0) sched_yield();
  }
}

static inline void mb_lock_drop(struct mb_lock *l) {
  atomic_store_explicit(&l->taken, 0, memory_order_release);
}

#endif

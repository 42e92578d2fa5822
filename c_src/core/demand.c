#include "demand.h"

static int is_filled(const struct mb_queue *q) { return atomic_load_explicit(&q->head, memory_order_relaxed) != NULL; }

static int has_timers(const struct mb_scheduler *s) {
  return atomic_load_explicit(&s->receive_timers, memory_order_relaxed) ||
         atomic_load_explicit(&s->delayed_count, memory_order_relaxed);
}

enum mb_demand mb_scheduler_demand(const struct mb_scheduler *s, uint64_t now) {
  if (mb_queue_count(&s->ready) > atomic_load_explicit(&s->spent, memory_order_relaxed) ||
      atomic_load_explicit(&s->posted, memory_order_relaxed) || (mb_timer_heap_due(&s->timers, now) && has_timers(s)))
    return MB_DEMAND_SOON;
  if (is_filled(&s->ready)) return MB_DEMAND_TURN;
  return is_filled(&s->dying) || atomic_load_explicit(&s->noticed, memory_order_relaxed) ||
                 atomic_load_explicit(&s->stop, memory_order_relaxed) ||
                 atomic_load_explicit(&s->handles, memory_order_relaxed)
             ? MB_DEMAND_LOOP
             : MB_DEMAND_NONE;
}

uint64_t mb_scheduler_next_due(const struct mb_scheduler *s) {
  return has_timers(s) ? atomic_load_explicit(&s->timers.first, memory_order_relaxed) : 0;
}

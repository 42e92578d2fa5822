/* A heap of deadlines: 4-ary, keys beside the pointers so that a sift touches few cache lines.
 *
 * Timers are embedded in what they belong to (a process's receive, a delayed message); the heap
 * never owns them. A timer knows its place, so cancelling is O(log n) at worst and usually O(1): new
 * deadlines mostly belong at the end. Owned by one scheduler's thread. */
#ifndef MB_TIMER_H
#define MB_TIMER_H

#include <stdatomic.h>
#include <stdint.h>

#define MB_TIMER_IDLE UINT32_MAX /* the place of a timer that is in no heap */

enum mb_timer_kind { MB_TIMER_RECEIVE, MB_TIMER_MESSAGE };

struct mb_timer {
  uint32_t place; /* index in the heap, or MB_TIMER_IDLE */
  uint8_t kind;   /* enum mb_timer_kind: what the timer is embedded in */
};

struct mb_timer_slot {
  uint64_t deadline; /* ns, monotonic */
  struct mb_timer *timer;
};

struct mb_timer_heap {
  struct mb_timer_slot *slots;
  uint32_t count, capacity;
  _Atomic uint64_t first; /* the earliest deadline; 0: none. Relaxed: any thread may look */
};

void mb_timer_heap_deinit(struct mb_timer_heap *h);

/* Add an idle timer. 0, or MB_ENOMEM with the timer still idle. */
int mb_timer_heap_add(struct mb_timer_heap *h, struct mb_timer *t, uint64_t deadline);

/* Take a timer out; nothing happens when it is idle. */
void mb_timer_heap_remove(struct mb_timer_heap *h, struct mb_timer *t);

/* Put a timer that is in the heap at another deadline. */
void mb_timer_heap_move(struct mb_timer_heap *h, struct mb_timer *t, uint64_t deadline);

static inline uint64_t mb_timer_deadline(const struct mb_timer_heap *h, const struct mb_timer *t) {
  return h->slots[t->place].deadline;
}

/* The earliest deadline, or UINT64_MAX. */
static inline uint64_t mb_timer_heap_first(const struct mb_timer_heap *h) {
  return h->count ? h->slots[0].deadline : UINT64_MAX;
}

/* Whether a deadline has passed by `now`. Any thread. */
static inline int mb_timer_heap_due(const struct mb_timer_heap *h, uint64_t now) {
  uint64_t first = atomic_load_explicit(&h->first, memory_order_relaxed);
  return first && first <= now;
}

#endif

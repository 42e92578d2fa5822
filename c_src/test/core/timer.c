/* The heap of deadlines: order, cancelling, moving, a million at once. */
#include "core/timer.h"
#include "test/check.h"

enum { COUNT = 1000000 };

TEST(a_million_timers_fire_in_order_but_those_that_were_taken_out) {
  struct mb_timer_heap h = {0};
  struct mb_timer *timers = calloc(COUNT, sizeof *timers);
  uint64_t last = 0;
  uint32_t left = COUNT, fired = 0;
  CHECK(timers && mb_timer_heap_first(&h) == UINT64_MAX);
  for (int i = 0; i < COUNT; i++) {
    timers[i].place = MB_TIMER_IDLE;
    CHECK(mb_timer_heap_add(&h, &timers[i], check_random() % 1000000) == 0);
  }
  for (int i = 0; i < COUNT; i += 3, left--) {
    mb_timer_heap_remove(&h, &timers[i]);
    CHECK(timers[i].place == MB_TIMER_IDLE);
    mb_timer_heap_remove(&h, &timers[i]); /* idle: nothing happens */
  }
  for (int i = 1; i < COUNT; i += 3) mb_timer_heap_move(&h, &timers[i], check_random() % 2000000);
  CHECK(h.count == left);
  while (h.count) {
    struct mb_timer *t = h.slots[0].timer;
    CHECK(mb_timer_deadline(&h, t) == mb_timer_heap_first(&h) && mb_timer_heap_first(&h) >= last);
    last = mb_timer_heap_first(&h);
    mb_timer_heap_remove(&h, t);
    fired++;
  }
  CHECK(fired == left);
  mb_timer_heap_deinit(&h);
  free(timers);
}

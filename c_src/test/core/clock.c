/* Virtual time: deadlines come at once, in their order, and time passes for who computes. */
#include <uv.h>

#include "test/plain.h"

#define HOUR_NS 3600000000000ull

static uint64_t woken_at[2];
static struct mb_process *sleepers[2];

/* Each sleeps, the first for two hours, the second for one. */
static void resume(struct mb_scheduler *s, struct mb_process *p) {
  int i = p == sleepers[1];
  if (p->start) {
    mb_signal_free(p->start);
    p->start = NULL;
    CHECK(mb_wait(s, p, mb_now(&rt) + (2 - (uint64_t)i) * HOUR_NS) == 0);
    return;
  }
  CHECK(p->flags & MB_TIMED_OUT);
  woken_at[i] = mb_now(&rt);
  mb_process_exit(s, p, rt.normal);
}

static const struct mb_upcalls upcalls = {
    .resume = resume, .destroy = plain_nothing, .preempt = plain_preempt};

TEST(hours_take_no_time_when_nothing_runs) {
  struct mb_scheduler *s = plain_begin(&upcalls, 1);
  uint64_t began = uv_hrtime();
  mb_clock_stand(&rt.clock, HOUR_NS);
  for (int i = 0; i < 2; i++) sleepers[i] = plain_spawn(s);
  CHECK(mb_scheduler_run(s, NULL) == MB_EDEADLOCK);
  CHECK(woken_at[1] >= 2 * HOUR_NS && woken_at[1] < 2 * HOUR_NS + 1000000);
  CHECK(woken_at[0] >= 3 * HOUR_NS && woken_at[0] < 3 * HOUR_NS + 1000000);
  CHECK(uv_hrtime() - began < 60000000000ull);
  plain_end();
}

TEST(time_passes_for_who_computes) {
  (void)plain_begin(&upcalls, 1);
  mb_clock_stand(&rt.clock, HOUR_NS);
  for (uint64_t until = mb_now(&rt) + 1000000; mb_now(&rt) < until;) continue;
  CHECK(mb_now(&rt) < HOUR_NS + 2000000);
  plain_end();
}

TEST(a_clock_follows_the_systems_time) {
  uint64_t before, now;
  (void)plain_begin(&upcalls, 1);
  before = uv_hrtime();
  now = mb_now(&rt);
  CHECK(now >= before && now <= uv_hrtime());
  plain_end();
}

/* Runs that a seed decides: all they take is another mb_next_ready, which the linker puts in the place of the
 * core's. */
#include <string.h>

#include "test/plain.h"

enum { PROCESSES = 12, TURNS = 9, STEPS = PROCESSES * TURNS };

struct mb_process *__real_mb_next_ready(const struct mb_scheduler *s);
struct mb_process *__wrap_mb_next_ready(const struct mb_scheduler *s);

static uint64_t random_state; /* 0: nothing is chosen by it */
static struct mb_process *preferred; /* as soon as it is ready */

struct mb_process *__wrap_mb_next_ready(const struct mb_scheduler *s) {
  struct mb_process *p = __real_mb_next_ready(s);
  for (struct mb_process *q = p; q && preferred; q = q->run_next)
    if (q == preferred) return q;
  if (!p || !random_state) return p;
  p = s->ready.head;
  random_state = random_state * 6364136223846793005ull + 1442695040888963407ull;
  for (uint64_t skip = (random_state >> 33) % mb_queue_count(&s->ready); skip > 0; skip--) p = p->run_next;
  return p;
}

/* What has run in which order, and when. */
struct run {
  int who[STEPS];
  uint64_t when[STEPS];
};

static struct run *now_running;
static int steps, turns[PROCESSES];
static struct mb_process *processes[PROCESSES];

/* Each gives way, and sleeps every third time. */
static void resume(struct mb_scheduler *s, struct mb_process *p) {
  int i = 0;
  if (p->start) mb_signal_free(p->start);
  p->start = NULL;
  while (processes[i] != p) i++;
  CHECK(steps < STEPS);
  now_running->who[steps] = i;
  now_running->when[steps++] = mb_now(&rt);
  if (++turns[i] == TURNS)
    mb_process_exit(s, p, rt.normal);
  else if (turns[i] % 3 == 0)
    CHECK(mb_wait(s, p, mb_now(&rt) + (uint64_t)(i % 4) * 1000000) == 0);
}

static void go(struct run *r, uint64_t seed) {
  static const struct mb_upcalls upcalls = {
      .resume = resume, .destroy = plain_nothing, .preempt = plain_preempt};
  struct mb_scheduler *s = plain_begin(&upcalls, 1);
  mb_clock_stand(&rt.clock, 1);
  now_running = r;
  random_state = seed;
  steps = 0;
  for (int i = 0; i < PROCESSES; i++) {
    processes[i] = plain_spawn(s);
    turns[i] = 0;
  }
  CHECK(mb_scheduler_run(s, NULL) == MB_EDEADLOCK);
  CHECK(steps == STEPS);
  plain_end();
}

static int same(const struct run *a, const struct run *b) { return memcmp(a, b, sizeof *a) == 0; }

TEST(a_seed_decides_who_runs_and_when) {
  static struct run first, again, other;
  go(&first, 1);
  go(&again, 1);
  go(&other, 2);
  CHECK(same(&first, &again));
  CHECK(!same(&first, &other));
}

TEST(without_one_all_take_turns) {
  static struct run first, again;
  go(&first, 0);
  go(&again, 0);
  CHECK(same(&first, &again));
  for (int i = 0; i < 2 * PROCESSES; i++) CHECK(first.who[i] == i % PROCESSES); /* then some wait for no time */
}

/* The first one computes, slice after slice; the others wake each other. */
enum { SLICES = 10 };
static int slices, passed, least = STEPS, most;

static void resume_talking(struct mb_scheduler *s, struct mb_process *p) {
  if (p->start) mb_signal_free(p->start);
  p->start = NULL;
  if (p != processes[0]) {
    passed++;
    mb_wake(s, processes[p == processes[1] ? 2 : 1]);
    CHECK(mb_wait(s, p, 0) == 0);
    return;
  }
  if (slices > 1 && passed < least) least = passed;
  if (passed > most) most = passed;
  passed = 0;
  if (++slices == SLICES)
    for (int i = 0; i < 3; i++) mb_process_exit(s, processes[i], rt.normal);
}

TEST(who_has_been_woken_passes_who_has_used_up_a_slice_for_a_batch_at_most) {
  static const struct mb_upcalls upcalls = {
      .resume = resume_talking, .destroy = plain_nothing, .preempt = plain_preempt};
  struct mb_scheduler *s = plain_begin(&upcalls, 1);
  random_state = 0;
  for (int i = 0; i < 3; i++) processes[i] = plain_spawn(s);
  CHECK(mb_scheduler_run(s, NULL) == MB_EDEADLOCK);
  CHECK(slices == SLICES && least > MB_BATCH / 2 && most <= MB_BATCH);
  CHECK(!atomic_load(&s->spent));
  plain_end();
}

/* The first one waits, and the second runs nested meanwhile, the only other one that is ready. It wakes the first one
 * and a third. */
static int went_on, came_back;

static void resume_nested(struct mb_scheduler *s, struct mb_process *p) {
  int begins = p->start != NULL;
  if (p->start) mb_signal_free(p->start);
  p->start = NULL;
  if (p == processes[1] && !begins) {
    mb_wake(s, processes[0]);
    mb_wake(s, processes[2]);
    mb_process_exit(s, p, rt.normal);
    return;
  }
  CHECK(mb_wait(s, p, 0) == 0);
  if (p != processes[0]) return;
  if (!begins) {
    came_back++;
    mb_process_exit(s, p, rt.normal);
  } else if (preferred) {
    mb_wake(s, processes[1]);
    CHECK(mb_can_run_nested(s));
    went_on += mb_run_nested(s, p);
  }
}

TEST(who_was_suspended_goes_on_only_when_it_is_chosen) {
  static const struct mb_upcalls upcalls = {
      .resume = resume_nested, .destroy = plain_nothing, .preempt = plain_preempt};
  struct mb_scheduler *s = plain_begin(&upcalls, 1);
  processes[1] = plain_spawn(s);
  processes[2] = plain_spawn(s);
  CHECK(mb_scheduler_run(s, NULL) == MB_EDEADLOCK); /* both wait */
  preferred = processes[2];
  processes[0] = plain_spawn(s);
  CHECK(mb_scheduler_run(s, NULL) == MB_EDEADLOCK);
  CHECK(went_on == 0 && came_back == 1);
  plain_end();
}

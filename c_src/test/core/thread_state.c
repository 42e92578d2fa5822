/* The time that a thread is ready and others have the processor is told. */
#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>
#ifdef __linux__
#include <sched.h>
#endif

#include "core/thread_state.h"
#include "test/check.h"

#define MS_NS 1000000ull

static atomic_int quit;

#ifdef __linux__
/* One processor for this thread and those that it starts. */
static int share_one(void) {
  cpu_set_t set;
  int first = 0;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 0;
  while (first < CPU_SETSIZE && !CPU_ISSET(first, &set)) first++;
  CPU_ZERO(&set);
  CPU_SET(first, &set);
  return sched_setaffinity(0, sizeof set, &set) == 0;
}
#else
static int share_one(void) { return 0; }
#endif

static void *compute(void *data) {
  (void)data;
  while (!atomic_load(&quit)) continue;
  return NULL;
}

TEST(the_time_that_a_thread_is_ready_and_others_have_the_processor_is_told) {
  struct mb_thread here;
  pthread_t other;
  uint64_t began = uv_hrtime(), delay = 0, ran, all;
  mb_thread_init(&here);
  uv_sleep(20);
  CHECK(mb_thread_sample(&here) == MB_THREAD_RUNS);
  ran = here.ran;
  if (!share_one()) return;
  CHECK(pthread_create(&other, NULL, compute, NULL) == 0);
  all = mb_program_delay();
  (void)mb_thread_delay(&here); /* of both, what comes from here on */
  while (delay < 20 * MS_NS && uv_hrtime() - began < 20000 * MS_NS) delay += mb_thread_delay(&here);
  (void)mb_thread_sample(&here);
  if (delay) { /* else the kernel keeps no such account */
    CHECK(delay >= 20 * MS_NS);
    CHECK(mb_program_delay() - all >= 15 * MS_NS);
    CHECK(here.ran - ran + delay <= uv_hrtime() - began + 5 * MS_NS);
  }
  atomic_store(&quit, 1);
  CHECK(pthread_join(other, NULL) == 0);
}

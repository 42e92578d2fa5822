#include "end_watch.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "thread_state.h"

unsigned mb_end_counts(unsigned ms, uint64_t *delayed) {
  uint64_t before = *delayed, lost;
  *delayed = mb_program_delay();
  lost = *delayed > before ? (*delayed - before) / 1000000 : 0;
  return lost < ms * 3 / 4 ? ms - (unsigned)lost : (ms + 3) / 4;
}

/* Sleep for a part of `left` ms: how many count. */
static unsigned sleep_step(unsigned left, uint64_t *delayed) {
  enum { STEP_MS = 100 };
  unsigned step = left < STEP_MS ? left : STEP_MS;
  struct timespec still = {0, (long)step * 1000000};
  while (nanosleep(&still, &still) != 0) continue;
  return mb_end_counts(step, delayed);
}

static void *give_up(void *status) {
  uint64_t delayed = mb_program_delay();
  for (unsigned waited = 0; waited < MB_END_PATIENCE_MS;) waited += sleep_step(MB_END_PATIENCE_MS - waited, &delayed);
  _exit((int)(intptr_t)status);
}

void mb_keep_loaded(void) {
  static const char here;
  Dl_info info;
  if (dladdr(&here, &info) && info.dli_fname) (void)dlopen(info.dli_fname, RTLD_NOW | RTLD_NODELETE);
}

static int start_thread(void *(*run)(void *), void *data) {
  pthread_t thread;
  mb_keep_loaded(); /* stock Lua unloads the library when its state closes; the thread may still be there */
  if (pthread_create(&thread, NULL, run, data) != 0) return -1;
  pthread_detach(thread);
  return 0;
}

void mb_claim_exit(void) {
  static atomic_flag claimed = ATOMIC_FLAG_INIT;
  if (atomic_flag_test_and_set(&claimed))
    for (;;) pause();
}

_Noreturn void mb_exit_now(int status) {
  mb_claim_exit();
  (void)start_thread(give_up, (void *)(intptr_t)status);
  exit(status); /* with threads that may hold a stream: glibc writes out what they have buffered all the same */
}

struct mb_end_watch {
  unsigned ms;
  int status;
  atomic_int parted; /* of its thread and who has started it, one is done with it: the other frees it. acq_rel */
};

static int is_parted(struct mb_end_watch *w) { return atomic_exchange_explicit(&w->parted, 1, memory_order_acq_rel); }

static atomic_uint granted; /* ms. Partners: mb_end_grant, watch */

void mb_end_grant(unsigned ms) { atomic_fetch_add_explicit(&granted, ms, memory_order_relaxed); }

static void *watch(void *data) {
  struct mb_end_watch *w = data;
  uint64_t delayed = mb_program_delay();
  for (unsigned waited = 0, all; waited < (all = w->ms + atomic_load_explicit(&granted, memory_order_relaxed));)
    waited += sleep_step(all - waited, &delayed);
  if (is_parted(w)) {
    free(w);
    return NULL;
  }
  fprintf(stderr,
          "moonbeam: the end of the program is cut off: something has kept it up for %u ms (a C function that does "
          "not return, or a finalizer)\n",
          w->ms);
  mb_exit_now(w->status);
}

struct mb_end_watch *mb_end_watch(unsigned ms, int status) {
  struct mb_end_watch *w = malloc(sizeof *w);
  if (!w) return NULL;
  w->ms = ms;
  w->status = status;
  atomic_init(&w->parted, 0);
  if (start_thread(watch, w) == 0) return w;
  free(w);
  return NULL;
}

void mb_end_unwatch(struct mb_end_watch *w) {
  if (w && is_parted(w)) free(w);
}

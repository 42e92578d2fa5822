/* A runtime without Lua, for tests: its processes wait for what never comes. */
#ifndef MB_TEST_PLAIN_H
#define MB_TEST_PLAIN_H

#include "core/core.h"
#include "test/check.h"

static struct mb_runtime rt;

static inline void plain_resume(struct mb_scheduler *s, struct mb_process *p) {
  if (p->start) mb_signal_free(p->start);
  p->start = NULL;
  CHECK(mb_wait(s, p, 0) == 0);
}

static inline void plain_nothing(struct mb_scheduler *s, struct mb_process *p) { (void)s, (void)p; }
static inline void plain_preempt(struct mb_scheduler *s) { (void)s; }

#define PLAIN_UPCALLS \
  .resume = plain_resume, .destroy = plain_nothing, .preempt = plain_preempt

/* Its first scheduler. */
static inline struct mb_scheduler *plain_begin(const struct mb_upcalls *upcalls, uint32_t schedulers) {
  CHECK(mb_runtime_init(&rt, upcalls, 1000, schedulers) == 0);
  rt.normal = mb_reason_new(MB_REASON_NORMAL, "n", 1);
  rt.killed = mb_reason_new(MB_REASON_OTHER, "k", 1);
  rt.noproc = mb_reason_new(MB_REASON_OTHER, "p", 1);
  if (schedulers > 1) CHECK(mb_runtime_start(&rt) == 0);
  return &rt.schedulers[0];
}

static inline void plain_end(void) {
  for (uint32_t i = 0; i < rt.started; i++) mb_scheduler_kill_all(&rt.schedulers[i]);
  mb_runtime_deinit(&rt);
}

static inline struct mb_process *plain_spawn(struct mb_scheduler *s) {
  struct mb_process *p;
  CHECK(mb_spawn(s, NULL, mb_signal_new(MB_MESSAGE, 0), MB_SPAWN_UNTIED, 0, &p) == 0);
  return p;
}

static inline mb_pid plain_pid(struct mb_process *p) { return atomic_load(&p->pid); }

#endif

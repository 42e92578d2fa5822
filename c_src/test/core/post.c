/* What is posted to a scheduler runs there, in order, after the signals that were sent there before. */
#include <uv.h>

#include "test/plain.h"

enum { POSTS = 10000 };

static const struct mb_upcalls upcalls = {PLAIN_UPCALLS};
static struct mb_process *target;

struct numbered {
  struct mb_posted posted;
  int number;
};

static int next;

static void run(struct mb_scheduler *s, struct mb_posted *posted) {
  struct numbered *n = (struct numbered *)posted;
  CHECK(s == &rt.schedulers[0] && n->number == next++);
  CHECK(n->number % 2 || (int)target->mailbox.count > n->number / 2);
  if (next == POSTS) mb_scheduler_stop(s);
  free(n);
}

static void post(void *data) {
  mb_pid pid = *(mb_pid *)data;
  for (int i = 0; i < POSTS; i++) {
    struct numbered *n = malloc(sizeof *n);
    CHECK(n);
    *n = (struct numbered){.posted.run = run, .number = i};
    if (i % 2 == 0) mb_signal_post(&rt, pid, mb_signal_new(MB_MESSAGE, 0));
    mb_post(&rt.schedulers[0], &n->posted);
  }
}

TEST(it_runs_in_order_after_the_signals_of_its_poster) {
  struct mb_scheduler *s = plain_begin(&upcalls, 1);
  uv_thread_t thread;
  mb_pid pid;
  target = plain_spawn(s);
  pid = plain_pid(target);
  s->stay = 1;
  CHECK(uv_thread_create(&thread, post, &pid) == 0);
  CHECK(mb_scheduler_run(s, NULL) == 0);
  CHECK(uv_thread_join(&thread) == 0);
  CHECK(next == POSTS);
  plain_end();
}

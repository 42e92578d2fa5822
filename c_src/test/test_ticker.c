/* The ticker: it interrupts a slice that lasts, not one that does not; it sleeps while nothing runs; it takes the signal
 * only when nobody else has it, and gives it back. */
#include <signal.h>
#include <string.h>
#include <uv.h>

#include "check.h"
#include "runtime.h"

static struct mb_runtime rt;
static volatile sig_atomic_t interrupts;
static int rounds;

static void interrupt(struct mb_scheduler *s) {
  CHECK(s == &rt.schedulers[0]);
  interrupts++;
}

/* Runs until it is interrupted, three times; then it ends. */
static void resume(struct mb_scheduler *s, struct mb_process *p) {
  int before = interrupts;
  uint64_t limit = uv_hrtime() + 5000000000ull;
  if (p->start) mb_signal_free(p->start);
  p->start = NULL;
  if (p->index > 1) {
    CHECK(mb_wait(s, p, 0) == 0);
    return;
  }
  while (interrupts == before) CHECK(uv_hrtime() < limit);
  CHECK(mb_slice_age(s) > 0);
  if (++rounds == 3) {
    s->stop = 1;
    CHECK(mb_wait(s, p, 0) == 0);
  }
}

static void destroy(struct mb_scheduler *s, struct mb_process *p) {
  (void)s;
  (void)p;
}

static const struct mb_upcalls upcalls = {.resume = resume, .destroy = destroy, .interrupt = interrupt};

static void begin(void) {
  struct mb_process *p;
  CHECK(mb_runtime_init(&rt, &upcalls, 50, 1) == 0);
  rt.normal = mb_reason_new(MB_REASON_NORMAL, "n", 1);
  rt.killed = mb_reason_new(MB_REASON_OTHER, "k", 1);
  CHECK(mb_ticker_init(&rt) == 0);
  for (int i = 0; i < 2; i++)
    CHECK(mb_spawn(&rt.schedulers[0], NULL, mb_signal_new(MB_MESSAGE, 0), 0, 0, NULL, &p) == 0);
}

static void end(void) {
  mb_scheduler_kill_all(&rt.schedulers[0]);
  mb_runtime_deinit(&rt);
}

static volatile sig_atomic_t received;

static void somebody_elses(int number) {
  (void)number;
  received++;
}

static int handler_is(void (*handler)(int)) {
  struct sigaction now;
  CHECK(sigaction(SIGURG, NULL, &now) == 0);
  return now.sa_handler == handler;
}

int main(void) {
  struct sigaction theirs = {.sa_handler = somebody_elses};
  int seen;

  begin();
  CHECK(atomic_load(&rt.ticker.state) == MB_TICKER_RUNS && !handler_is(SIG_DFL));
  CHECK(mb_scheduler_run(&rt.schedulers[0], NULL) == 0);
  CHECK(rounds == 3);
  atomic_store(&rt.schedulers[0].slice.busy, 0); /* as in its loop */
  for (int waited = 0; !atomic_load(&rt.ticker.asleep); waited++) {
    CHECK(waited < 5000);
    uv_sleep(1); /* nobody tells when a thread falls asleep */
  }
  seen = interrupts;
  mb_ticker_wake(&rt.schedulers[0]);
  mb_ticker_attach(&rt.schedulers[0]);
  for (int waited = 0; interrupts == seen; waited++) {
    CHECK(waited < 5000);
    uv_sleep(1);
  }
  end();
  CHECK(handler_is(SIG_DFL));

  begin(); /* taken over by somebody else: what is overdue is noticed, but nothing is sent */
  mb_ticker_attach(&rt.schedulers[0]);
  CHECK(sigaction(SIGURG, &theirs, NULL) == 0);
  received = 0;
  mb_slice_renew(&rt.schedulers[0]);
  for (int waited = 0; !mb_slice_age(&rt.schedulers[0]); waited++) {
    CHECK(waited < 5000);
    uv_sleep(1);
  }
  end();
  CHECK(received == 0 && handler_is(somebody_elses));

  begin();
  CHECK(atomic_load(&rt.ticker.state) == MB_TICKER_OFF && handler_is(somebody_elses));
  end();
  CHECK(handler_is(somebody_elses));
  return 0;
}

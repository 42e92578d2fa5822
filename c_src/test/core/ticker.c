/* The ticker: it preempts a slice that lasts while somebody waits for the scheduler, not one that does not, nor one
 * that waits in the kernel; it tells of one that hangs; it sleeps while nothing runs; it takes the signal only when
 * nobody else has it, and gives it back. */
#include <signal.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#include "core/core.h"
#include "test/check.h"

static struct mb_runtime rt;
static volatile sig_atomic_t preemptions;
static int rounds;
static atomic_int told;
static struct mb_process *first;

static void preempt(struct mb_scheduler *s) {
  CHECK(s == &rt.schedulers[0]);
  preemptions++;
}

static int stuck(struct mb_scheduler *s, struct mb_process *p, mb_pid pid, const char *site, unsigned ms) {
  CHECK(s == &rt.schedulers[0] && p == first && pid == atomic_load(&p->pid) && strcmp(site, "here") == 0 && ms >= 2000);
  atomic_fetch_add(&told, 1);
  return 1;
}

static unsigned ticks(void) { return atomic_load(&rt.schedulers[0].slice.ticks); }

/* Compute until so many ticks have passed. */
static void outlast(unsigned n) {
  unsigned until = ticks() + n;
  uint64_t limit = uv_hrtime() + 20000000000ull;
  while ((int)(until - ticks()) > 0) CHECK(uv_hrtime() < limit);
}

/* A wait that a signal would end. A tick that has looked before it began and signals after that is none's fault, so one
 * that ends at once begins anew. */
static void wait_in_kernel(struct mb_scheduler *s, long ms) {
  const struct timespec time = {ms / 1000, ms % 1000 * 1000000};
  for (int tries = 0;; tries++) {
    uint64_t began;
    outlast(1);
    for (uint64_t until = uv_hrtime() + 200000; uv_hrtime() < until;) continue;
    mb_slice_begin(s, first);
    began = uv_hrtime();
    if (nanosleep(&time, NULL) == 0) return;
    CHECK(uv_hrtime() - began < 20000000 && tries < 20);
  }
}

/* Runs until it is preempted, three times; then it ends. The other process, which then waits, is behind it
 * meanwhile. */
static void resume(struct mb_scheduler *s, struct mb_process *p) {
  int before = preemptions;
  uint64_t limit = uv_hrtime() + 5000000000ull;
  if (p->start) mb_signal_free(p->start);
  p->start = NULL;
  if (p != first && rounds < 3) return; /* ready again */
  if (p != first) {
    CHECK(mb_wait(s, p, 0) == 0);
    return;
  }
  if (rounds++ < 3) {
    /* a signal may have been on its way since the slice before */
    while (preemptions == before || !mb_slice_age(s)) CHECK(uv_hrtime() < limit);
    return;
  }
  if (rounds == 4) { /* nobody waits once the other has waited */
    return;
  }
  before = preemptions;
  outlast(20);
  CHECK(mb_slice_age(s) > 0 && preemptions == before && mb_slice_stretch(s).ms == 0);
  mb_scheduler_notice(s); /* somebody wants it */
  while (preemptions == before) CHECK(uv_hrtime() < limit);
  atomic_store(&s->noticed, 0);
  outlast(2); /* a signal that is on its way */
  s->posted = 1; /* somebody waits */
  wait_in_kernel(s, 50);
  CHECK(!told);
  CHECK(mb_slice_stretch(s).ms > 10 && !mb_slice_stretch(s).signalled);
  wait_in_kernel(s, 3500);
  CHECK(told == 1);
  before = preemptions;
  while (preemptions == before) CHECK(uv_hrtime() < limit); /* it computes again */
  s->posted = 0;
  s->stop = 1;
  CHECK(mb_wait(s, p, 0) == 0);
}

static void notice(struct mb_scheduler *s) { (void)s; }

static void destroy(struct mb_scheduler *s, struct mb_process *p) {
  (void)s;
  (void)p;
}

static const struct mb_upcalls upcalls = {.resume = resume, .destroy = destroy, .preempt = preempt,
                                          .notice = notice, .stuck = stuck};

static void begin_with(const struct mb_upcalls *calls) {
  struct mb_process *p;
  rounds = 0;
  CHECK(mb_runtime_init(&rt, calls, 50, 1) == 0);
  rt.normal = mb_reason_new(MB_REASON_NORMAL, "n", 1);
  rt.killed = mb_reason_new(MB_REASON_OTHER, "k", 1);
  CHECK(mb_ticker_init(&rt, MB_TICKER_FOR_ALL) == 0);
  for (int i = 0; i < 2; i++)
    CHECK(mb_spawn(&rt.schedulers[0], NULL, mb_signal_new(MB_MESSAGE, 0), MB_SPAWN_UNTIED, 0, i ? &p : &first) == 0);
  first->site = "here";
}

static void begin(void) { begin_with(&upcalls); }

static void end(void) {
  mb_scheduler_kill_all(&rt.schedulers[0]);
  mb_runtime_deinit(&rt);
}

/* One process computes in slices of its own making, until it is preempted: by turns somebody has been woken, and only
 * one waits that has used up a slice. Where the machine is busy the ticker comes late, so more are made until one of
 * the short ones is. */
enum { SLICES = 60, MOST_SLICES = 4000 };
static uint64_t shortest[2]; /* ns of the thread's: where one has used up a slice, where somebody has been woken */

static uint64_t processor_ns(void) {
  struct timespec now;
  CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void preempt_overdue(struct mb_scheduler *s) {
  if (mb_slice_is_overdue(s)) preemptions++; /* else the signal was meant for the slice before */
}

static void resume_by_demand(struct mb_scheduler *s, struct mb_process *p) {
  uint64_t limit = uv_hrtime() + 60000000000ull;
  if (p->start) mb_signal_free(p->start);
  p->start = NULL;
  shortest[0] = shortest[1] = UINT64_MAX;
  if (p != first) return; /* it has used up a slice */
  if (!rounds++) return; /* the other has not run yet */
  for (int i = 0; i < SLICES || (i < MOST_SLICES && shortest[1] >= MB_SLICE_NS / 2); i++) {
    int woken = i % 2, before;
    uint64_t began;
    atomic_store(&s->posted, woken);
    CHECK(mb_scheduler_demand(s, uv_hrtime()) == (woken ? MB_DEMAND_SOON : MB_DEMAND_TURN));
    before = preemptions;
    mb_slice_begin(s, p);
    began = processor_ns();
    while (preemptions == before) CHECK(uv_hrtime() < limit);
    began = processor_ns() - began;
    if (began < shortest[woken]) shortest[woken] = began;
  }
  atomic_store(&s->posted, 0);
  s->stop = 1;
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

TEST(it_preempts_what_others_wait_for_tells_of_what_hangs_and_sleeps_when_nothing_runs) {
  int seen;
  begin();
  CHECK(atomic_load(&rt.ticker.state) == MB_TICKER_RUNS && !handler_is(SIG_DFL));
  CHECK(mb_scheduler_run(&rt.schedulers[0], NULL) == 0);
  CHECK(rounds == 5);
  atomic_store(&rt.schedulers[0].slice.busy, 0); /* as in its loop */
  for (int waited = 0; !atomic_load(&rt.ticker.asleep); waited++) {
    CHECK(waited < 5000);
    uv_sleep(1); /* nobody tells when a thread falls asleep */
  }
  seen = preemptions;
  rt.schedulers[0].noticed = 1;
  mb_ticker_attach(&rt.schedulers[0]);
  mb_ticker_wake(&rt.schedulers[0]);
  for (uint64_t limit = uv_hrtime() + 5000000000ull; preemptions == seen;) CHECK(uv_hrtime() < limit);
  end();
  CHECK(handler_is(SIG_DFL));
}

TEST(a_slice_is_short_where_somebody_has_been_woken_and_in_no_case_shorter_than_it_may_be) {
  static const struct mb_upcalls calls = {.resume = resume_by_demand, .destroy = destroy, .preempt = preempt_overdue,
                                          .notice = notice, .stuck = stuck};
  begin_with(&calls);
  CHECK(mb_scheduler_run(&rt.schedulers[0], NULL) == 0);
  CHECK(shortest[1] >= MB_SHORT_SLICE_NS * 3 / 4 && shortest[0] >= MB_SLICE_NS * 3 / 4);
  CHECK(shortest[1] < MB_SLICE_NS / 2);
  end();
}

TEST(a_signal_that_somebody_has_taken_over_is_not_sent) {
  struct sigaction theirs = {.sa_handler = somebody_elses};
  begin(); /* what is overdue is noticed all the same */
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
}

TEST(a_signal_that_somebody_has_is_left_alone) {
  struct sigaction theirs = {.sa_handler = somebody_elses};
  CHECK(sigaction(SIGURG, &theirs, NULL) == 0);
  begin();
  CHECK(atomic_load(&rt.ticker.state) == MB_TICKER_OFF && handler_is(somebody_elses));
  end();
  CHECK(handler_is(somebody_elses));
}

#include "migrate.h"

#include "park.h"
#include "runtime.h"

enum {
  MOST_GIVEN = 1024, /* to one scheduler at once */
  MOST_SEEN = 4096   /* places of the queue seen */
};

/* Under p's lock: whether timers of this scheduler's aim at it. */
static int has_timers(const struct mb_process *p) {
  const struct mb_holding *h = p->holdings;
  while (h && h->kind != MB_HOLDING_TIMER) h = h->next;
  return h != NULL;
}

/* Let p go: 1, or 0 when it must stay because signals are under way or timers aim at it. */
static int let_go(struct mb_scheduler *s, struct mb_process *p, struct mb_scheduler *to) {
  int quiet;
  if (p->flags & (MB_PINNED | MB_IN_PLACE)) return 0;
  mb_lock_take(&p->lock); /* partner: push_inbox, which must list p with its owner */
  quiet = !p->inbox_queued && !atomic_load_explicit(&p->inbox, memory_order_relaxed) && !has_timers(p);
  if (quiet) {
    mb_queue_remove(&s->ready, p);
    s->embryos--;
    mb_count(&s->live, -1);
    mb_count(&s->messages, -(int64_t)p->mailbox.count);
    p->state = MB_TRANSIT;
    /* release: partner of the acquire in mb_is_here; everything above belongs to the other thread now */
    atomic_store_explicit(&p->scheduler, to, memory_order_release);
  }
  mb_lock_drop(&p->lock);
  return quiet;
}

static void post(struct mb_scheduler *to, struct mb_process *first, struct mb_process **last) {
  mb_lock_take(&to->remote_lock); /* partner: receive_posted */
  *last = to->arrivals;
  to->arrivals = first;
  atomic_store(&to->posted, 1);
  mb_lock_drop(&to->remote_lock);
  mb_ticker_awaits(to);
  mb_wake_scheduler(to);
}

static unsigned give(struct mb_scheduler *s, struct mb_scheduler *to, unsigned want) {
  struct mb_process *p = s->ready.tail, *first = NULL, **last = &first;
  unsigned given = 0;
  for (unsigned seen = 0; p && given < want && seen < MOST_SEEN; seen++) {
    struct mb_process *before = p->run_prev;
    if (p->state == MB_EMBRYO && let_go(s, p, to)) {
      p->run_next = NULL;
      *last = p;
      last = &p->run_next;
      given++;
    }
    p = before;
  }
  if (given) post(to, first, last);
  return given;
}

void mb_share(struct mb_scheduler *s, unsigned least) {
  struct mb_runtime *rt = s->runtime;
  uint32_t count;
  unsigned idle = 0, ready, spare, each;
  if (s->embryos < least || mb_queue_count(&s->ready) < 2 || rt->scheduler_count == 1) return;
  count = atomic_load_explicit(&rt->started, memory_order_acquire);
  if (count == 1) {
    rt->upcalls->start(s);
    count = atomic_load_explicit(&rt->started, memory_order_acquire);
  }
  if (!atomic_load_explicit(&rt->sleepers, memory_order_relaxed)) return;
  for (uint32_t i = 0; i < count; i++)
    idle += &rt->schedulers[i] != s &&
            atomic_load_explicit(&rt->schedulers[i].parked, memory_order_relaxed) != MB_AWAKE;
  if (!idle) return;
  if (rt->upcalls->share) rt->upcalls->share(s);
  ready = mb_queue_count(&s->ready);
  spare = ready - (ready + idle) / (idle + 1); /* beyond an equal share, the rest for s */
  if (spare > s->embryos) spare = s->embryos;
  each = (spare + idle - 1) / idle;
  if (each > MOST_GIVEN) each = MOST_GIVEN;
  for (uint32_t i = 0; i < count && idle > 0 && spare > 0; i++) {
    struct mb_scheduler *to = &rt->schedulers[i];
    unsigned given;
    if (to == s || atomic_load_explicit(&to->parked, memory_order_relaxed) == MB_AWAKE) continue;
    idle--;
    given = give(s, to, each < spare ? each : spare);
    if (!given) return;
    spare -= given;
  }
}

void mb_move(struct mb_scheduler *s, struct mb_process *p, struct mb_scheduler *to) {
  uint8_t pinned = p->flags & MB_PINNED;
  p->flags &= (uint8_t)~MB_PINNED;
  if (to != s && p->state == MB_EMBRYO && let_go(s, p, to)) {
    p->flags |= pinned; /* still invisible to the other thread: posted below */
    p->run_next = NULL;
    post(to, p, &p->run_next);
  } else {
    p->flags |= pinned;
  }
}

void mb_accept(struct mb_scheduler *s, struct mb_process *list) {
  while (list) {
    struct mb_process *p = list;
    list = p->run_next;
    mb_count(&s->live, 1);
    mb_count(&s->messages, p->mailbox.count);
    mb_count(&s->steals, 1);
    if (p->state == MB_EXITING) { /* ended on the way */
      mb_queue_push(&s->dying, p);
    } else {
      p->state = MB_EMBRYO;
      s->embryos++;
      mb_queue_push(&s->ready, p);
    }
  }
}

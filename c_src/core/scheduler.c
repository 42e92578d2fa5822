#include "scheduler.h"

#include <stdlib.h>

#include "delayed.h"
#include "error.h"
#include "mailbox.h"
#include "runtime.h"

enum {
  CROWD_NS = 100000,     /* embryos that will take so long are worth sharing: waking somebody takes half of it */
  SPIN_NS = 20000,       /* see spin */
  POLL_NS = 1000000,     /* the loop is polled at most this often while there is work */
  SLOT_BATCH = 64,       /* slots taken from the table at once, at most */
  SLOT_KEEP = 4096,      /* free slots kept here before half of them go back, at most */
  SLOT_SHARE = 16        /* all schedulers together keep one of so many */
};

static void set_head(struct mb_queue *q, struct mb_process *p) {
  atomic_store_explicit(&q->head, p, memory_order_relaxed); /* partner: the ticker, which wants to know whether there is one */
}

static int is_filled(const struct mb_queue *q) { return atomic_load_explicit(&q->head, memory_order_relaxed) != NULL; }

void mb_queue_push(struct mb_queue *q, struct mb_process *p) {
  p->run_next = NULL;
  p->run_prev = q->tail;
  if (q->tail)
    q->tail->run_next = p;
  else
    set_head(q, p);
  q->tail = p;
  q->count++;
}

void mb_queue_remove(struct mb_queue *q, struct mb_process *p) {
  if (p->run_prev)
    p->run_prev->run_next = p->run_next;
  else
    set_head(q, p->run_next);
  if (p->run_next)
    p->run_next->run_prev = p->run_prev;
  else
    q->tail = p->run_prev;
  p->run_next = p->run_prev = NULL;
  q->count--;
}

mb_ref mb_ref_new(struct mb_scheduler *s) { return mb_ref_make(++s->references, s->id); }

struct mb_process *mb_process_here(struct mb_scheduler *s, mb_pid pid) {
  struct mb_process *p = mb_process_table_slot(&s->runtime->table, pid);
  return p && atomic_load_explicit(&p->pid, memory_order_relaxed) == pid &&
                 mb_is_here(s, p) && p->state != MB_EXITING
             ? p
             : NULL;
}

int mb_elsewhere(struct mb_scheduler *s, mb_pid pid) {
  struct mb_process *p = mb_lookup(s->runtime, pid);
  return p && !mb_is_here(s, p);
}

void mb_wake(struct mb_scheduler *s, struct mb_process *p) {
  if (p->state != MB_WAITING) return;
  if (p->deadline) {
    /* The timer stays where it is: the next wait may well use it, and firing early does no harm. */
    p->deadline = 0;
    mb_count(&s->receive_timers, -1);
  }
  p->state = MB_RUNNABLE;
  mb_queue_push(&s->ready, p);
}

void mb_deliver(struct mb_scheduler *s, struct mb_process *p, struct mb_signal *signal) {
  if (p->state != MB_TRANSIT) mb_count(&s->messages, 1); /* else mb_accept counts all it has */
  mb_mailbox_push(&p->mailbox, signal);
  mb_wake(s, p);
}

int mb_wait(struct mb_scheduler *s, struct mb_process *p, uint64_t deadline) {
  p->flags &= (uint8_t)~MB_TIMED_OUT;
  if (deadline) {
    if (p->timer.place == MB_TIMER_IDLE) {
      p->timer.kind = MB_TIMER_RECEIVE;
      if (mb_timer_heap_add(&s->timers, &p->timer, deadline) != 0) return MB_ENOMEM;
    } else if (mb_timer_deadline(&s->timers, &p->timer) > deadline) {
      mb_timer_heap_move(&s->timers, &p->timer, deadline);
    }
    p->deadline = deadline;
    mb_count(&s->receive_timers, 1);
  }
  p->state = MB_WAITING;
  return 0;
}

void mb_unwait(struct mb_scheduler *s, struct mb_process *p) {
  if (p->state != MB_WAITING) return;
  if (p->deadline) {
    p->deadline = 0;
    mb_count(&s->receive_timers, -1);
  }
  p->state = MB_RUNNING;
}

void mb_slice_renew(struct mb_scheduler *s) {
  uint64_t number = atomic_load_explicit(&s->slice.number, memory_order_relaxed) + 1;
  atomic_store_explicit(&s->slice.number, number, memory_order_relaxed); /* this thread alone writes it */
}

void mb_slice_begin(struct mb_scheduler *s, struct mb_process *p) {
  mb_slice_renew(s);
  p->state = MB_RUNNING;
  p->reductions++;
  s->reduction_limit = p->reductions + MB_SLICE_REDUCTIONS;
  s->current = p;
  /* release: partner of the ticker, which looks at the number afterwards */
  atomic_store_explicit(&s->slice.process, p, memory_order_release);
}

uint64_t mb_slice_age(struct mb_scheduler *s) {
  uint64_t number = atomic_load_explicit(&s->slice.number, memory_order_relaxed);
  /* acquire: partner of the ticker, which sets since first */
  if (atomic_load_explicit(&s->slice.overdue, memory_order_acquire) != number) return 0;
  return uv_hrtime() - atomic_load_explicit(&s->slice.since, memory_order_relaxed);
}

int mb_scheduler_awaited(const struct mb_scheduler *s, uint64_t now) {
  if (is_filled(&s->ready) || atomic_load_explicit(&s->posted, memory_order_relaxed))
    return 1;
  return mb_timer_heap_due(&s->timers, now) && (atomic_load_explicit(&s->receive_timers, memory_order_relaxed) ||
                                                atomic_load_explicit(&s->delayed_count, memory_order_relaxed));
}

int mb_scheduler_wanted(const struct mb_scheduler *s, uint64_t now) {
  return mb_scheduler_awaited(s, now) || is_filled(&s->dying) ||
         atomic_load_explicit(&s->noticed, memory_order_relaxed) ||
         atomic_load_explicit(&s->stop, memory_order_relaxed) ||
         atomic_load_explicit(&s->handles, memory_order_relaxed);
}

void mb_give_way_in_place(struct mb_scheduler *s, struct mb_process *p) {
  p->state = MB_RUNNABLE;
  mb_queue_push(&s->ready, p);
  s->check_soon = 1;
}

/* Slots */

/* How many free slots may be kept here: what is kept is missing elsewhere when the table is nearly full. */
static uint32_t slot_keep(const struct mb_scheduler *s) {
  uint32_t keep = s->runtime->table.limit / SLOT_SHARE / s->runtime->scheduler_count;
  return keep < SLOT_KEEP ? keep : SLOT_KEEP;
}

static struct mb_process *slot_take(struct mb_scheduler *s) {
  struct mb_process *p;
  if (!s->free_slots) {
    uint32_t want = slot_keep(s) / 2 + 1;
    s->free_count += mb_process_table_take(&s->runtime->table, want < SLOT_BATCH ? want : SLOT_BATCH, &s->free_slots);
  }
  p = s->free_slots;
  if (!p) return NULL;
  s->free_slots = p->run_next;
  s->free_count--;
  p->run_next = NULL;
  return p;
}

static void slot_give(struct mb_scheduler *s, struct mb_process *p) {
  p->state = MB_FREE;
  p->flags = 0;
  if (p->generation++ == MB_MAX_GENERATION) return; /* used up: never again */
  p->run_next = s->free_slots;
  s->free_slots = p;
  if (++s->free_count > slot_keep(s)) {
    uint32_t back = slot_keep(s) / 2 + 1;
    p = s->free_slots; /* another heap's process may be next: coroutines stay behind */
    for (uint32_t i = 0; i < back; i++, p = p->run_next)
      if (p->context) s->runtime->upcalls->abandon(s, p);
    mb_process_table_give(&s->runtime->table, back, &s->free_slots);
    s->free_count -= back;
  }
}

/* Birth and death */

static void birth(struct mb_scheduler *s, struct mb_process *p) {
  mb_count(&s->live, 1);
  p->reductions = 0;
  atomic_store_explicit(&p->site, NULL, memory_order_relaxed);
  p->private_flags = 0;
  p->log_rush = 0;
  mb_lock_take(&p->lock); /* partner: push_inbox, which compares the pid */
  atomic_store_explicit(&p->scheduler, s, memory_order_release);
  atomic_store_explicit(&p->exiting, 0, memory_order_relaxed);
  atomic_store_explicit(&p->pid, mb_pid_make(p->index, p->generation), memory_order_release);
  mb_lock_drop(&p->lock);
}

/* Listed inboxes; their processes live here, or have. */
static void drain_remote(struct mb_scheduler *s, struct mb_process *list) {
  while (list) {
    struct mb_process *p = list;
    list = p->inbox_next; /* read first: from the next line on p may be listed again */
    mb_lock_take(&p->lock); /* partner: push_inbox */
    p->inbox_queued = 0;
    mb_lock_drop(&p->lock);
    mb_inbox_drain(s, p, atomic_load_explicit(&p->pid, memory_order_relaxed));
  }
}

/* The slot has no tenant any more: answer what was sent to it, and take it off the list of inboxes. */
static void settle(struct mb_scheduler *s, struct mb_process *p, mb_pid pid) {
  if (atomic_load_explicit(&p->inbox, memory_order_acquire)) mb_inbox_drain(s, p, pid);
  if (p->inbox_queued) { /* set no more: nobody finds the pid */
    struct mb_process *list;
    mb_lock_take(&s->remote_lock); /* partner: push_inbox */
    list = s->remote;
    s->remote = NULL;
    mb_lock_drop(&s->remote_lock);
    drain_remote(s, list);
  }
}

int mb_spawn(struct mb_scheduler *s, struct mb_process *parent, struct mb_signal *start, int link,
             int alias, mb_ref *monitor, struct mb_process **out) {
  struct mb_process *p = slot_take(s);
  mb_pid mother = parent ? atomic_load_explicit(&parent->pid, memory_order_relaxed) : 0;
  struct mb_watch *watches;
  mb_pid child;
  int err = p ? 0 : MB_ELIMIT;
  if (err) goto no_slot;
  birth(s, p);
  child = atomic_load_explicit(&p->pid, memory_order_relaxed);
  if (link) {
    err = mb_map_put(&p->links, mother, 0);
    if (!err) err = mb_map_put(&parent->links, child, 0);
    if (err) goto no_memory;
  }
  p->state = MB_WAITING; /* a state in which it can be monitored */
  if (monitor) {
    err = mb_monitor(s, parent, child, NULL, 0, alias, monitor);
    if (err) goto no_memory;
  }
  p->parent = mother;
  p->leader = parent ? parent->leader : 0;
  p->start = start;
  p->state = MB_EMBRYO;
  s->embryos++;
  mb_queue_push(&s->ready, p);
  if (atomic_load_explicit(&s->runtime->ticker.state, memory_order_relaxed) == MB_TICKER_READY &&
      atomic_load_explicit(&s->live, memory_order_relaxed) > 1)
    mb_ticker_start(s->runtime);
  *out = p;
  return 0;

no_memory:
  mb_map_deinit(&p->links);
  if (parent) mb_map_remove(&parent->links, child, NULL);
  mb_lock_take(&p->lock); /* nobody knows the pid, but guessing is allowed */
  atomic_store_explicit(&p->pid, 0, memory_order_relaxed);
  watches = p->watches;
  p->watches = NULL;
  mb_lock_drop(&p->lock);
  mb_watches_send(s, watches);
  settle(s, p, child);
  mb_count(&s->live, -1);
  slot_give(s, p);
no_slot:
  mb_signal_free(start);
  return err;
}

int mb_spawn_in_place(struct mb_scheduler *s, struct mb_process **out) {
  struct mb_process *p = slot_take(s);
  if (!p) return MB_ELIMIT;
  birth(s, p);
  p->parent = p->leader = 0;
  p->flags = MB_IN_PLACE;
  mb_ticker_attach(s);
  mb_slice_begin(s, p);
  *out = p;
  return 0;
}

static void end(struct mb_scheduler *s, struct mb_process *p) {
  struct mb_process *before = s->current;
  mb_pid pid = atomic_load_explicit(&p->pid, memory_order_relaxed);
  s->current = p;
  s->closing++;
  mb_slice_renew(s);
  atomic_store_explicit(&s->slice.process, p, memory_order_release);
  s->runtime->upcalls->destroy(s, p);
  s->closing--;
  s->current = before;
  mb_announce_death(s, p);
  mb_timer_heap_remove(&s->timers, &p->timer);
  if (p->deadline) {
    p->deadline = 0;
    mb_count(&s->receive_timers, -1);
  }
  if (p->start) mb_signal_free(p->start);
  p->start = NULL;
  mb_lock_take(&p->lock); /* partner: push_inbox; from here on a pusher sees that p is gone */
  atomic_store_explicit(&p->pid, 0, memory_order_relaxed);
  mb_lock_drop(&p->lock);
  settle(s, p, pid);
  mb_count(&s->messages, -(int64_t)mb_mailbox_clear(&p->mailbox));
  mb_reason_release(p->reason);
  p->reason = NULL;
  mb_count(&s->live, -1);
  slot_give(s, p);
}

/* End the dying, as far as the one that is suspended below, which has to leave its frames first. */
static void reap(struct mb_scheduler *s) {
  for (struct mb_process *p; (p = s->dying.head) && p != s->suspended_below;) {
    mb_queue_remove(&s->dying, p);
    end(s, p);
  }
}

/* Timers */

static void fire_receive(struct mb_scheduler *s, struct mb_process *p, uint64_t now) {
  if (p->state != MB_WAITING || p->deadline == 0) return; /* left over from a wait that is done */
  if (p->deadline > now) {
    /* set again for the wait that goes on; there is room: one was just removed */
    (void)mb_timer_heap_add(&s->timers, &p->timer, p->deadline);
    return;
  }
  p->flags |= MB_TIMED_OUT;
  mb_wake(s, p);
}

static void expire(struct mb_scheduler *s, uint64_t now) {
  while (mb_timer_heap_first(&s->timers) <= now) {
    struct mb_timer *t = s->timers.slots[0].timer;
    mb_timer_heap_remove(&s->timers, t);
    if (t->kind == MB_TIMER_MESSAGE)
      mb_delayed_fire(s, t);
    else
      fire_receive(s, (struct mb_process *)((char *)t - offsetof(struct mb_process, timer)), now);
  }
}

/* The loop */

void mb_receive_posted(struct mb_scheduler *s) {
  struct mb_process *remote, *arrivals;
  struct mb_watch *ended;
  struct mb_request *requests;
  /* one that posts at this moment finds the scheduler awake, and is found by the next check */
  if (!atomic_load_explicit(&s->posted, memory_order_relaxed)) return;
  mb_lock_take(&s->remote_lock); /* partner: push_inbox, migrate.c, request.c, delayed.c */
  remote = s->remote;
  arrivals = s->arrivals;
  ended = s->ended;
  requests = s->requests;
  s->remote = s->arrivals = NULL;
  s->ended = NULL;
  s->requests = NULL;
  s->requests_last = &s->requests;
  atomic_store_explicit(&s->posted, 0, memory_order_relaxed);
  mb_lock_drop(&s->remote_lock);
  s->spin = 1;
  mb_accept(s, arrivals);
  mb_watches_end(s, ended); /* before the signals that tell of the same deaths */
  drain_remote(s, remote);
  while (requests) { /* after the signals: what the asker did before has happened */
    struct mb_request *r = requests;
    requests = r->next;
    s->runtime->upcalls->answer(s, r);
  }
}

/* Spin for posts for a little while instead of sleeping: waking takes longer than an answer. */
static int spin(struct mb_scheduler *s) {
  uint64_t until = s->checked + SPIN_NS;
  s->spin = 0;
  do {
    for (int i = 0; i < 64; i++)
      if (atomic_load_explicit(&s->posted, memory_order_relaxed)) return 1;
    s->checked = uv_hrtime(); /* spinning is not counted as running */
  } while (s->checked < until);
  return 0;
}

/* uv_run serves timers before it polls, too: one that is due by then must keep it from blocking. */
static void on_wake(uv_timer_t *t) { uv_stop(t->loop); }
static void on_doorbell(uv_async_t *a) { (void)a; }

/* Block until something happens. 0, or MB_EDEADLOCK. */
static int sleep_on_loop(struct mb_scheduler *s, uint64_t now) {
  int deadlock;
  atomic_store_explicit(&s->asleep_since, (int64_t)now, memory_order_relaxed);
  atomic_store_explicit(&s->slice.busy, 0, memory_order_relaxed);
  uv_run(s->loop, UV_RUN_ONCE);
  deadlock = mb_unparked(s);
  mb_ticker_wake(s);
  s->checked = s->polled = uv_hrtime();
  atomic_store_explicit(&s->asleep_since, 0, memory_order_relaxed);
  mb_count(&s->slept, (int64_t)(s->polled - now));
  mb_count(&s->wakeups, 1);
  return deadlock ? MB_EDEADLOCK : 0;
}

/* Check timers, inboxes and the loop. With nothing to run afterwards, block until there may be. */
static int check_events(struct mb_scheduler *s, int may_block) {
  uint64_t now = uv_hrtime(), first;
  int waits, idle, err;
  s->checked = now;
  s->ran = 0;
  s->check_soon = 0;
  s->ticks = atomic_load_explicit(&s->slice.ticks, memory_order_relaxed);
  expire(s, now);
  mb_receive_posted(s);
  if (atomic_load_explicit(&s->noticed, memory_order_relaxed)) {
    atomic_store(&s->noticed, 0); /* first: what is noticed from here on makes it due again */
    s->runtime->upcalls->notice(s);
  }
  atomic_store_explicit(&s->queued, s->ready.count, memory_order_relaxed);
  atomic_store_explicit(&s->handles, uv_loop_alive(s->loop), memory_order_relaxed);
  if (s->ready.head || s->dying.head || !may_block) {
    if (now - s->polled >= POLL_NS && uv_loop_alive(s->loop)) {
      s->polled = now;
      atomic_store_explicit(&s->slice.process, NULL, memory_order_relaxed); /* what takes long now is none of theirs */
      uv_run(s->loop, UV_RUN_NOWAIT);
    }
    return 0;
  }
  if (s->spin && spin(s)) return 0;
  waits = atomic_load_explicit(&s->receive_timers, memory_order_relaxed) > 0 || s->delayed.count > 0;
  idle = !waits && !s->stay && !uv_loop_alive(s->loop);
  uv_ref((uv_handle_t *)&s->doorbell);
  if (waits) {
    first = mb_timer_heap_first(&s->timers);
    uv_update_time(s->loop);
    /* rounded up: waking early would only mean going round again */
    if (uv_timer_start(&s->wake, on_wake, first > now ? (first - now + 999999) / 1000000 : 0, 0) != 0)
      return MB_ELOOP;
  }
  err = mb_park(s, idle) ? sleep_on_loop(s, now) : 0;
  uv_timer_stop(&s->wake);
  uv_unref((uv_handle_t *)&s->doorbell);
  expire(s, s->polled);
  mb_receive_posted(s);
  return err;
}

static void run(struct mb_scheduler *s, struct mb_process *p) {
  mb_slice_begin(s, p);
  s->runtime->upcalls->resume(s, p);
  s->current = NULL;
  if (p->state == MB_RUNNING) { /* it gave way without waiting for anything */
    p->state = MB_RUNNABLE;
    mb_queue_push(&s->ready, p);
  }
}

/* Take the first of those that are ready. */
static struct mb_process *next_ready(struct mb_scheduler *s) {
  struct mb_process *p = s->ready.head;
  mb_queue_remove(&s->ready, p);
  if (p->state == MB_EMBRYO) s->embryos--;
  s->ran++;
  return p;
}

int mb_run_nested(struct mb_scheduler *s, struct mb_process *p) {
  s->suspended_below = p;
  run(s, next_ready(s));
  if (s->dying.head && p->state != MB_EXITING) reap(s);
  s->suspended_below = NULL;
  s->current = p;
  if (s->ready.head != p || s->dying.head || s->check_soon || atomic_load_explicit(&s->stop, memory_order_relaxed) ||
      atomic_load_explicit(&s->noticed, memory_order_relaxed))
    return 0;
  mb_slice_begin(s, next_ready(s));
  return 1;
}

int mb_scheduler_run(struct mb_scheduler *s, struct mb_process *in_place) {
  mb_pid pid = in_place ? atomic_load_explicit(&in_place->pid, memory_order_relaxed) : 0;
  mb_ticker_attach(s);
  for (;;) {
    struct mb_process *p;
    if (s->dying.head) reap(s);
    if (atomic_load_explicit(&s->stop, memory_order_relaxed)) return 0;
    if (in_place && atomic_load_explicit(&in_place->pid, memory_order_relaxed) != pid) return 0;
    if (mb_check_due(s)) {
      /* Who holds the processor for a whole slice keeps those behind from starting; a batch of short runs does not,
       * unless there is a crowd. */
      unsigned ran = s->check_soon ? 0 : s->ran, least = 1;
      uint64_t began = s->checked;
      check_events(s, 0);
      if (ran) least = (unsigned)(CROWD_NS / ((s->checked - began) / ran + 1)) + 1;
      mb_share(s, least);
    }
    if (!s->ready.head) {
      int err = check_events(s, 1);
      if (err) return err;
      continue;
    }
    p = next_ready(s);
    if (p == in_place) {
      mb_slice_begin(s, p);
      return 0;
    }
    run(s, p);
  }
}

void mb_scheduler_stop(struct mb_scheduler *s) {
  atomic_store(&s->stop, 1);
  mb_wake_scheduler(s);
}

void mb_scheduler_notice(struct mb_scheduler *s) {
  atomic_store(&s->noticed, 1);
  mb_wake_scheduler(s);
}

static void on_close(uv_handle_t *h) { (void)h; }

int mb_scheduler_init(struct mb_scheduler *s, struct mb_runtime *rt, uint32_t id) {
  *s = (struct mb_scheduler){.runtime = rt, .id = id, .requests_last = &s->requests, .born = uv_hrtime()};
  atomic_store(&s->slice.busy, 1);
  s->loop = malloc(sizeof *s->loop);
  if (!s->loop) return MB_ENOMEM;
  if (uv_loop_init(s->loop) != 0) {
    free(s->loop);
    s->loop = NULL;
    return MB_ELOOP;
  }
  if (uv_async_init(s->loop, &s->doorbell, on_doorbell) != 0) {
    uv_loop_close(s->loop);
    free(s->loop);
    s->loop = NULL;
    return MB_ELOOP;
  }
  uv_timer_init(s->loop, &s->wake);
  uv_unref((uv_handle_t *)&s->doorbell);
  return 0;
}

static void close_walked(uv_handle_t *h, void *data) {
  (void)data;
  if (!uv_is_closing(h)) uv_close(h, on_close);
}

void mb_scheduler_kill_all(struct mb_scheduler *s) {
  struct mb_process_table *t = &s->runtime->table;
  s->suspended_below = NULL; /* the thread does not go back to its frames */
  do {
    mb_receive_posted(s);
    uint32_t extent = mb_process_table_extent(t);
    for (uint32_t i = 1; i < extent; i++) {
      struct mb_process *p = mb_process_table_at(t, i);
      mb_pid pid = p ? atomic_load_explicit(&p->pid, memory_order_relaxed) : 0;
      if (pid && mb_is_here(s, p))
        mb_process_exit(s, p, s->runtime->killed);
    }
    reap(s);
    /* clean-up code may have spawned; and it may be such code that ends the program */
  } while (atomic_load_explicit(&s->live, memory_order_relaxed) > s->closing);
}

void mb_scheduler_deinit(struct mb_scheduler *s) {
  if (!s->loop) return;
  mb_ticker_detach(s);
  mb_delayed_clear(s);
  while (s->pool) {
    struct mb_signal *signal = s->pool;
    s->pool = signal->next;
    mb_signal_free(signal);
  }
  mb_timer_heap_deinit(&s->timers);
  uv_walk(s->loop, close_walked, NULL);
  while (uv_run(s->loop, UV_RUN_DEFAULT) != 0) continue;
  uv_loop_close(s->loop);
  free(s->loop);
  s->loop = NULL;
}

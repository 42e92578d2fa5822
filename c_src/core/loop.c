#include "loop.h"

#include <stdlib.h>

#include "broken_pipe.h"
#include "delayed.h"
#include "error.h"
#include "freeze.h"
#include "lifecycle.h"
#include "migrate.h"
#include "park.h"
#include "post.h"
#include "protocol.h"
#include "runtime.h"

enum {
  CROWD_NS = 100000,     /* embryos that will take so long are worth sharing: waking somebody takes half of it */
  SPIN_NS = 20000,       /* see spin */
  POLL_NS = 1000000      /* the loop is polled at most this often while there is work */
};

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

static void fire_message(struct mb_scheduler *s, struct mb_timer *t, uint64_t deadline) {
  struct mb_signal *signal;
  mb_pid to = mb_delayed_due(s, t, deadline, &signal);
  if (to) mb_signal_send(s, to, signal);
}

static void expire(struct mb_scheduler *s, uint64_t now) {
  while (mb_timer_heap_first(&s->timers) <= now) {
    struct mb_timer *t = s->timers.slots[0].timer;
    uint64_t deadline = mb_timer_heap_first(&s->timers);
    mb_timer_heap_remove(&s->timers, t);
    if (t->kind == MB_TIMER_MESSAGE)
      fire_message(s, t, deadline);
    else
      fire_receive(s, (struct mb_process *)((char *)t - offsetof(struct mb_process, timer)), now);
  }
}

/* The loop */

void mb_receive_posted(struct mb_scheduler *s) {
  struct mb_process *remote, *arrivals;
  struct mb_watch *ended;
  struct mb_posted *posts;
  /* one that posts at this moment finds the scheduler awake, and is found by the next check */
  if (!atomic_load_explicit(&s->posted, memory_order_relaxed)) return;
  mb_lock_take(&s->remote_lock); /* partner: push_inbox, migrate.c, post.c, delayed.c */
  remote = s->remote;
  arrivals = s->arrivals;
  ended = s->ended;
  posts = s->posts;
  s->remote = s->arrivals = NULL;
  s->ended = NULL;
  s->posts = NULL;
  s->posts_last = &s->posts;
  atomic_store_explicit(&s->posted, 0, memory_order_relaxed);
  mb_lock_drop(&s->remote_lock);
  s->spin = 1;
  mb_accept(s, arrivals);
  mb_watches_end(s, ended); /* before the signals that tell of the same deaths */
  mb_inboxes_drain(s, remote);
  while (posts) { /* after the signals: what the poster did before has happened */
    struct mb_posted *posted = posts;
    posts = posted->next; /* read first: running it may free it */
    posted->run(s, posted);
  }
}

/* Spin for posts for a little while instead of sleeping: waking takes longer than an answer. */
static int spin(struct mb_scheduler *s) {
  uint64_t until = mb_clock_system() + SPIN_NS; /* the others' time */
  s->spin = 0;
  do {
    for (int i = 0; i < 64; i++)
      if (atomic_load_explicit(&s->posted, memory_order_relaxed)) return 1;
    s->checked = mb_now(s->runtime); /* spinning is not counted as running */
  } while (mb_clock_system() < until);
  return 0;
}

/* uv_run serves timers before it polls, too: what is due by then must keep it from blocking, the runtime's own timer or
 * one that has woken a process, or was the last thing that somebody waits for. */
static void on_wake(uv_timer_t *t) { uv_stop(t->loop); }

static void on_before_poll(uv_prepare_t *handle) {
  struct mb_scheduler *s = (struct mb_scheduler *)((char *)handle - offsetof(struct mb_scheduler, before_poll));
  int drained = 0;
  if (s->drained) {
    int rings = uv_has_ref((uv_handle_t *)&s->doorbell);
    uv_unref((uv_handle_t *)&s->doorbell);
    drained = !uv_loop_alive(s->loop);
    if (rings) uv_ref((uv_handle_t *)&s->doorbell);
  }
  if (mb_next_ready(s) || s->dying.head || drained) uv_stop(s->loop);
}

static void on_doorbell(uv_async_t *a) { (void)a; }

/* uv_run, whose writes fail where nobody reads. */
static void poll_loop(struct mb_scheduler *s, uv_run_mode mode) {
  mb_pipe_may_break = 1;
  uv_run(s->loop, mode);
  mb_pipe_may_break = 0;
}

/* Block until something happens. 0, or MB_EDEADLOCK. */
static int sleep_on_loop(struct mb_scheduler *s, uint64_t now) {
  int deadlock;
  atomic_store_explicit(&s->asleep_since, (int64_t)now, memory_order_relaxed);
  atomic_store_explicit(&s->slice.busy, 0, memory_order_relaxed);
  poll_loop(s, UV_RUN_ONCE);
  deadlock = mb_unparked(s);
  mb_ticker_wake(s);
  s->checked = s->polled = mb_now(s->runtime);
  atomic_store_explicit(&s->asleep_since, 0, memory_order_relaxed);
  mb_count(&s->slept, (int64_t)(s->polled - now));
  mb_count(&s->wakeups, 1);
  return deadlock ? MB_EDEADLOCK : 0;
}

enum blocking { MUST_NOT_BLOCK, MAY_BLOCK };

/* Check timers, inboxes and the loop. With nothing to run afterwards, block, where that is allowed, until there may
 * be. */
static int check_events(struct mb_scheduler *s, enum blocking blocking) {
  uint64_t now = mb_now(s->runtime), first = UINT64_MAX;
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
  if (s->drained && !uv_loop_alive(s->loop)) s->drained(s);
  atomic_store_explicit(&s->queued, mb_queue_count(&s->ready), memory_order_relaxed);
  atomic_store_explicit(&s->handles, uv_loop_alive(s->loop), memory_order_relaxed);
  if (s->ready.head || s->dying.head || blocking == MUST_NOT_BLOCK) {
    if (now - s->polled >= POLL_NS && uv_loop_alive(s->loop)) {
      s->polled = now;
      atomic_store_explicit(&s->slice.process, NULL, memory_order_relaxed); /* what takes long now is none of theirs */
      poll_loop(s, UV_RUN_NOWAIT);
    }
    return 0;
  }
  if (s->spin && spin(s)) return 0;
  waits = atomic_load_explicit(&s->receive_timers, memory_order_relaxed) > 0 || s->delayed.count > 0;
  idle = !waits && !s->stay && !uv_loop_alive(s->loop);
  if (waits) {
    first = mb_timer_heap_first(&s->timers);
    if (!uv_loop_alive(s->loop) && mb_clock_skip(&s->runtime->clock, first)) return 0;
  }
  uv_ref((uv_handle_t *)&s->doorbell);
  if (waits) {
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
  if (p->state == MB_RUNNING) mb_queue_spent(s, p); /* it gave way without waiting for anything */
}

int mb_run_nested(struct mb_scheduler *s, struct mb_process *p) {
  struct mb_process *next = mb_next_ready(s);
  s->suspended_below = p;
  mb_take_ready(s, next);
  run(s, next);
  if (s->dying.head && p->state != MB_EXITING) mb_reap(s);
  s->suspended_below = NULL;
  s->current = p;
  if (mb_next_ready(s) != p || s->dying.head || s->check_soon || atomic_load_explicit(&s->stop, memory_order_relaxed) ||
      atomic_load_explicit(&s->noticed, memory_order_relaxed))
    return 0;
  mb_take_ready(s, p);
  mb_slice_begin(s, p);
  return 1;
}

int mb_scheduler_run(struct mb_scheduler *s, struct mb_process *in_place) {
  mb_pid pid = in_place ? atomic_load_explicit(&in_place->pid, memory_order_relaxed) : 0;
  int stop;
  mb_ticker_attach(s);
  for (;;) {
    struct mb_process *p;
    if (s->dying.head) mb_reap(s);
    if ((stop = atomic_load_explicit(&s->stop, memory_order_relaxed))) {
      if (stop == MB_STOP_FROZEN) mb_freeze_here(s);
      return 0;
    }
    if (in_place && atomic_load_explicit(&in_place->pid, memory_order_relaxed) != pid) return 0;
    if (mb_check_due(s)) {
      /* Who holds the processor for a whole slice keeps those behind from starting; a batch of short runs does not,
       * unless there is a crowd. */
      unsigned ran = s->check_soon ? 0 : s->ran, least = 1;
      uint64_t began = s->checked;
      check_events(s, MUST_NOT_BLOCK);
      if (ran) least = (unsigned)(CROWD_NS / ((s->checked - began) / ran + 1)) + 1;
      mb_share(s, least);
    }
    if (!s->ready.head) {
      int err = check_events(s, MAY_BLOCK);
      if (err) return err;
      continue;
    }
    p = mb_next_ready(s);
    mb_take_ready(s, p);
    if (p == in_place) {
      mb_slice_begin(s, p);
      return 0;
    }
    run(s, p);
  }
}

void mb_scheduler_stop(struct mb_scheduler *s) {
  atomic_store(&s->stop, MB_STOP_LEAVES);
  mb_wake_scheduler(s);
}

void mb_scheduler_notice(struct mb_scheduler *s) {
  atomic_store(&s->noticed, 1);
  mb_wake_scheduler(s);
}

static void on_close(uv_handle_t *h) { (void)h; }

static int init_handles(struct mb_scheduler *s) {
  if (uv_async_init(s->loop, &s->doorbell, on_doorbell) != 0) return MB_ELOOP;
  uv_timer_init(s->loop, &s->wake);
  uv_prepare_init(s->loop, &s->before_poll);
  uv_prepare_start(&s->before_poll, on_before_poll);
  uv_unref((uv_handle_t *)&s->before_poll);
  uv_unref((uv_handle_t *)&s->doorbell);
  return 0;
}

int mb_scheduler_init(struct mb_scheduler *s, struct mb_runtime *rt, uint32_t id) {
  *s = (struct mb_scheduler){.runtime = rt, .id = id, .posts_last = &s->posts, .born = mb_now(rt)};
  atomic_store(&s->slice.busy, 1);
  s->loop = malloc(sizeof *s->loop);
  if (!s->loop) return MB_ENOMEM;
  if (uv_loop_init(s->loop) != 0) {
    free(s->loop);
    s->loop = NULL;
    return MB_ELOOP;
  }
  if (init_handles(s) != 0) {
    uv_loop_close(s->loop);
    free(s->loop);
    s->loop = NULL;
    return MB_ELOOP;
  }
  return 0;
}

/* Close the handles that have no data, which are the runtime's. */
static void close_own(uv_handle_t *h, void *data) {
  (void)data;
  if (!h->data && !uv_is_closing(h)) uv_close(h, on_close);
}

/* Leave the loop without a handle of the runtime's. */
static void leave_loop(struct mb_scheduler *s) {
  uv_walk(s->loop, close_own, NULL);
  for (int i = 0; i < 2; i++) poll_loop(s, UV_RUN_NOWAIT); /* after uv_stop the first does nothing */
}

int mb_scheduler_take_loop(struct mb_scheduler *s, uv_loop_t *loop) {
  uv_loop_t *own = s->loop;
  leave_loop(s);
  s->loop = loop;
  if (init_handles(s) != 0) {
    s->loop = own;
    return init_handles(s) != 0 ? MB_ELOOP : MB_ENOMEM;
  }
  s->loop_borrowed = s->loop_used = 1;
  uv_loop_close(own);
  free(own);
  return 0;
}

static void close_walked(uv_handle_t *h, void *data) {
  struct mb_scheduler *s = data;
  int own = h == (uv_handle_t *)&s->doorbell || h == (uv_handle_t *)&s->wake || h == (uv_handle_t *)&s->before_poll;
  if (!own && !uv_is_closing(h)) uv_close(h, on_close);
}

void mb_scheduler_empty_loop(struct mb_scheduler *s) {
  if (s->loop_borrowed) return;
  uv_walk(s->loop, close_walked, s);
  while (uv_run(s->loop, UV_RUN_DEFAULT) != 0) continue;
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
    mb_reap(s);
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
  mb_scheduler_empty_loop(s);
  while (s->works) uv_run(s->loop, UV_RUN_ONCE); /* on a borrowed loop, which goes on without us */
  leave_loop(s);
  if (!s->loop_borrowed) {
    uv_loop_close(s->loop);
    free(s->loop);
  }
  s->loop = NULL;
}

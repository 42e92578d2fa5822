#include "scheduler.h"

#include "error.h"
#include "runtime.h"

enum {
  MOST_PASSED = 16, /* spent processes at the head of the queue that others may pass, at once */
  PASSING_TICKS = 2 /* for which they may */
};

static void set_head(struct mb_queue *q, struct mb_process *p) {
  atomic_store_explicit(&q->head, p, memory_order_relaxed); /* partner: the ticker, which asks whether there is one */
}

static void set_count(struct mb_queue *q, int by) {
  atomic_store_explicit(&q->count, mb_queue_count(q) + (uint32_t)by, memory_order_relaxed); /* partner: the ticker */
}

void mb_queue_push(struct mb_queue *q, struct mb_process *p) {
  p->run_next = NULL;
  p->run_prev = q->tail;
  if (q->tail)
    q->tail->run_next = p;
  else
    set_head(q, p);
  q->tail = p;
  set_count(q, 1);
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
  set_count(q, -1);
}

mb_ref mb_ref_new(struct mb_scheduler *s) { return mb_ref_make(++s->references, s->id); }

struct mb_process *mb_process_here(struct mb_scheduler *s, mb_pid pid) {
  struct mb_process *p = mb_process_table_slot(&s->runtime->table, pid);
  return p && atomic_load_explicit(&p->pid, memory_order_relaxed) == pid &&
                 mb_is_here(s, p) && p->state != MB_EXITING
             ? p
             : NULL;
}

enum mb_where mb_locate(struct mb_scheduler *s, mb_pid pid, struct mb_process **here) {
  struct mb_process *p = mb_process_table_lookup(&s->runtime->table, pid);
  *here = NULL;
  if (!p) return mb_pid_node(pid) && s->runtime->upcalls->remote ? MB_REMOTE : MB_NOWHERE;
  if (!mb_is_here(s, p)) return MB_ELSEWHERE;
  if (p->state == MB_EXITING) return MB_NOWHERE;
  *here = p;
  return MB_HERE;
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
  mb_ticker_awaits(s);
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
  uint64_t number = atomic_load_explicit(&s->slice.number, memory_order_relaxed) + 1; /* this thread alone writes it */
  if (atomic_load_explicit(&s->slice.timed, memory_order_relaxed)) /* partner: the ticker, which reads it */
    atomic_store_explicit(&s->slice.began, mb_now(s->runtime), memory_order_relaxed);
  /* release: partner of the ticker, which reads began after it has seen this */
  atomic_store_explicit(&s->slice.number, number, memory_order_release);
}

void mb_slice_begin(struct mb_scheduler *s, struct mb_process *p) {
  /* what has run before may have begun to wait for the loop: p is interrupted for that */
  if (s->loop_used && !atomic_load_explicit(&s->handles, memory_order_relaxed) && uv_loop_alive(s->loop))
    atomic_store_explicit(&s->handles, 1, memory_order_relaxed);
  mb_slice_renew(s);
  p->state = MB_RUNNING;
  p->reductions++;
  s->reduction_limit = p->reductions + MB_SLICE_REDUCTIONS;
  s->current = p;
  /* release: partner of the ticker, which reads the number afterwards */
  atomic_store_explicit(&s->slice.process, p, memory_order_release);
}

uint64_t mb_slice_age(struct mb_scheduler *s) {
  uint64_t number = atomic_load_explicit(&s->slice.number, memory_order_relaxed);
  /* acquire: partner of the ticker, which sets since first */
  if (atomic_load_explicit(&s->slice.overdue, memory_order_acquire) != number) return 0;
  return mb_now(s->runtime) - atomic_load_explicit(&s->slice.since, memory_order_relaxed);
}

void mb_queue_spent(struct mb_scheduler *s, struct mb_process *p) {
  p->state = MB_SPENT;
  mb_count(&s->spent, 1);
  mb_queue_push(&s->ready, p);
}

void mb_give_way_in_place(struct mb_scheduler *s, struct mb_process *p) {
  mb_queue_spent(s, p);
  s->check_soon = 1;
}

static unsigned ticks_of(const struct mb_scheduler *s) {
  return atomic_load_explicit(&s->slice.ticks, memory_order_relaxed);
}

/* Whether none may pass a process that has used up a slice. */
static int is_turn_of_spent(const struct mb_scheduler *s) {
  return !s->spent_ran && (s->passed >= MB_BATCH || ticks_of(s) - s->turn >= PASSING_TICKS);
}

struct mb_process *mb_next_ready(const struct mb_scheduler *s) {
  struct mb_process *first = atomic_load_explicit(&s->ready.head, memory_order_relaxed), *p = first;
  if (!first || first->state != MB_SPENT || is_turn_of_spent(s)) return first;
  for (int seen = 0; p && p->state == MB_SPENT && seen < MOST_PASSED; seen++) p = p->run_next;
  return p && p->state != MB_SPENT ? p : first;
}

/* p is taken where some have used up a slice. */
static void note_turn(struct mb_scheduler *s, const struct mb_process *p) {
  if (s->spent_ran) s->turn = ticks_of(s); /* what it took of the time does not count as the others' */
  s->spent_ran = p->state == MB_SPENT;
  s->passed = s->spent_ran ? 0 : s->passed + 1;
  if (s->spent_ran) mb_count(&s->spent, -1);
}

void mb_take_ready(struct mb_scheduler *s, struct mb_process *p) {
  mb_queue_remove(&s->ready, p);
  if (p->state == MB_EMBRYO) s->embryos--;
  if (atomic_load_explicit(&s->spent, memory_order_relaxed)) note_turn(s, p);
  s->ran++;
}

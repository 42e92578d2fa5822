#include "lifecycle.h"

#include "error.h"
#include "mailbox.h"
#include "protocol.h"
#include "runtime.h"

enum {
  SLOT_BATCH = 64,       /* slots taken from the table at once, at most */
  SLOT_KEEP = 4096,      /* free slots kept here before half of them go back, at most */
  SLOT_SHARE = 16        /* all schedulers together keep one of so many */
};

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

/* The slot has no tenant any more: answer what was sent to it, and take it off the list of inboxes. */
static void settle(struct mb_scheduler *s, struct mb_process *p, mb_pid pid) {
  if (atomic_load_explicit(&p->inbox, memory_order_acquire)) mb_inbox_drain(s, p, pid);
  if (p->inbox_queued) { /* set no more: nobody finds the pid */
    struct mb_process *list;
    mb_lock_take(&s->remote_lock); /* partner: push_inbox */
    list = s->remote;
    s->remote = NULL;
    mb_lock_drop(&s->remote_lock);
    mb_inboxes_drain(s, list);
  }
}

int mb_spawn(struct mb_scheduler *s, struct mb_process *parent, struct mb_signal *start, enum mb_spawn_ties ties,
             mb_ref ref, struct mb_process **out) {
  struct mb_process *p = slot_take(s);
  mb_pid mother = parent ? atomic_load_explicit(&parent->pid, memory_order_relaxed) : 0;
  struct mb_holding *holdings;
  mb_pid child;
  int err = p ? 0 : MB_ELIMIT;
  if (err) goto no_slot;
  birth(s, p);
  child = atomic_load_explicit(&p->pid, memory_order_relaxed);
  if (ties & MB_SPAWN_LINKED) {
    err = mb_map_put(&p->links, mother, 0);
    if (!err) err = mb_map_put(&parent->links, child, 0);
    if (err) goto no_memory;
  }
  p->state = MB_WAITING; /* a state in which it can be monitored */
  if (ties & MB_SPAWN_MONITORED) {
    err = mb_monitor(s, parent, child, NULL, 0, ties & MB_SPAWN_ALIAS ? MB_MONITOR_ALIAS : MB_MONITOR_ONLY, ref);
    if (err) goto no_memory;
  }
  p->parent = mother;
  p->leader = parent ? parent->leader : 0;
  p->start = start;
  p->state = MB_EMBRYO;
  s->embryos++;
  mb_queue_push(&s->ready, p);
  mb_ticker_awaits(s);
  if (atomic_load_explicit(&s->runtime->ticker.state, memory_order_relaxed) == MB_TICKER_READY &&
      atomic_load_explicit(&s->live, memory_order_relaxed) > 1)
    mb_ticker_start(s->runtime);
  *out = p;
  return 0;

no_memory:
  mb_map_deinit(&p->links);
  if (parent) mb_map_remove(&parent->links, child, NULL);
  holdings = mb_holdings_close(p); /* nobody knows the pid, but guessing is allowed */
  if (holdings) mb_holdings_end(s, p, holdings);
  mb_lock_take(&p->lock); /* partner: push_inbox */
  atomic_store_explicit(&p->pid, 0, memory_order_relaxed);
  mb_lock_drop(&p->lock);
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

void mb_reap(struct mb_scheduler *s) {
  for (struct mb_process *p; (p = s->dying.head) && p != s->suspended_below;) {
    mb_queue_remove(&s->dying, p);
    end(s, p);
  }
}

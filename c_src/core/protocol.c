#include "protocol.h"

#include <stdlib.h>
#include <string.h>

#include "alias.h"
#include "error.h"
#include "mailbox.h"
#include "park.h"
#include "runtime.h"

/* What the value of a monitor's entry means, by its low bits; the rest is the target's pid, or the
 * address of a struct by_name. */
enum { ENTRY_ALIAS = 1, ENTRY_NAME = 2, ENTRY_ANSWERED = 4, ENTRY_BITS = 7 };

enum { CROWDED = 512, MOST_CROWDED = 10 * CROWDED }; /* messages, from where on senders wait, and wait no longer */

struct by_name {
  mb_pid target;
  uint32_t size;
  char text[];
};

void mb_process_exit(struct mb_scheduler *s, struct mb_process *p, struct mb_reason *reason) {
  struct mb_holding *holdings;
  if (p->state == MB_EXITING) return;
  if (mb_is_queued(p)) mb_queue_remove(&s->ready, p);
  if (p->state == MB_EMBRYO) s->embryos--;
  if (p->state == MB_SPENT) mb_count(&s->spent, -1);
  if (p->state != MB_TRANSIT) mb_queue_push(&s->dying, p); /* else mb_accept does */
  p->state = MB_EXITING;
  p->reason = mb_reason_retain(reason);
  holdings = mb_holdings_close(p);
  if (holdings) mb_holdings_end(s, p, holdings);
}

/* Make an exit, DOWN or EXIT signal. NULL when memory is out; the caller then kills the receiver, which must not miss
 * it. */
static struct mb_signal *notice(enum mb_signal_kind kind, mb_pid from, mb_ref ref,
                                struct mb_reason *reason, const char *name, uint32_t size) {
  struct mb_signal *n = mb_signal_new(kind, size);
  if (!n) return NULL;
  n->from = from;
  n->ref = ref;
  n->reason = mb_reason_retain(reason);
  if (size) memcpy(n->data, name, size);
  return n;
}

void mb_deliver(struct mb_scheduler *s, struct mb_process *p, struct mb_signal *signal) {
  if (p->state != MB_TRANSIT) mb_count(&s->messages, 1); /* else mb_accept counts all it has */
  mb_mailbox_push(&p->mailbox, signal);
  mb_wake(s, p);
}

static void deliver_notice(struct mb_scheduler *s, struct mb_process *p, struct mb_signal *n) {
  if (n)
    mb_deliver(s, p, n);
  else
    mb_process_exit(s, p, s->runtime->killed);
}

/* An exit signal reaches p: MB_EXIT, by Process.exit, or MB_EXIT_LINK. */
static void exit_arrives(struct mb_scheduler *s, struct mb_process *p, enum mb_signal_kind kind, mb_pid from,
                         struct mb_reason *reason) {
  if (kind == MB_EXIT_LINK) {
    uint64_t *entry = mb_map_get(&p->links, from);
    int active = entry && *entry == 0;
    if (entry) mb_map_remove(&p->links, from, NULL);
    if (!active) return; /* unlinked meanwhile: the sender had not heard of it yet */
    if (p->memberships) mb_registry_orphan(s, p, from);
    if (p->flags & MB_LINKS_IGNORED && from != p->parent) return;
  } else if (reason->kind == MB_REASON_KILL) {
    mb_process_exit(s, p, s->runtime->killed);
    return;
  }
  if (p->flags & MB_TRAP_EXIT)
    deliver_notice(s, p, notice(MB_EXITED, from, 0, reason, NULL, 0));
  else if (reason->kind != MB_REASON_NORMAL ||
           (kind == MB_EXIT && from == atomic_load_explicit(&p->pid, memory_order_relaxed)))
    mb_process_exit(s, p, reason);
}

mb_pid mb_monitor_target(uint64_t entry, const char **name, uint32_t *name_size) {
  *name = NULL;
  *name_size = 0;
  if (entry & ENTRY_NAME) {
    const struct by_name *n = (const struct by_name *)(uintptr_t)(entry & ~(uint64_t)ENTRY_BITS);
    *name = n->text;
    *name_size = n->size;
    return n->target;
  }
  entry &= ~(uint64_t)ENTRY_BITS;
  return entry ? entry | MB_TAG_PID : 0;
}

static void free_entry(uint64_t entry) {
  if (entry & ENTRY_NAME) free((void *)(uintptr_t)(entry & ~(uint64_t)ENTRY_BITS));
}

/* The end of a monitored process reaches the watcher p. */
static void down_arrives(struct mb_scheduler *s, struct mb_process *p, mb_pid from, mb_ref ref,
                         struct mb_reason *reason) {
  const char *name;
  uint32_t size;
  uint64_t entry;
  if (!mb_map_remove(&p->monitors, ref, &entry)) return;
  if (p->flags & MB_HAS_ALIASES) mb_alias_monitor_ended(s, p, ref);
  mb_monitor_target(entry, &name, &size);
  deliver_notice(s, p, notice(MB_DOWN, from, ref, reason, name, size));
  free_entry(entry);
}

/* The receiver is gone: answer LINK, UNLINK and MONITOR with noproc, drop the rest. Takes the signal. */
static void answer_noproc(struct mb_scheduler *s, mb_pid to, struct mb_signal *signal) {
  struct mb_signal *answer = NULL;
  if (signal->kind == MB_LINK)
    answer = notice(MB_EXIT_LINK, to, 0, s->runtime->noproc, NULL, 0);
  else if (signal->kind == MB_UNLINK)
    answer = notice(MB_UNLINK_ACK, to, signal->ref, s->runtime->noproc, NULL, 0);
  else if (signal->kind == MB_MONITOR)
    answer = notice(MB_DOWN, to, signal->ref, s->runtime->noproc, NULL, 0);
  if (answer) mb_signal_send(s, signal->from, answer);
  mb_signal_free(signal);
}

int mb_replies_welcome(const struct mb_process *p, mb_ref ref) {
  const uint64_t *entry = mb_map_get(&p->monitors, ref);
  return entry && *entry & ENTRY_ALIAS;
}

/* A message to an alias of p's arrives: whether it is let in. */
static int alias_lets_in(struct mb_scheduler *s, struct mb_process *p, mb_ref ref) {
  enum mb_alias_ends ends;
  if (!mb_alias_arrived(s, p, ref, &ends)) return 0;
  if (ends & MB_ALIAS_WITH_MONITOR) (void)mb_demonitor(s, p, ref);
  return 1;
}

/* A signal takes effect on p, which lives here and is not dead. The signal is taken over. */
static void handle(struct mb_scheduler *s, struct mb_process *p, struct mb_signal *signal) {
  uint64_t *entry;
  switch ((enum mb_signal_kind)signal->kind) {
    case MB_MESSAGE:
    case MB_CALL:
    case MB_SYSTEM:
    case MB_CAST:
    case MB_EXITED:
      mb_deliver(s, p, signal);
      return;
    case MB_REPLY:
      entry = mb_map_get(&p->monitors, signal->ref);
      if (entry && *entry & ENTRY_ALIAS) {
        *entry |= ENTRY_ANSWERED;
        mb_deliver(s, p, signal);
        return;
      }
      break;
    case MB_EXIT:
    case MB_EXIT_LINK:
      exit_arrives(s, p, signal->kind, signal->from, signal->reason);
      break;
    case MB_DOWN:
      down_arrives(s, p, signal->from, signal->ref, signal->reason);
      break;
    case MB_LINK:
      entry = mb_map_get(&p->links, signal->from);
      /* The sender had not heard of our unlink yet, which will undo this link on its side. */
      if (entry && *entry != 0) break;
      if (mb_map_put(&p->links, signal->from, 0) != 0) {
        answer_noproc(s, atomic_load(&p->pid), signal);
        return;
      }
      break;
    case MB_UNLINK: {
      struct mb_signal *ack = mb_signal_new(MB_UNLINK_ACK, 0);
      entry = mb_map_get(&p->links, signal->from);
      if (entry && *entry == 0) mb_map_remove(&p->links, signal->from, NULL);
      if (ack) {
        ack->from = atomic_load(&p->pid);
        ack->ref = signal->ref;
        mb_signal_send(s, signal->from, ack);
      }
      break;
    }
    case MB_UNLINK_ACK:
      entry = mb_map_get(&p->links, signal->from);
      if (entry && *entry == signal->ref) mb_map_remove(&p->links, signal->from, NULL);
      break;
    case MB_MONITOR:
      if (mb_map_put(&p->monitored_by, signal->ref, signal->from) != 0) {
        answer_noproc(s, atomic_load(&p->pid), signal);
        return;
      }
      break;
    case MB_DEMONITOR:
      mb_map_remove(&p->monitored_by, signal->ref, NULL);
      break;
    case MB_TO_ALIAS:
      if (!alias_lets_in(s, p, signal->ref)) break;
      signal->kind = MB_MESSAGE;
      signal->ref = 0;
      mb_deliver(s, p, signal);
      return;
  }
  mb_signal_free(signal);
}

/* Put signals, linked by next, into the inbox of a process of another thread, all at once. 1, or 0 when it is gone. */
static int push_inbox(struct mb_process *p, mb_pid to, struct mb_signal *first, struct mb_signal *last) {
  struct mb_scheduler *owner;
  int there;
  last->next = NULL;
  mb_lock_take(&p->lock); /* partner: mb_inbox_drain, birth, end, let_go */
  owner = atomic_load_explicit(&p->scheduler, memory_order_relaxed);
  there = atomic_load_explicit(&p->pid, memory_order_relaxed) == to;
  if (there) {
    struct mb_signal *inbox = atomic_load_explicit(&p->inbox, memory_order_relaxed);
    if (inbox) {
      inbox->prev->next = first;
      inbox->prev = last;
    } else {
      first->prev = last;
      /* release: partner of the acquire in mb_signal_send, which peeks without the lock */
      atomic_store_explicit(&p->inbox, first, memory_order_release);
    }
    if (!p->inbox_queued) { /* inside p's lock: one that is marked is on the list */
      p->inbox_queued = 1;
      mb_lock_take(&owner->remote_lock); /* partner: mb_receive_posted */
      p->inbox_next = owner->remote;
      owner->remote = p;
      atomic_store(&owner->posted, 1);
      mb_lock_drop(&owner->remote_lock);
    }
  }
  mb_lock_drop(&p->lock);
  if (!there) return 0;
  mb_ticker_awaits(owner);
  mb_wake_scheduler(owner);
  return there;
}

void mb_inbox_drain(struct mb_scheduler *s, struct mb_process *p, mb_pid pid) {
  struct mb_signal *list;
  mb_lock_take(&p->lock); /* partner: push_inbox */
  list = atomic_load_explicit(&p->inbox, memory_order_relaxed);
  atomic_store_explicit(&p->inbox, NULL, memory_order_relaxed);
  mb_lock_drop(&p->lock);
  while (list) {
    struct mb_signal *signal = list;
    list = signal->next;
    if (p->state != MB_EXITING && p->state != MB_FREE)
      handle(s, p, signal);
    else
      answer_noproc(s, pid, signal);
  }
}

void mb_inboxes_drain(struct mb_scheduler *s, struct mb_process *list) {
  while (list) {
    struct mb_process *p = list;
    list = p->inbox_next; /* read first: from the next line on p may be listed again */
    mb_lock_take(&p->lock); /* partner: push_inbox */
    p->inbox_queued = 0;
    mb_lock_drop(&p->lock);
    mb_inbox_drain(s, p, atomic_load_explicit(&p->pid, memory_order_relaxed));
  }
}

/* The running process has sent to p, which has many messages: the more there are, the sooner it gives way, so that a
 * receiver keeps up with many senders, and what it reads has been written lately. But it has to be one that reads: one
 * message or more for 8 of its reductions, of which a slice that was cut took all. */
static void sent_to_crowd(struct mb_scheduler *s, struct mb_process *p) {
  struct mb_mailbox *m = &p->mailbox;
  uint32_t done = (uint32_t)p->reductions, cost = m->count < MOST_CROWDED ? m->count : MOST_CROWDED;
  if (p == s->current) return;
  if (done != m->done_then) { /* it has run since; what it did before there were so many does not count */
    m->neglected = m->count > CROWDED && (m->taken - m->taken_then) * 8 < done - m->done_then;
    m->taken_then = m->taken;
    m->done_then = done;
  }
  if (m->neglected) return;
  cost = cost / CROWDED * (cost / CROWDED);
  if (s->reduction_limit > cost) s->reduction_limit -= cost;
}

void mb_signal_send(struct mb_scheduler *s, mb_pid to, struct mb_signal *signal) {
  struct mb_process *p = mb_process_table_slot(&s->runtime->table, to);
  if (!p || atomic_load_explicit(&p->pid, memory_order_relaxed) != to) {
    if (mb_pid_node(to) && s->runtime->upcalls->remote)
      s->runtime->upcalls->remote(s, to, signal);
    else
      answer_noproc(s, to, signal);
  } else if (mb_is_here(s, p)) {
    /* Only this thread ends or moves p, so what was just read stays true. */
    if (atomic_load_explicit(&p->inbox, memory_order_acquire)) mb_inbox_drain(s, p, to);
    if (p->state == MB_EXITING) {
      answer_noproc(s, to, signal);
    } else {
      handle(s, p, signal);
      if (p->mailbox.count >= CROWDED) sent_to_crowd(s, p);
    }
  } else if (!push_inbox(p, to, signal, signal)) {
    answer_noproc(s, to, signal);
  }
}

void mb_signal_post(struct mb_runtime *rt, mb_pid to, struct mb_signal *signal) {
  struct mb_process *p = mb_process_table_slot(&rt->table, to);
  if (!p || !push_inbox(p, to, signal, signal)) mb_signal_free(signal);
}

/* Send a signal that has no payload. */
static int tell(struct mb_scheduler *s, mb_pid to, enum mb_signal_kind kind, mb_pid from,
                mb_ref ref) {
  struct mb_signal *signal = mb_signal_new(kind, 0);
  if (!signal) return MB_ENOMEM;
  signal->from = from;
  signal->ref = ref;
  mb_signal_send(s, to, signal);
  return 0;
}

int mb_link(struct mb_scheduler *s, struct mb_process *p, mb_pid other) {
  mb_pid self = atomic_load_explicit(&p->pid, memory_order_relaxed);
  struct mb_process *here;
  enum mb_where where = mb_locate(s, other, &here);
  uint64_t *entry = mb_map_get(&p->links, other);
  if (other == self || (entry && *entry == 0)) return 0;
  if (where == MB_NOWHERE) return MB_ENOPROC;
  if (mb_map_put(&p->links, other, 0) != 0) return MB_ENOMEM;
  if (here) {
    if (mb_map_put(&here->links, self, 0) == 0) return 0;
  } else if (tell(s, other, MB_LINK, self, 0) == 0) {
    return 0;
  }
  mb_map_remove(&p->links, other, NULL);
  return MB_ENOMEM;
}

int mb_unlink(struct mb_scheduler *s, struct mb_process *p, mb_pid other) {
  mb_pid self = atomic_load_explicit(&p->pid, memory_order_relaxed);
  struct mb_process *here = mb_process_here(s, other);
  uint64_t *entry = mb_map_get(&p->links, other);
  mb_ref id;
  if (!entry || *entry != 0) return 0;
  if (here) {
    mb_map_remove(&here->links, self, NULL);
    mb_map_remove(&p->links, other, NULL);
    return 0;
  }
  id = mb_ref_new(s);
  *entry = id;
  if (tell(s, other, MB_UNLINK, self, id) == 0) return 0;
  *mb_map_get(&p->links, other) = 0;
  return MB_ENOMEM;
}

int mb_exit_signal(struct mb_scheduler *s, mb_pid from, mb_pid to, struct mb_reason *reason) {
  struct mb_process *here = mb_process_here(s, to);
  struct mb_signal *signal;
  if (here) {
    exit_arrives(s, here, MB_EXIT, from, reason);
    return 0;
  }
  signal = notice(MB_EXIT, from, 0, reason, NULL, 0);
  if (!signal) return MB_ENOMEM;
  mb_signal_send(s, to, signal);
  return 0;
}

int mb_monitor(struct mb_scheduler *s, struct mb_process *p, mb_pid target, const char *name, uint32_t name_size,
               enum mb_monitor_kind kind, mb_ref ref) {
  mb_pid self = atomic_load_explicit(&p->pid, memory_order_relaxed);
  uint64_t alias = kind == MB_MONITOR_ALIAS ? ENTRY_ALIAS : 0, entry = (target & ~(uint64_t)ENTRY_BITS) | alias;
  struct mb_process *here;
  int err;
  if (target == self && !name) return 0; /* nobody hears of its own death */
  if (name) {
    struct by_name *n = malloc(sizeof *n + name_size);
    if (!n) return MB_ENOMEM;
    n->target = target;
    n->size = name_size;
    memcpy(n->text, name, name_size);
    entry = (uint64_t)(uintptr_t)n | ENTRY_NAME | alias;
  }
  if (mb_map_put(&p->monitors, ref, entry) != 0) {
    free_entry(entry);
    return MB_ENOMEM;
  }
  mb_mailbox_mark(&p->mailbox, ref);
  here = mb_process_here(s, target);
  if (here == p) {
    err = 0;
  } else if (here) {
    err = mb_map_put(&here->monitored_by, ref, self);
  } else {
    err = tell(s, target, MB_MONITOR, self, ref);
  }
  if (err) {
    mb_map_remove(&p->monitors, ref, NULL);
    free_entry(entry);
  }
  return err;
}

int mb_alias(struct mb_scheduler *s, struct mb_process *p, mb_ref *out) {
  *out = mb_ref_new(s);
  if (mb_map_put(&p->monitors, *out, ENTRY_ALIAS) != 0) return MB_ENOMEM;
  mb_mailbox_mark(&p->mailbox, *out);
  return 0;
}

/* Let the target of a monitor, if it is there, forget it. */
static void unwatch(struct mb_scheduler *s, mb_pid target, mb_pid watcher, mb_ref ref) {
  struct mb_process *t = target ? mb_process_table_slot(&s->runtime->table, target) : NULL;
  int known = t && atomic_load_explicit(&t->pid, memory_order_relaxed) == target;
  if (known && mb_is_here(s, t))
    mb_map_remove(&t->monitored_by, ref, NULL); /* an exiting one too: it has not announced it yet */
  else if (known || (target && mb_pid_node(target)))
    (void)tell(s, target, MB_DEMONITOR, watcher, ref);
}

enum mb_monitoring mb_demonitor(struct mb_scheduler *s, struct mb_process *p, mb_ref ref) {
  enum mb_monitoring was;
  const char *name;
  uint32_t size;
  uint64_t entry;
  mb_pid target;
  if (p->flags & MB_HAS_ALIASES) mb_alias_monitor_ended(s, p, ref);
  if (!mb_map_remove(&p->monitors, ref, &entry)) return MB_MONITORING_OVER;
  was = entry & ENTRY_ANSWERED ? MB_MONITORING_ANSWERED : MB_MONITORING;
  target = mb_monitor_target(entry, &name, &size);
  free_entry(entry);
  unwatch(s, target, atomic_load(&p->pid), ref);
  return was;
}

/* Notices of one death for processes elsewhere, by receiver: each gets all of its own at once, so that nobody sees
 * half of a death. */
struct notices {
  struct mb_map last; /* receiver -> the last of its signals, whose next is the first */
};

static void add_notice(struct mb_scheduler *s, struct notices *n, mb_pid to, struct mb_signal *signal) {
  uint64_t *entry;
  struct mb_signal *last;
  if (!signal) return;
  signal->next = signal;
  entry = mb_map_get(&n->last, to);
  if (entry) {
    last = (struct mb_signal *)(uintptr_t)*entry;
    signal->next = last->next;
    last->next = signal;
    *entry = (uintptr_t)signal;
  } else if (mb_map_put(&n->last, to, (uintptr_t)signal) != 0) {
    mb_signal_send(s, to, signal);
  }
}

/* Send what there is for a receiver. */
static void send_notices(struct mb_scheduler *s, struct notices *n, mb_pid to) {
  struct mb_process *p;
  struct mb_signal *last, *signal;
  uint64_t entry;
  if (!mb_map_remove(&n->last, to, &entry)) return;
  p = mb_process_table_slot(&s->runtime->table, to);
  last = (struct mb_signal *)(uintptr_t)entry;
  signal = last->next;
  last->next = NULL;
  if (p && !mb_is_here(s, p) && push_inbox(p, to, signal, last)) return;
  for (struct mb_signal *next; signal; signal = next) { /* gone */
    next = signal->next;
    mb_signal_send(s, to, signal);
  }
}

void mb_announce_death(struct mb_scheduler *s, struct mb_process *p) {
  struct notices notices = {0};
  mb_pid self = atomic_load_explicit(&p->pid, memory_order_relaxed);
  const struct mb_entry *e;
  uint32_t cursor = 0;
  struct mb_map links, watchers;
  while ((e = mb_map_next(&p->monitors, &cursor))) {
    const char *name;
    uint32_t size;
    unwatch(s, mb_monitor_target(e->value, &name, &size), self, e->key);
    free_entry(e->value);
  }
  mb_map_deinit(&p->monitors);

  links = p->links;
  p->links = (struct mb_map){0};
  for (cursor = 0; (e = mb_map_next(&links, &cursor));) {
    struct mb_process *t = mb_process_here(s, e->key);
    if (e->value != 0 && !t) continue; /* the other side has been told to unlink */
    if (t) {
      exit_arrives(s, t, MB_EXIT_LINK, self, p->reason);
    } else {
      add_notice(s, &notices, e->key, notice(MB_EXIT_LINK, self, 0, p->reason, NULL, 0));
    }
  }
  watchers = p->monitored_by;
  p->monitored_by = (struct mb_map){0};
  for (cursor = 0; (e = mb_map_next(&watchers, &cursor));) {
    struct mb_process *t = mb_process_here(s, e->value);
    if (t) {
      down_arrives(s, t, self, e->key, p->reason);
    } else {
      add_notice(s, &notices, e->value, notice(MB_DOWN, self, e->key, p->reason, NULL, 0));
    }
  }
  /* Links first: what a watcher does next must not overtake an exit that has gone out over a link. */
  for (cursor = 0; notices.last.count && (e = mb_map_next(&links, &cursor));) send_notices(s, &notices, e->key);
  for (cursor = 0; notices.last.count && (e = mb_map_next(&watchers, &cursor));) send_notices(s, &notices, e->value);
  mb_map_deinit(&links);
  mb_map_deinit(&watchers);
  mb_map_deinit(&notices.last);
}

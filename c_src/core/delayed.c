#include "delayed.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "park.h"
#include "runtime.h"

struct mb_delayed {
  struct mb_timer timer;
  /* Of the target, which then lives here; or in the list of a watch, by next and link; link is NULL: of none. */
  struct mb_holding holding;
  struct mb_process *target; /* the holding's, or NULL */
  mb_ref ref;
  mb_pid to;                 /* 0: to whoever `name` leads to when the time has come */
  uint64_t period;           /* ns; 0: it is sent once */
  struct mb_signal *signal;  /* owned */
  struct mb_address name;    /* of a registered name, or of a key in a registry */
  char *name_bytes;          /* owned, or NULL */
};

struct mb_watch {
  struct mb_holding holding;   /* of the target; first, see watch_over */
  struct mb_watch *next_ended; /* on its way to the maker; under that one's remote_lock */
  struct mb_scheduler *maker;  /* whose all the rest is */
  mb_pid target;
  struct mb_holding *timers;   /* those of its struct mb_delayed */
};

static struct mb_delayed *delayed_of(struct mb_timer *t) {
  return (struct mb_delayed *)((char *)t - offsetof(struct mb_delayed, timer));
}

static struct mb_delayed *held(struct mb_holding *h) {
  return (struct mb_delayed *)((char *)h - offsetof(struct mb_delayed, holding));
}

static void delayed_free(struct mb_scheduler *s, struct mb_delayed *d) {
  mb_timer_heap_remove(&s->timers, &d->timer);
  if (mb_map_remove(&s->delayed, d->ref, NULL)) mb_count(&s->delayed_count, -1);
  if (d->target) {
    (void)mb_holding_remove(s, d->target, &d->holding); /* it is there: this is the target's thread */
  } else if (d->holding.link) {
    *d->holding.link = d->holding.next;
    if (d->holding.next) d->holding.next->link = d->holding.link;
  }
  if (d->signal) mb_signal_free(d->signal);
  free(d->name_bytes);
  free(d);
}

/* Keep a copy of the name; 0 when memory is out. */
static int copy_name(struct mb_delayed *d, const struct mb_address *name) {
  uint32_t first = name->registry.size, second = name->key.size;
  d->name_bytes = malloc((size_t)first + second + 1);
  if (!d->name_bytes) return 0;
  memcpy(d->name_bytes, name->registry.data, first);
  if (second) memcpy(d->name_bytes + first, name->key.data, second);
  d->name.registry = (struct mb_bytes){d->name_bytes, first};
  d->name.key = (struct mb_bytes){d->name_bytes + first, second};
  return 1;
}

/* The target, which lives here, exits. */
static void target_exits(struct mb_scheduler *s, struct mb_process *p, struct mb_holding *h) {
  struct mb_delayed *d = held(h);
  (void)p;
  d->target = NULL;
  h->link = NULL;
  delayed_free(s, d);
}

static void list(struct mb_watch *w, struct mb_holding *h) {
  h->next = w->timers;
  h->link = &w->timers;
  if (h->next) h->next->link = &h->next;
  w->timers = h;
}

void mb_watches_end(struct mb_scheduler *s, struct mb_watch *ended) {
  while (ended) {
    struct mb_watch *w = ended;
    ended = w->next_ended;
    while (w->timers) delayed_free(s, held(w->timers));
    mb_map_remove(&s->watches, w->target, NULL);
    free(w);
  }
}

/* The target of a watch exits: let its maker forget the timers. */
static void watched_exits(struct mb_scheduler *s, struct mb_process *p, struct mb_holding *h) {
  struct mb_watch *w = (struct mb_watch *)h;
  struct mb_scheduler *to = w->maker;
  (void)p;
  if (to == s) { /* the target has been given to its maker's scheduler */
    w->next_ended = NULL;
    mb_watches_end(s, w);
    return;
  }
  mb_lock_take(&to->remote_lock); /* partner: mb_receive_posted, receive_ended */
  w->next_ended = to->ended;
  to->ended = w;
  atomic_store(&to->posted, 1);
  mb_lock_drop(&to->remote_lock);
  mb_ticker_awaits(to);
  mb_wake_scheduler(to);
}

/* The watch of s over a process that lives elsewhere: 0, MB_ENOPROC when that is dead, or MB_ENOMEM. */
static int watch_over(struct mb_scheduler *s, mb_pid to, struct mb_watch **out) {
  struct mb_process *p = mb_process_table_slot(&s->runtime->table, to);
  uint64_t *known = mb_map_get(&s->watches, to);
  struct mb_watch *w = known ? (struct mb_watch *)(uintptr_t)*known : NULL;
  int alive;
  if (!p) return MB_ENOPROC;
  if (!w) {
    w = calloc(1, sizeof *w);
    if (!w) return MB_ENOMEM;
    w->holding.end = watched_exits;
    w->holding.kind = MB_HOLDING_WATCH;
    w->maker = s;
    w->target = to;
    if (mb_map_put(&s->watches, to, (uint64_t)(uintptr_t)w) != 0) {
      free(w);
      return MB_ENOMEM;
    }
  }
  mb_lock_take(&p->lock); /* partner: mb_holdings_close */
  alive = atomic_load_explicit(&p->pid, memory_order_relaxed) == to &&
          !atomic_load_explicit(&p->exiting, memory_order_relaxed);
  if (alive && !known) mb_holding_put(s, p, &w->holding);
  mb_lock_drop(&p->lock);
  *out = w;
  if (alive) return 0;
  if (!known) {
    mb_map_remove(&s->watches, to, NULL);
    free(w);
  }
  return MB_ENOPROC;
}

int mb_delay(struct mb_scheduler *s, mb_pid to, const struct mb_address *name, struct mb_signal *signal,
             uint64_t deadline, uint64_t period, mb_ref ref) {
  struct mb_process *here = NULL;
  enum mb_where where = name ? MB_NOWHERE : mb_locate(s, to, &here);
  struct mb_watch *watch = NULL;
  struct mb_delayed *d;
  if (!name && !here) {
    int err = where == MB_ELSEWHERE ? watch_over(s, to, &watch) : where == MB_REMOTE ? 0 : MB_ENOPROC;
    if (err) { /* a timer for the dead is cancelled from the start */
      mb_signal_free(signal);
      return err == MB_ENOPROC ? 0 : err;
    }
  }
  d = calloc(1, sizeof *d);
  if (!d) goto no_memory;
  *d = (struct mb_delayed){.timer = {MB_TIMER_IDLE, MB_TIMER_MESSAGE}, .ref = ref, .to = to,
                           .period = period};
  if (name && !copy_name(d, name)) goto no_memory;
  if (mb_map_put(&s->delayed, d->ref, (uint64_t)(uintptr_t)d) != 0) goto no_memory;
  if (mb_timer_heap_add(&s->timers, &d->timer, deadline) != 0) {
    mb_map_remove(&s->delayed, d->ref, NULL);
    goto no_memory;
  }
  mb_count(&s->delayed_count, 1);
  d->signal = signal;
  if (here) {
    d->holding.end = target_exits;
    d->holding.kind = MB_HOLDING_TIMER;
    d->target = here;
    (void)mb_holding_add(s, here, to, &d->holding); /* it lives: this is its thread */
  } else if (watch) {
    list(watch, &d->holding);
  }
  return 0;

no_memory:
  if (d) free(d->name_bytes);
  free(d);
  mb_signal_free(signal);
  return MB_ENOMEM;
}

/* What others have sent to s is received first: who knows of a death finds the timers for the dead gone. */
static void receive_ended(struct mb_scheduler *s) {
  struct mb_watch *ended;
  if (!atomic_load_explicit(&s->posted, memory_order_relaxed)) return;
  mb_lock_take(&s->remote_lock); /* partner: watched_exits */
  ended = s->ended;
  s->ended = NULL;
  mb_lock_drop(&s->remote_lock);
  mb_watches_end(s, ended);
}

int64_t mb_delayed_read(struct mb_scheduler *s, mb_ref ref, enum mb_delayed_then then) {
  uint64_t *entry;
  struct mb_delayed *d;
  uint64_t deadline, now;
  receive_ended(s);
  entry = mb_map_get(&s->delayed, ref);
  if (!entry) return -1;
  d = (struct mb_delayed *)(uintptr_t)*entry;
  deadline = mb_timer_deadline(&s->timers, &d->timer);
  now = mb_now(s->runtime);
  if (then == MB_DELAYED_CANCELLED) delayed_free(s, d);
  return deadline > now ? (int64_t)(deadline - now) : 0;
}

/* Another signal like that one; NULL when memory is out. */
static struct mb_signal *copy(struct mb_scheduler *s, const struct mb_signal *signal) {
  struct mb_signal *c = mb_signal_take(s, (enum mb_signal_kind)signal->kind, signal->size);
  if (!c) return NULL;
  c->from = signal->from;
  c->ref = signal->ref;
  if (signal->reason) c->reason = mb_reason_retain(signal->reason);
  memcpy(c->data, signal->data, signal->size);
  return c;
}

mb_pid mb_delayed_due(struct mb_scheduler *s, struct mb_timer *t, uint64_t deadline, struct mb_signal **signal) {
  struct mb_delayed *d = delayed_of(t);
  mb_pid to = d->to;
  if (d->period) {
    /* from the deadline, not from now: it does not drift; there is room, since it has just been taken out */
    (void)mb_timer_heap_add(&s->timers, &d->timer, deadline + d->period);
    *signal = copy(s, d->signal);
    return *signal ? to : 0; /* memory is out: this one is left out */
  }
  if (d->name.key.size)
    (void)mb_registry_whereis(s, &d->name, &to); /* where there is no such registry any more there is nobody */
  else if (d->name_bytes)
    to = mb_names_find(&s->runtime->names, d->name_bytes, d->name.registry.size);
  if (to) {
    *signal = d->signal;
    d->signal = NULL;
  }
  delayed_free(s, d);
  return to;
}

void mb_delayed_clear(struct mb_scheduler *s) {
  const struct mb_entry *e;
  while (s->delayed.count) {
    uint32_t cursor = 0;
    delayed_free(s, (struct mb_delayed *)(uintptr_t)mb_map_next(&s->delayed, &cursor)->value);
  }
  mb_map_deinit(&s->delayed);
  for (uint32_t cursor = 0; (e = mb_map_next(&s->watches, &cursor));) free((void *)(uintptr_t)e->value);
  mb_map_deinit(&s->watches);
}

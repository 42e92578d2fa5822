#include "delayed.h"

#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "runtime.h"

struct mb_delayed {
  struct mb_timer timer;
  mb_ref ref;
  mb_pid to;                 /* 0: to whoever `name` leads to when the time has come */
  struct mb_signal *signal;  /* owned */
  struct mb_delayed *next, *prev; /* the target's list, when the target lives here */
  struct mb_address name;    /* of a registered name, or of a key in a registry */
  char *name_bytes;          /* owned, or NULL */
};

static struct mb_delayed *delayed_of(struct mb_timer *t) {
  return (struct mb_delayed *)((char *)t - offsetof(struct mb_delayed, timer));
}

static void delayed_free(struct mb_scheduler *s, struct mb_delayed *d) {
  mb_timer_heap_remove(&s->timers, &d->timer);
  if (mb_map_remove(&s->delayed, d->ref, NULL)) mb_count(&s->delayed_count, -1);
  if (d->prev)
    d->prev->next = d->next;
  else if (d->to) {
    struct mb_process *p = mb_table_slot(&s->runtime->table, d->to);
    if (p && mb_is_here(s, p) && p->delayed == d) p->delayed = d->next;
  }
  if (d->next) d->next->prev = d->prev;
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

int mb_delay(struct mb_scheduler *s, mb_pid to, const struct mb_address *name, struct mb_signal *signal,
             uint64_t deadline, mb_ref *out) {
  struct mb_delayed *d = calloc(1, sizeof *d);
  struct mb_process *p;
  *out = mb_ref_new(s);
  if (!d) goto no_memory;
  *d = (struct mb_delayed){.timer = {MB_TIMER_IDLE, MB_TIMER_MESSAGE}, .ref = *out, .to = to};
  if (name) {
    if (!copy_name(d, name)) goto no_memory;
  } else if (!mb_local(s, to) && !mb_elsewhere(s, to)) { /* a timer for the dead is cancelled from the start */
    free(d);
    mb_signal_free(signal);
    return 0;
  }
  if (mb_map_put(&s->delayed, d->ref, (uint64_t)(uintptr_t)d) != 0) goto no_memory;
  if (mb_timer_heap_add(&s->timers, &d->timer, deadline) != 0) {
    mb_map_remove(&s->delayed, d->ref, NULL);
    goto no_memory;
  }
  mb_count(&s->delayed_count, 1);
  d->signal = signal;
  p = name ? NULL : mb_local(s, to);
  if (p) {
    d->next = p->delayed;
    if (d->next) d->next->prev = d;
    p->delayed = d;
  }
  return 0;

no_memory:
  if (d) free(d->name_bytes);
  free(d);
  mb_signal_free(signal);
  return MB_ENOMEM;
}

int64_t mb_delayed_read(struct mb_scheduler *s, mb_ref ref, int cancel) {
  uint64_t *entry = mb_map_get(&s->delayed, ref);
  struct mb_delayed *d;
  uint64_t deadline, now;
  if (!entry) return -1;
  d = (struct mb_delayed *)(uintptr_t)*entry;
  if (d->to && !mb_lookup(s->runtime, d->to)) { /* its target has died elsewhere, and the timer with it */
    delayed_free(s, d);
    return -1;
  }
  deadline = mb_timer_deadline(&s->timers, &d->timer);
  now = uv_hrtime();
  if (cancel) delayed_free(s, d);
  return deadline > now ? (int64_t)(deadline - now) : 0;
}

void mb_delayed_drop(struct mb_scheduler *s, struct mb_process *p) {
  while (p->delayed) delayed_free(s, p->delayed);
}

void mb_delayed_fire(struct mb_scheduler *s, struct mb_timer *t) {
  struct mb_delayed *d = delayed_of(t);
  mb_pid to = d->to;
  struct mb_signal *signal = d->signal;
  if (d->name.key.size)
    (void)mb_registry_whereis(s, &d->name, &to); /* where there is no such registry any more there is nobody */
  else if (d->name_bytes)
    to = mb_names_find(&s->runtime->names, d->name_bytes, d->name.registry.size);
  d->signal = NULL;
  delayed_free(s, d);
  if (to)
    mb_signal_send(s, to, signal);
  else
    mb_signal_free(signal);
}

void mb_delayed_clear(struct mb_scheduler *s) {
  while (s->delayed.count) {
    uint32_t cursor = 0;
    delayed_free(s, (struct mb_delayed *)(uintptr_t)mb_map_next(&s->delayed, &cursor)->value);
  }
  mb_map_deinit(&s->delayed);
}

#include "signals.h"

#include <stdlib.h>
#include <string.h>

#include "scheduler.h"
#include "block.h"

/* The pool: payload of its signals in bytes, and how many are kept. The sanitizers shall see each end. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { POOLED_SIZE = 80, POOL_KEEP = 0 };
#else
enum { POOLED_SIZE = 80, POOL_KEEP = 4096 };
#endif

struct mb_reason *mb_reason_new(enum mb_reason_kind kind, const void *data, uint32_t size) {
  struct mb_reason *r = malloc(sizeof *r + size);
  if (!r) return NULL;
  atomic_init(&r->references, 1);
  r->kind = (uint8_t)kind;
  r->reported = 0;
  r->holds = NULL;
  r->size = size;
  if (size) memcpy(r->data, data, size);
  return r;
}

struct mb_reason *mb_reason_retain(struct mb_reason *r) {
  /* relaxed: whoever retains holds a reference already */
  atomic_fetch_add_explicit(&r->references, 1, memory_order_relaxed);
  return r;
}

void mb_reason_release(struct mb_reason *r) {
  /* acq_rel: the last release must see every other holder's use of the data as done */
  if (!r || atomic_fetch_sub_explicit(&r->references, 1, memory_order_acq_rel) != 1) return;
  mb_block_release(r->holds);
  free(r);
}

static void begin(struct mb_signal *s, enum mb_signal_kind kind, uint32_t size, int pooled) {
  s->next = s->prev = NULL;
  s->from = 0;
  s->ref = 0;
  s->reason = NULL;
  s->size = size;
  s->kind = (uint8_t)kind;
  s->pooled = (uint8_t)pooled;
  s->tried = 0;
}

struct mb_signal *mb_signal_new(enum mb_signal_kind kind, uint32_t size) {
  struct mb_signal *s = malloc(sizeof *s + size);
  if (s) begin(s, kind, size, 0);
  return s;
}

struct mb_signal *mb_signal_take(struct mb_scheduler *s, enum mb_signal_kind kind, uint32_t size) {
  struct mb_signal *signal;
  if (size > POOLED_SIZE) return mb_signal_new(kind, size);
  signal = s->pool;
  if (signal) {
    s->pool = signal->next;
    s->pool_count--;
  } else {
    signal = malloc(sizeof *signal + POOLED_SIZE);
    if (!signal) return NULL;
  }
  begin(signal, kind, size, 1);
  return signal;
}

void mb_signal_give(struct mb_scheduler *s, struct mb_signal *signal) {
  if (!signal->pooled || s->pool_count + 1 > POOL_KEEP) {
    mb_signal_free(signal);
    return;
  }
  mb_reason_release(signal->reason);
  signal->reason = NULL; /* the pool's end frees what is in it */
  signal->next = s->pool;
  s->pool = signal;
  s->pool_count++;
}

void mb_signal_free(struct mb_signal *s) {
  mb_reason_release(s->reason);
  free(s);
}

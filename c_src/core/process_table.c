/* The process table: see process.h. Slots are handed out in batches to the schedulers, which keep
 * short lists of their own, so spawning seldom takes the table's lock. */
#include <stdlib.h>

#include "error.h"
#include "process.h"

int mb_process_table_init(struct mb_process_table *t, uint32_t limit) {
  uint32_t segments = (limit + MB_SEGMENT_SLOTS) / MB_SEGMENT_SLOTS + 1;
  *t = (struct mb_process_table){.limit = limit, .fresh = 1}; /* index 0 stays unused: pid 0.0.0 is nobody */
  t->segments = calloc(segments, sizeof *t->segments);
  return t->segments ? 0 : MB_ENOMEM;
}

void mb_process_table_deinit(struct mb_process_table *t) {
  if (!t->segments) return;
  for (uint32_t i = 0; i <= t->limit / MB_SEGMENT_SLOTS; i++) free(t->segments[i]);
  free(t->segments);
  t->segments = NULL;
}

struct mb_process *mb_process_table_at(struct mb_process_table *t, uint32_t index) {
  struct mb_process *segment;
  if (index == 0 || index > t->limit) return NULL;
  /* acquire: partner of the release in mb_process_table_take, which published zeroed slots */
  segment = atomic_load_explicit(&t->segments[index >> MB_SEGMENT_BITS], memory_order_acquire);
  return segment ? &segment[index & (MB_SEGMENT_SLOTS - 1)] : NULL;
}

struct mb_process *mb_process_table_slot(struct mb_process_table *t, mb_pid pid) {
  return mb_process_table_at(t, mb_pid_index(pid));
}

struct mb_process *mb_process_table_lookup(struct mb_process_table *t, mb_pid pid) {
  struct mb_process *p = mb_process_table_slot(t, pid);
  return p && atomic_load_explicit(&p->pid, memory_order_acquire) == pid ? p : NULL;
}

uint32_t mb_process_table_take(struct mb_process_table *t, uint32_t want, struct mb_process **list) {
  uint32_t got = 0;
  struct mb_process **last = list;
  mb_lock_take(&t->lock);
  while (got < want) {
    struct mb_process *p = t->free_list;
    if (p) {
      t->free_list = p->run_next;
    } else {
      uint32_t segment = t->fresh >> MB_SEGMENT_BITS;
      if (t->fresh > t->limit) break;
      if (!t->segments[segment]) {
        struct mb_process *slots;
        mb_lock_drop(&t->lock); /* never allocate under the lock */
        slots = calloc(MB_SEGMENT_SLOTS, sizeof *slots);
        mb_lock_take(&t->lock);
        if (!slots) break;
        for (uint32_t i = 0; i < MB_SEGMENT_SLOTS; i++) {
          slots[i].timer.place = MB_TIMER_IDLE;
          slots[i].index = segment << MB_SEGMENT_BITS | i;
        }
        if (t->segments[segment])
          free(slots); /* another scheduler was faster */
        else
          atomic_store_explicit(&t->segments[segment], slots, memory_order_release);
        continue;
      }
      p = mb_process_table_at(t, t->fresh++);
    }
    p->run_next = *last; /* in order: the first of them is used first */
    *last = p;
    last = &p->run_next;
    got++;
  }
  mb_lock_drop(&t->lock);
  return got;
}

void mb_process_table_give(struct mb_process_table *t, uint32_t count, struct mb_process **list) {
  mb_lock_take(&t->lock);
  while (count-- && *list) {
    struct mb_process *p = *list;
    *list = p->run_next;
    p->run_next = t->free_list;
    t->free_list = p;
  }
  mb_lock_drop(&t->lock);
}

uint32_t mb_process_table_extent(struct mb_process_table *t) {
  uint32_t extent;
  mb_lock_take(&t->lock);
  extent = t->fresh;
  mb_lock_drop(&t->lock);
  return extent;
}

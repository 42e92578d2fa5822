#include "timer.h"

#include <stdlib.h>

#include "error.h"

static void set(struct mb_timer_heap *h, uint32_t place, struct mb_timer_slot s) {
  h->slots[place] = s;
  s.timer->place = place;
}

static void sift_up(struct mb_timer_heap *h, uint32_t place) {
  struct mb_timer_slot s = h->slots[place];
  while (place > 0) {
    uint32_t parent = (place - 1) / 4;
    if (h->slots[parent].deadline <= s.deadline) break;
    set(h, place, h->slots[parent]);
    place = parent;
  }
  set(h, place, s);
}

static void sift_down(struct mb_timer_heap *h, uint32_t place) {
  struct mb_timer_slot s = h->slots[place];
  for (;;) {
    uint32_t first = place * 4 + 1, last = first + 4, least = place;
    uint64_t deadline = s.deadline;
    if (last > h->count) last = h->count;
    for (uint32_t child = first; child < last; child++) {
      if (h->slots[child].deadline < deadline) {
        least = child;
        deadline = h->slots[child].deadline;
      }
    }
    if (least == place) break;
    set(h, place, h->slots[least]);
    place = least;
  }
  set(h, place, s);
}

static void publish(struct mb_timer_heap *h) {
  atomic_store_explicit(&h->first, h->count ? h->slots[0].deadline : 0, memory_order_relaxed);
}

void mb_timer_heap_deinit(struct mb_timer_heap *h) {
  free(h->slots);
  *h = (struct mb_timer_heap){0};
}

int mb_timer_heap_add(struct mb_timer_heap *h, struct mb_timer *t, uint64_t deadline) {
  if (h->count == h->capacity) {
    uint32_t capacity = h->capacity ? h->capacity * 2 : 64;
    struct mb_timer_slot *slots = realloc(h->slots, capacity * sizeof *slots);
    if (!slots) return MB_ENOMEM;
    h->slots = slots;
    h->capacity = capacity;
  }
  set(h, h->count, (struct mb_timer_slot){deadline, t});
  sift_up(h, h->count++);
  publish(h);
  return 0;
}

void mb_timer_heap_move(struct mb_timer_heap *h, struct mb_timer *t, uint64_t deadline) {
  uint64_t old = h->slots[t->place].deadline;
  h->slots[t->place].deadline = deadline;
  if (deadline < old)
    sift_up(h, t->place);
  else
    sift_down(h, t->place);
  publish(h);
}

void mb_timer_heap_remove(struct mb_timer_heap *h, struct mb_timer *t) {
  uint32_t place = t->place;
  if (place == MB_TIMER_IDLE) return;
  t->place = MB_TIMER_IDLE;
  h->count--;
  if (place < h->count) {
    struct mb_timer *moved = h->slots[h->count].timer;
    set(h, place, h->slots[h->count]);
    sift_down(h, place);
    sift_up(h, moved->place);
  }
  publish(h);
  if (h->capacity > 1024 && h->count * 8 < h->capacity) {
    struct mb_timer_slot *slots = realloc(h->slots, h->capacity / 4 * sizeof *slots);
    if (!slots) return;
    h->slots = slots;
    h->capacity /= 4;
  }
}

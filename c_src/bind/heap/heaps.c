#include "heap/heaps.h"

#include "heap/heap.h"

void mb_heaps_add(struct mb_heap *h) {
  struct mb_heaps *all = h->heaps;
  struct mb_heap **last = &all->first;
  if (all->first != h) {
    while (*last) last = &(*last)->next;
    *last = h;
    all->empty++;
  }
  all->newest = h;
  h->listed = 1;
  mb_count(&h->scheduler->heaps, 1);
}

void mb_heaps_remove(struct mb_heap *h) {
  struct mb_heaps *all = h->heaps;
  struct mb_heap **at = &all->first;
  if (!h->listed) return;
  h->listed = 0;
  while (*at != h) at = &(*at)->next;
  *at = h->next;
  for (at = &all->ran; *at; at = &(*at)->next_ran) {
    if (*at != h) continue;
    *at = h->next_ran;
    break;
  }
  for (at = &all->owing; *at; at = &(*at)->next_owing) {
    if (*at != h) continue;
    *at = h->next_owing;
    break;
  }
  if (all->newest == h) all->newest = all->first;
  if (all->calls_back == h) all->calls_back = NULL;
  if (h->attends) all->attending--;
  mb_count(&h->scheduler->heaps, -1);
}

struct mb_heap *mb_heaps_find(const struct mb_heaps *all, uint32_t id) {
  struct mb_heap *h = all->first;
  while (h && h->id != id) h = h->next;
  return h;
}

void mb_heaps_count(struct mb_scheduler *s) {
  struct mb_heaps *all = s->above;
  int64_t bytes = 0;
  for (struct mb_heap *h = all->first; h; h = h->next)
    bytes += (int64_t)lua_gc(h->L, LUA_GCCOUNT) * 1024 + lua_gc(h->L, LUA_GCCOUNTB);
  atomic_store_explicit(&s->heap_bytes, bytes, memory_order_relaxed);
  all->counted = s->checked;
}

void mb_heaps_note_ran(struct mb_heap *h) {
  if (h->ran) return;
  h->ran = 1;
  h->next_ran = h->heaps->ran;
  h->heaps->ran = h;
}

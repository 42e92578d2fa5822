#include "process/home.h"

#include "replica/replica.h"

void mb_home_set(struct mb_heap *h, struct mb_process *p) {
  struct mb_heaps *all = h->heaps;
  if (p->home) return;
  if (h->processes++ == 0 && h != all->first) all->empty--;
  p->flags |= MB_PINNED;
  p->home = h;
  mb_count(&h->scheduler->homes, 1);
}

void mb_home_leave(struct mb_scheduler *s, struct mb_process *p) {
  struct mb_heap *h = p->home;
  struct mb_heaps *all;
  if (!h) return;
  all = h->heaps;
  p->home = NULL;
  mb_count(&s->homes, -1);
  if (--h->processes > 0 || h == all->first) return;
  if (++all->empty <= MB_HEAPS_SPARE || all->closes) return;
  all->closes = 1;
  mb_post(s, &all->closing);
}

static int has_room(const struct mb_heap *h) { return h->processes < h->heaps->limit; }

/* A heap with room for those who have none with their parents; NULL: there is none, and none can be opened. */
static struct mb_heap *find_room(struct mb_scheduler *s, struct mb_heaps *all) {
  struct mb_heap *empty = NULL;
  if (has_room(all->newest)) return all->newest;
  for (struct mb_heap *h = all->first; h; h = h->next) { /* seldom: the one that is found serves many */
    if (!h->processes && h != all->first)
      empty = h;
    else if (h->processes <= all->limit / 2 && has_room(h))
      return all->newest = h;
  }
  if (empty) return all->newest = empty;
  if (all->refrain) {
    all->refrain--;
    return NULL;
  }
  if (all->open(s)) return all->newest;
  all->refrain = all->limit;
  return NULL;
}

struct mb_heap *mb_home_choose(struct mb_scheduler *s, struct mb_process *p) {
  struct mb_heaps *all = s->above;
  struct mb_heap *h = p->home, *room;
  if (!h) {
    const struct mb_process *parent;
    if (!all->first->next && has_room(all->first)) { /* most programs */
      h = all->first;
    } else {
      parent = p->parent ? mb_process_here(s, p->parent) : NULL;
      h = parent ? mb_process_heap(s, parent) : all->newest;
      room = has_room(h) ? h : find_room(s, all);
      if (room) h = room;
    }
    mb_home_set(h, p);
  }
  if (all->ran && (all->ran != h || h->next_ran)) mb_replicate_beside(h);
  return h;
}

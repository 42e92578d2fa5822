/* The heaps of one scheduler: one Lua state each, beside each other on one thread.
 *
 * The collector visits all coroutines of a state in one step, so a state has a bounded number of processes, and a
 * scheduler as many states as it needs. The first one stays as long as the scheduler: the script's, or where the
 * scheduler's own matters are handled. The others are opened when a process starts for which there is no room, and
 * closed when they have none left; one of these is kept for what comes next. Where a process starts says
 * process/home.h.
 *
 * While Lua of a heap runs, the scheduler's current process is one of that heap's, or NULL. The scheduler's thread,
 * unless said otherwise. */
#ifndef MB_HEAPS_H
#define MB_HEAPS_H

#include <stdint.h>

#include "core/core.h"
#include "core/post.h"

struct mb_heap;

enum {
  MB_HEAP_PROCESSES = 4000, /* in a heap; the collector's longest step is 1 ms then */
  MB_HEAPS_SPARE = 1        /* heaps without processes that are kept */
};

struct mb_heaps {
  struct mb_heap *first;  /* and the others behind it, by next, in the order in which they were opened */
  struct mb_heap *newest; /* where those start for whom there is no room with their parents */
  struct mb_heap *ran;    /* by next_ran: those where code has run since they were compared, see replica.h */
  struct mb_heap *owing;  /* by next_owing: those that have sent to others since their names were, likewise */
  struct mb_heap *volatile calls_back; /* whose callback on the loop runs; partner: the signal handler */
  unsigned limit;         /* of processes in each */
  unsigned empty;         /* without processes, but for the first */
  unsigned refrain;       /* processes that are to start before one is opened again: there was no memory */
  int told;               /* and that has been said */
  unsigned attending;     /* see mb_hook_attend */
  uint64_t counted;       /* ns: when the bytes were counted last, see mb_heaps_count */
  struct mb_heap *(*open)(struct mb_scheduler *s); /* another one, the newest; NULL, which has been said: no memory */
  struct mb_posted closing; /* to the scheduler itself, */
  int closes;               /* while this is set */
};

/* The heap is complete: it is one of its scheduler's. */
void mb_heaps_add(struct mb_heap *h);

/* It is none any more. */
void mb_heaps_remove(struct mb_heap *h);

/* The one with this id, or NULL. */
struct mb_heap *mb_heaps_find(const struct mb_heaps *all, uint32_t id);

/* Let the scheduler tell how many bytes the values of all take. */
void mb_heaps_count(struct mb_scheduler *s);

/* Code may have run in h: what of it is compared. */
void mb_heaps_note_ran(struct mb_heap *h);

#endif

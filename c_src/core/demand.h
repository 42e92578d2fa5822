/* Who wants a scheduler. Any thread may ask: it reads a few words of the scheduler's, as they are at the moment. */
#ifndef MB_DEMAND_H
#define MB_DEMAND_H

#include "scheduler.h"

/* Who wants a scheduler, so that what runs there is to give way: the more, the sooner. */
enum mb_demand {
  MB_DEMAND_NONE,
  MB_DEMAND_LOOP, /* the dead, the loop or the program */
  MB_DEMAND_TURN, /* processes that have used up a slice and would go on */
  MB_DEMAND_SOON  /* a process that has been woken or spawned, a timer that is due, something posted */
};

/* As of now. Any thread. */
enum mb_demand mb_scheduler_demand(const struct mb_scheduler *s, uint64_t now);

/* When a timer is due for which somebody waits (ns); 0: there is none. Any thread. */
uint64_t mb_scheduler_next_due(const struct mb_scheduler *s);

#endif

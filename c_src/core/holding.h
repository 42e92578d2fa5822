/* What ends with a process: whatever is to be told, given back or closed when it exits hangs on its slot as a holding,
 * which is embedded in the thing itself. Who has nothing pays nothing.
 *
 * Any thread puts a holding on a living process, or takes one away, under the process's lock. When the process exits,
 * and before anybody can hear of that, its own thread takes the whole list and calls `end` of each, the newest first
 * and the name last: who finds the name free finds all the rest gone. From the moment in which the list has been taken
 * each holding is that thread's: whoever wants to take one away then is told so, and leaves it alone. */
#ifndef MB_HOLDING_H
#define MB_HOLDING_H

#include <stdint.h>

#include "pid.h"

struct mb_process;
struct mb_runtime;
struct mb_scheduler;

/* For the census. */
enum mb_holding_kind {
  MB_HOLDING_NAME,       /* see names.h */
  MB_HOLDING_ALIAS,      /* see alias.h */
  MB_HOLDING_REGISTRY,   /* it is the server of one */
  MB_HOLDING_MEMBERSHIP, /* it has registrations in one */
  MB_HOLDING_TIMER,      /* a delayed message for it, whose maker lives on its scheduler */
  MB_HOLDING_WATCH,      /* that there are such messages elsewhere, see delayed.h */
  MB_HOLDING_FILE,       /* an open file */
  MB_HOLDING_WATCHER,    /* a watcher of files */
  MB_HOLDING_PROGRAM,    /* one that it has started */
  MB_HOLDING_SIGNAL,     /* it listens to a signal of the system's */
  MB_HOLDING_TCP,        /* a connection, */
  MB_HOLDING_PIPE,       /* one over a Unix socket, */
  MB_HOLDING_UDP,
  MB_HOLDING_LISTENER,
  MB_HOLDING_KINDS
};

struct mb_holding {
  struct mb_holding *next, **link; /* under the process's lock; link: what points to this */
  /* The process, on s, exits: the holding is over, and nobody else's. Owner's thread, under no lock. May free it; takes
   * no other holding off the process, and sends no signal. */
  void (*end)(struct mb_scheduler *s, struct mb_process *p, struct mb_holding *h);
  uint8_t kind;
};

/* Put h, whose kind and end are set, on the process pid in slot p. 0, or MB_ENOPROC: it is dead. The thread of s, which
 * may be any scheduler: it counts there. */
int mb_holding_add(struct mb_scheduler *s, struct mb_process *p, mb_pid pid, struct mb_holding *h);

/* The same for a caller that has p's lock, and has found pid there and not exiting. */
void mb_holding_put(struct mb_scheduler *s, struct mb_process *p, struct mb_holding *h);

/* Take away one that has not ended, which the caller knows under a lock that `end` takes, too, or since it runs on p's
 * thread. 1: it is the caller's; 0: the process exits, whose thread will call `end`. The thread of any scheduler s. */
int mb_holding_remove(struct mb_scheduler *s, struct mb_process *p, struct mb_holding *h);

/* Make p dead to whoever looks from another thread: nothing is put on it from here on. What hung on it until then, for
 * mb_holdings_end; NULL: nothing. Owner's thread. */
struct mb_holding *mb_holdings_close(struct mb_process *p);

/* End them. Owner's thread. */
void mb_holdings_end(struct mb_scheduler *s, struct mb_process *p, struct mb_holding *holdings);

/* How many of a kind there are in all. Any thread. */
int64_t mb_holdings_count(struct mb_runtime *rt, enum mb_holding_kind kind);

#endif

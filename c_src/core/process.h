/* A process's slot, and the table that holds the slots.
 *
 * Slots are type-stable: a slot's memory stays a slot for the life of the runtime, in segments that
 * never move, so any thread may read a slot through a stale pid and find out that it is stale.
 * Who may touch which field is said beside it. "Owner" is the thread of the scheduler the process
 * lives on. */
#ifndef MB_PROCESS_H
#define MB_PROCESS_H

#include <stdatomic.h>
#include <stdint.h>

#include "lock.h"
#include "map.h"
#include "pid.h"
#include "signals.h"
#include "timer.h"

enum mb_process_state {
  MB_FREE,     /* no tenant */
  MB_EMBRYO,   /* spawned, queued, not started */
  MB_RUNNABLE, /* queued: it has been woken */
  MB_SPENT,    /* queued: it has used up a slice, and would go on */
  MB_RUNNING,
  MB_WAITING, /* for a message, an exit or its deadline */
  MB_EXITING, /* dead to everybody else; waits for the reaper */
  MB_TRANSIT  /* an embryo given to this scheduler, which has not put it into its queue yet */
};

enum mb_process_flags {
  MB_TRAP_EXIT = 1,
  MB_IN_PLACE = 2,  /* has no coroutine of its own: runs the scheduler while it waits */
  MB_TIMED_OUT = 4, /* the deadline passed; cleared by the next wait */
  MB_SCRIPT = 8,   /* the scheduler stops when this one ends */
  MB_PINNED = 16,  /* never given to another scheduler */
  MB_LINKS_IGNORED = 32, /* exits over links are ignored, its parent's excepted */
  MB_BROKEN = 64,  /* the layer above is to raise an error in it, at its next step */
  MB_HAS_ALIASES = 128 /* or has had some: see alias.h */
};

struct mb_holding;

/* The private queue. prev/next of the signals; owner only. */
struct mb_mailbox {
  struct mb_signal *head, *tail;
  struct mb_signal *scan;   /* first message the present receive has not seen; NULL: it saw all */
  struct mb_signal *marked; /* last message that was there when mark was made; NULL: none */
  struct mb_map *answers;   /* of a long mailbox: where its answers are, see answers.h; NULL: not kept */
  mb_ref mark;              /* newest reference: nothing up to `marked` can carry it */
  uint32_t count;
  /* Whether senders give way for it: see sent_to_crowd. */
  uint32_t taken;                 /* messages that have left, in all */
  uint32_t taken_then, done_then; /* taken, and the process's reductions, when a sender looked last */
  uint8_t neglected;              /* as it was found then */
};

struct mb_process {
  /* Any thread. */
  _Atomic(mb_pid) pid;            /* tenant; 0 when free. Written under lock, by the owner */
  /* The owner's. Set before pid is published; an embryo may be given away, under lock. Release and acquire:
   * who reads itself here sees all that the owner before it has written. */
  _Atomic(struct mb_scheduler *) scheduler;
  struct mb_lock lock;            /* partner of every push to the inbox from another thread */
  atomic_uchar exiting;           /* dead to everybody else; written under lock, by the owner */
  uint8_t inbox_queued;           /* under lock: listed with the scheduler for draining */
  uint16_t log_rush;              /* the owner's: the rush of the log in which it has waited in vain; 0: none */
  struct mb_name *name;           /* see names.h */
  struct mb_holding *holdings;    /* under lock: what ends with it, see holding.h */
  struct mb_membership *memberships; /* in registries, see there; written under a stripe, by the owner */
  _Atomic(struct mb_signal *) inbox; /* pushed under lock; the owner peeks without it. The first's prev is the last */
  struct mb_process *inbox_next;  /* under the scheduler's remote_lock */

  /* Owner only, from here on. */
  uint8_t state; /* enum mb_process_state */
  uint8_t flags; /* enum mb_process_flags */
  uint8_t offer;       /* of the layer above, as `private_flags`: see below */
  uint8_t got_direct;
  uint32_t index;      /* constant: where the slot stands in the table */
  uint32_t generation; /* of the present or next tenant */
  uint32_t private_flags;
  struct mb_process *run_next, *run_prev; /* run queue, reap list or free list */
  struct mb_mailbox mailbox;
  struct mb_map links;        /* pid -> 0, or the id of the unlink that is not yet acknowledged */
  struct mb_map monitors;     /* ref -> see mb_monitor_target */
  struct mb_map monitored_by; /* ref -> watcher's pid */
  struct mb_timer timer;      /* receive's; may stand in the heap earlier than deadline */
  uint64_t deadline;          /* ns; 0: none */
  union {
    struct mb_reason *reason; /* why it is exiting; not set before */
    mb_ref awaited;           /* of the layer above: the reply that it takes at `offered` */
  };
  struct mb_signal *start;    /* what to run, until it starts */
  mb_pid parent;
  mb_pid leader; /* inherited from the parent: who gets what it prints; 0: standard output */
  uint64_t reductions;
  /* For the layer above, with what stands in the gaps above: offer is what it takes at `offered`, got_direct that it
   * has been put there, private_flags what private values it has. NULL again when it has been destroyed: */
  void *context;    /* its coroutine, */
  void *home;       /* and which of the scheduler's Lua states that is in; NULL: the first */
  void *offered;    /* where it takes something while it waits; NULL: from the mailbox only */
  _Atomic(const char *) site; /* where it was spawned, "file:line", the layer above's; relaxed, partner: the ticker */
};

/* The table: segments of slots, at most `limit` processes at once. */
#define MB_SEGMENT_BITS 10
#define MB_SEGMENT_SLOTS (1u << MB_SEGMENT_BITS)

struct mb_process_table {
  _Atomic(struct mb_process *) *segments; /* published once, then constant */
  uint32_t limit;
  struct mb_lock lock;      /* guards fresh and free_list, shared by all schedulers */
  uint32_t fresh;           /* first index never used */
  struct mb_process *free_list;
};

int mb_process_table_init(struct mb_process_table *t, uint32_t limit);
void mb_process_table_deinit(struct mb_process_table *t);

/* The slot a pid points to, whoever lives there now; NULL when there can be none. Any thread. */
struct mb_process *mb_process_table_slot(struct mb_process_table *t, mb_pid pid);

/* The living or dying tenant of a pid; NULL when gone. Only its owner may look inside. Any thread. */
struct mb_process *mb_process_table_lookup(struct mb_process_table *t, mb_pid pid);

/* Move up to `want` free slots to the front of *list (linked by run_next); how many, 0 when the limit
 * is reached or memory is out. Any thread. */
uint32_t mb_process_table_take(struct mb_process_table *t, uint32_t want, struct mb_process **list);

/* Give `count` slots back from the front of *list. Any thread. */
void mb_process_table_give(struct mb_process_table *t, uint32_t count, struct mb_process **list);

/* Highest index in use so far plus one: for listing. Any thread. */
uint32_t mb_process_table_extent(struct mb_process_table *t);
struct mb_process *mb_process_table_at(struct mb_process_table *t, uint32_t index);

#endif

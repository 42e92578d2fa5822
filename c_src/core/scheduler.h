/* A scheduler: one thread, one uv loop, one run queue, the timers of its processes; and what a process does there:
 * wait, be woken, use up its slice. Others reach it by what they post under its remote_lock: see protocol.h, migrate.h,
 * post.h, delayed.h, park.h. How it goes round: loop.h. All functions belong to the scheduler's thread unless said
 * otherwise. */
#ifndef MB_SCHEDULER_H
#define MB_SCHEDULER_H

#include <uv.h>

#include "holding.h"
#include "process.h"
#include "ticker.h"

struct mb_posted;
struct mb_runtime;

enum { MB_BATCH = 32 }; /* processes run between two checks, at most */

struct mb_queue {
  _Atomic(struct mb_process *) head; /* relaxed: any thread may look whether there is one */
  struct mb_process *tail;
  _Atomic uint32_t count; /* as head */
};

static inline uint32_t mb_queue_count(const struct mb_queue *q) {
  return atomic_load_explicit(&q->count, memory_order_relaxed);
}

enum mb_stop {
  MB_STOP_NOT,
  MB_STOP_LEAVES, /* mb_scheduler_run returns */
  MB_STOP_FROZEN  /* the program ends by exit(): see freeze.h */
};

struct mb_scheduler {
  struct mb_runtime *runtime;
  uint32_t id; /* from 0 */
  uv_loop_t *loop;   /* for others by mb_loop */
  int loop_borrowed; /* it is somebody else's, and stays open */
  int loop_used;     /* others than the scheduler may have put something there */
  unsigned works;    /* what a thread of libuv's pool does for the layer above, which tells of it on the loop */
  uv_timer_t wake;    /* armed before the loop blocks, for the first deadline; unreferenced */
  uv_prepare_t before_poll; /* see loop.c; unreferenced */
  uv_async_t doorbell; /* another thread has filled an inbox; unreferenced */
  struct mb_queue ready;
  struct mb_queue dying; /* exiting processes the reaper has not seen */
  struct mb_process *current;
  struct mb_process *free_slots;
  uint32_t free_count;
  struct mb_timer_heap timers;
  struct mb_map delayed; /* reference -> struct mb_delayed */
  struct mb_map watches; /* pid elsewhere -> struct mb_watch */
  uint64_t references;   /* counter of the next reference */
  uint64_t checked;      /* ns: when timers and inboxes were checked last, */
  uint64_t polled;       /* and when the loop was */
  void (*drained)(struct mb_scheduler *s); /* called between two processes when the loop has nothing alive; NULL: not */
  struct mb_signal *pool; /* small signals for reuse, linked by next */
  uint32_t pool_count;
  unsigned embryos;      /* in ready and not started */
  /* Counted by this thread alone, read by any: see mb_count. */
  _Atomic int64_t live;           /* processes that exist here */
  _Atomic int64_t spent;          /* in ready, and have used up a slice */
  _Atomic int64_t messages;       /* queued in mailboxes of processes here */
  _Atomic int64_t receive_timers; /* processes that wait with a deadline */
  _Atomic int64_t delayed_count;
  _Atomic int64_t holdings[MB_HOLDING_KINDS]; /* put on processes anywhere less taken away: see mb_holdings_count */
  _Atomic int64_t queued;  /* length of ready, as of the last check */
  _Atomic int64_t steals;  /* processes that others have given */
  _Atomic int64_t wakeups; /* returns from sleep */
  _Atomic int64_t slept;   /* ns, in all */
  _Atomic int64_t asleep_since; /* ns; 0: awake */
  _Atomic int64_t heaps, homes, heap_bytes; /* the layer above's Lua states, processes in them, what these take */
  uint64_t born; /* ns */
  struct mb_slice slice; /* shared with the ticker */
  uint64_t reduction_limit; /* of the running process: it gives way when it has done so many */
  unsigned ran;          /* processes since the last check of timers and the loop, */
  unsigned ticks;        /* and slice.ticks by then */
  /* While some in ready have used up a slice: how many others have run since one of them did, slice.ticks by then, and
   * whether what runs, or ran last, is one. */
  unsigned passed, turn;
  int spent_ran;
  int check_soon;        /* a slice has been cut short: check timers and the loop next */
  struct mb_process *suspended_below; /* waits with its C frames below those of what runs: see loop.h */
  int closing;           /* processes whose clean-up code runs */
  int spin;              /* others have posted lately: spin for more before sleeping */
  int stay;              /* run on with nothing to do: never call it a deadlock */
  atomic_int stop;       /* enum mb_stop: leave the loop as soon as possible. mb_scheduler_stop sets it, or freeze.c */
  int freeze_awaited;    /* freeze.c's, under its mutex */
  atomic_int noticed;    /* the upcall `notice` is due; set with mb_scheduler_notice */
  atomic_int parked;     /* enum mb_parking; see park.c */
  atomic_int handles;    /* the loop has something to do, as of the last check or slice; relaxed: the ticker looks */
  /* What others have posted; partner of remote_lock: every thread that posts. */
  struct mb_lock remote_lock;
  atomic_int posted;            /* there is something; written under the lock */
  struct mb_process *remote;    /* slots whose inbox was filled, by inbox_next */
  struct mb_process *arrivals;  /* embryos given, by run_next */
  struct mb_watch *ended;       /* whose targets have died, by next_ended */
  struct mb_posted *posts, **posts_last; /* see post.h */
  void *above; /* the layer above's; which of its Lua states a process runs in, that one knows */
};

/* A process of s's is ready now, or something has been posted there: the ticker may rest, thinking that nobody waits.
 * Any thread. */
static inline void mb_ticker_awaits(struct mb_scheduler *s) {
  if (atomic_load_explicit(&s->slice.rests, memory_order_relaxed)) mb_ticker_hurry(s);
}

/* Add to a counter that only the calling thread writes. */
static inline void mb_count(_Atomic int64_t *counter, int64_t by) {
  atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}

/* Whether p, which is of this scheduler's, is in ready. */
static inline int mb_is_queued(const struct mb_process *p) {
  return p->state == MB_RUNNABLE || p->state == MB_SPENT || p->state == MB_EMBRYO;
}

/* Whether the tenant of p lives on s: then everything of p's is this thread's. */
static inline int mb_is_here(struct mb_scheduler *s, struct mb_process *p) {
  return atomic_load_explicit(&p->scheduler, memory_order_acquire) == s; /* partner: migrate.c */
}

enum { MB_SLICE_REDUCTIONS = 4000 }; /* what a process may do in a slice, when time does not end it before */

/* A new slice begins: p runs. */
void mb_slice_begin(struct mb_scheduler *s, struct mb_process *p);

/* Count the slice's time anew. */
void mb_slice_renew(struct mb_scheduler *s);

/* How long the present slice has lasted (ns), when the ticker has found it overdue; else 0. */
uint64_t mb_slice_age(struct mb_scheduler *s);

/* Whether mb_slice_age is not 0. */
static inline int mb_slice_is_overdue(const struct mb_scheduler *s) {
  return atomic_load_explicit(&s->slice.overdue, memory_order_relaxed) ==
         atomic_load_explicit(&s->slice.number, memory_order_relaxed);
}

/* Let p, which runs, queue behind those that are ready. */
void mb_queue_spent(struct mb_scheduler *s, struct mb_process *p);

/* The same for one that runs in place. */
void mb_give_way_in_place(struct mb_scheduler *s, struct mb_process *p);

/* Let p wait for a message; deadline in ns, 0 for none. After this p must leave the processor. */
int mb_wait(struct mb_scheduler *s, struct mb_process *p, uint64_t deadline);

/* Take a wait back: p cannot leave the processor after all, and runs on. */
void mb_unwait(struct mb_scheduler *s, struct mb_process *p);

/* Make a waiting process runnable; nothing happens in any other state. */
void mb_wake(struct mb_scheduler *s, struct mb_process *p);

void mb_queue_push(struct mb_queue *q, struct mb_process *p);
void mb_queue_remove(struct mb_queue *q, struct mb_process *p);

/* A fresh reference. */
mb_ref mb_ref_new(struct mb_scheduler *s);

/* The living process behind a pid when it is owned by this scheduler, else NULL. */
struct mb_process *mb_process_here(struct mb_scheduler *s, mb_pid pid);

/* Where the process behind a pid lives. */
enum mb_where {
  MB_NOWHERE,   /* it is dead, or never was */
  MB_HERE,      /* on this scheduler */
  MB_ELSEWHERE, /* on another one of this runtime, where it may be dying this moment */
  MB_REMOTE     /* on another node, to which the upcall `remote` leads: nobody knows whether it lives */
};

/* Find it; the process itself when it is here, else NULL. */
enum mb_where mb_locate(struct mb_scheduler *s, mb_pid pid, struct mb_process **here);

/* Whether timers, inboxes and the loop are to be checked before the next process runs: a batch has run, a slice was
 * cut, or a tick has passed. */
static inline int mb_check_due(const struct mb_scheduler *s) {
  return s->ran >= MB_BATCH || s->check_soon ||
         (s->ran > 0 && s->ticks != atomic_load_explicit(&s->slice.ticks, memory_order_relaxed));
}

/* The scheduler's loop, for who puts something there. */
static inline uv_loop_t *mb_loop(struct mb_scheduler *s) {
  s->loop_used = 1;
  return s->loop;
}

/* The one of the ready processes that is to run next; NULL: there is none. Those that have used up a slice let the
 * others pass, MB_BATCH of them or for two ticks: then it is the turn of the first in any case. So two that talk to
 * each other need not wait at each word for one that computes, nor can they keep it waiting.
 * Nobody else chooses: with another choice here, as by a seed, there is another run, and no other core. */
struct mb_process *mb_next_ready(const struct mb_scheduler *s);

/* Take a process out of those that are ready: it is about to run. */
void mb_take_ready(struct mb_scheduler *s, struct mb_process *p);

#endif

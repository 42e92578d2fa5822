/* The end of the program. First what it has asked for: after a signal the supervisors that no other supervises stop,
 * the youngest first, and then the functions of at_exit are called. A process on the first scheduler does that
 * (internal/ending.lua), for shutdown_timeout at most. Then every process is killed, the threads end, and the states
 * close.
 *
 * Whatever keeps the program from that, it ends, soon afterwards, with its status, and with what stdio has buffered
 * written out. */
#ifndef MB_ENDING_H
#define MB_ENDING_H

#include <lua.h>
#include <pthread.h>
#include <stdatomic.h>

#include "core/pid.h"

struct mb_heap;
struct mb_process;
struct mb_runtime;
struct mb_scheduler;
struct mb_signal;

enum mb_node_end {
  MB_NODE_RUNS,
  MB_NODE_CLOSES, /* processes are killed, and the Lua states closed */
  MB_NODE_LEAVES  /* processes are killed; the states, with their finalizers, are left as they are */
};

struct mb_ending {
  struct mb_runtime *runtime;
  atomic_int how, status; /* by os.exit: enum mb_node_end */
  atomic_int signal;      /* which ends the program; 0: none */
  _Atomic uint64_t timeout_ns; /* relaxed */
  /* Under the mutex, but for reading whether there are some. */
  pthread_mutex_t mutex;
  struct mb_signal *_Atomic functions; /* the last one given first */
  mb_pid *roots;                       /* supervisors that no other supervises, in the order of their start */
  uint32_t capacity;
  _Atomic uint32_t count;
  /* The first scheduler's. */
  atomic_int begun; /* written by the first scheduler alone; partner: mb_ending_exit, mb_node_leave of any */
  _Atomic(mb_pid) process; /* does what is to be done; 0: none. Relaxed, partner: mb_ending_calls */
};

/* The script of a host, and what is known of its end. All heaps of its scheduler have the same. */
struct mb_script_end {
  struct mb_process *process; /* its error is printed by the host, not logged */
  int ended;
  int said;   /* what it died of has been printed */
  int bound;  /* 1 of h->closing is what makes the text of its error */
  char *text; /* what it died of, malloc'd, or NULL */
  char *trace; /* where a function of the library's has raised the exit that it ended with, likewise */
};

/* rt: not open yet. */
void mb_ending_init(struct mb_ending *e, struct mb_runtime *rt);
void mb_ending_deinit(struct mb_ending *e);

/* Whether p is a function of at_exit that is called: by os.exit it ends the program at once, with the status that it
 * says, and those that are left are not called. p's thread. */
int mb_ending_calls(const struct mb_ending *e, const struct mb_process *p);

/* End the program with this status; at once, if a function of at_exit does so. The first one counts otherwise. Any
 * thread. */
void mb_ending_exit(struct mb_ending *e, int status, enum mb_node_end how, int at_once);

/* Whether the program is to end. Any thread. */
static inline int mb_ending_wanted(const struct mb_ending *e) {
  return atomic_load_explicit(&e->signal, memory_order_relaxed) || atomic_load_explicit(&e->how, memory_order_relaxed);
}

/* End the program by a signal. Async-signal-safe. How long it may take (s), with all that is to be done first. */
unsigned mb_ending_signal(struct mb_ending *e, int number);

/* Whether there are functions of at_exit. Any thread; async-signal-safe. */
int mb_ending_has_functions(const struct mb_ending *e);

/* The script's process has ended. The first scheduler's thread. */
void mb_ending_script(struct mb_heap *h);

/* The upcall of a scheduler that has noticed something. */
void mb_ending_noticed(struct mb_scheduler *s);

/* Do what is to be done first, where the scheduler does not run any more; in stock Lua, the state is about to close. */
void mb_ending_run(struct mb_heap *h, int status);
enum { MB_STATUS_UNKNOWN = -1 };

/* A process has ended: when it was the one that does what is to be done first, the first scheduler stops. */
void mb_ending_on_exit(struct mb_heap *h, const struct mb_process *p);

/* Take and, with ms >= 0, give the bound. */
lua_Integer mb_shutdown_timeout(struct mb_heap *h, lua_Integer ms);

#endif

/* The runtime: what the schedulers share. No global variable stands behind it; several runtimes can
 * live in one program. */
#ifndef MB_RUNTIME_H
#define MB_RUNTIME_H

#include "alias.h"
#include "clock.h"
#include "names.h"
#include "registry.h"
#include "scheduler.h"

/* How the core calls the layer above; every function runs on the process's own scheduler. */
struct mb_upcalls {
  /* Run p until it waits, is preempted or ends; p->start is its first input and is taken over when it
   * starts. An end is told with mb_process_exit before returning. */
  void (*resume)(struct mb_scheduler *s, struct mb_process *p);
  /* p is dead: release what the layer above holds for it. Runs its pending clean-up code. */
  void (*destroy)(struct mb_scheduler *s, struct mb_process *p);
  /* Processes are about to be given to other schedulers. Between two processes. NULL: nothing to do. */
  void (*share)(struct mb_scheduler *s);
  /* There is work for the other schedulers: mb_runtime_start and threads that run them, or scheduler_count 1. */
  void (*start)(struct mb_scheduler *s);
  /* The running process has used up its slice, and the scheduler is wanted. Called in a signal handler on the
   * scheduler's thread. */
  void (*preempt)(struct mb_scheduler *s);
  /* mb_scheduler_notice was called. Between two processes. */
  void (*notice)(struct mb_scheduler *s);
  /* The process, in slot p, has held its scheduler for so long that it seems to hang, and others wait for it. site: as
   * in struct mb_process. 1: it has been told, which is done once per slice. On the ticker's thread, under its
   * mutex. */
  int (*stuck)(struct mb_scheduler *s, struct mb_process *p, mb_pid pid, const char *site, unsigned ms);
  /* A signal to a process of another node, which is taken over: every kind, as it is. NULL: pids of others are
   * nobody's. */
  void (*remote)(struct mb_scheduler *s, mb_pid to, struct mb_signal *signal);
};

struct mb_runtime {
  const struct mb_upcalls *upcalls;
  struct mb_clock clock;
  struct mb_process_table table;
  struct mb_names names;
  struct mb_aliases aliases;
  struct mb_registries registries;
  struct mb_scheduler *schedulers;
  uint32_t scheduler_count;  /* as many as there may be; may be changed while only one has started */
  _Atomic uint32_t started;  /* as many as there are; release and acquire: they are complete */
  /* See park.c. Sequentially consistent. */
  atomic_uint sleepers;
  atomic_int could_wake, deadlocked;
  struct mb_ticker ticker;
  struct mb_runtime *next_to_freeze; /* freeze.c's */
  /* Reasons that the core itself gives, encoded by the layer above. */
  struct mb_reason *normal, *killed, *noproc, *noconnection;
};

#define MB_DEFAULT_LIMIT 1048576u

/* limit: most processes at once. schedulers: how many there may be; one is made. The reasons are set by the
 * caller afterwards. 0 or an error. */
int mb_runtime_init(struct mb_runtime *rt, const struct mb_upcalls *upcalls, uint32_t limit, uint32_t schedulers);

/* Make the other schedulers, for threads that call mb_unparked and then run them. 0 or an error, with none made. */
int mb_runtime_start(struct mb_runtime *rt);

/* Every thread but the caller's has ended. */
void mb_runtime_deinit(struct mb_runtime *rt);

/* The time (ns). Any thread. */
static inline uint64_t mb_now(struct mb_runtime *rt) { return mb_clock_now(&rt->clock); }

/* The name of this node: the one of the pids with node 0. Static. Any thread. */
const char *mb_node_name(const struct mb_runtime *rt);

/* Name a process; as mb_names_add. The thread of any scheduler s. */
int mb_register(struct mb_scheduler *s, mb_pid pid, const char *name, uint32_t size);

#endif

/* The runtime: what the schedulers share. No global variable stands behind it; several runtimes can
 * live in one program. */
#ifndef MB_RUNTIME_H
#define MB_RUNTIME_H

#include "names.h"
#include "scheduler.h"

/* How the core calls the layer above; every function runs on the process's own scheduler. */
struct mb_upcalls {
  /* Run p until it waits, is preempted or ends; p->start is its first input and is taken over when it
   * starts. An end is told with mb_process_doom before returning. */
  void (*resume)(struct mb_scheduler *s, struct mb_process *p);
  /* p is dead: release what the layer above holds for it. Runs its pending clean-up code. */
  void (*destroy)(struct mb_scheduler *s, struct mb_process *p);
  /* The running process has used up its slice. Called in a signal handler on the scheduler's thread. */
  void (*interrupt)(struct mb_scheduler *s);
};

struct mb_runtime {
  const struct mb_upcalls *upcalls;
  struct mb_table table;
  struct mb_names names;
  struct mb_scheduler *schedulers;
  uint32_t scheduler_count;
  struct mb_ticker ticker;
  /* Reasons that the core itself gives, encoded by the layer above. */
  struct mb_reason *normal, *killed, *noproc, *noconnection;
};

#define MB_DEFAULT_LIMIT 1048576u

/* limit: most processes at once. The reasons are set by the caller afterwards. 0 or an error. */
int mb_runtime_init(struct mb_runtime *rt, const struct mb_upcalls *upcalls, uint32_t limit);
void mb_runtime_deinit(struct mb_runtime *rt);

/* The living or dying tenant of a pid; NULL when gone. Only its owner may look inside. Any thread. */
struct mb_process *mb_lookup(struct mb_runtime *rt, mb_pid pid);

/* Name a process: 0, MB_ENAME (the name or the process has one), MB_ENOPROC, MB_ENOMEM. */
int mb_register(struct mb_scheduler *s, mb_pid pid, const char *name, uint32_t size);

/* 1 when somebody held the name. */
int mb_unregister(struct mb_scheduler *s, const char *name, uint32_t size);

#endif

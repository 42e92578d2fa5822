/* Whether a thread computes or waits in the kernel, seen from another thread. */
#ifndef MB_THREAD_STATE_H
#define MB_THREAD_STATE_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/* A thread, and what was seen of it last. Used by one thread at a time. */
struct mb_thread {
  pthread_t thread;
  int has_clock;
  clockid_t clock; /* of its processor time */
  long id;         /* the kernel's; 0: unknown */
  uint64_t ran;    /* its processor time (ns) */
  uint64_t delayed; /* how long it was ready and others had the processor (ns), as of mb_thread_delay */
};

enum mb_thread_state {
  MB_THREAD_STILL,  /* it has not run since it was sampled last */
  MB_THREAD_WAITS,  /* it has, and waits now */
  MB_THREAD_RUNS    /* it runs, or could, and others have the processor; or nobody knows */
};

/* The calling thread. */
void mb_thread_init(struct mb_thread *t);

/* See how long it has run: ran. */
void mb_thread_look(struct mb_thread *t);

/* What the thread, which is alive, does. One that could run and has not been let counts as still. */
enum mb_thread_state mb_thread_sample(struct mb_thread *t);

/* How long (ns) the thread has been ready without running since this was asked last; what goes on still does not count.
 * 0 if nobody knows. */
uint64_t mb_thread_delay(struct mb_thread *t);

/* How long (ns) the calling thread has been ready without running, in all. 0 if nobody knows. */
uint64_t mb_thread_own_delay(void);

/* The same of all threads of the program, those that have ended left out: how long one or another was ready. Takes a
 * system call or four for each. */
uint64_t mb_program_delay(void);

/* Whether a thread that is still could run: 0 if nobody knows. It takes longer to find that out. */
int mb_thread_is_ready(struct mb_thread *t);

#endif
